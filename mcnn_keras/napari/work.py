"""Computation in a separate thread, which reports progress and can be stopped between batches.

ONNX Runtime computes the networks. TensorFlow must not be imported in napari's process: both
TensorFlow and Mesa's OpenGL contain LLVM, and if Mesa renders in software, the process ends with a
segmentation fault, whichever of them is loaded first. TensorFlow would also block the windows for
seconds.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from napari.qt.threading import thread_worker
from superqt.utils import ensure_main_thread

from ..errors import InputError, reason
from ..inference.fastest import cache_folder, engine_for

# A result: an array, and arguments of ``viewer.add_image``.
Result = tuple[Any, dict[str, Any]]
Progress = Callable[[int, int], None]


# Code for another process, which writes the exported network into the user's cache.
EXPORT = (
    "import sys; from mcnn_keras.inference.fastest import engine_for; "
    "engine_for(sys.argv[1], 'onnxruntime')"
)


class Cancelled(Exception):
    """The user cancelled the computation."""


class _NotExported(Exception):
    """TensorFlow would be needed."""


@functools.lru_cache(4)
def engine(model: str) -> Any:
    """A network for ONNX Runtime; if it is not in the cache yet, another process exports it.

    Parameters
    ----------
    model : str
        A shipped model's name.

    Raises
    ------
    InputError
        If the network cannot be exported, or the cache cannot be written.
    """

    def start() -> None:  # called before TensorFlow is imported
        raise _NotExported

    try:
        return engine_for(model, "onnxruntime", start=start)
    except _NotExported:
        pass
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", EXPORT, model], env=quiet, capture_output=True, text=True
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise InputError(
            f"the network {model} cannot be exported: {reason(*last or ['no reason'])}"
        )
    try:
        return engine_for(model, "onnxruntime", start=start)
    except _NotExported:
        raise InputError(
            f"the network {model} cannot be kept in {cache_folder()}; make this folder writable"
        ) from None


def begin(
    compute: Callable[[Progress], Any],
    progress: Progress,
    returned: Callable[[Any], Any],
    failed: Callable[[Exception], Any],
) -> Any:
    """Compute in another thread.

    Parameters
    ----------
    compute : callable
        Takes a function that it calls with (done, total) after each batch.
    progress : callable
        Called with the same values, in the thread of the windows.
    returned, failed : callable
        Called with what `compute` returns or raises, in the thread of the windows.

    Returns
    -------
    napari.qt.threading.FunctionWorker
        Its ``quit()`` ends `compute` with `Cancelled` after the current batch.
    """
    show = ensure_main_thread(progress)

    def work() -> Any:
        def tell(done: int, count: int) -> None:
            if worker.abort_requested:
                raise Cancelled
            show(done, count)

        return compute(tell)

    worker = thread_worker(
        work, start_thread=False, ignore_errors=True,
        connect={"returned": returned, "errored": failed},
    )()  # fmt: skip
    worker.start()
    return worker
