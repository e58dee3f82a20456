"""From files to files: reading, network and writing at the same time, in bounded memory.

    measurements -> batches (reading ahead) -> network -> spool (writing behind) -> result file

A result appears when all of its frames are done. Until then they are kept in a spool beside it.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ..errors import InputError, reason
from ..files import output_types, write_png, write_recording
from ..files.formats import default_type
from ..progress import FrameProgress, duration
from ..saving import load, model_path, read_card
from . import tiles
from .engines import engine_of
from .measurements import open_measurements, plan
from .predict import PIXELS, check, prepared
from .spool import Spool, identity

# A model's pixel size and the file's may differ by this much before it is worth a word.
TOLERANCE = 0.03
# Pixels in tiles from which on time and memory are estimated before they are spent.
WORTH_A_WORD = 2**24
# Pixels across the picture beside a result, to look at.
MOST_SHOWN = 2048


def predict_files(model, inputs, output, frames=None, **options):
    """Invert measured images in files: `plan` and `execute` in one; see there.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        If an input cannot be used; with several inputs, after the others are done.
    """
    jobs = plan(model, read_card(model), inputs, output, frames)
    return execute(model, jobs, **options)


def execute(model, jobs, dtype=None, batch_size=None, tile_size=None, resume=False,
            precision="float32", say=lambda text: None):  # fmt: skip
    """Make the results of jobs, one after the other.

    Parameters
    ----------
    model : str or Path
        A model file, or the name of a shipped one.
    jobs : list of Job
    dtype : str, optional
        Of the results; by default that of the measurements where it holds the results well.
    batch_size, tile_size : int, optional
        See `predict_stack`.
    resume : bool
        Go on with what an interrupted run has left.
    precision : {'float32', 'bfloat16'}
        Of the network.
    say : callable
        Takes what the user should know, a line at a time.

    Returns
    -------
    list of Path
        The files written, a picture to look at beside each.

    Raises
    ------
    InputError
        If a job cannot be done; with several jobs, after the others are done.
    """
    for job in jobs:
        if dtype is not None:
            _check_type(job.output, dtype)
    engine = engine_of(load(model, precision))
    written, failed = [], []
    for job in jobs:
        try:
            if job.failed:
                raise InputError(job.failed)
            settings = {"tile_size": tile_size, "precision": precision}
            files = _result(
                job, engine, model_path(model), settings, dtype, batch_size, resume, say
            )
            for path in files:
                say(f"wrote {path}")
            written += files
        except InputError as error:
            message = str(error)
            told = message if str(job.source) in message else f"{job.source}: {message}"
            if len(jobs) == 1:
                raise InputError(told) from None
            failed.append(told)
            say(f"failed: {told}")
    if failed:
        raise InputError(
            f"{len(failed)} of {len(jobs)} inputs failed, the others are done: {failed[0]}"
        )
    return written


def _result(job, engine, model, settings, dtype, batch_size, resume, say):
    """Make one result; returns its files."""
    card = engine.card
    with open_measurements(job, card["network"]["input_channels"]) as measurements:
        _compare_pixels(measurements, card, job, say)
        axes = measurements.result_axes(card)
        shape = (int(np.prod([a.size for a in axes[:-2]])), *(a.size for a in axes[-2:]))
        try:
            spool = Spool(job.output, shape, identity(job, model, settings), resume)
            try:
                _fill(spool, measurements, engine, batch_size, settings["tile_size"], say)
            except KeyboardInterrupt:
                spool.leave()
                raise KeyboardInterrupt(
                    f"{spool.done} of {shape[0]} frames are done; the same command with --resume "
                    "goes on"
                ) from None
            except BaseException:
                spool.remove()
                raise
            results = spool.frames()
            dtype = dtype or default_type(job.output, results, measurements.dtype, say)
            labels = None
            if card["network"]["output_channels"] > 1:
                labels = card["output_names"] * (shape[0] // len(card["output_names"]))
            write_recording(job.output, results, axes, measurements.title, dtype, labels=labels)
            picture = job.output.with_suffix(".png")
            thin = -(-max(shape[1:]) // MOST_SHOWN)
            first = results[: card["network"]["output_channels"]][:, ::thin, ::thin]
            colour = list(card["output_names"]) == ["red", "green", "blue"]
            write_png(picture, np.moveaxis(first, 0, -1) if colour else np.concatenate(first, 1))
            spool.remove()
        except OSError as error:
            raise InputError(f"{job.output} cannot be written: {error.strerror or error}") from None
    return [job.output, picture]


def _fill(spool, measurements, engine, batch_size, tile_size, say):
    """Compute the frames that the spool lacks: one thread reads ahead, one writes behind."""
    channels, count = engine.card["network"]["output_channels"], len(measurements)
    each = batch_size or max(1, PIXELS // int(np.prod(measurements.size)))
    first = spool.done // channels
    tiled = tiles.choose_size(engine, measurements.size, tile_size)
    parts = tiles.count(engine, measurements.size, tiled) if tiled else 1
    if tiled and (count - first) * np.prod(measurements.size) > WORTH_A_WORD:
        seconds, memory = tiles.estimate(engine, measurements.size, tiled)
        say(
            f"{parts} tiles of {tiled}x{tiled} for each of {count - first} images: about "
            f"{duration((count - first) * seconds)} and {memory / 2**30:.1f} GiB beside the program"
        )

    def read(start):
        try:
            stack = measurements.read(start, min(start + each, count))
        except (OSError, EOFError, ValueError, RuntimeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"frame {start} cannot be read ({reason(error)})") from None
        for image in stack:
            check(image, engine.card)
        return prepared(engine, stack, tile_size, progress.add if tiled else lambda tiles: None)

    def write(answers):
        if answers.ndim == 4:
            answers = np.moveaxis(answers, -1, 1).reshape(-1, *answers.shape[1:3])
        spool.append(answers)

    with (
        ThreadPoolExecutor(1) as reader,
        ThreadPoolExecutor(1) as writer,
        FrameProgress(count * parts, first * parts, "tile" if tiled else "frame") as progress,
    ):
        ahead, behind = None, None
        for start in range(first, count, each):
            finish, batch = (ahead or reader.submit(read, start)).result()
            ahead = reader.submit(read, start + each) if start + each < count else None
            answers = finish(batch)
            if behind is not None:
                behind.result()
            behind = writer.submit(write, answers)
            if not tiled:
                progress.add(min(each, count - start))
        if behind is not None:
            behind.result()


def _check_type(path, dtype):
    types = output_types(path)
    if dtype not in types:
        raise InputError(
            f"{Path(path).suffix} files cannot hold {dtype} values; choose from {', '.join(types)}"
        )


def _compare_pixels(measurements, card, job, say):
    """A model of given pixels is wrong for others, and the user should know."""
    wanted, found = card["pixel_size"], measurements.pixel_size()
    if wanted is None:
        return
    if found is None:
        say(f"pixels are taken to be {wanted:g} um, as the model was trained for them")
    elif abs(found / wanted - 1) > TOLERANCE:
        say(
            f"Warning: the pixels of {job.source} are {found:g} um, but the model was trained for "
            f"{wanted:g} um; train one for yours, with --pixel-size {found:g}"
        )
