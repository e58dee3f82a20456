"""Fail where jobs of the page for the browser are mixed up, go on, or give other results."""

import concurrent.futures
import contextlib
import io
import json
import os
import threading
import time
import zipfile

import numpy as np
import pytest
from served import Served, array_of, npy

import mcnn_keras as mcnn
from mcnn_keras.files import open_recording, pixel_length, write_recording
from mcnn_keras.files.recording import Axis
from mcnn_keras.focal_series.retrieval import wave_of

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
from mcnn_keras.app.worker import Worker, outcome


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


def test_50_requests_at_once_get_their_own_answers(served, model, rng):
    """Fails where jobs are mixed up or lost, or one is not answered."""
    images = rng.random((50, 64, 64), np.float32)

    def one(number):
        job = served.job("predict", [("frame.npy", npy(images[number]))], {"model": model})
        told = served.wait(job)
        assert told["state"] == "done", told
        answer = array_of(served, job)
        assert served.ask(f"jobs/{job}", method="DELETE")[0] == 204
        return answer

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(one, range(50)))
    own = mcnn.predict(mcnn.load(model), images, axes="tyx")
    for number, answer in enumerate(answers):
        np.testing.assert_allclose(np.squeeze(answer), np.squeeze(own[number]), atol=1e-3)
        other = np.squeeze(own[(number + 1) % 50])
        assert np.abs(np.squeeze(answer) - other).max() > 0.01  # the test can tell them apart


class TestStop:
    def test_a_job_that_runs_and_one_that_waits(self, served, rng, model):
        """Fails where a job cannot be stopped, its files stay, or the next one does not run."""
        movie = rng.poisson(3, (60, 128, 128)).astype(np.uint8)
        long = served.job("denoise", [("movie.npy", npy(movie))], {"quality": "best"})
        waiting = served.job("predict", [("a.npy", npy(movie[0]))], {"model": model})
        last = served.job("predict", [("b.npy", npy(movie[0, :64, :64]))], {"model": model})
        told = {}
        while not told.get("progress"):
            told = served.ask(f"jobs/{long}")[1]
            assert told["state"] in ("waiting", "running")
            time.sleep(0.1)
        assert served.ask(f"jobs/{long}", method="DELETE")[0] == 422
        assert served.ask(f"jobs/{waiting}/stop", b"", "POST")[1]["state"] == "stopped"
        assert served.ask(f"jobs/{long}/stop", b"", "POST")[1]["state"] == "stopping"
        told = served.wait(long)
        assert told["state"] == "stopped"
        assert told["errors"] == ["Stopped."]
        assert told["progress"][0] < 60
        assert served.wait(last)["state"] == "done"
        for job in (long, waiting, last):
            assert served.ask(f"jobs/{job}", method="DELETE")[0] == 204
            assert not [path for path in served.files() if job in str(path)]

    def test_a_computation_that_does_not_stop_is_ended(self, monkeypatch):
        """Fails where a command that ignores the wish to stop blocks all that wait."""
        monkeypatch.setattr("mcnn_keras.app.worker.PATIENCE", 0.5)
        worker = Worker(stubborn)
        threading.Timer(1.5, worker.stop).start()
        assert worker.run(["sleep"], print)["status"] == 1
        assert worker.run([], print)["errors"] == ["the command has told nothing"]
        worker.close()


def stubborn(words):
    """A command that does not end by an interruption."""
    while words[1:]:
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(10)


def test_a_process_that_ends_is_told_and_replaced():
    """Fails where a crash of the computation is told as a result, or ends all later jobs."""
    worker = Worker(crash)
    told = worker.run(["now"], print)
    assert told["status"] == 1
    assert "ended with signal 6" in told["errors"][0]
    assert worker.run([], print)["status"] == 0
    worker.close()


def crash(words):
    """A command that ends its process, or prints nothing but JSON."""
    if words[1:]:
        os.abort()
    print('{"status": 0}')


def test_a_bug_is_told_in_a_line_and_goes_to_the_log(capfd):
    """Fails where a traceback is shown on the page, or is in no log."""
    told = outcome(lambda words: 1 / 0, [])
    assert "ZeroDivisionError" in told["errors"][0]
    assert "Traceback" not in told["errors"][0]
    assert "Traceback" in capfd.readouterr().err


class TestResults:
    def test_a_folder_of_this_machine(self, served, tmp_path, model, rng):
        """Fails where a folder's files have no results, or these differ from `predict`."""
        images = rng.random((2, 64, 64), np.float32)
        (tmp_path / "in").mkdir()
        for number, image in enumerate(images):
            np.save(tmp_path / "in" / f"{'ab'[number]}.npy", image)
        given = {"path": str(tmp_path / "in"), "output": str(tmp_path / "out")}
        job = served.job("predict", (), {"model": model}, **given)
        told = served.wait(job)
        assert told["state"] == "done", told
        own = np.squeeze(mcnn.predict(mcnn.load(model), images, axes="tyx"))
        for number, name in enumerate("ab"):
            found = np.load(tmp_path / "out" / f"{name}.npy")
            np.testing.assert_allclose(np.squeeze(found), own[number], atol=1e-3)
            np.testing.assert_allclose(
                np.squeeze(array_of(served, job, number)), own[number], atol=1e-3
            )
        again = served.job("predict", (), {"model": model}, **given)
        assert "“Replace files that are there”" in served.wait(again)["errors"][0]
        for made in (job, again):
            assert served.ask(f"jobs/{made}", method="DELETE")[0] == 204
        assert (tmp_path / "out" / "a.npy").exists()  # the user's own

    def test_every_format_holds_the_same(self, served, tmp_path, model, frame):
        """Fails where a downloaded format is damaged, or holds other values or pixels."""
        axes = (Axis("height", 64, 0.31, 0.0, "um"), Axis("width", 64, 0.31, 0.0, "um"))
        write_recording(tmp_path / "a.tif", frame[None], axes)
        file = ("a.tif", (tmp_path / "a.tif").read_bytes())
        job = served.job("predict", [file], {"model": model})
        assert served.wait(job)["state"] == "done"
        expected = np.squeeze(array_of(served, job))
        formats = served.ask("about")[1]["formats"]
        assert {".tif", ".h5", ".npy"} <= set(formats)
        for suffix in formats:
            headers, content = served.get(f"jobs/{job}/result?file=0&format={suffix}")
            assert "a_predicted" in headers["content-disposition"]
            path = tmp_path / f"result{suffix}"
            if content[:2] == b"PK":
                zipfile.ZipFile(io.BytesIO(content)).extractall(tmp_path)
                path = next(p for p in tmp_path.iterdir() if p.name.endswith(f"predicted{suffix}"))
            else:
                path.write_bytes(content)
            with open_recording(path, force=True) as found:
                np.testing.assert_allclose(np.squeeze(found.read(0, 1)), expected, atol=1e-4)
                if suffix != ".npy":
                    assert pixel_length(found.axes, "um") == pytest.approx(0.31, rel=1e-3)
        assert served.ask(f"jobs/{job}/result?file=0&format=.exe")[0] == 422
        for file in ("1", "-1", "x", "", "../x", "9" * 30):
            assert served.ask(f"jobs/{job}/result?file={file}")[0] == 422

    def test_each_image_can_be_shown(self, served, model, rng):
        """Fails where a page of one image shows another, or one that is not there is a bug."""
        movie = rng.random((10, 64, 64), np.float32)
        job = served.job(
            "predict", [("movie.npy", npy(movie))], {"model": model, "frames": "3,1,2"}
        )
        assert served.wait(job)["shown"] == [0]
        headers, page = served.get(f"jobs/{job}/image?file=0&number=2")
        assert b"movie.npy, image 2 (counted from 0)" in page
        assert "sandbox" in headers["content-security-policy"]
        assert "self" not in headers["content-security-policy"].split("frame-ancestors")[0]
        for wrong in ("3", "-1", "x", "", "1e9"):
            status, told = served.ask(f"jobs/{job}/image?file=0&number={wrong}")
            assert status == 422, told
        assert served.ask(f"jobs/{job}/image?file=1&number=0")[0] == 422


def test_the_uncertainty_is_shown_and_downloaded(served, tmp_path, trained, phase_problem, rng):
    """Fails where an uncertainty is lost on the way, or offered of a model that has none."""
    calibrated = mcnn.calibrate(
        trained.model, phase_problem, samples=16, calibration_samples=16, precision="float32"
    )
    path = tmp_path / "calibrated.h5"
    mcnn.save(calibrated, path)
    assert served.ask(f"model?name={path}")[1]["uncertainty"] is True
    plain = tmp_path / "plain.h5"
    mcnn.save(trained.model, plain)
    assert served.ask(f"model?name={plain}")[1]["uncertainty"] is False
    images = rng.random((2, 64, 64), np.float32)
    values = {"model": str(path), "uncertainty": True}
    job = served.job("predict", [("a.npy", npy(images))], values)
    told = served.wait(job)
    assert told["files"] == ["predicted.h5", "predicted_uncertainty.h5"], told
    assert told["shown"] == [0]
    assert any("unlike the images of the training" in line for line in told["warnings"])
    with pytest.warns(UserWarning, match="unlike the images"):
        own = mcnn.predict(calibrated, images, axes="tyx", uncertainty=True)
    for file, expected in enumerate(own):
        np.testing.assert_allclose(array_of(served, job, file), expected, atol=1e-3)
    for page in ("report", "image?file=0&number=1"):
        assert b'data-title="Uncertainty"' in served.get(f"jobs/{job}/{page}")[1]


def test_a_phase_with_its_text_of_planes(served, tmp_path):
    """Fails where planes and optics beside a stack are not taken, or the result is another."""
    images = np.random.default_rng(0).normal(1, 0.05, (2, 64, 64)).astype(np.float32)
    told = {"defocus": [-52, 52], "wavelength": 0.65, "pixel_size": 0.31}
    text = json.dumps({**told, "numerical_aperture": 0.45}).encode()
    files = [("s.npy", npy(images)), ("s.json", text)]
    job = served.job("phase", files, {"refine": "no"})
    told = served.wait(job)
    assert told["state"] == "done", told
    wave = array_of(served, job)
    optics = mcnn.Optics(0.65, 0.31, 0.45)
    own = wave_of(np.moveaxis(images, 0, -1), [-52, 52], optics, refine=False)
    np.testing.assert_allclose(wave[0], own.phase, atol=1e-3)
    np.testing.assert_allclose(wave[1], own.amplitude, atol=1e-3)
    status, answer = served.ask(
        "jobs", {"task": "phase", "uploads": [served.send("other.txt", b"1")]}
    )
    assert status == 422
    assert "name of none of the images" in answer["error"]
    assert not list(served.folder.glob("*/uploads/*"))  # of a refused order
