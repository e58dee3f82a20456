"""Fail where recorded pairs are cut, mirrored, scaled or split wrongly, or lost."""

import csv
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

TOOLS = Path(__file__).parents[1] / "data_tools"


def run(tool, *arguments, **environment):
    return subprocess.run(
        [sys.executable, TOOLS / f"{tool}.py", *map(str, arguments)],
        capture_output=True, text=True, env={**os.environ, **environment}, timeout=120,
    )  # fmt: skip


@pytest.fixture
def recorded(tmp_path, rng):
    for kind, shape in (("camera", (40, 60, 3)), ("screen", (90, 160, 3))):
        (tmp_path / "pairs" / kind).mkdir(parents=True)
        for i in range(5):
            picture = rng.integers(0, 256, shape, dtype=np.uint8)
            iio.imwrite(tmp_path / "pairs" / kind / f"{i:05}.png", picture)
    return tmp_path / "pairs"


def test_pairs_are_cut_mirrored_scaled_and_split(recorded, tmp_path):
    """Fails where a photograph is cut off centre or not mirrored, or the split is another one."""
    result = run("prepare_reflection", recorded, tmp_path / "ready", "--size", 32, 18, "--test", 2)
    assert result.returncode == 0, result.stderr
    ready = tmp_path / "ready"
    assert sorted(p.stem for p in (ready / "test" / "camera").iterdir()) == ["00000", "00001"]
    assert len(list((ready / "train" / "screen").iterdir())) == 3
    camera = iio.imread(ready / "train" / "camera" / "00003.png")
    whole = iio.imread(recorded / "camera" / "00003.png")
    np.testing.assert_array_equal(camera, whole[11:29, 14:46][:, ::-1])
    screen = iio.imread(ready / "train" / "screen" / "00003.png")
    assert screen.shape == (36, 64, 3)
    assert abs(screen.mean() - iio.imread(recorded / "screen" / "00003.png").mean()) < 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((), "5 pairs, of which 256"), (("--test", 1, "--size", 64, 36), "smaller --size")],
)
def test_pairs_that_do_not_do_are_told_of(recorded, tmp_path, arguments, message):
    """Fails where too few or too small pairs make a set, or end in a traceback."""
    result = run("prepare_reflection", recorded, tmp_path / "ready", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "ready").exists()


class TestCapture:
    @pytest.fixture(autouse=True)
    def _tools(self):
        pytest.importorskip("mss")
        pytest.importorskip("cv2")

    @pytest.fixture
    def pictures(self, tmp_path):
        """Three pictures of one colour each."""
        (tmp_path / "pictures").mkdir()
        for i, colour in enumerate(((255, 0, 0), (0, 255, 0), (0, 0, 255))):
            picture = np.full((36, 64, 3), colour, np.uint8)
            iio.imwrite(tmp_path / "pictures" / f"{i}.png", picture)
        return tmp_path / "pictures"

    @pytest.fixture
    def camera(self, tmp_path):
        import cv2

        path = tmp_path / "camera.avi"
        film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
        for i in range(8):
            film.write(np.full((48, 64, 3), 30 * i, np.uint8))
        film.release()
        return path

    @pytest.fixture
    def display(self):
        """A virtual screen of 320x240."""
        if shutil.which("Xvfb") is None:
            pytest.skip("Xvfb is not installed")
        read, write = os.pipe()
        server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", "320x240x24"],
            pass_fds=[write], stderr=subprocess.DEVNULL,
        )  # fmt: skip
        number = os.read(read, 16).decode().strip()
        yield f":{number}"
        server.terminate()
        server.wait()
        os.close(read)
        os.close(write)

    def test_screen_and_camera_are_recorded_together(self, pictures, camera, display, tmp_path):
        """Fails where pairs come at another rate or skip frames, or the film leaves a border."""
        result = run(
            "capture_reflection", pictures, tmp_path / "pairs", "--camera", camera,
            "--pairs", 5, "--rate", 1.7, DISPLAY=display,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        text = (tmp_path / "pairs" / "times.csv").read_text()
        rows = list(csv.DictReader(text.splitlines()))
        times = np.array([float(row["screen_s"]) for row in rows])
        np.testing.assert_allclose(np.diff(times), 1 / 1.7, atol=0.25)
        assert all(float(row["camera_s"]) >= float(row["screen_s"]) for row in rows)
        seen = set()
        for i in range(1, 6):
            shot = iio.imread(tmp_path / "pairs" / "screen" / f"{i:05}.png")
            assert shot.shape == (240, 320, 3)
            # The film fills the screen, in its own colours.
            seen.add(tuple(shot[120, 160]))
            assert (shot == shot[120, 160]).all()
            frame = iio.imread(tmp_path / "pairs" / "camera" / f"{i:05}.png")
            assert frame.shape == (48, 64, 3)
            assert abs(frame.mean() - 30 * i) < 3  # the first was taken to measure its size
        assert seen <= {(255, 0, 0), (0, 255, 0), (0, 0, 255)}
        assert len(seen) >= 2

    def test_an_interrupted_recording_is_kept(self, pictures, camera, display, tmp_path):
        """Fails where Ctrl-C loses the pairs so far, or tells another number of them."""
        process = subprocess.Popen(
            [sys.executable, TOOLS / "capture_reflection.py", pictures, tmp_path / "pairs",
             "--camera", str(camera), "--rate", "10", "--pairs", "500"],
            env={**os.environ, "DISPLAY": display}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        time.sleep(6)
        process.send_signal(2)
        told, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        kept = len(list((tmp_path / "pairs" / "screen").iterdir()))
        assert 0 < kept < 500
        assert told.startswith(f"{kept} pairs")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"--camera": "7"}, "camera 7 does not open"),
            ({"DISPLAY": ":999"}, "display"),
            ({"--pairs": "100000000"}, "give --pairs"),
            ({"source": "nothing.mp4"}, "cannot read the film"),
        ],
    )
    def test_what_is_missing_is_told_in_a_line(
        self, pictures, camera, display, tmp_path, arguments, message
    ):
        """Fails where a missing camera, screen or film ends in a traceback, or leaves a folder."""
        options = {"--camera": camera, "DISPLAY": display, "source": pictures, **arguments}
        source, screen = options.pop("source"), options.pop("DISPLAY")
        flat = [text for option in options.items() for text in option]
        result = run("capture_reflection", source, tmp_path / "pairs", *flat, DISPLAY=screen)
        assert result.returncode == 2
        line = [row for row in result.stderr.splitlines() if row.startswith("Error: ")]
        assert len(line) == 1
        assert message in line[0]
        assert not (tmp_path / "pairs").exists()
