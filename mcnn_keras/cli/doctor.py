"""mcnn-keras doctor."""

from __future__ import annotations

import os
import platform

import click

from ..version import version_of
from .quiet import import_tensorflow

PACKAGES = ("mcnn-keras", "tensorflow", "keras", "onnxruntime", "numpy")
# What speeds networks up, as processors are asked under Linux.
VECTORS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve")


@click.command()
def doctor() -> None:
    """Tell what computes here: versions, processor, GPUs, and how fast each engine is.

    Send what it prints with a report of a problem.
    """
    from ..inference.fastest import CPUINFO, cache_folder, processor, rates
    from ..models.onnx import usable_cores
    from ..models.saving import shipped

    click.echo(f"Python {platform.python_version()} on {platform.platform()}")
    for name in PACKAGES:
        click.echo(f"{name} {version_of(name)}")
    click.echo(f"processor: {processor()}, {usable_cores()} of {os.cpu_count()} cores usable")
    try:
        flags = set(CPUINFO.read_text().split())
        known = [name for name in VECTORS if name in flags]
        click.echo(f"vector instructions: {', '.join(known) or 'none that speed up networks'}")
    except OSError:
        click.echo("vector instructions: not told by this system")
    import_tensorflow()
    import tensorflow as tf

    gpus = [device.name for device in tf.config.list_physical_devices("GPU")]
    click.echo(f"GPUs: {', '.join(gpus) or 'none that TensorFlow can use'}")
    click.echo(f"cache: {cache_folder()}")
    click.echo("images of 128x128 a second, by the network alone:")
    for name in shipped():
        found = rates(name)
        best = max(found, key=lambda pair: found[pair])
        told = ", ".join(f"{' '.join(pair)} {rate:.0f}" for pair, rate in found.items())
        click.echo(f"  {name}: {told}; fastest: {' '.join(best)}")
