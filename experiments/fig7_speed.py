"""Figure 7 of the paper: denoised frames per second, compared with classical methods in one run.

    python experiments/fig7_speed.py                                # 10 minutes on two cores

For 128x128 to 512x512 pixels (--sizes for others): medians over warmed-up repetitions of both
shipped networks, with TensorFlow in float32 and bfloat16 and with ONNX Runtime, on batches of
unrelated frames, including the search for faults and the scaling; on movies; and of BM3D and
PGURE-SVT (15 frames together, per frame). Wanted at 128x128 on processors without AVX-512: 220
times as fast as BM3D, 700 times with the fast network. Also prints the share of this machine's
float32 convolution rate that inference reaches. Writes metrics.json.
"""

import argparse
import json
import re
import tempfile
import time
from pathlib import Path

import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.classical.denoisers import bm3d
from mcnn_keras.classical.pgure_svt import pgure_svt
from mcnn_keras.files import replacing
from mcnn_keras.inference.frames import Series
from mcnn_keras.inference.stack import predict_stack
from mcnn_keras.inference.tiles import tile_starts
from mcnn_keras.models.onnx import export
from mcnn_keras.training.devices import convolution_rate

parser = argparse.ArgumentParser()
parser.add_argument("--models", nargs="+", default=["denoise", "denoise-fast"])
parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512])
parser.add_argument("--output", type=Path, default=Path("runs/fig7"))
arguments = parser.parse_args()
rng = np.random.default_rng(0)


def seconds(compute, repetitions=7):
    compute()
    times = []
    for _ in range(repetitions):
        began = time.perf_counter()
        compute()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def convolutions(model, size):
    """Multiplications and additions of a network's convolutions for one frame."""
    # Frames larger than those in training are denoised in tiles of that size.
    tile = min(size, model.card.largest_trained)
    total = 0
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in ("Conv2D", "Conv2DTranspose"):
            part, number, *_ = layer.name.split("_")
            # The size at which the kernel is applied: a transposed one's is that of its input.
            level = int(number) - (part != "encoder") + (kind == "Conv2DTranspose")
            needed = part != "output" or number == "1"
            total += needed * 2 * int(np.prod(layer.kernel.shape)) * (tile / 2**level) ** 2
    return total * len(tile_starts(size, tile)) ** 2


rows = []
rate = convolution_rate()
models = {
    name: {f"TensorFlow {p}": mcnn.load(name, precision=p) for p in ("float32", "bfloat16")}
    for name in arguments.models
}
with tempfile.TemporaryDirectory() as folder:
    for name, engines in models.items():
        path = Path(folder) / f"{Path(name).stem}.onnx"
        export(engines["TensorFlow float32"], path)
        engines["ONNX Runtime"] = mcnn.load(path)
cpu = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[:1]
print(f"{cpu}, {rate / 1e9:.0f} GFLOP/s of float32 convolutions")
for size in arguments.sizes:
    count = max(1, 64 * 128**2 // size**2)
    frames = rng.poisson(2.0, (count, size, size, 1)).astype(np.float32)
    row = {"size": size}
    row["BM3D"] = 1 / seconds(lambda f=frames[0, ..., 0]: bm3d(f, 0.9), 3 if size < 512 else 1)
    sequence = rng.poisson(2.0, (15, size, size)).astype(float)
    row["PGURE-SVT"] = 15 / seconds(lambda s=sequence: pgure_svt(s), 3 if size < 512 else 1)
    print(f"{size}x{size}  BM3D {row['BM3D']:.3g}, PGURE-SVT {row['PGURE-SVT']:.3g}")
    # A movie: the same clean frame, counted anew.
    clean = 2 + np.sin(np.arange(size) / 3) * np.sin(np.arange(size)[:, None] / 3)
    movie = rng.poisson(clean, (count, size, size))[..., None].astype(np.float32)
    for name, engines in models.items():
        for engine, model in engines.items():
            found = count / seconds(lambda m=model, f=frames: predict_stack(m, f))
            row[f"{name} {engine}"] = found
            print(f"    {name} by {engine}: {found:.3g}, times BM3D {found / row['BM3D']:.0f}, "
                  f"times PGURE-SVT {found / row['PGURE-SVT']:.0f}", flush=True)  # fmt: skip
        model = engines["ONNX Runtime"]
        series = Series(count)
        found = count / seconds(lambda m=model, f=movie, s=series: predict_stack(m, f, series=s))
        row[f"{name} movie"] = found
        work = convolutions(engines["TensorFlow float32"], size)
        best = max(row[f"{name} {engine}"] for engine in engines if "bfloat16" not in engine)
        row[f"{name} share"] = best * work / rate
        print(f"    {name} on a movie by ONNX Runtime: {found:.3g}; "
              f"{100 * row[f'{name} share']:.0f} % of the float32 convolution rate",
              flush=True)  # fmt: skip
    rows.append(row)
print("frames a second; wanted at 128x128: 220 times BM3D, 700 times by the fast one")

arguments.output.mkdir(parents=True, exist_ok=True)
with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps({"convolution rate": rate, "rows": rows}, indent=2))
