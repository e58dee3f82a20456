"""Fail where the page for the browser lets strangers in, keeps files, or errs without words."""

import contextlib
import http.client
import random
import re
import signal
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fuzzing import damaged_bytes
from served import Served, npy

from mcnn_keras import cli
from mcnn_keras.files import write_recording
from mcnn_keras.files.recording import Axis

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
from mcnn_keras.app import forms, server

PAGE = Path(server.__file__).with_name("page.html")
SECRET = "the-name-of-my-sample"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("app") / "files", "--largest", "0.001")
    yield served
    assert served.end() == 0
    assert served.files() == []
    assert "Traceback" not in served.log.read_text()


@pytest.fixture(scope="module")
def model(exported):
    """A small model, which needs no TensorFlow."""
    return str(exported)


@pytest.fixture(scope="module")
def frame():
    return np.random.default_rng(3).random((64, 64), np.float32)


class TestStrangers:
    def test_no_request_without_the_token(self, served):
        """Fails where anything is answered without the token, or with a part of it."""
        token = served.root.strip("/")
        for wrong in ("", token[:-1], token + "x", "x" * len(token), "%00", "é".encode().hex()):
            for path in ("", "about", "jobs", "page.js"):
                for method in ("GET", "POST", "DELETE", "HEAD"):
                    status, _, content = served.raw(method, f"/{wrong}/{path}")
                    assert status == 403
                    assert token.encode() not in content
        assert served.raw("GET", f"/{token}")[0] == 403
        assert served.raw("GET", f"/{token}/")[0] == 200

    def test_each_start_has_a_key_of_its_own_that_is_long(self, served):
        """Fails where the token could be guessed."""
        assert len(served.root.strip("/")) >= 40

    @pytest.mark.parametrize("host", [
        "evil.example", "evil.example:{}", "127.0.0.1.evil.example", "localhost.evil.example:{}",
        "", "[::2]:{}", "10.0.0.1:{}",
    ])  # fmt: skip
    def test_only_names_of_this_machine_are_answered(self, served, host):
        """Fails where a page of another name that points here can read answers (DNS rebinding)."""
        host = host.format(served.port)
        assert served.raw("GET", served.root, headers={"Host": host})[0] == 403
        good = {"Host": f"localhost:{served.port}"}
        assert served.raw("GET", served.root, headers=good)[0] == 200

    def test_it_listens_at_this_machine_alone(self, served):
        """Fails where another machine could connect."""
        assert served.host == "127.0.0.1"
        addresses = {a[4][0] for a in socket.getaddrinfo(socket.gethostname(), None)}
        for address in addresses - {"127.0.0.1", "::1"} - {a for a in addresses if a[:4] == "127."}:
            with pytest.raises(OSError), socket.create_connection((address, served.port), 2):  # noqa: PT011
                pass

    def test_nothing_is_loaded_from_elsewhere(self, served):
        """Fails where the page names another place, or its policy allows one."""
        for name in ("", "page.js", "ask.js", "page.css", "report.css"):
            headers, content = served.get(name)
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert b"http://" not in content
            assert b"https://" not in content
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["x-content-type-options"] == "nosniff"

    @pytest.mark.parametrize("path", [
        "jobs/../../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "page.js%2f..%2fserver.py",
        "server.py", "jobs/..%2f..%2f/report", "jobs/%2e%2e/report", "static/../server.py",
    ])  # fmt: skip
    def test_no_path_leads_to_other_files(self, served, path):
        """Fails where a path of a request reaches a file beside the page's own."""
        status, _, content = served.raw("GET", served.root + path)
        assert status in (404, 405)
        assert b"root:" not in content
        assert b"import" not in content


class TestUploads:
    def test_a_large_file_is_refused_and_removed(self, served, frame):
        """Fails where more than --largest is taken: announced, or sent in parts without a size."""
        before = served.files()
        status, _, content = served.raw("POST", f"{served.root}uploads?name=a.tif", bytes(1000001))
        assert status == 413
        assert b"larger than 0.001 GB" in content
        parts = (bytes(100000) for _ in range(30))
        connection = http.client.HTTPConnection(served.host, served.port, timeout=60)
        path = f"{served.root}uploads?name=a.tif"
        with contextlib.closing(connection), contextlib.suppress(BrokenPipeError, ConnectionError):
            connection.request("POST", path, parts, encode_chunked=True,
                               headers={"Transfer-Encoding": "chunked"})  # fmt: skip
            assert connection.getresponse().status == 413
        time.sleep(0.2)
        assert served.files() == before

    @pytest.mark.parametrize("name", ["a.exe", "a.html", "a", "", "a.py", "..", "a.tif/", "a.csv"])
    def test_other_files_are_refused(self, served, name):
        """Fails where a file that is no image is kept."""
        before = served.files()
        status, told = served.ask(f"uploads?name={name}", b"content")
        assert status == 422
        assert "is not the extension" in told["error"]
        assert served.files() == before

    def test_a_connection_that_breaks_leaves_no_file(self, served):
        """Fails where a part of a file stays."""
        before = served.files()
        with socket.create_connection((served.host, served.port)) as connection:
            head = f"POST {served.root}uploads?name=a.tif HTTP/1.1\r\nHost: localhost\r\n"
            connection.sendall(f"{head}Content-Length: 1000\r\n\r\nabc".encode())
            time.sleep(0.3)
        time.sleep(0.5)
        assert served.files() == before

    def test_names_are_kept_from_the_disk_and_from_markup(self, served, model, frame):
        """Fails where the disk holds a user's name, or a name becomes markup of a report."""
        name = f"../../{SECRET}<img src=x onerror=alert(1)>.npy"
        job = served.job("predict", [(name, npy(frame))], {"model": model})
        assert served.wait(job)["state"] == "done"
        assert not [path for path in served.folder.rglob("*") if SECRET in path.name]
        assert all(path.stat().st_mode & 0o077 == 0 for path in served.folder.glob("mcnn-keras-*"))
        page = served.get(f"jobs/{job}/report")[1].decode()
        assert SECRET in page
        assert "<img src=x" not in page
        assert str(served.folder) not in page
        assert served.ask(f"jobs/{job}")[1]["title"].startswith(".._.._")
        headers, _ = served.get(f"jobs/{job}/result?file=0")
        assert "/" not in headers["content-disposition"]
        assert served.ask(f"jobs/{job}", method="DELETE")[0] == 204
        assert not [path for path in served.files() if job in str(path)]
        assert served.ask(f"jobs/{job}")[0] == 404


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_end_while_it_computes_leaves_nothing(tmp_path, how, rng):
    """Fails where Ctrl-C, or a window that is closed, leaves files or a process that computes."""
    served = Served(tmp_path / "files")
    movie = rng.poisson(3, (60, 128, 128)).astype(np.uint8)
    job = served.job("denoise", [("movie.npy", npy(movie))], {"quality": "best"})
    while served.ask(f"jobs/{job}")[1]["state"] == "waiting":
        time.sleep(0.05)
    time.sleep(0.5)
    status = served.end(how)
    assert status == (0 if how != signal.SIGTERM else -signal.SIGTERM)
    assert served.files() == []
    assert "Traceback" not in served.log.read_text()


def test_a_port_that_is_taken_and_a_host_that_is_not_here(served, capfd):
    """Fails where an address that cannot be used is no line of text, or an open one no warning."""
    for words in (["--port", str(served.port)], ["--host", "192.0.2.1"]):
        with pytest.raises(SystemExit) as end:
            cli.main(["app", "--no-browser", *words])
        assert end.value.code == 2
        told = capfd.readouterr().err
        assert "cannot be used" in told
        assert ("without encryption" in told) == ("--host" in words)


@pytest.mark.parametrize("size", ["0", "-1", "nan", "inf", "1e9"])
def test_a_size_that_is_none_is_refused(size, capfd):
    """Fails where a limit that cannot be is taken, or is a bug."""
    with pytest.raises(SystemExit) as end:
        cli.main(["app", "--largest", size])
    assert end.value.code == 2
    assert "no size of a file" in capfd.readouterr().err


def test_without_the_extra_it_is_named(monkeypatch, capfd):
    """Fails where a missing package is a traceback."""
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(SystemExit):
        cli.main(["app"])
    assert 'pip install "mcnn-keras[app]"' in capfd.readouterr().err


def test_the_browser_gets_the_key_by_a_private_file(tmp_path, monkeypatch):
    """Fails where other users see the key in the list of processes, or may read its file."""
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    server._open("http://127.0.0.1:1/secret/", tmp_path)
    time.sleep(0.1)
    assert "secret" not in opened[0]
    page = tmp_path / "open.html"
    assert page.stat().st_mode & 0o077 == 0
    assert "http://127.0.0.1:1/secret/" in page.read_text()


def test_every_field_is_on_the_page():
    """Fails where the page lacks a field, its label, or the command its option."""
    page = PAGE.read_text()
    for name, field in forms.FIELDS.items():
        assert f'id="{name}"' in page
        for task in field.tasks:
            options = [o for p in cli.cli.commands[task].params for o in p.opts]
            assert name == "model" or field.option in options
    inputs = re.findall(r'<(?:input|select)[^>]* id="([^"]+)"', page)
    for name in inputs:
        wrapped = re.search(rf'<label[^>]*><input id="{name}" type="checkbox">', page)
        assert wrapped or f'for="{name}"' in page, name


def test_damaged_files_are_told_of_in_words(served, tmp_path, frame, model):
    """Fails where a damaged file ends the server, is a bug, or its error is no line of text."""
    contents = []
    for ending in (".tif", ".npy", ".h5", ".mrc"):
        write_recording(
            tmp_path / f"a{ending}", frame[None], (Axis("height", 64), Axis("width", 64))
        )
        contents.append((f"a{ending}", (tmp_path / f"a{ending}").read_bytes()))
    jobs = []
    for seed in range(40):
        rng = random.Random(seed)
        name, content = rng.choice(contents)
        damaged = damaged_bytes(content, rng)
        status, told = served.ask(f"uploads?name={name}", damaged)
        assert status in (201, 422), told
        if status == 201:
            order = {"task": "predict", "uploads": [told["id"]], "values": {"model": model}}
            jobs.append(served.ask("jobs", order)[1]["id"])
    states = [served.wait(job) for job in jobs]
    for told in states:
        assert told["state"] in ("done", "failed")
        for line in told["errors"]:
            assert "\n" not in line
            assert "Traceback" not in line
            assert "of the program itself" not in line
            assert "ended with" not in line
            assert str(served.folder) not in line
        assert bool(told["errors"]) == (told["state"] == "failed")
    assert {"done", "failed"} == {told["state"] for told in states}
    for job in jobs:
        served.ask(f"jobs/{job}", method="DELETE")


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ({}, "choose a task"),
        ([], "choose a task"),
        ({"task": "rm"}, "choose a task"),
        ({"task": "denoise"}, "choose files, or name"),
        ({"task": "predict", "path": "/x.tif"}, "choose a model"),
        ({"task": "denoise", "path": "x.tif"}, "not a whole path"),
        ({"task": "denoise", "path": "/x.tif", "output": "y.tif"}, "not a whole path"),
        ({"task": "denoise", "path": "/nothing/*.tif"}, "no file matches"),
        ({"task": "denoise", "path": "/x.tif", "uploads": ["a"]}, "not both"),
        ({"task": "denoise", "uploads": ["../../etc/passwd"]}, "not there any more"),
        ({"task": "denoise", "path": "/x.tif", "values": {"report": "/y"}}, "no field"),
        ({"task": "denoise", "path": "/x.tif", "values": {"wavelength": "1"}}, "no field"),
        ({"task": "denoise", "path": "/x.tif", "values": {"force": "yes"}}, "a box to tick"),
        ({"task": "denoise", "path": "/x.tif", "values": {"resume": True}}, "name the place"),
        ({"task": "denoise", "path": "/x\n.tif"}, "a line of at most"),
        ({"task": "phase", "path": "/x.tif", "values": {"refine": "--help"}}, "is not known"),
    ],
)
def test_wrong_orders_are_refused_in_words(served, order, told):
    """Fails where a form that cannot be is taken, or is a bug."""
    status, answer = served.ask("jobs", order)
    assert status == 422
    assert told in answer["error"]
    assert "\n" not in answer["error"]


def test_bodies_that_are_no_forms_are_refused(served):
    """Fails where any bytes in place of a form are a bug, or are kept in memory without end."""
    for body in (b"", b"{", b"\xff\xfe", b"[" * 100000, b"1e999", b'{"task": NaN}'):
        assert served.ask("jobs", body, "POST")[0] == 422
    assert served.raw("POST", served.root + "jobs", bytes(2**20 + 1))[0] == 413


def test_no_value_is_taken_for_an_option(served, frame):
    """Fails where a field can give the command another option, or its error is not told."""
    values = {"frames": "--output=/x.tif", "dtype": "--help"}
    told = served.wait(served.job("denoise", [("a.npy", npy(frame))], values))
    assert told["state"] == "failed"
    assert "“Number type of the result”" in told["errors"][0]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("give --pixel-size", "give “Pixel size”"),
        ("value for '--wavelength': no", "value for “Wavelength”: no"),
        ("--flat-field --flat", "--flat-field “Flat image”"),
        ("for these: mcnn-keras train phase --defocus -52,52, or leave --uncertainty out",
         "for these: mcnn-keras train phase --defocus -52,52, or leave “Uncertainty” out"),
        ("run mcnn-keras calibrate M --output N; --resume goes on",
         "run mcnn-keras calibrate M --output N; “Continue an earlier run” goes on"),
    ],
)  # fmt: skip
def test_options_become_labels_but_not_in_commands(text, shown):
    """Fails where a message names an option that the page lacks, or a command is garbled."""
    assert forms.in_labels(text) == shown


def test_errors_name_the_fields_of_the_page(served, frame):
    """Fails where a message names options that the page does not have, or files on the disk."""
    told = served.wait(served.job("phase", [(f"{SECRET}.npy", npy(frame))]))
    assert told["state"] == "failed"
    text = " ".join(told["errors"])
    assert SECRET in text
    assert "“Planes”" in text
    assert "“Wavelength”" in text
    assert "--" not in text
