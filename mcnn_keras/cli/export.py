"""mcnn-keras export MODEL."""

from __future__ import annotations

from pathlib import Path

import click

from .options import overwriting
from .quiet import import_tensorflow
from .telling import telling


@click.command()
@click.argument("model", type=click.Path())
@click.option("--format", "kind", type=click.Choice(["onnx"]), default="onnx", show_default=True)
@click.option("--output", type=click.Path(), required=True, metavar="FILE.onnx")
@overwriting
def export(model: str, kind: str, output: str, overwrite: bool) -> None:
    """Write a MODEL in another format, with its card.

    Use the .onnx file like the model itself. ONNX Runtime then computes instead of TensorFlow, and
    starts in a second or two. MODEL is a .h5 file or the name of a shipped model.

    \b
    Examples:
      mcnn-keras export denoise --format onnx --output denoise.onnx
      mcnn-keras denoise frames.tif --model denoise.onnx --output clean.tif
    """
    from ..errors import InputError
    from ..files import require_free
    from ..models.saving import model_path, read_card

    if str(model).endswith(".onnx"):
        raise InputError(f"{model} is an ONNX file already; give a .h5 model")
    read_card(model)  # before the slow import of TensorFlow
    if not Path(output).absolute().parent.is_dir():
        raise InputError(f"the folder {Path(output).parent} is not there; make it first")
    require_free([Path(output)], [model_path(model)], overwrite)
    import_tensorflow()
    from ..models.onnx import export as write
    from ..models.saving import load

    write(load(model), output)
    telling().done(f"wrote {output}", files=[output])
