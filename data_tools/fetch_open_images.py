"""Download pictures by a list of their names, such as the lists of Open Images.

    python data_tools/fetch_open_images.py names.txt pictures/
    mcnn-keras train phase --defocus -108 --pictures pictures/train --output runs/phase

A line of the list is the name of a picture without its ending: train/0a1b2c3d4e5f6071. Each picture
is checked to be a whole image, and noted in manifest.jsonl with its SHA-256. Run the same command
again to fetch what is missing: pictures that are as they were noted are not fetched again.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import io
import json
import random
import re
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor, as_completed
from email.utils import parsedate_to_datetime
from pathlib import Path

from PIL import Image

from mcnn_keras.errors import InputError, reason
from mcnn_keras.files import replacing
from mcnn_keras.files.locking import locked
from mcnn_keras.progress import FrameProgress
from mcnn_keras.version import __version__

URL = "https://open-images-dataset.s3.amazonaws.com/{name}.jpg"
MANIFEST = "manifest.jsonl"
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
GONE = (400, 401, 403, 404, 410, 451)  # to ask again is of no use
LONGEST_PAUSE = 300.0  # seconds
MOST_BYTES = 2**27
FAULTS = (OSError, http.client.HTTPException, ValueError)


class Gone(Exception):
    """The server does not have the picture, or sends something else."""


def main(arguments):
    """Fetch what is missing of a list."""
    for what, least in (("workers", 1), ("retries", 0), ("timeout", 0.001), ("pause", 0)):
        if not getattr(arguments, what) >= least:
            raise InputError(f"--{what} is {getattr(arguments, what)}; give {least:g} or more")
    if "{name}" not in arguments.url or not re.match(r"https?://", arguments.url):
        raise InputError(f"--url {arguments.url} is not an address with {{name}}, such as {URL}")
    names = read_list(arguments.list)
    folder = arguments.output
    with locked(folder, inside=True):
        known = read_manifest(folder / MANIFEST)
        missing, progress = [], FrameProgress(len(names), unit="picture")
        for name in names:
            if is_kept(folder, name, known.get(name)):
                progress.done = progress.first = progress.done + 1
            else:
                missing.append(name)
        kept = len(names) - len(missing)
        with progress, open(folder / MANIFEST, "a") as manifest:
            gone, failed = fetch(missing, folder, arguments, manifest, progress)
    fetched = len(missing) - len(gone) - len(failed)
    print(f"{folder}: {fetched} pictures fetched, {kept} there already")
    if gone:
        print(f"Warning: {len(gone)} are not on the server: {shown(gone)}", file=sys.stderr)
    if failed:
        raise InputError(
            f"{len(failed)} of {len(names)} pictures were not fetched: {shown(failed)}; run it "
            "again to fetch them"
        )


def shown(faults):
    """The first of several names, with its fault."""
    name, why = next(iter(faults.items()))
    return f"{name} ({why})" + (f" and {len(faults) - 1} more" if len(faults) > 1 else "")


def read_list(path):
    """The names in a list, each once, in their order."""
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the list {path} cannot be read ({reason(error)})") from None
    names = list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    for name in names:
        if not NAME.fullmatch(name):
            raise InputError(
                f"{path} holds {name[:80]!r}, which is not a name; a line such as "
                "train/0a1b2c3d4e5f6071 is expected"
            )
    if not names:
        raise InputError(f"the list {path} is empty; give a line for each picture")
    return names


def read_manifest(path):
    """What is noted of each picture; the last line may have been cut short."""
    known = {}
    with contextlib.suppress(FileNotFoundError):
        text = path.read_text(errors="replace")
        for line in text.splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                told = json.loads(line)
                known[told["name"]] = told
        if text and not text.endswith("\n"):  # the next line is not to go on with it
            with open(path, "a") as file:
                file.write("\n")
    return known


def file_of(folder, name, url):
    """Where a picture goes: its name, with the ending of its address."""
    ending = re.search(r"\.\w{1,5}$", url.split("?")[0])
    return f"{name}{ending[0] if ending else ''}"


def is_kept(folder, name, told):
    """Whether a picture is as it was noted."""
    try:
        data = (folder / told["file"]).read_bytes()
        return hashlib.sha256(data).hexdigest() == told["sha256"]
    except (OSError, KeyError, TypeError, ValueError):
        return False


def fetch(names, folder, arguments, manifest, progress):
    """Fetch pictures in parallel; those that cannot be had, and those that failed, with why."""
    gone, failed, stop = {}, {}, threading.Event()
    pool = ThreadPoolExecutor(arguments.workers)
    pauses = Pauses(arguments.pause, stop)

    def one(name):
        if stop.is_set():
            raise InterruptedError("interrupted")
        url = arguments.url.format(name=name)
        data, size = got(url, arguments, pauses)
        file = file_of(folder, name, url)
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_bytes(data)
        return {"name": name, "file": file, "url": url, "bytes": len(data), "width": size[0],
                "height": size[1], "sha256": hashlib.sha256(data).hexdigest()}  # fmt: skip

    try:
        futures = {pool.submit(one, name): name for name in names}
        for future in as_completed(futures):
            name = futures[future]
            try:
                manifest.write(json.dumps(future.result()) + "\n")
                manifest.flush()
            except Gone as error:
                gone[name] = str(error)
            except FAULTS as error:
                failed[name] = reason(error)
            progress.add(1)
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
    return gone, failed


class Pauses:
    """Pauses between tries; one that the server asks for is kept by all."""

    def __init__(self, first, stop):
        self.first, self.stop = first, stop
        self.until, self.lock = 0.0, threading.Lock()

    def before(self):
        """Wait until the server may be asked."""
        while (left := self.until - time.monotonic()) > 0:
            if self.stop.wait(min(left, 1.0)):
                raise InterruptedError("interrupted")

    def after(self, tries, asked):
        """Wait after a try that failed, twice as long after each."""
        if asked is not None:
            with self.lock:
                self.until = max(self.until, time.monotonic() + min(asked, LONGEST_PAUSE))
            return
        longest = min(self.first * 2**tries, LONGEST_PAUSE)
        if self.stop.wait(longest * random.uniform(0.5, 1.0)):
            raise InterruptedError("interrupted")


def got(url, arguments, pauses):
    """The bytes of a picture and its size, after as many tries as it takes."""
    for tries in range(arguments.retries + 1):
        pauses.before()
        asked = None
        try:
            data = downloaded(url, arguments)
            return data, size_of(data)
        except urllib.error.HTTPError as error:
            with error:
                if error.code in GONE:
                    raise Gone(f"HTTP {error.code}") from None
                asked = seconds_of(error.headers.get("Retry-After"))
            fault = OSError(f"HTTP {error.code}")
        except FAULTS as error:
            fault = OSError(reason(getattr(error, "reason", error)))
        if tries < arguments.retries:
            pauses.after(tries, asked)
    raise fault


def downloaded(url, arguments):
    """All bytes of an answer, in no more than a fixed time."""
    agent = f"mcnn-keras/{__version__} (fetch_open_images.py)"
    request = urllib.request.Request(url, headers={"User-Agent": agent})
    ends = time.monotonic() + 10 * arguments.timeout  # of a server that sends byte by byte
    with urllib.request.urlopen(request, timeout=arguments.timeout) as answer:
        data = io.BytesIO()
        while block := answer.read1(2**16):
            data.write(block)
            if time.monotonic() > ends or data.tell() > MOST_BYTES:
                raise OSError("it takes too long, or is too large")
        told = answer.headers.get("Content-Length")
        if told is not None and data.tell() != int(told):
            raise OSError(f"{data.tell()} of {told} bytes arrived")
    return data.getvalue()


def size_of(data):
    """Width and height of a picture, all of whose pixels can be read."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
            return picture.size
    except Exception as error:  # of whatever type the decoder raises
        raise ValueError(f"it is not a whole image: {reason(error)}") from None


def seconds_of(told):
    """The seconds that Retry-After asks to wait: a number, or a time."""
    if told is None:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(told))
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
    return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("list", type=Path, help="a text file, one name a line")
    parser.add_argument("output", type=Path, help="folder for the pictures")
    parser.add_argument("--url", default=URL, help="address of a picture; {name} is its name")
    parser.add_argument("--workers", type=int, default=8, help="downloads at the same time")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds without an answer")
    parser.add_argument("--retries", type=int, default=5, help="further tries of each picture")
    parser.add_argument("--pause", type=float, default=1.0,
                        help="seconds before the second try, doubled each time")  # fmt: skip
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main(parser.parse_args())
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Interrupted. What was fetched is kept; run it again to go on.", file=sys.stderr)
        sys.exit(130)
