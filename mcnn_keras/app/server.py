"""The routes of the page, and the server that answers them.

Each request has the token as the first part of its path, see `guard`.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import webbrowser
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from ..errors import InputError
from ..files.formats import is_image_file
from ..inference.names import expanded
from ..models.saving import shipped
from ..report.page import STYLE
from .forms import BESIDE, Order
from .guard import LOCAL, REPORT, Guard
from .jobs import Job, Jobs
from .results import about, download, formats, image_page
from .worker import BUG, Main, Worker

# Bytes of a form at most.
FORM = 2**20
# Files of the page, beside the style of reports.
STATIC = {
    "": ("page.html", "text/html"),
    "page.js": ("page.js", "text/javascript"),
    "ask.js": ("ask.js", "text/javascript"),
    "page.css": ("page.css", "text/css"),
}


class TooLarge(InputError):
    """A file or form that is larger than what is taken."""


class Page:
    """What the routes do.

    Parameters
    ----------
    jobs : Jobs
    largest : int
        Bytes of an uploaded file at most.
    """

    def __init__(self, jobs: Jobs, largest: int) -> None:
        self.jobs, self.largest = jobs, largest
        # HDF5 and the other readers of files are not made for several threads.
        self._files = threading.Lock()

    def routes(self) -> list[Route]:
        """All routes."""
        one = "/jobs/{id}"
        return [
            *(Route(f"/{name}", self.static, name=name or "page") for name in STATIC),
            Route("/report.css", self.static, name="report.css"),
            Route("/about", self.about),
            Route("/model", self.model),
            Route("/uploads", self.upload, methods=["POST"]),
            Route("/jobs", self.listed),
            Route("/jobs", self.add, methods=["POST"]),
            Route(one, self.one),
            Route(one, self.remove, methods=["DELETE"]),
            Route(f"{one}/stop", self.stop, methods=["POST"]),
            Route(f"{one}/report", self.report),
            Route(f"{one}/image", self.image),
            Route(f"{one}/result", self.result),
        ]

    def static(self, request: Request) -> Response:
        """The page, its style and its script."""
        name = request.url.path.rpartition("/")[2]
        if name == "report.css":
            return Response(STYLE.read_text(encoding="utf-8"), media_type="text/css")
        file, kind = STATIC[name]
        text = Path(__file__).with_name(file).read_text(encoding="utf-8")
        return Response(text, media_type=kind)

    def about(self, request: Request) -> Response:
        """Models, formats and limits."""
        return JSONResponse({
            "models": [about(name) for name in shipped()], "formats": formats(),
            "largest": self.largest,
        })  # fmt: skip

    def model(self, request: Request) -> Response:
        """A model file of this machine."""
        name = request.query_params.get("name", "")
        if not name.isprintable():
            raise InputError("the name of a model file is expected")
        with self._files:
            return JSONResponse(about(str(Path(name).expanduser())))

    async def upload(self, request: Request) -> Response:
        """Take a file, a piece at a time."""
        name = request.query_params.get("name", "")
        place = self.jobs.place(name)
        if not (is_image_file(place) or place.suffix in BESIDE):
            self.jobs.forget(place.name)
            ending = Path(name).suffix or "no extension"
            raise InputError(
                f"{ending!r} is not the extension of an image file that is read; choose for "
                "example a .tif, .png, .npy, .h5, .mrc, .dm4, .ser or .emd file"
            )
        size = 0
        try:
            announced = request.headers.get("content-length", "0")
            self._require_room(int(announced) if announced.isdigit() else 0)
            with open(place, "xb", opener=_private) as file:
                async for part in request.stream():
                    size += len(part)
                    self._require_room(size)
                    await run_in_threadpool(file.write, part)
            if not size:
                raise InputError("the file is empty")
        except BaseException as error:
            self.jobs.forget(place.name)
            if isinstance(error, OSError):
                raise InputError(f"the file cannot be kept: {error.strerror}") from None
            raise
        return JSONResponse({"id": place.name, "bytes": size}, 201)

    def _require_room(self, size: int) -> None:
        if size > self.largest:
            raise TooLarge(
                f"the file is larger than {self.largest / 1e9:g} GB; name its place on this "
                "machine instead, or start mcnn-keras app with a larger --largest"
            )

    def listed(self, request: Request) -> Response:
        """All jobs."""
        return JSONResponse([job.told() for job in self.jobs.all()])

    async def add(self, request: Request) -> Response:
        """A new job."""
        content = b""
        async for part in request.stream():
            content += part
            if len(content) > FORM:
                raise TooLarge("the form is too large")
        try:
            told = json.loads(content)
        except (ValueError, RecursionError):
            raise InputError("the form of the page is not understood; reload the page") from None

        def added() -> Job:
            order = Order.of(told)
            if order.path:  # told at once, and not when its turn comes
                for name in order.inputs(Path()):
                    expanded(name)
            return self.jobs.add(order)

        try:
            job = await run_in_threadpool(added)
        except InputError:  # the page sends the files again with the next order
            uploads = told.get("uploads") if isinstance(told, dict) else None
            for name in uploads if isinstance(uploads, list) else []:
                self.jobs.forget(str(name))
            raise
        return JSONResponse(job.told(), 201)

    def one(self, request: Request) -> Response:
        """The state of a job."""
        return JSONResponse(self._job(request).told())

    def stop(self, request: Request) -> Response:
        """Cancel a job."""
        job = self._job(request)
        self.jobs.stop(job)
        return JSONResponse(job.told())

    def remove(self, request: Request) -> Response:
        """Remove a job that is over, with its files."""
        self.jobs.remove(self._job(request))
        return Response(status_code=204)

    def report(self, request: Request) -> Response:
        """The report of a job, to look at or to keep."""
        job = self._job(request)
        if not job.told()["report"]:
            raise InputError("this job has no report")
        return self._page(request, job.page(job.report), f"{Path(job.title).stem}.html")

    def image(self, request: Request) -> Response:
        """One image before and after."""
        job = self._job(request)
        file, number = (_number(request, name) for name in ("file", "number"))
        if file not in job.told()["shown"]:
            raise InputError("this job has no images to show one by one")
        with self._files:
            path = job.folder / f"image-{file}-{number}.html"
            try:
                if not path.exists():
                    image_page(job, file, number, path)
            except InputError as error:
                raise InputError(job.shown(str(error))) from None
            return self._page(request, job.page(path), f"{Path(job.title).stem}_{number}.html")

    def _page(self, request: Request, content: bytes, name: str) -> Response:
        headers = {"content-security-policy": REPORT}
        if "keep" in request.query_params:
            from urllib.parse import quote

            headers["content-disposition"] = f"attachment; filename*=utf-8''{quote(name)}"
        return Response(content, media_type="text/html", headers=headers)

    def result(self, request: Request) -> Response:
        """A result, in a format that is written."""
        job, file = self._job(request), _number(request, "file")
        with self._files:
            try:
                path, name = download(job, file, request.query_params.get("format", "").lower())
            except InputError as error:
                raise InputError(job.shown(str(error))) from None
        return FileResponse(path, media_type="application/octet-stream", filename=name)

    def _job(self, request: Request) -> Job:
        try:
            return self.jobs.get(request.path_params["id"])
        except KeyError:
            raise _Gone("this job is not there any more") from None


class _Gone(InputError):
    """What was asked for is not there."""


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "")
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InputError(f"the {name} {text[:20]!r} is not a number, counted from 0")
    return int(text)


def _private(path: str, flags: int) -> int:
    import os

    return os.open(path, flags, 0o600)


async def _refused(request: Request, error: Exception) -> Response:
    status = 413 if isinstance(error, TooLarge) else 404 if isinstance(error, _Gone) else 422
    # What is left of a body that is not read would be taken for the next request.
    headers = {"connection": "close"} if isinstance(error, TooLarge) else None
    return JSONResponse({"error": " ".join(str(error).split())}, status, headers)


async def _bug(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": BUG.format(type(error).__name__)}, 500)


async def _left(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


def application(
    jobs: Jobs,
    largest: int,
    token: str,
    host: str = LOCAL[0],
    end: Callable[[], Any] = lambda: None,
) -> Guard:
    """The page as an ASGI application.

    Parameters
    ----------
    jobs : Jobs
    largest : int
        Bytes of an uploaded file at most.
    token : str
    host : str
        The address that the server is bound to.
    end : callable
        Called when the server ends.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        yield
        end()

    handlers: dict[Any, Any] = {InputError: _refused, ClientDisconnect: _left, Exception: _bug}
    inner = Starlette(
        routes=Page(jobs, largest).routes(), exception_handlers=handlers, lifespan=lifespan
    )
    return Guard(inner, token, host)


def serve(
    main: Main,
    host: str = LOCAL[0],
    port: int = 0,
    largest: int = 2 * 10**9,
    browser: bool = True,
    say: Callable[[str], Any] = print,
) -> None:
    """Serve the page until it is interrupted; then remove all temporary files.

    Parameters
    ----------
    main : callable
        The command line, see `Worker`.
    host : str
        The address to be bound to.
    port : int
        0 for a free one.
    largest : int
        Bytes of an uploaded file at most.
    browser : bool
        Whether to open the page.
    say : callable
        Takes lines for the user.

    Raises
    ------
    InputError
        If the address cannot be used.
    """
    bound = _bound(host, port)
    token = secrets.token_urlsafe(32)
    shown = LOCAL[0] if host in ("0.0.0.0", "") else f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{bound.getsockname()[1]}/{token}/"
    folder = Path(tempfile.mkdtemp(prefix="mcnn-keras-"))  # for this user alone
    worker = Worker(main, folder)
    jobs = Jobs(folder, worker.run, worker.stop)

    def end() -> None:
        jobs.close()
        worker.close()
        shutil.rmtree(folder, ignore_errors=True)

    config = uvicorn.Config(
        application(jobs, largest, token, host, end), log_level="warning", access_log=False,
        server_header=False, ws="none", timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = uvicorn.Server(config)
    if hasattr(signal, "SIGHUP"):  # the window that it was started in is closed
        signal.signal(signal.SIGHUP, lambda *_: setattr(server, "should_exit", True))
    say(f"mcnn-keras runs at {url}")
    say("This address is your key: give it to nobody. Ctrl-C ends the program.")
    try:
        if browser:
            _open(url, folder)
        server.run(sockets=[bound])
    except KeyboardInterrupt:  # the usual end
        pass
    finally:
        end()
        bound.close()


def _bound(host: str, port: int) -> socket.socket:
    """A socket at an address."""
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(2048)  # who connects before the server has started waits
    except OSError as error:
        found.close()
        raise InputError(
            f"port {port} of {host} cannot be used ({error.strerror}); choose another --port, or "
            "leave it out"
        ) from None
    return found


def _open(url: str, folder: Path) -> None:
    """Open the page in a browser, by a private file: other users see the words of a command."""
    page = folder / "open.html"
    page.touch(0o600)
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={url}">'
        f'<title>mcnn-keras</title><p><a href="{url}">Open the page</a>'
    )
    threading.Thread(target=webbrowser.open, args=(page.as_uri(),), daemon=True).start()
