"""Fail where a long recording loses, mixes or repeats frames, above all after a break."""

import os
import signal
import subprocess
import sys
import threading
import time

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from conftest import TINY

from mcnn_keras import InputError, load, predict, train
from mcnn_keras.cli import main
from mcnn_keras.inference import filling, stream, tiles
from mcnn_keras.inference.engines import engine_of, measured_radius
from mcnn_keras.inference.planning import plan
from mcnn_keras.inference.spool import Spool
from mcnn_keras.inference.stack import predict_stack
from mcnn_keras.inference.stream import predict_files
from mcnn_keras.inference.watch import watch
from mcnn_keras.models import Channels, Contrast, ModelCard, Normalization, Output, Planes
from mcnn_keras.problems import Phase


@pytest.fixture
def one_plane(trained):
    return trained.folder / "model.h5"


@pytest.fixture
def frames(rng):
    return rng.random((40, 36, 40)).astype(np.float32) + 1


def test_each_frame_comes_back_at_its_place(one_plane, trained, frames, tmp_path):
    """Fails where frames are lost or swapped where one batch ends and the next begins."""
    np.save(tmp_path / "in.npy", frames)
    names = ([str(tmp_path / "in.npy")], tmp_path / "out.npy")
    out, _ = predict_files(one_plane, *names, batch_size=7)
    answers = np.load(out)
    assert answers.shape == frames.shape
    for i in (0, 6, 7, 39):
        np.testing.assert_allclose(answers[i], predict(trained.model, frames[i]), atol=1e-6)


def test_an_interrupted_run_goes_on_where_it_stopped(one_plane, frames, tmp_path, monkeypatch):
    """Fails where a frame that a kill cut short is taken for a whole one, or work is done twice."""
    np.save(tmp_path / "in.npy", frames)
    inputs = [str(tmp_path / "in.npy")]
    whole, _ = predict_files(one_plane, inputs, tmp_path / "whole.npy", batch_size=4)
    counted = []

    def interrupting(engine, stack, *rest):
        counted.append(len(stack))
        if len(counted) == 6:
            raise KeyboardInterrupt
        return prepared(engine, stack, *rest)

    prepared = filling.prepared
    monkeypatch.setattr(filling, "prepared", interrupting)
    with pytest.raises(KeyboardInterrupt, match=r"of 40 frames are done; .*--resume"):
        predict_files(one_plane, inputs, tmp_path / "out.npy", batch_size=4)
    assert not (tmp_path / "out.npy").exists()
    spool = tmp_path / ".out.npy.unfinished" / "frames.raw"
    done = spool.stat().st_size // (36 * 40 * 4)
    assert 8 <= done <= 20
    with open(spool, "ab") as file:  # a frame that a kill cut short
        file.write(b"half a frame")
    counted.clear()
    monkeypatch.setattr(filling, "prepared", lambda *a: counted.append(len(a[1])) or prepared(*a))
    out, _ = predict_files(one_plane, inputs, tmp_path / "out.npy", batch_size=4, resume=True)
    assert sum(counted) == 40 - done
    np.testing.assert_array_equal(np.load(out), np.load(whole))
    assert not spool.exists()


def test_what_is_left_of_other_inputs_is_not_gone_on_with(one_plane, frames, tmp_path):
    """Fails where frames of another recording are taken for the first ones of this."""
    folder = tmp_path / ".out.npy.unfinished"
    folder.mkdir()
    (folder / "identity.json").write_text('{"inputs": "others"}')
    (folder / "frames.raw").write_bytes(b"\0" * 36 * 40 * 4 * 10)
    np.save(tmp_path / "in.npy", frames)
    out, _ = predict_files(one_plane, [str(tmp_path / "in.npy")], tmp_path / "out.npy", resume=True)
    assert np.load(out).std(axis=(1, 2)).min() > 0


def test_a_killed_command_goes_on(exported, rng, tmp_path):
    """Fails where a kill leaves half a result, or --resume leaves frames out."""
    frames = rng.random((4000, 32, 32)).astype(np.float32) + 1
    np.save(tmp_path / "in.npy", frames)
    command = [
        sys.executable, "-m", "mcnn_keras", "predict", str(exported), str(tmp_path / "in.npy"),
        "--output", str(tmp_path / "out.npy"), "--batch-size", "1", "--resume",
    ]  # fmt: skip
    spool = tmp_path / ".out.npy.unfinished" / "frames.raw"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as run:
        while run.poll() is None and not (spool.exists() and spool.stat().st_size > 10 * 4096):
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    assert spool.exists()
    assert not (tmp_path / "out.npy").exists()
    command[command.index("--batch-size") + 1] = "64"
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    answers = np.load(tmp_path / "out.npy")
    assert answers.shape == frames.shape
    assert answers.std(axis=(1, 2)).min() > 0
    assert not spool.exists()


def test_one_bad_file_does_not_stop_the_others(one_plane, frames, tmp_path, capfd):
    """Fails where an unreadable file ends the run, or the run does not tell of it at the end."""
    folder = tmp_path / "day"
    folder.mkdir()
    for i in range(3):
        tifffile.imwrite(folder / f"{i}.tif", frames[i])
    (folder / "1.tif").write_bytes(b"II*\0 half")
    (folder / "notes.txt").write_text("no image")
    with pytest.raises(SystemExit) as end:
        main(["predict", str(one_plane), str(folder), "--output", str(tmp_path / "out")])
    assert end.value.code == 2
    told = capfd.readouterr()
    assert "1.tif cannot be read" in told.err
    assert "1 of 3 inputs failed" in told.err.splitlines()[-1]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "0.png", "0.tif", "2.png", "2.tif",
    ]  # fmt: skip


def test_patterns_name_files(one_plane, frames, tmp_path):
    """Fails where a pattern is taken for a file's name, or one that fits no file is passed over."""
    for i in range(2):
        np.save(tmp_path / f"in{i}.npy", frames[i])
    out = predict_files(one_plane, [str(tmp_path / "in*.npy")], tmp_path / "out")
    assert [p.name for p in out] == ["in0.npy", "in0.png", "in1.npy", "in1.png"]
    with pytest.raises(InputError, match="no file matches"):
        predict_files(one_plane, [str(tmp_path / "not*.npy")], tmp_path / "out")


def test_pixels_other_than_the_models_are_told(one_plane, frames, tmp_path, small_preset):
    """Fails where other pixels pass untold or are lost, or the offered command does not run."""
    told = []
    for size in (0.31, 0.5):
        tifffile.imwrite(
            tmp_path / "in.tif", frames[0], imagej=True, resolution=(1 / size, 1 / size),
            metadata={"unit": "um"},
        )  # fmt: skip
        names = ([str(tmp_path / "in.tif")], tmp_path / "out.tif")
        predict_files(one_plane, *names, say=told.append, overwrite=True)
        with tifffile.TiffFile(tmp_path / "out.tif") as file:
            numerator, denominator = file.pages[0].tags["XResolution"].value
        assert denominator / numerator == pytest.approx(size, rel=1e-5)
    told = [line for line in told if "the pixels of" in line]
    assert len(told) == 1
    assert "are 0.5 um, but the model was trained for images at -20 um from focus" in told[0]
    tifffile.imwrite(
        tmp_path / "in.tif", frames[0], imagej=True, resolution=(4, 2), metadata={"unit": "um"}
    )
    with pytest.raises(InputError, match=r"0\.5 um high and 0\.25 wide; scale the images"):
        predict_files(one_plane, [str(tmp_path / "in.tif")], tmp_path / "new.tif")
    # The command for these pixels is one that the command line takes.
    command = told[0].split("train a model for your images: mcnn-keras ")[1].split()
    assert command[command.index("--pixel-size") + 1] == "0.5"
    settings = [f"--{k.replace('_', '-')}={TINY[k]}" for k in ("samples", "epochs")]
    settings += ["--image-size=64", "--preset=fast"]
    with pytest.raises(SystemExit) as stop:
        main([*command, *settings, "--output", str(tmp_path / "run")])
    assert not stop.value.code
    card = load(tmp_path / "run" / "model.h5").card
    known = load(one_plane).card.config
    assert card.config["optics"] == known["optics"] | {"pixel_size": 0.5}
    assert card.config["defocus"] == known["defocus"]


def test_images_far_larger_than_those_of_training_are_told(one_plane, rng, tmp_path):
    """Fails where an image twice as wide as in training passes without a warning."""
    told = []
    for size in (TINY["image_size"], 2 * TINY["image_size"]):
        np.save(tmp_path / "in.npy", rng.random((size, size)) + 1)
        names = ([str(tmp_path / "in.npy")], tmp_path / "out.tif")
        predict_files(one_plane, *names, say=told.append, overwrite=True)
    told = [line for line in told if "too flat" in line]
    assert len(told) == 1
    assert "has 64 pixels, and the model was trained on 32" in told[0]
    assert told[0].endswith("--image-size 64")


def test_large_images_in_tiles_are_as_in_one_piece(optics, rng):
    """Fails where tiles see less around them than the network looks, which leaves seams."""
    model = train(Phase([-20.0], optics, input="intensity"), **TINY).model
    stack = rng.random((1, 200, 232, 1)).astype(np.float32) + 1
    whole = predict_stack(model, stack)
    engine = engine_of(model)
    reach = tiles.overlap(engine)
    assert 4 <= reach < 40
    tiled = predict_stack(model, stack, tile_size=96)
    assert np.abs(tiled - whole).max() < 1e-4 * whole.std()
    with pytest.raises(InputError, match="multiple of 4"):
        predict_stack(model, stack, tile_size=41)


def test_the_receptive_radius_is_that_of_the_layers():
    """Fails where the reach is measured too short, or along one axis alone."""

    class Blur:
        """A five-pixel average in place of a network."""

        card = ModelCard(
            "mine", {}, Channels(1), (Output("a"),), Normalization(),
            {"input_channels": 1, "output_channels": 1, "scale": 1}, {"image_size": 32},
        )  # fmt: skip
        stride = 4

        def compute(self, batch):
            import scipy.ndimage

            return scipy.ndimage.uniform_filter(batch, (1, 5, 11, 1))

    assert measured_radius(Blur(), size=64) == 5


def test_images_are_inverted_as_they_appear(one_plane, frames, tmp_path, monkeypatch):
    """Fails where a file is inverted while it is being written, or not once it is whole."""
    from mcnn_keras.inference import watch as module
    from mcnn_keras.models.saving import read_card

    monkeypatch.setattr(module, "REST", 0.3)
    monkeypatch.setattr(module, "PAUSE", 0.02)
    source, results = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    ended, told = threading.Event(), []

    def microscope():
        tifffile.imwrite(source / "a.tif", frames[0])
        data = (source / "a.tif").read_bytes()
        with open(source / "b.tif", "wb") as file:  # written in two parts, a while apart
            file.write(data[:3000])
            file.flush()
            time.sleep(0.9)
            assert not (results / "b.tif").exists()
            file.write(data[3000:])
        deadline = time.monotonic() + 20
        while not (results / "b.tif").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        ended.set()

    thread = threading.Thread(target=microscope)
    thread.start()
    watch(one_plane, read_card(one_plane), source, results, stop=ended.is_set, say=told.append)
    thread.join()
    assert sorted(p.name for p in results.iterdir()) == ["a.png", "a.tif", "b.png", "b.tif"]
    written = [t.split("/")[-1] for t in told if t.startswith("wrote") and t.endswith("tif")]
    assert written == ["a.tif", "b.tif"]
    assert any(t.startswith(f"{source}/b.tif: 1 frame of") for t in told)
    assert all("b.tif announces 1 frame" in t for t in told if t.startswith("failed"))
    with pytest.raises(InputError, match="name another"):
        watch(one_plane, read_card(one_plane), source, source)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="tells no peak of memory")
def test_memory_does_not_grow_with_the_recording(exported, tmp_path):
    """Fails where all frames, or all results, are held in memory."""
    code = (
        "import sys\n"
        "from mcnn_keras.inference.stream import predict_files\n"
        "predict_files(sys.argv[1], [sys.argv[2]], sys.argv[3], overwrite=True)\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
    )
    peaks = []
    for count in (1000, 4000):
        frames = np.random.default_rng(0).random((count, 64, 64)).astype(np.float32) + 1
        np.save(tmp_path / f"{count}.npy", frames)
        told = subprocess.run(
            [sys.executable, "-c", code, exported, tmp_path / f"{count}.npy", tmp_path / "o.tif"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        peaks.append(int(told.stdout.split()[-1]))
        os.remove(tmp_path / f"{count}.npy")
    # The longer recording has 66 MB, its result as much.
    assert peaks[1] < 1.1 * peaks[0] + 1


def test_a_video_shows_input_result_truth_and_difference(one_plane, frames, tmp_path):
    """Fails where the video lacks a frame or a panel, or a truth of another length is taken."""
    np.save(tmp_path / "in.npy", frames[:5])
    np.save(tmp_path / "truth.npy", frames[:5] - 1)
    names = ([str(tmp_path / "in.npy")], tmp_path / "out.npy")
    predict_files(one_plane, *names, video=tmp_path / "a.gif")
    assert iio.imread(tmp_path / "a.gif", mode="RGB").shape[:3] == (5, 36, 80)
    written = predict_files(
        one_plane, *names, video=tmp_path / "b.gif", truth=str(tmp_path / "truth.npy"), fps=4,
        overwrite=True,
    )  # fmt: skip
    assert written[-1] == tmp_path / "b.gif"
    video = iio.imread(tmp_path / "b.gif", mode="RGB")
    assert video.shape[:3] == (5, 36, 160)
    assert iio.immeta(tmp_path / "b.gif")["duration"] == 250
    assert np.corrcoef(video[2, :, :40, 0].ravel(), frames[2].ravel())[0, 1] > 0.95
    for wrong, message in (
        ({"video": "a.avi"}, "choose .gif or .mp4"),
        ({"truth": "a.npy"}, "add --video FILE"),
        ({"video": "a.gif", "truth": str(tmp_path / "in.npy"), "fps": 0}, "fps 0"),
    ):
        with pytest.raises(InputError, match=message):
            predict_files(one_plane, *names, overwrite=True, **wrong)
    np.save(tmp_path / "truth.npy", frames[:4])
    truth = str(tmp_path / "truth.npy")
    with pytest.raises(InputError, match=r"4 images of .* 5 of"):
        predict_files(one_plane, *names, overwrite=True, video=tmp_path / "c.gif", truth=truth)


def test_a_full_disk_does_not_lose_what_was_computed(one_plane, frames, tmp_path, monkeypatch):
    """Fails where frames that a full disk could not take are lost, or computed again."""
    np.save(tmp_path / "in.npy", frames)
    names = ([str(tmp_path / "in.npy")], tmp_path / "out.tif")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(stream, "write_recording", full)
        with pytest.raises(InputError, match=r"No space left on device; .* kept for --resume"):
            predict_files(one_plane, *names)
    monkeypatch.setattr(filling, "prepared", None)  # nothing is computed again
    predict_files(one_plane, *names, resume=True)
    assert tifffile.imread(tmp_path / "out.tif").shape == frames.shape
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.npy", "out.png", "out.tif"]


def test_measurements_of_several_outputs_are_resumed_whole(tmp_path):
    """Fails where half a measurement counts as one, or another model's frames are kept."""
    shape = (12, 4, 5)
    frames = np.arange(240, dtype=np.float32).reshape(shape)
    spool = Spool(tmp_path / "a.npy", shape, {}, together=2)
    spool.append(frames[:7])  # a kill between the outputs of the fourth measurement
    spool.leave()
    again = Spool(tmp_path / "a.npy", shape, {}, together=2, resume=True)
    assert again.done == 6
    again.append(frames[6:])
    np.testing.assert_array_equal(again.frames()[:], frames)
    again.remove()
    assert Spool(tmp_path / "a.npy", shape, {"model": "b"}, 2, resume=True).done == 0


def test_a_resumed_folder_goes_on_at_the_file_where_it_stopped(one_plane, frames, tmp_path):
    """Fails where finished files are made again, or one that has changed since is not."""
    for i in range(3):
        np.save(tmp_path / f"in{i}.npy", frames[i : i + 2])
    inputs, told = [str(tmp_path / "in*.npy")], []
    predict_files(one_plane, inputs, tmp_path / "out")
    for ending in ("npy", "png"):
        (tmp_path / "out" / f"in1.{ending}").unlink()
    np.save(tmp_path / "in2.npy", frames[5:7])  # written anew since, at an earlier time
    os.utime(tmp_path / "in2.npy", (1, 1))
    written = predict_files(one_plane, inputs, tmp_path / "out", resume=True, say=told.append)
    assert [p.name for p in written if p.suffix == ".npy"] == ["in1.npy", "in2.npy"]
    assert [t for t in told if "already" in t] == [
        f"{tmp_path / 'out' / 'in0.npy'} is there already"
    ]


def test_results_of_one_name_are_kept_apart(one_plane, frames, tmp_path):
    """Fails where files that differ in their ending alone replace each other's results."""
    np.save(tmp_path / "a.npy", frames[0])
    tifffile.imwrite(tmp_path / "a.tif", frames[1])
    written = predict_files(one_plane, [str(tmp_path / "a.*")], tmp_path / "out")
    assert [p.name for p in written] == ["a.npy.npy", "a.npy.png", "a.tif.tif", "a.tif.png"]


def test_the_output_is_refused_before_anything_is_computed(
    one_plane, frames, tmp_path, monkeypatch
):
    """Fails where an impossible output is found only once the frames are computed."""
    np.save(tmp_path / "in.npy", frames[0])
    monkeypatch.setattr(filling, "prepared", None)
    (tmp_path / "folder.tif").mkdir()
    for name, message in (("folder.tif", "folder"), ("a.jpg", "choose"), ("a", "extension none")):
        with pytest.raises(InputError, match=message):
            predict_files(one_plane, [str(tmp_path / "in.npy")], tmp_path / name)
    with pytest.raises(InputError, match="cannot hold int64"):
        predict_files(one_plane, [str(tmp_path / "in.npy")], tmp_path / "a.tif", dtype="int64")


def test_three_photographs_of_a_camera_are_three_planes(tmp_path, rng):
    """Fails where the colours of a photograph are taken for planes, or planes for colours."""
    network = {"input_channels": 3, "output_channels": 1, "scale": 1}
    planes = Planes((-5.0, 2.0, 5.0), (0.5, 0.5, 0.5))
    card = ModelCard("phase", {}, planes, (Output("phase"),), Contrast(), network,
                     {"image_size": 32})  # fmt: skip
    for i in range(3):
        iio.imwrite(tmp_path / f"{i}.png", rng.integers(0, 255, (40, 40, 3), np.uint8))
    inputs = [str(tmp_path / f"{i}.png") for i in range(3)]
    (job,) = plan("m.h5", card, inputs, tmp_path / "a.tif", defocus=[2, 5, -5])
    assert job.inputs == (inputs[2], inputs[0], inputs[1])
    card.inputs = Channels(3)  # colours
    assert len(plan("m.h5", card, inputs, tmp_path / "out")) == 3
