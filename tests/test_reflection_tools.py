"""Fail where recorded pairs are cut, mirrored, scaled or split wrongly, or lost."""

import csv
import os
import random
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


def rows_of(folder):
    """The whole lines of a recording's table, without its head."""
    if not (folder / "times.csv").exists():
        return []
    return [line.strip() for line in (folder / "times.csv").read_text().splitlines(True)[1:]
            if line.endswith("\n")]  # fmt: skip


def files_of(folder, number):
    return [(folder / kind / f"{number:05}.png").read_bytes() for kind in ("screen", "camera")]


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

    @pytest.mark.parametrize("kills", [1, pytest.param(25, marks=pytest.mark.slow)])
    def test_a_killed_recording_goes_on(self, kills, pictures, camera, display, tmp_path):
        """Fails where a kill loses a pair that times.csv tells of, tears or doubles one.

        The camera's picture is brighter by 30 from one to the next, until its film starts again.
        """
        draw, wanted = random.Random(kills), 12 * kills + 8
        part, begins, known = tmp_path / "pairs.part", set(), {}
        command = [
            sys.executable, TOOLS / "capture_reflection.py", pictures, tmp_path / "pairs",
            "--camera", str(camera), "--rate", "20", "--pairs", str(wanted), "--resume",
        ]  # fmt: skip
        for _ in range(kills):
            begins.add(len(known) + 1)
            with subprocess.Popen(command, env={**os.environ, "DISPLAY": display}) as process:
                deadline = time.monotonic() + 60
                while len(rows_of(part)) == len(known) and time.monotonic() < deadline:
                    time.sleep(0.01)
                time.sleep(draw.uniform(0, 0.5))
                process.send_signal(9)
            assert process.returncode == -9  # it was not done
            rows = rows_of(part)
            assert len(rows) > len(known)
            for number, content in known.items():
                assert (rows[number - 1], *files_of(part, number)) == content
            known = {i: (row, *files_of(part, i)) for i, row in enumerate(rows, 1)}
        begins.add(len(known) + 1)
        arguments = ("--camera", camera, "--rate", 20, "--pairs", wanted)
        refused = run("capture_reflection", pictures, tmp_path / "pairs", *arguments,
                      DISPLAY=display)  # fmt: skip
        assert refused.returncode == 2
        assert f"holds {len(known)} pairs of a recording that was cut short" in refused.stderr
        done = subprocess.run(command, env={**os.environ, "DISPLAY": display}, check=False,
                              capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert [p.name for p in tmp_path.glob("*pairs*")] == ["pairs"]
        rows = rows_of(tmp_path / "pairs")
        assert [int(row.split(",")[0]) for row in rows] == [*range(1, wanted + 1)]
        times = [float(row.split(",")[1]) for row in rows]
        assert times == sorted(set(times))
        for kind in ("screen", "camera"):
            names = sorted(p.name for p in (tmp_path / "pairs" / kind).iterdir())
            assert names == [f"{i:05}.png" for i in range(1, wanted + 1)]
        before = None
        for i, row in enumerate(rows, 1):
            assert i not in known or (row, *files_of(tmp_path / "pairs", i)) == known[i]
            seen = iio.imread(tmp_path / "pairs" / "camera" / f"{i:05}.png").mean() / 30
            # A life begins with the second picture: the first is taken to measure its size.
            assert abs(seen - (1 if i in begins else (before + 1) % 8)) < 0.1
            before = round(seen)

    def test_other_pictures_than_those_before_are_refused(
        self, pictures, camera, display, tmp_path
    ):
        """Fails where pairs of two sizes are mixed, or a camera that ends loses all pairs."""
        part = tmp_path / "pairs.part"
        for kind in ("screen", "camera"):
            (part / kind).mkdir(parents=True)
            iio.imwrite(part / kind / "00001.png", np.zeros((20, 30, 3), np.uint8))
        (part / "times.csv").write_text("pair,screen_s,camera_s\n1,1.000,1.000\n2,1.5")
        result = run(
            "capture_reflection", pictures, tmp_path / "pairs", "--camera", camera, "--resume",
            "--pairs", 5, DISPLAY=display,
        )  # fmt: skip
        assert result.returncode == 2
        assert "those of the pairs that are there" in result.stderr
        assert "1 pairs are kept, go on with --resume" in result.stderr
        assert rows_of(part) == ["1,1.000,1.000"]

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
