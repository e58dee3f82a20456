"""Fail where images simulated from results do not tell right results from wrong ones."""

import dataclasses
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from pages import Page

import mcnn_keras as mcnn
from mcnn_keras.files import Axis, write_recording
from mcnn_keras.inference import consistency
from mcnn_keras.inference.consistency import Consistency
from mcnn_keras.inference.planning import plan
from mcnn_keras.inference.stream import execute
from mcnn_keras.models import Channels, Output
from mcnn_keras.models.saving import read_card
from mcnn_keras.problems import Laplacian, Reflection, forward_of
from mcnn_keras.problems.base import AVERAGED, simulator

MODELS = Path(__file__).parent / "data" / "models"
SIZE = 64


class Engine:
    """A network whose answers are set, one for each image."""

    name, precision, stride = "set", "float32", 4

    def __init__(self, card, answers):
        sizes = {"image_size": SIZE}  # no margins are added
        self.card = dataclasses.replace(card, channels=None, training=sizes)
        self.answers_left = list(answers)

    def compute(self, batch):
        return np.float32([np.atleast_3d(self.answers_left.pop(0)) for _ in batch])


def lines_of(card, model, images, answers, tmp_path, further=None, **options):
    """What a run says, whose network gives these answers."""
    axes = [Axis(name, n) for name, n in zip("tyx"[-images.ndim :], images.shape, strict=True)]
    frames = images.reshape(-1, *images.shape[-2:]).astype(np.float32)
    write_recording(tmp_path / "in.tif", frames, axes)
    told = []
    jobs = plan(model, card, [str(tmp_path / "in.tif")], tmp_path / "out.tif")
    execute(model, jobs, told.append, Engine(card, answers), forward_of=further, overwrite=True,
            **options)  # fmt: skip
    return told


def slow_image(phase, z, wavelength=0.65, pixel=0.31, aperture=0.45):
    """The intensity at a plane, by sums over all frequencies, without a fast transform."""
    n = len(phase)
    place = np.arange(n)
    frequency = np.where(place < n / 2, place, place - n) / (n * pixel)
    to = np.exp(-2j * np.pi * np.outer(place, place) / n)
    waves = to @ np.exp(1j * phase) @ to.T
    f2 = frequency[:, None] ** 2 + frequency**2
    k = 1 / wavelength
    height = np.sqrt(np.maximum(k**2 - f2, 0))
    waves = waves * np.exp(2j * np.pi * z * (height - k)) * (f2 <= (aperture * k) ** 2)
    back = to.conj() / n
    return np.abs(back @ waves @ back.T) ** 2


@pytest.fixture(scope="module")
def phase():
    """A cell with grains, far from the borders."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    cell = np.sqrt(np.clip(1 - (y**2 + x**2) / 14**2, 0, 1))
    grains = np.exp(-((y - 3) ** 2 + (x + 4) ** 2) / 4) - np.exp(-((y + 5) ** 2 + x**2) / 6)
    found = 0.8 * cell + 0.5 * grains
    return (found - found.mean()).astype(np.float32)


@pytest.fixture(scope="module")
def card():
    return read_card(MODELS / "phase.h5")


def changed(phase, how):
    return {"right": phase, "negative": -phase, "shifted": np.roll(phase, 9, axis=1)}[how]


class TestPhase:
    """The model's plane is at -20 um."""

    @pytest.mark.parametrize(
        ("how", "z", "right"),
        [("right", -20, True), ("negative", -20, False), ("shifted", -20, False),
         ("right", 20, False), ("right", -120, False)],
    )  # fmt: skip
    def test_a_right_phase_agrees_and_a_wrong_one_is_told(
        self, how, z, right, card, phase, tmp_path
    ):
        """Fails where a right phase is doubted, or a negative, shifted or other plane's is not."""
        image = 300 * slow_image(phase, z)
        told = lines_of(card, MODELS / "phase.h5", image, [changed(phase, how)], tmp_path)
        line = next(line for line in told if "agreement" in line)
        assert "it does not prove the optics, nor the sign of the defocus" in line
        found = float(line.split("images ")[1].split()[0])
        warnings = [line for line in told if line.startswith("Warning: ")]
        assert (found > 0.98) == right
        assert (found < 0.5) != right
        assert len(warnings) == (not right)
        for warning in warnings:
            assert "only; check planes, their sign, wavelength and pixel size" in warning
            told = float(warning.split("with yours by ")[1].split()[0])
            assert told == pytest.approx(found, abs=0.006)

    def test_of_a_stack_one_line_tells_of_the_worst(self, card, phase, tmp_path):
        """Fails where a wrong image hides among right ones, or each has a line of its own."""
        images = np.stack([100 * slow_image(phase, -20)] * 5)
        answers = [changed(phase, "negative" if i == 3 else "right") for i in range(5)]
        told = lines_of(card, MODELS / "phase.h5", images, answers, tmp_path)
        (line,) = (line for line in told if "agreement" in line)
        assert "of image 3 (counted from 0), the worst of 5; median 0.99" in line
        (warning,) = (line for line in told if line.startswith("Warning: "))
        place = "in.tif, image 3 (counted from 0; 1 of 5 are too low): images simulated from this"
        assert place in warning

    def test_of_a_long_stack_some_are_simulated(self, card, phase, tmp_path, monkeypatch):
        """Fails where a long recording is simulated as a whole, or it is not said how many are."""
        monkeypatch.setattr(consistency, "MOST", 4)
        images = np.stack([100 * slow_image(phase, -20)] * 9)
        told = lines_of(card, MODELS / "phase.h5", images, [phase] * 9, tmp_path)
        assert any("the worst of 3 that were looked at, of 9" in line for line in told)

    def test_the_limit_is_that_of_the_card(self, card, phase, tmp_path):
        """Fails where the limit of a calibrated model is not used."""
        image = slow_image(phase, -20)
        for least, doubted in ((0.999999, True), (-1.0, False)):
            own = dataclasses.replace(card, calibration={"least agreement": least})
            told = lines_of(own, MODELS / "phase.h5", image, [phase], tmp_path)
            assert any("correlate with yours" in line for line in told) == doubted

    def test_two_planes_with_amplitude_are_compared_each(self, phase):
        """Fails where planes are exchanged, or the amplitude is left out."""
        two = read_card(MODELS / "phase_two_planes_amplitude.h5")
        images = np.stack([slow_image(phase, z) for z in (-20, 30)], axis=-1)
        answers = np.stack([phase, np.ones_like(phase)])
        assert min(Consistency(two).scores(answers, images)) > 0.98
        assert max(Consistency(two).scores(answers, images[..., ::-1])) < 0.5
        bent = np.stack([phase, 1 - 0.5 * (phase > 0.5)])
        assert max(Consistency(two).scores(bent, images)) < 0.9

    def test_optics_that_the_card_does_not_tell_are_not_guessed(self, card, phase, tmp_path):
        """Fails where a default wavelength is used."""
        bare = dataclasses.replace(card, config={}, conditions={"defocus": [-20.0]})
        told = lines_of(bare, MODELS / "phase.h5", slow_image(phase, -20), [phase], tmp_path)
        (line,) = (line for line in told if "simulated" in line)
        assert "the model's card does not tell its wavelength and pixel size" in line
        assert not any("agreement" in line for line in told)

    def test_the_report_shows_what_was_simulated(self, card, phase, tmp_path):
        """Fails where the simulated image or the residual is not that of the slow reference."""
        image = 300 * slow_image(phase, -20)
        image[30:34, 20:24] += 90  # what the phase does not explain
        page = tmp_path / "r.html"
        lines_of(card, MODELS / "phase.h5", image, [phase], tmp_path, report=page)
        pictures = dict(Page(page).pictures)
        assert list(pictures) == [
            "Input at -20 um", "Result", "Simulated from the result at -20 um",
            "Residual at -20 um",
        ]  # fmt: skip
        shown = pictures["Simulated from the result at -20 um"][..., 0].astype(float)
        low, high = np.percentile(image, (0.2, 99.8))
        wanted = 255 * np.clip((300 * slow_image(phase, -20) - low) / (high - low), 0, 1)
        assert np.abs(shown - wanted)[8:-8, 8:-8].mean() < 5
        residual = pictures["Residual at -20 um"].astype(int)
        warm = residual[..., 0] - residual[..., 2]
        assert warm[31:33, 21:23].min() > 100
        assert np.abs(warm[8:24, 8:-8]).mean() < 40
        assert "correlation of input and simulation" in Page(page).words("th", "td")

    def test_too_large_images_are_left_out_with_a_line(self, card, phase, tmp_path, monkeypatch):
        """Fails where the memory of a huge image is taken, or nothing is said."""
        monkeypatch.setattr(consistency, "PIXELS", SIZE)
        told = lines_of(
            card, MODELS / "phase.h5", slow_image(phase, -20), [phase], tmp_path,
            report=tmp_path / "r.html",
        )  # fmt: skip
        assert any("it has more than 64 pixels" in line for line in told)
        assert len(Page(tmp_path / "r.html").pictures) == 2


def card_of(problem, outputs=1, channels=1, scale=1):
    """The card of a problem's model that was never trained."""
    return dataclasses.replace(
        read_card(MODELS / "paired.h5"), problem=problem.name, config=problem.config(),
        inputs=Channels(channels), outputs=tuple(Output(f"o{i}") for i in range(outputs)),
        normalization=problem.normalization, conditions={}, channels=None, calibration={},
        network={"input_channels": channels, "output_channels": outputs, "scale": scale},
    )  # fmt: skip


class TestLaplacian:
    def test_it_is_that_of_finite_differences(self, rng):
        """Fails where the simulated Laplacian is not the sum over neighbours, or is scaled."""
        picture = rng.random((24, 31)).astype(np.float32)
        for boundary, mode in (("zero", "constant"), ("open", "symmetric")):
            own = card_of(Laplacian(boundary=boundary))
            forward = forward_of(own)
            around, expected = np.pad(picture, 1, mode=mode), -16.0 * picture
            for down, across in np.ndindex(3, 3):
                weight = (2 - abs(down - 1)) * (2 - abs(across - 1))
                expected = expected + weight * around[down : down + 24, across : across + 31]
            found = forward.simulate(picture[..., None])[..., 0]
            np.testing.assert_allclose(found, expected, atol=1e-5)
            assert forward.lost == ""

    def test_the_command_tells_right_from_wrong_and_keeps_the_scale(self, tmp_path, rng):
        """Fails where a wrong picture agrees, or half of a picture leaves no residual."""
        problem = Laplacian()
        own = card_of(problem)
        picture = np.asarray(problem.targets(tf.constant([5, 6]), SIZE, "test"))
        clean = forward_of(own).simulate(picture)[..., 0]
        image = clean + 0.01 * rng.normal(size=clean.shape)
        told = lines_of(own, MODELS / "paired.h5", image, [picture], tmp_path, forward_of)
        (line,) = (line for line in told if "agreement" in line)
        assert "(1 is perfect; noise lowers it)" in line
        inner = slice(3, -3)
        best = np.corrcoef(clean[inner, inner].ravel(), image[inner, inner].ravel())[0, 1]
        assert f"images {best:.3f} " in line
        told = lines_of(own, MODELS / "paired.h5", image, [-picture], tmp_path, forward_of)
        assert any(f"images {-best:.3f} " in line for line in told)
        assert not any(line.startswith("Warning") for line in told)  # no limit is known
        halved = Consistency(own, forward_of).images(picture[None, ..., 0] / 2, image[..., None])
        np.testing.assert_allclose(halved[..., 0], clean / 2, atol=1e-5)
        own.calibration["least agreement"] = 0.3
        told = lines_of(own, MODELS / "paired.h5", image, [-picture], tmp_path, forward_of)
        (warning,) = (line for line in told if line.startswith("Warning: "))
        assert "only; check that your images are of the kind" in warning


def test_a_photograph_of_the_wall_is_that_of_a_still_quiet_camera():
    """Fails where the middle of what varies is not taken, or the mirrored rows are not."""
    still = {"vibration": (0, 0), "delay": (0, 0), "read_out": (0, 0), "counts": (1e12, 1e12)}
    problem = Reflection(ranges={**still, "exposure": (1.1, 1.1)})
    sample = problem.sample(tf.constant([3, 4]), 128, "test")
    problem.ranges["exposure"] = (0.9, 1.1)
    found = 1.1 ** (1 / 2.2) * simulator(problem, 2, {})(sample.target.numpy())
    dark = sample.image.numpy() < 0.99  # not cut off
    np.testing.assert_allclose(found[dark], sample.image.numpy()[dark], atol=4e-3)
    colours = dataclasses.replace(card_of(Reflection(), 3, 3, 2))
    known = Consistency(colours, forward_of)
    answers = np.moveaxis(sample.target.numpy(), -1, 0)
    assert known.forward.lost == "gain"
    assert min(known.scores(answers, sample.image.numpy())) > 0.99
    apart = known.images(answers, sample.image.numpy()) - sample.image.numpy()
    assert np.abs(apart[dark]).mean() < 4e-3  # the exposure is fitted


class Doubling:
    """A user's problem; without noise."""

    name = "doubling"
    noise = 0.0

    def targets(self, seed, size, split):
        return tf.random.stateless_uniform((size, size, 1), seed)

    def observe(self, target, seed):
        return 2 * target + 3 + self.noise * tf.random.stateless_normal(target.shape, seed)

    def config(self):
        return {}


class Noisy(Doubling, mcnn.Problem):
    noise = 0.2


class Failing(Doubling):
    def observe(self, target, seed):
        raise RuntimeError("no lens")


class Blind(Doubling):
    def observe(self, target, seed):
        return np.nan * target


class Small(Doubling):
    def observe(self, target, seed):
        return target[:-2]


class Own(Doubling, mcnn.Problem):
    def sample(self, seed, size, split="train"):
        return None


class Explained(Own):
    def noise_free(self, target):
        return 2 * target + 3


@pytest.fixture
def installed(monkeypatch):
    """As if another package offered a problem; call with its class."""

    def install(cls):
        point = EntryPoint("doubling", "test_consistency:Doubling", "mcnn_keras.problems")
        monkeypatch.setattr(EntryPoint, "load", lambda self: cls)
        for module in ("importlib.metadata", "mcnn_keras.problems"):
            monkeypatch.setattr(f"{module}.entry_points", lambda group: [point])
        return card_of(mcnn.problems.as_problem(cls()))

    return install


class TestOwnProblems:
    @pytest.mark.parametrize("cls", [Doubling, Noisy, Explained])
    def test_a_users_forward_model_is_used(self, cls, installed, tmp_path, rng):
        """Fails where its noise is taken for the image, or it is not used."""
        own = installed(cls)
        picture = rng.random((SIZE, SIZE)).astype(np.float32)
        clean = 2 * picture + 3
        found = forward_of(own).simulate(picture[..., None])[..., 0]
        error = cls.noise / np.sqrt(AVERAGED) if cls is Noisy else 0.0
        assert np.std(found - clean) == pytest.approx(error, rel=0.1, abs=1e-6)
        told = lines_of(own, MODELS / "paired.h5", clean, [picture], tmp_path, forward_of)
        assert any("agreement with the images " in line for line in told)

    @pytest.mark.parametrize(
        ("cls", "reason"),
        [
            (Failing, "no lens"),
            (Blind, "NaN"),
            (Small, "gives (62, 64, 1), not (64, 64, 1)"),
            (Own, "noise_free"),
            (None, "not installed here"),
        ],
    )
    def test_what_cannot_be_simulated_is_told_in_a_line(
        self, cls, reason, installed, tmp_path, rng
    ):
        """Fails where an error of a user's code costs the result, or nothing is said."""
        own = card_of(mcnn.problems.as_problem(Doubling())) if cls is None else installed(cls)
        picture = rng.random((SIZE, SIZE)).astype(np.float32)
        told = lines_of(
            own, MODELS / "paired.h5", picture, [picture], tmp_path, forward_of,
            report=tmp_path / "r.html",
        )  # fmt: skip
        (line,) = (line for line in told if "no images are simulated from the results" in line)
        assert reason in line
        assert (tmp_path / "out.tif").exists()
        assert len(Page(tmp_path / "r.html").pictures) == 2

    def test_a_problem_object_can_be_given(self, rng):
        """Fails where Python cannot name a problem that is not installed."""
        picture = rng.random((9, 9, 1)).astype(np.float32)
        found = forward_of(
            card_of(mcnn.problems.as_problem(Doubling())), problem=Doubling()
        ).simulate(picture)
        np.testing.assert_allclose(found, 2 * picture + 3, rtol=1e-6)


def test_pairs_and_frames_say_nothing_and_do_not_load_tensorflow():
    """Fails where denoising in ONNX Runtime waits for TensorFlow, or pairs are read again."""
    code = (
        "import sys; from mcnn_keras.models.saving import read_card\n"
        "from mcnn_keras.problems import forward_of\n"
        "for path in sys.argv[1:]: assert forward_of(read_card(path)) is None\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    paths = [str(MODELS / f"{name}.h5") for name in ("paired", "denoise", "phase")]
    assert subprocess.run([sys.executable, "-c", code, *paths]).returncode == 0
    assert Consistency(read_card(MODELS / "paired.h5"), forward_of).left_out == []
