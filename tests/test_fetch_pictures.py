"""Fail where a download is lost, half written, taken for whole, or asked for without end."""

import hashlib
import io
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TOOL = Path(__file__).parents[1] / "data_tools" / "fetch_open_images.py"


def jpeg(seed):
    data = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(data, "JPEG")
    return data.getvalue()


class Server(ThreadingHTTPServer):
    """Serves pictures; `faults` holds what it does first, by name."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pictures = {f"train/{i:016x}": jpeg(i) for i in range(6)}
        self.faults, self.asked, self.times = {}, Counter(), {}
        self.agents, self.busy, self.most = set(), 0, 0
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        """Nothing."""

    def do_GET(self):
        server, name = self.server, self.path[1:].removesuffix(".jpg")
        with server.lock:
            server.busy += 1
            server.most = max(server.most, server.busy)
        time.sleep(0.02)
        server.asked[name] += 1
        server.times.setdefault(name, []).append(time.monotonic())
        server.agents.add(self.headers["User-Agent"])
        faults = server.faults.get(name, [])
        fault = faults.pop(0) if faults else None
        data = server.pictures.get(name, b"")
        try:
            self.answer(fault, data)
        except OSError:
            pass  # the client has gone
        finally:
            with server.lock:
                server.busy -= 1

    def answer(self, fault, data):
        if isinstance(fault, int):
            self.send_response(fault)
            if fault == 429:
                self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200 if data else 404)
        if fault == "html":
            data = b"<html>Sorry</html>"
        # Of a picture that is cut without a length, only its pixels tell.
        if fault != "cut, no length":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if fault == "stall":
            self.wfile.write(data[:100])
            self.wfile.flush()
            time.sleep(3)
        self.wfile.write(data[: len(data) // 2] if str(fault).startswith("cut") else data)


@pytest.fixture
def server():
    with Server() as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


@pytest.fixture
def fetch(server, tmp_path):
    def run(*options, names=None):
        (tmp_path / "names.txt").write_text("\n".join(names or server.pictures) + "\n")
        url = f"http://127.0.0.1:{server.server_port}/{{name}}.jpg"
        words = [tmp_path / "names.txt", tmp_path / "pictures", "--url", url, "--pause", "0.01"]
        return subprocess.run(
            [sys.executable, TOOL, *map(str, words), "--timeout", "0.5", *options],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    return run


def test_faults_are_overcome(server, fetch, tmp_path):
    """Fails where an error, a stall or a cut picture ends the download, or is kept."""
    names = list(server.pictures)
    faults = [[500, 503], ["stall"], ["cut"], ["cut, no length", "html"], [429], []]
    server.faults = dict(zip(names, map(list, faults), strict=True))
    done = fetch("--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "6 pictures fetched, 0 there already" in done.stdout
    for name, told in zip(names, faults, strict=True):
        assert (tmp_path / "pictures" / f"{name}.jpg").read_bytes() == server.pictures[name]
        assert server.asked[name] == len(told) + 1
    first, second = server.times[names[4]]
    assert second - first > 0.95  # as Retry-After asks
    assert all(agent.startswith("mcnn-keras/") for agent in server.agents)
    lines = (tmp_path / "pictures" / "manifest.jsonl").read_text().splitlines()
    told = {row["name"]: row for row in map(json.loads, lines)}
    for name, data in server.pictures.items():
        assert told[name]["sha256"] == hashlib.sha256(data).hexdigest()
        assert (told[name]["width"], told[name]["height"]) == (60, 40)
    assert {p.name for p in (tmp_path / "pictures").rglob("*") if ".part" in p.name} == set()


def test_only_what_is_missing_is_fetched_again(server, fetch, tmp_path):
    """Fails where a verified picture is asked for again, or a changed one is not."""
    names = list(server.pictures)
    assert fetch(names=names[:4]).returncode == 0
    manifest = tmp_path / "pictures" / "manifest.jsonl"
    changed = tmp_path / "pictures" / f"{names[1]}.jpg"
    changed.write_bytes(changed.read_bytes()[:-30])
    (tmp_path / "pictures" / f"{names[2]}.jpg").unlink()
    server.most = 0
    with open(manifest, "a") as file:
        file.write('{"name": "train/00')  # a kill in the middle of a line
    done = fetch("--workers", "2")
    assert done.returncode == 0, done.stderr
    assert server.most <= 2  # a busy machine may start them one after the other
    assert "4 pictures fetched, 2 there already" in done.stdout
    assert [server.asked[name] for name in names] == [1, 2, 2, 1, 1, 1]
    assert changed.read_bytes() == server.pictures[names[1]]
    assert "0 pictures fetched, 6 there already" in fetch().stdout


def test_what_cannot_be_had_is_told(server, fetch, tmp_path):
    """Fails where a missing picture is asked for again, or what failed passes for done."""
    names = list(server.pictures)
    done = fetch(names=[*names[:2], "train/none"])
    assert done.returncode == 0
    assert "1 are not on the server: train/none (HTTP 404)" in done.stderr
    assert server.asked["train/none"] == 1
    server.faults = {names[2]: [500] * 9, names[3]: ["cut, no length"] * 9}
    done = fetch("--retries", "2")
    assert done.returncode == 2
    assert "2 of 6 pictures were not fetched" in done.stderr
    assert server.asked[names[2]] == 3
    assert not (tmp_path / "pictures" / f"{names[3]}.jpg").exists()
    server.faults = {}
    assert fetch().returncode == 0


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [(["../../etc/passwd"], (), "not a name"), (["/etc/passwd"], (), "not a name"),
     (["#"], (), "empty"),
     (None, ("--workers", "0"), "--workers is 0"), (None, ("--url", "here"), "not an address")],
)  # fmt: skip
def test_wrong_input_is_told_in_one_line(fetch, names, options, message, tmp_path):
    """Fails where a name leads out of the folder, or wrong options end in a traceback."""
    done = fetch(*options, names=names)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
