"""The process that computes: one command after the other, as on the command line."""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..inference.fastest import engines_kept
from ..progress import heard_by

# A command line: takes the words, prints JSON, and ends by SystemExit.
Main = Callable[[list[str]], Any]
# Seconds between two states of progress; and from which on a computation that does not stop is
# ended with its process.
PAUSE, PATIENCE = 0.1, 10.0
BUG = "an error of the program itself ({}); its log, in the window that started it, has the rest"


class Worker:
    """Runs commands in a process of its own, which is started when it is needed.

    Parameters
    ----------
    main : callable
        The command line; a function of a module, since another process imports it.
    folder : Path, optional
        For temporary files of the process, which it may leave.
    """

    def __init__(self, main: Main, folder: Path | None = None) -> None:
        self._main, self._folder = main, folder
        self._process: Any = None
        self._pipe: Any = None
        self._lock = threading.Lock()
        self._busy = False
        self._timer: threading.Timer | None = None

    def run(self, words: Sequence[str], progress: Callable[[int, int, str], Any]) -> dict[str, Any]:
        """Run a command to its end.

        Parameters
        ----------
        words : sequence of str
            The command and its options, without ``mcnn-keras``.
        progress : callable
            Called with what is done, the count of all, and what is counted.

        Returns
        -------
        dict
            The command's JSON: status, result, messages, warnings, errors.
        """
        with self._lock:
            process, pipe = self._started()
            self._busy = True
        try:
            pipe.send(list(words))
            while True:
                kind, told = pipe.recv()
                if kind == "ended":
                    return told
                progress(*told)
        except (EOFError, OSError):
            process.join(PATIENCE)
            code = process.exitcode
            how = f"signal {-code}" if code is not None and code < 0 else f"status {code}"
            hint = "memory may be missing" if code == -signal.SIGKILL else "the file may be damaged"
            return _failed(1, f"the computation ended with {how}; {hint}")
        finally:
            with self._lock:
                self._busy = False
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None

    def stop(self) -> None:
        """Interrupt the command that runs; after some seconds, end its process."""
        with self._lock:
            process = self._process
            if not self._busy or process is None or process.pid is None or self._timer is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGINT)
            self._timer = threading.Timer(PATIENCE, process.kill)
            self._timer.daemon = True
            self._timer.start()

    def close(self) -> None:
        """End the process."""
        self.stop()
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.join(PATIENCE / 2)
            process.kill()
            process.join()

    def _started(self) -> tuple[Any, Any]:
        if self._process is None or not self._process.is_alive():
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            given = (theirs, self._main, self._folder)
            self._process = context.Process(target=_work, args=given, daemon=True)
            # Inherited: the process takes a wish to stop once it has a handler.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                self._process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        return self._process, self._pipe


def _work(pipe: Any, main: Main, folder: Path | None) -> None:
    """Run the commands that come through a pipe, until it is closed."""
    if folder is not None:
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    os.setsid()  # Ctrl-C in the terminal is for the server, which then ends this process
    working = False

    def interrupt(*_: Any) -> None:
        if working:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    stopped = signal.SIGINT in signal.sigpending()  # before the first command
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    shown = 0.0

    def progress(done: int, count: int, unit: str) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= PAUSE or done >= count:
            shown = now
            pipe.send(("progress", (int(done), int(count), unit)))

    with engines_kept(), heard_by(progress):
        while True:
            try:
                words = pipe.recv()
            except EOFError:
                return
            try:
                working = True
                told = _failed(130, "") if stopped else outcome(main, words)
            except KeyboardInterrupt:
                told = _failed(130, "")
            finally:
                working = stopped = False
            pipe.send(("ended", told))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def outcome(main: Main, words: Sequence[str]) -> dict[str, Any]:
    """What a command tells; also of one that ends by a bug, whose traceback goes to the log."""
    printed, others = io.StringIO(), io.StringIO()
    status: Any = 0
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(others):
            main(["--json", *words])
    except SystemExit as end:
        status = end.code or 0
    except Exception as error:
        traceback.print_exc()
        sys.stderr.flush()
        return _failed(1, BUG.format(type(error).__name__))
    try:
        return json.loads(printed.getvalue())
    except ValueError:
        lines = others.getvalue().strip().splitlines()
        return _failed(int(status), lines[-1] if lines else "the command has told nothing")


def _failed(status: int, error: str) -> dict[str, Any]:
    return {"status": status, "result": {}, "messages": [], "warnings": [], "errors": [error]}
