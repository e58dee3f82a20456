"""Importing TensorFlow without its start-up messages."""

import os


def import_tensorflow() -> None:
    """Import TensorFlow with standard error redirected to nowhere.

    Its C++ libraries write about processors and missing GPU drivers before they read any setting
    that would silence them. Users of this package do not need these messages. A failed import
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
