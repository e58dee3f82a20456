"""Convert a published focal series into a TIFF stack, with its planes in a text file.

    python data_tools/convert_focal_series.py cheekcell_data.mat cells.tif --unit m
    python data_tools/convert_focal_series.py hela_tiffs/ hela.tif --unit um
    mcnn-keras reconstruct gp-tie cells.tif --wavelength 0.65 --output phase.tif

Reads MATLAB files of any version and other HDF5 files with one stack of images, and one list of
numbers of the same length, the planes (as in the files of GP-TIE: Istack or Ividmeas, zvec, lambda,
ps). Also reads folders of TIFF files with the planes in their names (HeLa_z-12.5um.tif). Writes
cells.tif, with its pixel size if it is known, and cells.txt: the planes in um.
"""

import argparse
import re
import sys
from pathlib import Path

import h5py
import numpy as np
import scipy.io

from mcnn_keras.errors import InputError
from mcnn_keras.files import Axis, read_images, replacing, write_recording

TO_UM = {"m": 1e6, "mm": 1e3, "um": 1.0, "nm": 1e-3}
PIXEL_SIZES = ("ps", "pixel_size", "pixelsize", "dx")
WAVELENGTHS = ("lambda", "wavelength", "lam", "lambd")
NUMBER = re.compile(r"([-+]?\d+(?:\.\d+)?)")


def main(arguments):
    """Convert; writes nothing unless images and planes fit."""
    source, output, factor = arguments.source, arguments.output, TO_UM[arguments.unit]
    if output.suffix not in (".tif", ".tiff"):
        raise InputError(f"{output} does not end in .tif; give a name like cells.tif")
    if source.is_dir():
        images, planes, scalars = folder(source)
    elif source.is_file():
        images, planes, scalars = stack_of(variables(source), source)
    else:
        raise InputError(f"{source} is not there; give a .mat or .h5 file, or a folder of TIFFs")
    planes = np.asarray(planes, np.float64) * factor
    size = next((scalars[n] * factor for n in PIXEL_SIZES if n in scalars), None)
    field = [Axis(n, s, size, 0.0, "um") if size else Axis(n, s)
             for n, s in zip(("height", "width"), images.shape[1:], strict=True)]  # fmt: skip
    write_recording(output, images, (Axis("frame", len(images)), *field), source.stem)
    with replacing(output.with_suffix(".txt")) as part:
        part.write_text("\n".join(f"{z:.6g}" for z in planes) + "\n")
    told = [f"{len(images)} planes, {planes.min():g} to {planes.max():g} um"]
    if size:
        told.append(f"--pixel-size {size:.4g}")
    told += [f"--wavelength {scalars[n] * factor:.4g}" for n in WAVELENGTHS if n in scalars][:1]
    print(f"{output}: " + ", ".join(told))


def variables(path):
    """All numeric arrays of a file by name; MATLAB's order of axes throughout."""
    if h5py.is_hdf5(path):
        found = {}

        def note(name, item):
            if isinstance(item, h5py.Dataset) and item.dtype.kind in "uif":
                found[name.rsplit("/", 1)[-1]] = item[()]

        with h5py.File(path) as file:
            file.visititems(note)
        return found
    try:
        found = scipy.io.loadmat(path)
    except Exception:
        raise InputError(f"{path} is neither a MATLAB nor an HDF5 file") from None
    return {k: v for k, v in found.items() if isinstance(v, np.ndarray) and v.dtype.kind in "uif"}


def stack_of(found, source):
    """Images, (planes, height, width), their planes, and the single numbers by lower-case name."""
    scalars = {k.lower(): float(v.ravel()[0]) for k, v in found.items() if v.size == 1}
    stacks = [v for v in found.values() if v.ndim == 3 and min(v.shape) > 1]
    if len(stacks) != 1:
        raise InputError(f"{source} holds {len(stacks)} stacks of images; one is expected")
    lists = {k: v.ravel() for k, v in found.items() if v.size > 1 and max(v.shape) == v.size}
    fitting = {k: v for k, v in lists.items() if v.size in (stacks[0].shape[0], stacks[0].shape[2])}
    if len(fitting) > 1:
        fitting = {k: v for k, v in fitting.items() if "z" in k.lower() or "focus" in k.lower()}
    if len(fitting) != 1:
        raise InputError(
            f"{source} holds {len(fitting)} lists of numbers, one for each of its images "
            f"({'x'.join(map(str, stacks[0].shape))}); one is expected"
        )
    planes = next(iter(fitting.values()))
    images = stacks[0]
    # In MATLAB the planes are the last axis; its HDF5 files have all axes reversed.
    if images.shape[2] == planes.size:
        images = np.moveaxis(images, 2, 0)
    else:
        images = np.swapaxes(images, 1, 2)
    return images.astype(np.float32), planes, scalars


def folder(source):
    """Images of a folder in the order of the planes in their names."""
    paths = [p for p in source.iterdir() if p.suffix.lower() in (".tif", ".tiff")]
    if not paths:
        raise InputError(f"{source} holds no TIFF files")
    planes = {}
    for path in paths:
        numbers = NUMBER.findall(path.stem)
        if not numbers:
            raise InputError(f"{path.name} has no plane in its name, such as cell_z-12.5um.tif")
        # Of several numbers, the one before a unit or after a z; else the last.
        marked = re.findall(r"z_?=?([-+]?\d+(?:\.\d+)?)|([-+]?\d+(?:\.\d+)?)\s*[unm]m", path.stem)
        chosen = next((a or b for a, b in marked), numbers[-1])
        if float(chosen) in planes.values():
            raise InputError(f"two files have the plane {chosen}; leave one of them out")
        planes[path] = float(chosen)
    paths = sorted(paths, key=planes.get)
    return np.concatenate([read_images(p) for p in paths]), [planes[p] for p in paths], {}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help=".mat or .h5 file, or folder of TIFFs")
    parser.add_argument("output", type=Path, help="the stack, cells.tif")
    parser.add_argument("--unit", choices=TO_UM, default="um", help="of the lengths in the source")
    try:
        main(parser.parse_args())
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
