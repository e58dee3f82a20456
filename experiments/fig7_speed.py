"""Figure 7 of the paper: frames denoised a second, beside the classical methods, in one run.

    python experiments/fig7_speed.py                                # 10 minutes on two cores

For 128x128 to 512x512 pixels (--sizes for others): medians over warmed-up repetitions of both
shipped networks, in float32 and in bfloat16, on batches of frames, and of BM3D and PGURE-SVT (15
frames together, per frame). Wanted at 128x128: 440 frames a second (the paper's, on a GPU) and 400
times BM3D; 1,000 and 1,000 times of the fast one. Also printed: the share of this machine's float32
convolution rate that inference reaches. Writes metrics.json.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.classical.denoisers import bm3d
from mcnn_keras.classical.pgure_svt import pgure_svt
from mcnn_keras.files import replacing
from mcnn_keras.inference.stack import predict_stack
from mcnn_keras.inference.tiles import tile_starts
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
    name: {p: mcnn.load(name, precision=p) for p in ("float32", "bfloat16")}
    for name in arguments.models
}
for size in arguments.sizes:
    count = max(1, 64 * 128**2 // size**2)
    frames = rng.poisson(2.0, (count, size, size, 1)).astype(np.float32)
    row = {"size": size}
    row["BM3D"] = 1 / seconds(lambda f=frames[0, ..., 0]: bm3d(f, 0.9), 3 if size < 512 else 1)
    sequence = rng.poisson(2.0, (15, size, size)).astype(float)
    row["PGURE-SVT"] = 15 / seconds(lambda s=sequence: pgure_svt(s), 3 if size < 512 else 1)
    print(f"{size}x{size}  BM3D {row['BM3D']:.3g}, PGURE-SVT {row['PGURE-SVT']:.3g}")
    for name, precisions in models.items():
        for precision, model in precisions.items():
            found = count / seconds(lambda m=model, f=frames: predict_stack(m, f))
            row[f"{name} {precision}"] = found
            print(f"    {name} in {precision}: {found:.3g}, times BM3D {found / row['BM3D']:.0f}, "
                  f"times PGURE-SVT {found / row['PGURE-SVT']:.0f}", flush=True)  # fmt: skip
        work = convolutions(precisions["float32"], size)
        row[f"{name} share"] = row[f"{name} float32"] * work / rate
        print(f"    {100 * row[f'{name} share']:.0f} % of the float32 convolution rate", flush=True)
    rows.append(row)
print("frames a second; wanted at 128x128: 440, and 400 times BM3D; 1,000 of the fast one")

arguments.output.mkdir(parents=True, exist_ok=True)
with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps({"convolution rate": rate, "rows": rows}, indent=2))
