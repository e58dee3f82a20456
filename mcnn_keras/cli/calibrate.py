"""mcnn-keras calibrate MODEL."""

from __future__ import annotations

from pathlib import Path

import click

from .options import overwriting
from .quiet import import_tensorflow
from .telling import telling


@click.command()
@click.argument("model", type=click.Path())
@click.option(
    "--output", type=click.Path(), required=True, metavar="FILE.h5",
    help="The model with its calibration.",
)  # fmt: skip
@click.option(
    "--samples",
    type=int,
    default=16384,
    show_default=True,
    help="Simulated samples to learn the size of the errors from; 0 keeps what a model knows.",
)  # fmt: skip
@click.option(
    "--calibration-samples",
    type=int,
    default=1024,
    show_default=True,
    help="Further ones to correct it with, and as many to measure it with.",
)  # fmt: skip
@overwriting
def calibrate(
    model: str, output: str, samples: int, calibration_samples: int, overwrite: bool
) -> None:
    """Teach a MODEL how large its errors are, and what its images look like.

    The results do not change. Afterwards `predict` and `denoise` take --uncertainty, and warn of
    images that are unlike those of the training. It takes some minutes. MODEL is a .h5 file or the
    name of a shipped model.

    \b
    Example:
      mcnn-keras calibrate runs/cells/model.h5 --output cells.h5
    """
    from ..errors import InputError
    from ..files import require_free
    from ..models.saving import model_path, read_card

    if str(model).endswith(".onnx"):
        raise InputError(f"{model} is an ONNX file; give the .h5 model")
    if not output.endswith(".h5"):
        raise InputError(f"{output} does not end in .h5; give a name like cells.h5")
    read_card(model)  # before the slow import of TensorFlow
    if not Path(output).absolute().parent.is_dir():
        raise InputError(f"the folder {Path(output).parent} is not there; make it first")
    require_free([Path(output)], [model_path(model)], overwrite)
    import_tensorflow()
    from ..calibration import calibrate as calibrated
    from ..models.saving import save
    from ..progress import FrameProgress

    with FrameProgress(samples, 0, "sample") as progress:
        found = calibrated(
            model, samples=samples, calibration_samples=calibration_samples,
            progress=lambda done, count: progress.add(samples // count),
        )  # fmt: skip
    save(found, output)
    told = found.card.calibration["measured"]
    tell = telling()
    tell.done(
        f"the interval of 90 % holds the truth in {100 * told['coverage']:.1f} % of the pixels of "
        f"{calibration_samples} unseen samples"
    )
    tell.done(f"wrote {output}", files=[output], calibration=told)
