"""A running `mcnn-keras app`, and requests to it."""

import contextlib
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse

import numpy as np

OVER = ("done", "failed", "stopped")


class Served:
    """The server in a process of its own, with temporary files in a folder.

    Parameters
    ----------
    folder : Path
    *options : str
        Of the command.
    """

    def __init__(self, folder, *options):
        self.folder, self.log = folder, folder.with_name(f"{folder.name}.log")
        folder.mkdir()
        command = [sys.executable, "-m", "mcnn_keras", "app", "--no-browser", *options]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        self.url = next(word for word in self.process.stdout.readline().split() if "://" in word)
        parts = urllib.parse.urlsplit(self.url)
        self.host, self.port, self.root = parts.hostname, parts.port, parts.path
        self.process.stdout.readline()

    def raw(self, method, path, body=None, headers=()):
        """Status, headers and content of the answer to a request for a whole path."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        with contextlib.closing(connection):
            # Refused before all was sent: the answer tells why.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def ask(self, path, body=None, method=None):
        """Status and JSON of a request with the token."""
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        method = method or ("GET" if body is None else "POST")
        status, _, content = self.raw(method, self.root + path, data)
        return status, json.loads(content) if content else None

    def send(self, name, content):
        """Upload a file; returns its identifier."""
        status, told = self.ask(f"uploads?name={urllib.parse.quote(name)}", content)
        assert status == 201, told
        return told["id"]

    def job(self, task, files=(), values=None, **more):
        """Begin a job with files, pairs of name and content."""
        uploads = [self.send(*file) for file in files]
        order = {"task": task, "values": values or {}, "uploads": uploads, **more}
        status, told = self.ask("jobs", order)
        assert status == 201, told
        return told["id"]

    def wait(self, job, seconds=120):
        """The state of a job that is over."""
        for _ in range(seconds * 10):
            told = self.ask(f"jobs/{job}")[1]
            if told["state"] in OVER:
                return told
            time.sleep(0.1)
        raise AssertionError(f"not over after {seconds} s: {told}")

    def get(self, path):
        """The content of a file."""
        status, headers, content = self.raw("GET", self.root + path)
        assert status == 200, content
        return headers, content

    def files(self):
        """All temporary files, but that of onnxruntime, which leaves it wherever it is loaded."""
        return [p for p in self.folder.rglob("*") if p.is_file() and p.name != ".ses"]

    def end(self, how=signal.SIGINT):
        """End it; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.process.kill()
        self.process.stdout.close()
        return self.process.wait()


def npy(array):
    """The bytes of an array's file."""
    told = io.BytesIO()
    np.save(told, array)
    return told.getvalue()


def array_of(served, job, file=0):
    """A result of a job."""
    return np.load(io.BytesIO(served.get(f"jobs/{job}/result?file={file}&format=.npy")[1]))
