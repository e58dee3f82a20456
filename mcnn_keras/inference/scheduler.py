"""The connection to the scheduler of a Dask cluster: found, waited for, lost; each in one line."""

from __future__ import annotations

import contextlib
import json
import logging
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import InputError, reason
from .filling import Kept

# Seconds to wait for the scheduler; between two looks at the workers.
PATIENCE, LOOK = 10.0, 2.0
# Attempts to connect.
TRIES = 3
# What makes the parts of a recording smaller.
PARTS = "add --batch-size 1 or a smaller --tile-size"


class Connection:
    """A client of a scheduler.

    Parameters
    ----------
    address : str
        What `distributed.Client` takes, such as tcp://host:8786, or a scheduler file (.json).
    say : callable
        Called with each line for the user.

    Attributes
    ----------
    count : int
        Number of workers.
    limit : int
        How many tasks are on their way at a time: two for a worker of one thread, so that it need
        not wait for the next.

    Raises
    ------
    InputError
        If the scheduler cannot be reached, or dask is not installed.
    """

    def __init__(self, address: str, say: Callable[[str], Any]) -> None:
        self.address, self._say = address, say
        self.count = self.limit = 0
        self._looked = -LOOK
        self._log = logging.getLogger("distributed.client")  # it has a level of its own
        self._level = self._log.level
        # What goes wrong is told in one line, by an error.
        self._log.setLevel(logging.CRITICAL + 1)
        try:
            self.client = connected(address)
        except BaseException:
            self._log.setLevel(self._level)
            raise

    def close(self) -> None:
        """End the connection; the cluster stays."""
        try:
            with contextlib.suppress(Exception):  # the scheduler may be gone
                self.client.close(timeout=5)
        finally:
            self._log.setLevel(self._level)

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """A task for any worker."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")
            return self.client.submit(work, *arguments, pure=False)

    def waited(self, future: Any, what: str, mend: str = PARTS) -> Any:
        """What a task returns, however long it takes.

        Parameters
        ----------
        future : distributed.Future
        what : str
            What it computes, in words.
        mend : str
            What makes it need less memory.

        Raises
        ------
        Kept
            If the workers or the scheduler end, or run another version.
        """
        from distributed import CancelledError, KilledWorker, TimeoutError
        from distributed.comm import CommClosedError

        while True:
            try:
                return future.result(timeout=LOOK)
            except TimeoutError:
                if future.done():  # the task's own
                    raise
                self.require_workers()
            except KilledWorker:
                raise Kept(
                    f"the workers end while they compute {what}; if their memory does not suffice, "
                    f"give them more, or {mend}"
                ) from None
            except (CancelledError, CommClosedError):
                raise Kept(f"the scheduler at {self.address} is gone") from None
            except (ImportError, AttributeError, RuntimeError) as error:
                told = {AttributeError: "Can't get attribute", RuntimeError: "deserializ"}
                if told.get(type(error), "") not in str(error):  # a bug
                    raise
                cause = error.__cause__ or error
                raise Kept(
                    f"scheduler and workers cannot run this mcnn-keras ({reason(cause)}); install "
                    "the same version on all machines"
                ) from None

    def require_workers(self) -> None:
        """Wait until there is a worker."""
        self._looked = -LOOK
        self.look()
        if not self.limit:
            self._say(f"no worker is connected to {self.address}; waiting for one (Ctrl-C stops)")
        while not self.limit:
            time.sleep(LOOK / 4)
            self._looked = -LOOK
            self.look()

    def look(self) -> None:
        """Count the workers; two parts more than they compute at a time are on their way."""
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        try:
            threads = self.client.nthreads()
        except Exception as error:  # of any kind, by the state of the connection
            raise Kept(f"the scheduler at {self.address} is gone ({reason(error)})") from None
        self.count, total = len(threads), sum(threads.values())
        self.limit = total + len(threads)

    def workers(self) -> str:
        """How many there are, in words."""
        total = self.limit - self.count
        return f"{self.count} worker{'s' * (self.count > 1)} with {total} thread{'s' * (total > 1)}"


def connected(address: str) -> Any:
    """A client of the scheduler, which no other code of this process uses by default."""
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            "--scheduler needs dask and distributed; run pip install 'mcnn-keras[dask]'"
        ) from None
    place = _of_file(address) if address.endswith(".json") else address
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            client = _opened(Client, place)
        except Exception as error:  # of any kind, by what is wrong with the address
            raise InputError(
                f"no scheduler can be reached at {address} ({reason(error)}); start one with dask "
                "scheduler, and give the address that it prints, such as tcp://host:8786, or its "
                "--scheduler-file"
            ) from None
    for doubt in told:
        if issubclass(doubt.category, UserWarning):
            lines = [line.strip(" |") for line in str(doubt.message).splitlines()]
            rows = [line for line in lines if "|" in line and not line.startswith("Package")]
            shown = "; ".join(" ".join(row.replace("|", " ").split()) for row in rows)
            warnings.warn(
                f"versions differ (package, here, scheduler, workers): {shown}"
                if shown else reason(doubt.message), stacklevel=2,
            )  # fmt: skip
    return client


def _opened(kind: Any, place: str) -> Any:
    """A client; kind is its class."""
    for _ in range(TRIES - 1):
        # The client asserts that the scheduler's first message comes alone. It need not: another
        # message of the same millisecond is sent together with it.
        with contextlib.suppress(AssertionError):
            return kind(place, timeout=PATIENCE, set_as_default=False)
    return kind(place, timeout=PATIENCE, set_as_default=False)


def _of_file(path: str) -> str:
    """The address in a scheduler file."""
    try:
        return str(json.loads(Path(path).read_text())["address"])
    except OSError as error:
        raise InputError(
            f"the scheduler file {path} cannot be read ({error.strerror}); dask scheduler writes "
            f"it with --scheduler-file {path}"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{path} is no scheduler file; give that of dask scheduler --scheduler-file, or the "
            "scheduler's address"
        ) from None
