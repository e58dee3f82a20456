"""Jobs in a queue, computed one after the other, and the private folder that holds their files."""

from __future__ import annotations

import html
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError, visible
from ..inference.finished import uncertainty_of
from .forms import BESIDE, Order, in_labels

WAITING, RUNNING, STOPPING = "waiting", "running", "stopping"
DONE, FAILED, STOPPED = "done", "failed", "stopped"
OVER = (DONE, FAILED, STOPPED)
# Jobs that wait, and jobs that are over and kept, at most.
MOST_WAITING, MOST_KEPT = 1000, 200
# Characters of a file's name.
LONGEST_NAME = 200


class Job:
    """An order, its state and its files.

    Parameters
    ----------
    order : Order
    folder : Path
        Its own folder, which it is removed with.
    names : dict
        The users' names of uploaded files, by those on the disk.
    """

    def __init__(self, order: Order, folder: Path, names: dict[str, str]) -> None:
        self.id = secrets.token_hex(8)
        self.order, self.names = order, names
        self.folder = folder / self.id
        self.inputs, self.out = self.folder / "in", self.folder / "out"
        self.report = self.folder / "report.html"
        self.state = WAITING
        self.progress: tuple[int, int, str] | None = None
        self.began = self.ended = 0.0
        self.lines: dict[str, list[str]] = {"errors": [], "warnings": [], "messages": []}
        self.files: list[Path] = []

    @property
    def title(self) -> str:
        """What was given, in the user's words."""
        return ", ".join(self.names.values()) or self.order.path

    def words(self) -> list[str]:
        """The command."""
        order = self.order
        return order.words(order.inputs(self.inputs), order.result(self.out), str(self.report))

    def finish(self, told: dict[str, Any]) -> None:
        """Take over what the command has told."""
        files = [Path(file) for file in told["result"].get("files", [])]
        kept = (".png", ".html")  # previews and reports
        self.files = [f for f in files if f.suffix.lower() not in kept and f.exists()]
        for kind, lines in self.lines.items():
            # Of results that are kept here, the names say nothing.
            told_here = told[kind] if self.order.output else _without_files(told[kind])
            lines += [self.shown(line) for line in told_here]
        if self.state == STOPPING or told["status"] == 130:
            kept_on = bool(self.order.output) and "resume" not in self.order.values
            way = " What is done is kept: tick “Continue an earlier run” to go on." * kept_on
            self.lines["errors"] = [f"Stopped.{way}"]
            self.state = STOPPED
        else:
            self.state = FAILED if told["status"] else DONE

    def shown(self, text: str) -> str:
        """A message with the user's names of files, and the labels of the page."""
        for place, name in self._places():
            text = text.replace(place, name)
        return in_labels(visible(text))

    def page(self, path: Path) -> bytes:
        """A report with the user's names of files."""
        content = path.read_bytes()
        for place, name in self._places():
            content = content.replace(html.escape(place).encode(), html.escape(name).encode())
        return content

    def _places(self) -> list[tuple[str, str]]:
        """Names on the disk, which are random and so in no other text, and what stands for them."""
        found = []
        for stored, name in self.names.items():
            found += [(str(self.inputs / stored), name), (stored, name)]
            found.append((Path(stored).stem, Path(name).stem))
        return [
            *found,
            (f"{self.inputs}/", ""),
            (f"{self.out}/", ""),
            (f"{self.folder}/", ""),
            (str(self.out), "results"),
        ]

    def _with_images(self) -> list[int]:
        """The numbers of the files whose images can be shown one by one."""
        if self.state not in OVER or not self.order.has_frames:
            return []
        widths = {uncertainty_of(file) for file in self.files}
        return [i for i, file in enumerate(self.files) if file not in widths]

    def told(self) -> dict[str, Any]:
        """The state for the page."""
        seconds = (self.ended or time.monotonic()) - self.began if self.began else 0.0
        return {
            "id": self.id, "task": self.order.task, "title": self.title, "state": self.state,
            "progress": self.progress, "seconds": round(seconds, 1), **self.lines,
            "files": [self.shown(str(file)) for file in self.files],
            "report": self.state in OVER and self.report.exists(),
            "shown": self._with_images(),
        }  # fmt: skip


def _without_files(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("wrote ")]


class Jobs:
    """The queue.

    Parameters
    ----------
    folder : Path
        For all files; private to the user.
    run : callable
        Runs a command: takes its words and a function for the progress, returns what it tells.
    stop : callable
        Ends the command that runs, soon.
    """

    def __init__(
        self,
        folder: Path,
        run: Callable[..., dict[str, Any]],
        stop: Callable[[], Any],
    ) -> None:
        self.folder, self.uploads = folder / "jobs", folder / "uploads"
        for made in (self.folder, self.uploads):
            made.mkdir(mode=0o700)
        self._run, self._stop = run, stop
        self._names: dict[str, str] = {}
        self._jobs: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._thread.start()

    def place(self, name: str) -> Path:
        """A new file for an upload: a random name with the extension of the user's name."""
        clean = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in visible(name))
        clean = clean[-LONGEST_NAME:]
        stored = secrets.token_hex(12) + Path(clean).suffix.lower()
        with self._changed:
            self._names[stored] = clean
        return self.uploads / stored

    def forget(self, stored: str) -> None:
        """Remove an upload, if there is one of this name."""
        with self._changed:
            if self._names.pop(stored, None) is not None:
                (self.uploads / stored).unlink(missing_ok=True)

    def add(self, order: Order) -> Job:
        """Put an order into the queue; its uploads become the job's.

        Raises
        ------
        InputError
            If an upload is not there, or too many jobs wait.
        """
        with self._changed:
            lacking = [name for name in order.uploads if name not in self._names]
            if lacking or len(set(order.uploads)) < len(order.uploads):
                raise InputError("a file is not there any more; choose the files again")
            if sum(job.state == WAITING for job in self._jobs.values()) >= MOST_WAITING:
                raise InputError(f"{MOST_WAITING} jobs wait already; wait until some are done")
            places = self._beside(order.uploads)
            names = {name: self._names.pop(name) for name in order.uploads}
            images = {stored: name for stored, name in names.items() if places[stored] == stored}
            job = Job(order, self.folder, images)
            for made in (job.folder, job.inputs, job.out):
                made.mkdir(mode=0o700)
            for stored, place in places.items():
                (self.uploads / stored).rename(job.inputs / place)
            self._jobs[job.id] = job
            self._changed.notify_all()
        return job

    def _beside(self, uploads: Sequence[str]) -> dict[str, str]:
        """The names of a job's uploads; a text of planes and optics has that of its image."""
        stems = {Path(self._names[u]).stem: Path(u).stem for u in uploads if not u.endswith(BESIDE)}
        found = {}
        for stored in uploads:
            name = Path(self._names[stored])
            if not stored.endswith(BESIDE):
                found[stored] = stored
            elif name.stem in stems:
                found[stored] = stems[name.stem] + name.suffix.lower()
            else:
                raise InputError(f"{name} has the name of none of the images; rename or remove it")
        if len(set(found.values())) < len(found):
            raise InputError("two texts of planes and optics have one name; keep one of both")
        return found

    def all(self) -> list[Job]:
        """All jobs, the oldest first."""
        with self._changed:
            return list(self._jobs.values())

    def get(self, name: str) -> Job:
        """A job by its identifier.

        Raises
        ------
        KeyError
        """
        with self._changed:
            return self._jobs[name]

    def stop(self, job: Job) -> None:
        """Cancel a job that waits or runs."""
        with self._changed:
            if job.state == WAITING:
                job.state, job.lines["errors"] = STOPPED, ["Stopped before it began."]
            elif job.state == RUNNING:
                job.state = STOPPING
                self._stop()

    def remove(self, job: Job) -> None:
        """Forget a job that is over, and remove its files.

        Raises
        ------
        InputError
            If it is not over.
        """
        with self._changed:
            if job.state not in OVER:
                raise InputError("this job is not over; stop it first")
            self._jobs.pop(job.id, None)
            shutil.rmtree(job.folder, ignore_errors=True)

    def close(self) -> None:
        """Compute no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (job := self._next()) and not self._closed:
                    self._changed.wait()
                if self._closed or job is None:
                    return
                job.state, job.began = RUNNING, time.monotonic()
                old = [j for j in self._jobs.values() if j.state in OVER][:-MOST_KEPT]
            for other in old:
                self.remove(other)

            def progress(done: int, count: int, unit: str, job: Job = job) -> None:
                job.progress = (done, count, unit)

            told = self._run(job.words(), progress)
            with self._changed:
                job.ended = time.monotonic()
                job.finish(told)

    def _next(self) -> Job | None:
        return next((job for job in self._jobs.values() if job.state == WAITING), None)
