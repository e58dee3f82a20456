"""One run at a time writes a file or a folder: a lock that ends with the process that holds it.

The system keeps it (flock; on Windows a lock of a byte), so that a kill leaves none behind. The
file that carries it tells who holds it, and is removed with it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError, reason

# The byte that is locked on Windows lies beyond the text, which others may then read.
BYTE = 2**20
# Where a file system knows no locks, there are none.
UNKNOWN = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


@contextmanager
def locked(path: str | Path, inside: bool = False) -> Iterator[None]:
    """Keep other runs from writing the same file or folder within a block.

    Parameters
    ----------
    path : str or Path
        The file or folder; it need not be there. The folder that holds the lock is made, and
        removed again where it is empty at the end.
    inside : bool
        Put the lock into `path`, a folder, and not beside it.

    Raises
    ------
    InputError
        If another run holds the lock, in this process or another one, or it cannot be made.
    """
    path = Path(path)
    place = lock_file(path, inside)
    made = [folder for folder in place.parents if not folder.exists()]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        file = _acquired(path, place)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {reason(error)}") from None
    try:
        yield
    finally:
        if os.name == "nt":  # where what is open cannot be removed
            os.close(file)
        with contextlib.suppress(OSError):
            place.unlink()
        if os.name != "nt":
            os.close(file)
        with contextlib.suppress(OSError):
            for folder in made:
                folder.rmdir()  # fails where it has content


def lock_file(path: Path, inside: bool = False) -> Path:
    """The file that carries the lock of a file or folder."""
    return path / ".lock" if inside else path.with_name(f".{path.name}.lock")


def _acquired(path: Path, place: Path) -> int:
    while True:
        file = os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _lock(file):
                holder = os.read(file, 200).decode(errors="replace").strip() or "unknown"
                raise InputError(
                    f"{path} is in use by another run ({holder}); wait for it or name another "
                    "output"
                )
            # The one who held it may have removed the file in between: then this locks nothing.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file), os.stat(place)):
                    os.ftruncate(file, 0)
                    os.write(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
                    return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _lock(file: int) -> bool:
    """Whether the lock was free."""
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(file, BYTE, os.SEEK_SET)
            try:
                msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            finally:
                os.lseek(file, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in UNKNOWN:
            return True
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK):
            return False
        raise
    return True
