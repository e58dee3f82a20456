"""Importing TensorFlow without its start-up messages."""

import os


def import_tensorflow() -> None:
    """Import TensorFlow while nobody listens to standard error.

    Its libraries write about processors and missing GPU drivers from C++, before any setting that
    would silence them is read; none of it is for the user of this package. An import that fails
    still raises as usual.
    """
    import sys

    sys.stderr.flush()
    listening = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            import tensorflow  # noqa: F401
    finally:
        os.dup2(listening, 2)
        os.close(listening)
