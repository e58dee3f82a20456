"""Workers find one another before TensorFlow connects them, which would wait without a word."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Sequence

from ..errors import InputError, reason

GREETING = "mcnn-keras"
# The chief's last question before all go on, and the answer of a worker that still runs.
ASKED, ANSWERED = "still there", "yes"
RETRY = 0.5
# How much longer than the chief the others wait for its word, in seconds.
GRACE = 10.0
LONGEST_LINE = 1000


def meet(addresses: Sequence[str], index: int, wait: float) -> None:
    """Return when all workers have started.

    The first worker, the chief, listens at its own address until the others have told it that they
    are there. Then it tells them to go on, or who is missing.

    Parameters
    ----------
    addresses : sequence of str
        ``host:port`` of each worker; the chief's first.
    index : int
        The place of this worker in it.
    wait : float
        Seconds to wait for the others.

    Raises
    ------
    InputError
        If a worker does not come up in this time, or the port of this one is in use.
    """
    port = _split(addresses[index])[1]
    try:
        listener = socket.create_server(("", port), backlog=len(addresses))
    except OSError as error:
        raise InputError(
            f"worker {index} cannot listen at port {port} of this machine ({reason(error)}); end "
            "the program that uses it, or give the worker another port"
        ) from None
    with listener:
        if index == 0:
            _gather(listener, addresses, wait)
    if index:
        _join(addresses, index, wait)


def _gather(listener: socket.socket, addresses: Sequence[str], wait: float) -> None:
    """The chief's part."""
    until = time.monotonic() + wait
    here: dict[int, socket.socket] = {}
    try:
        while len(here) < len(addresses) - 1:
            left = until - time.monotonic()
            if left <= 0:
                told = _missing(addresses, set(range(1, len(addresses))) - set(here), wait)
                for other in here.values():
                    _send(other, told)
                raise InputError(told)
            listener.settimeout(min(left, 1.0))
            with contextlib.suppress(OSError):  # also a time-out
                _greet(listener.accept()[0], here, addresses)
            gone = [w for w, other in here.items() if _gone(other)]
            if len(here) - len(gone) == len(addresses) - 1:
                # One that has just ended may not show it yet, but it does not answer.
                gone = [w for w, other in here.items() if not _answers(other)]
            for worker in gone:
                here.pop(worker).close()
        for other in here.values():
            _send(other, "go")
    finally:
        for other in here.values():
            other.close()


def _greet(other: socket.socket, here: dict[int, socket.socket], addresses: Sequence[str]) -> None:
    """Take note of a worker; whoever greets otherwise is none."""
    told = _line(other, 5.0).split()
    numbers = [int(word) if word.isdigit() else -1 for word in told[1:]]
    if told[:1] != [GREETING] or len(numbers) != 2 or not 0 < numbers[0] < numbers[1]:
        other.close()
    elif numbers[1] != len(addresses):
        told_count = f"worker {numbers[0]} was told of {numbers[1]} workers, and worker 0 of "
        _send(other, f"{told_count}{len(addresses)}; give all workers the same list")
        other.close()
    else:
        if numbers[0] in here:  # it has been started again
            here.pop(numbers[0]).close()
        here[numbers[0]] = other


def _join(addresses: Sequence[str], index: int, wait: float) -> None:
    """The part of all other workers."""
    until = time.monotonic() + wait
    while (left := until - time.monotonic()) > 0:
        try:
            chief = socket.create_connection(_split(addresses[0]), timeout=min(left, 5.0))
        except OSError:  # not there yet; its name may be unknown until then, too
            time.sleep(min(RETRY, left))
            continue
        with chief:
            _send(chief, f"{GREETING} {index} {len(addresses)}")
            while (told := _line(chief, wait + GRACE)) == ASKED:
                _send(chief, ANSWERED)
        if told == "go":
            return
        if told:
            raise InputError(told)
        time.sleep(RETRY)  # it has ended, and may be started again
    raise InputError(_missing(addresses, {0}, wait))


def _missing(addresses: Sequence[str], which: set[int], wait: float) -> str:
    names = ", ".join(f"worker {w} ({addresses[w]})" for w in sorted(which))
    return (
        f"{names} did not come up within {wait:g} seconds; start all workers, check their "
        "addresses, or give more time with --wait"
    )


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _send(other: socket.socket, line: str) -> None:
    with contextlib.suppress(OSError):  # it has ended
        other.sendall(f"{line}\n".encode())


def _line(other: socket.socket, seconds: float) -> str:
    """A line of the other side; "" if none comes in time, or the other side has ended."""
    until, data = time.monotonic() + seconds, b""
    with contextlib.suppress(OSError):
        while not data.endswith(b"\n") and len(data) < LONGEST_LINE:
            other.settimeout(max(until - time.monotonic(), 0.01))
            more = other.recv(LONGEST_LINE)
            if not more:
                return ""
            data += more
    return data.decode(errors="replace").strip() if data.endswith(b"\n") else ""


def _answers(other: socket.socket) -> bool:
    """Whether a worker still runs."""
    _send(other, ASKED)
    return _line(other, GRACE) == ANSWERED


def _gone(other: socket.socket) -> bool:
    """Whether the other side has closed the connection."""
    with contextlib.suppress(OSError):
        return bool(select.select([other], [], [], 0)[0]) and not other.recv(1, socket.MSG_PEEK)
    return True
