"""A file for libraries that cannot bear a failed write."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Sink:
    """A file that HDF5 writes to, and that never fails within it.

    The HDF5 library ends the process where a disk is full when it closes a file. Here the first
    error is kept, what follows is thrown away, and the error is raised when the sink is checked.

    Parameters
    ----------
    path : Path
        The file, made anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failed: OSError | None = None
        self._file = open(path, "w+b")  # noqa: SIM115 - closed at the end of its own block

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        try:
            self._file.close()  # which writes what is left
        except OSError as error:
            self.failed = self.failed or error
        # What fails in the block after a failed write is only a consequence of it.
        if kind is None or issubclass(kind, Exception):
            self.check()

    def __fspath__(self) -> str:
        return str(self.path)

    def check(self) -> None:
        """Raise the first error of writing, if there was one.

        Raises
        ------
        OSError
        """
        if self.failed is not None:
            raise self.failed

    def _try(self, do: Any, *arguments: Any) -> Any:
        if self.failed is None:
            try:
                return do(*arguments)
            except OSError as error:
                self.failed = error
        return None

    def write(self, data: Any) -> int:
        """Write, or seem to."""
        self._try(self._file.write, data)
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Change the size, or seem to."""
        return self._try(self._file.truncate, size) or size or 0

    def flush(self) -> None:
        """Pass on what is buffered."""
        self._try(self._file.flush)

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a place in the file."""
        return self._try(self._file.seek, place, whence) or 0

    def tell(self) -> int:
        """The place in the file."""
        return self._try(self._file.tell) or 0

    def read(self, size: int = -1) -> bytes:
        """Read what was written."""
        return self._try(self._file.read, size) or b""

    def readinto(self, buffer: Any) -> int:
        """Read what was written into a buffer, which h5py asks for."""
        return self._try(self._file.readinto, buffer) or 0
