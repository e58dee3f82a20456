"""The speed and memory of a trained model with files.

    python experiments/inference_speed.py [--model denoise]          # 5 minutes on two cores

Prints, and writes to metrics.json:

1. The network alone, with its fixed channels, on frames of 128x128: frames per second with
   TensorFlow in float32 and bfloat16 and with ONNX Runtime, and the share of the machine's
   convolution rate. Wanted: 60 %.
2. A recording, from file to file with the command line: frames per second relative to the network
   alone, and peak memory for 1,000 and 10,000 frames. Wanted: 80 %, and 10 % more memory.
3. A field of 8192x8192: pixels per second relative to the network on 1024x1024 in one piece, and
   peak memory. Wanted: 70 %, and 3 GiB.
4. Time to the first result after a cold start, one frame. Wanted: 8 s with TensorFlow, 2 s with
   ONNX Runtime.
5. The differences between the results of the engines.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.channels import network_input
from mcnn_keras.files import replacing
from mcnn_keras.inference.engines import engine_of
from mcnn_keras.inference.tiles import PIXELS
from mcnn_keras.models.onnx import export
from mcnn_keras.problems import Denoise
from mcnn_keras.training.devices import convolution_rate
from mcnn_keras.training.pipeline import fixed_set

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="denoise", help="a shipped model's name, or a file")
parser.add_argument("--frames", type=int, nargs=2, default=[1000, 10000])
parser.add_argument("--field", type=int, default=8192)
parser.add_argument("--output", type=Path, default=Path("runs/inference_speed"))
arguments = parser.parse_args()
rng = np.random.default_rng(0)
results = {}


def seconds(compute, repetitions=9):
    for _ in range(2):
        compute()
    times = []
    for _ in range(repetitions):
        began = time.perf_counter()
        compute()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def operations(model):
    """Multiplications and additions of a network's convolutions for a pixel of its input."""
    total = 0.0
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in ("Conv2D", "Conv2DTranspose"):
            part, number, *_ = layer.name.split("_")
            # The size at which the kernel is applied: a transposed one's is that of its input.
            level = int(number) - (part != "encoder") + (kind == "Conv2DTranspose")
            needed = part != "output" or number == "1"
            total += needed * 2 * np.prod(layer.kernel.shape) / 4**level
    return total


def command(*words):
    """Run the command line in a separate process; returns seconds, and peak memory in MiB."""
    code = (
        "import sys\nfrom mcnn_keras.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: status = end.code\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\nsys.exit(status)\n"
    )
    began = time.perf_counter()
    told = subprocess.run([sys.executable, "-c", code, *map(str, words)], check=True,
                          capture_output=True, text=True)  # fmt: skip
    return time.perf_counter() - began, int(told.stdout.split()[-1]) / 1024


with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    models = {p: mcnn.load(arguments.model, precision=p) for p in ("float32", "bfloat16")}
    export(models["float32"], folder / "model.onnx")
    engines = {name: engine_of(model) for name, model in models.items()}
    engines["ONNX Runtime"] = mcnn.load(folder / "model.onnx")

    batch = rng.standard_normal((PIXELS // 128**2, 128, 128, 1)).astype(np.float32)
    work = operations(models["float32"]) * 128**2
    rates = {p: convolution_rate(p) for p in ("float32", "bfloat16")}

    def answered(name, frames):
        """The network's output for normalised frames."""
        engine = engines[name]
        return engine.compute(network_input(frames, engine.card.channels, {}))

    def network_rate(name):
        return len(batch) / seconds(lambda: answered(name, batch))

    print("1. the network alone, 128x128")
    for name in engines:
        rate = network_rate(name)
        share = rate * work / rates.get(name, rates["float32"])
        results[name] = {"frames/s": rate, "share of convolution rate": share}
        print(f"   {name:<14}{rate:7.0f} frames/s  {100 * share:.0f} % of the convolution rate")

    print("2. from file to file")
    for precision in ("float32", "bfloat16"):
        peaks, alone = [], [network_rate(precision)]
        for count in arguments.frames:
            frames = rng.poisson(2.0, (count, 128, 128)).astype(np.uint8)
            np.save(folder / "in.npy", frames)
            options = ("--model", arguments.model, "--precision", precision)
            took, peak = command(
                "denoise", folder / "in.npy", *options, "--output", folder / "out.tif"
            )
            peaks.append(peak)
            if count == arguments.frames[0]:
                least, fewest = took, count
        # What the longer recording takes beyond the shorter one, so that starting counts for none.
        rate = (count - fewest) / (took - least)
        # Before and after: a shared machine is not always as fast.
        alone.append(network_rate(precision))
        share = rate / np.mean(alone)
        results[f"files {precision}"] = {"frames/s": rate, "share": share, "peaks MiB": peaks}
        print(
            f"   {precision:<14}{rate:7.0f} frames/s, {100 * share:.0f} % of the network's own, "
            f"{alone[0]:.0f} before and {alone[1]:.0f} after; "
            f"peak {peaks[0]:.0f} MiB for {fewest}, {peaks[1]:.0f} MiB for {count} frames"
        )

    print(f"3. a field of {arguments.field}x{arguments.field}")
    whole = rng.standard_normal((1, 1024, 1024, 1)).astype(np.float32)

    def untiled_rate():
        return 1024**2 / seconds(lambda: answered("float32", whole), 3)

    before = untiled_rate()
    np.save(folder / "field.npy", rng.poisson(2.0, (arguments.field,) * 2).astype(np.float32))
    options = ("--model", arguments.model, "--precision", "float32", "--output")
    began, _ = command("denoise", folder / "in.npy", "--frames", 0, *options, folder / "out.tif")
    took, peak = command("denoise", folder / "field.npy", *options, folder / "out.tif")
    rate, untiled = arguments.field**2 / (took - began), np.mean([before, untiled_rate()])
    results["field"] = {"pixels/s": rate, "share": rate / untiled, "peak MiB": peak}
    print(
        f"   {rate / 1e6:.2f} million pixels/s, {100 * rate / untiled:.0f} % of "
        f"{untiled / 1e6:.2f} in one piece at 1024x1024; peak {peak:.0f} MiB"
    )

    print("4. the first result of a cold start")
    for name, model in (("TensorFlow", arguments.model), ("ONNX Runtime", folder / "model.onnx")):
        words = ("denoise", folder / "in.npy", "--frames", 0, "--model", model, "--output",
                 folder / "out.tif")  # fmt: skip
        results[f"cold start {name}"] = float(np.median([command(*words)[0] for _ in range(3)]))
        print(f"   {name:<14}{results[f'cold start {name}']:.1f} s")

    print("5. answers beside TensorFlow's in float32, for simulated frames")
    frames, _ = fixed_set(Denoise(channels=None, window=1), "test", 64, 128, 3)
    answers = {name: answered(name, frames) for name in engines}
    truth = answers["float32"]
    for name in ("ONNX Runtime", "bfloat16"):
        apart = float(np.abs(answers[name] - truth).max() / np.abs(truth).max())
        level = float(10 * np.log10(np.mean((answers[name] - truth) ** 2) / np.mean(truth**2)))
        results[f"apart {name}"] = {"most": apart, "dB": level}
        print(f"   {name:<14}most {apart:.1e} of the largest value, {level:.0f} dB")

arguments.output.mkdir(parents=True, exist_ok=True)
with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(results, indent=2, default=float))
