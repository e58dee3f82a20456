"""mcnn-keras doctor."""

from __future__ import annotations

import os
import platform

import click

from ..version import version_of
from .quiet import import_tensorflow
from .telling import telling

# The packages that an extra of the installation brings, by its name.
EXTRAS = {
    "em": ("rosettasciio", "mrcfile"), "dask": ("dask", "distributed"), "napari": ("napari",),
    "tensorboard": ("tensorboard",), "compare": ("bm3d",), "pictures": ("matplotlib",),
    "capture": ("mss", "opencv-python-headless"), "app": ("starlette", "uvicorn"),
}  # fmt: skip
PACKAGES = ("mcnn-keras", "tensorflow", "keras", "onnxruntime", "numpy")
# Instruction sets that speed up networks, by their names in /proc/cpuinfo (Linux).
VECTORS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve")


@click.command()
def doctor() -> None:
    """Print versions, processor, GPUs and the speed of each engine on this machine.

    Include this output when you report a problem.
    """
    from ..inference.fastest import CPUINFO, cache_folder, processor, rates
    from ..models.onnx import usable_cores
    from ..models.saving import shipped

    tell = telling()
    python, system = platform.python_version(), platform.platform()
    tell.product(f"Python {python} on {system}", python=python, system=system)
    versions = {name: version_of(name) for name in PACKAGES}
    for name, version in versions.items():
        tell.product(f"{name} {version}")
    extras = {
        name: all(version_of(package) != "unknown" for package in packages)
        for name, packages in EXTRAS.items()
    }
    here = ", ".join(name for name, found in extras.items() if found) or "none"
    lacking = ", ".join(name for name, found in extras.items() if not found)
    hint = f"; not installed: {lacking} (pip install 'mcnn-keras[NAME]')" if lacking else ""
    tell.product(f"extras: {here}{hint}", extras=extras)
    chip = processor()
    cores = {"usable": usable_cores(), "all": os.cpu_count()}
    tell.product(
        f"processor: {chip}, {cores['usable']} of {cores['all']} cores usable",
        versions=versions, processor=chip, cores=cores,
    )  # fmt: skip
    try:
        flags = set(CPUINFO.read_text().split())
        known = [name for name in VECTORS if name in flags]
        tell.product(
            f"vector instructions: {', '.join(known) or 'none that speed up networks'}",
            vector_instructions=known,
        )
    except OSError:
        tell.product("vector instructions: not known on this system", vector_instructions=None)
    import_tensorflow()
    import tensorflow as tf

    gpus = [device.name for device in tf.config.list_physical_devices("GPU")]
    tell.product(f"GPUs: {', '.join(gpus) or 'none that TensorFlow can use'}", gpus=gpus)
    tell.product(f"cache: {cache_folder()}", cache=cache_folder())
    tell.product("images of 128x128 pixels per second, network alone:")
    speeds: dict[str, dict[str, float]] = {}
    for name in shipped():
        found = rates(name)
        speeds[name] = {" ".join(pair): rate for pair, rate in found.items()}
        best = max(found, key=lambda pair: found[pair])
        told = ", ".join(f"{engine} {rate:.0f}" for engine, rate in speeds[name].items())
        tell.product(f"  {name}: {told}; fastest: {' '.join(best)}")
    tell.facts(images_a_second=speeds)
