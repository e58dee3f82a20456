"""Fail where a model of any planes depends on their order, their number or the unit of length."""

import itertools
import json

import numpy as np
import pytest
import tensorflow as tf
import tifffile

from mcnn_keras import InputError, Optics, cli, evaluate, load, predict, save, train
from mcnn_keras.channels.wave import COUNT, PHASE_SCALE, wave_estimates
from mcnn_keras.cli.problems import PhaseOptions
from mcnn_keras.focal_series.network import at_any_planes, enlarged, halved, with_slow
from mcnn_keras.inference.any_planes import outside
from mcnn_keras.models import AnyPlanes
from mcnn_keras.physics import contrast_transfer as transfer
from mcnn_keras.physics.agreement import agreement
from mcnn_keras.physics.waves import defocus_stack
from mcnn_keras.problems import Phase, kind
from mcnn_keras.problems.any_phase import RANGES, AnyPhase, drawn_instrument
from mcnn_keras.training.pipeline import measurements

OPTICS = Optics(0.65, 0.31, 0.45)
TINY = {
    "image_size": 32, "samples": 8, "epochs": 1, "batch_size": 4, "filters": (4, 6),
    "branches": 1, "precision": "float32", "mixed_sizes": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return train(AnyPhase(ranges={"planes": (1, 4)}), **TINY).model


def series(rng, planes, size=64, optics=OPTICS):
    phase = rng.standard_normal((size, size))
    phase = np.fft.ifft2(np.fft.fft2(phase) * np.exp(-((20 * np.fft.fftfreq(size)) ** 2))).real
    wave = np.exp(0.3j * phase / phase.std()).astype(np.complex64)
    images = defocus_stack(wave, np.array(planes, float), optics)
    return images + 0.01 * rng.standard_normal(images.shape).astype(np.float32)


class TestChannels:
    def test_their_number_is_not_that_of_the_planes(self, rng):
        """Fails where a plane adds a channel, or the order of the planes changes one."""
        planes = [-52.0, 10.0, 0.0, 52.0]
        contrast = series(rng, planes) - 1
        found = wave_estimates(contrast, {"defocus": planes, **OPTICS.conditions()})
        assert found.shape == (64, 64, COUNT)
        order = [3, 1, 0, 2]
        other = {"defocus": [planes[i] for i in order], **OPTICS.conditions()}
        again = wave_estimates(contrast[..., order], other)
        np.testing.assert_allclose(again, found, atol=1e-3)
        single = wave_estimates(contrast[..., :1], {"defocus": [-52.0], **OPTICS.conditions()})
        assert single.shape == (64, 64, COUNT)

    def test_only_pixels_count_and_not_the_unit_of_length(self, rng):
        """Fails where a length is not compared with the pixels or the wavelength."""
        planes = np.array([-52.0, 20.0])
        contrast = series(rng, planes) - 1
        found = wave_estimates(contrast, {"defocus": planes, **OPTICS.conditions()})
        larger = Optics(2 * 0.65, 2 * 0.31, 0.45)
        again = wave_estimates(contrast, {"defocus": 2 * planes, **larger.conditions()})
        np.testing.assert_allclose(again, found, atol=2e-3)

    def test_a_weak_object_looks_like_a_weaker_one(self, rng):
        """Fails where an estimate is not divided by the contrast, or a phase by its own size."""
        planes = [-52.0, 20.0]
        contrast = series(rng, planes) - 1
        contrast *= 0.02 / contrast.std()
        told = {"defocus": planes, **OPTICS.conditions()}
        first, half = wave_estimates(contrast, told), wave_estimates(contrast / 2, told)
        images = slice(0, PHASE_SCALE)
        np.testing.assert_allclose(half[..., images], first[..., images], atol=0.05)

    def test_planes_that_the_graph_does_not_know_are_alike(self, rng):
        """Fails where the number of planes must be known before the samples are drawn."""
        planes = [-52.0, 10.0, 52.0]
        contrast = (series(rng, planes) - 1).astype(np.float32)
        told = {"defocus": planes, **OPTICS.conditions()}
        expected = wave_estimates(contrast, told)

        @tf.function(
            input_signature=[
                tf.TensorSpec((64, 64, None), tf.float32), tf.TensorSpec((None,), tf.float32)
            ]
        )  # fmt: skip
        def found(images, defocus):
            return wave_estimates(images, {**told, "defocus": defocus})

        answer = found(contrast, tf.constant(planes, tf.float32))
        np.testing.assert_allclose(answer, expected, atol=2e-3 * np.abs(expected).max())


class TestProblem:
    def test_instruments_lie_within_their_ranges(self):
        """Fails where a plane or a wavelength is drawn outside of what the card says."""
        counts = set()
        for number in range(60):
            found = drawn_instrument(tf.constant([1, number], tf.int64), RANGES)
            found = {k: v.numpy() if np.ndim(v) else float(v) for k, v in found.items()}
            optics = Optics.from_conditions(
                {k: v for k, v in found.items() if k != "numerical_aperture"}
            )
            u = np.abs(transfer.dimensionless(found["defocus"], optics)).max()
            assert RANGES["defocus"][0] * 0.99 < u < RANGES["defocus"][1] * 1.01
            assert RANGES["wavelength"][0] <= found["wavelength"] <= RANGES["wavelength"][1]
            assert len(set(found["defocus"])) == len(found["defocus"])
            assert np.abs(found["defocus"]).max() > 0
            counts.add(len(found["defocus"]))
        assert {1, 2, 3, 4} <= counts
        assert max(counts) <= RANGES["planes"][1]

    def test_one_plane_shows_objects_that_hardly_absorb(self):
        """Fails where samples ask of one plane what it cannot tell."""
        problem = AnyPhase(ranges={"planes": (1, 1)})
        for number in range(12):
            sample = problem.sample(tf.constant([0, number], tf.int64), 32)
            assert sample.image.shape[-1] == 1 or tf.shape(sample.image)[-1] == 1
            assert sample.target[..., 1].numpy().min() > 0.89

    def test_a_config_makes_the_same_samples(self):
        """Fails where a range is lost on the way through a card."""
        problem = AnyPhase(ranges={"planes": (2, 2), "phase_span": (1, 2)})
        told = json.loads(json.dumps(problem.config()))
        again = kind("any_phase").from_config(told)
        seed = tf.constant([3, 4], tf.int64)
        first, second = problem.sample(seed, 32), again.sample(seed, 32)
        np.testing.assert_array_equal(first.image, second.image)
        np.testing.assert_array_equal(first.target, second.target)

    def test_answers_have_the_scale_of_the_object(self, model, rng):
        """Fails where the network's answer is not multiplied by its channel, or by the contrast.

        A weak object of half the phase has half the answer of any network.
        """
        images = series(rng, [-52.0, 52.0])
        contrast = 0.01 * (images - images.mean((0, 1)))
        told = {"defocus": [-52, 52], "conditions": OPTICS.conditions(), "axes": "yxz"}
        one, half = (predict(model, 1 + c, **told)[..., 0] for c in (contrast, contrast / 2))
        assert np.abs(one).max() > 0
        np.testing.assert_allclose(half, one / 2, atol=0.1 * np.abs(one).max())


class TestPrediction:
    def test_the_order_of_the_planes_does_not_matter(self, model, rng):
        """Fails where the answer differs in a single bit."""
        planes = [-52.0, 10.0, 0.0, 33.0]
        images = series(rng, planes)
        told = {"conditions": OPTICS.conditions(), "axes": "yxz"}
        first = predict(model, images, defocus=planes, **told)
        assert first.shape == (64, 64, 2)
        order = [2, 3, 1, 0]
        again = predict(model, images[..., order], defocus=[planes[i] for i in order], **told)
        np.testing.assert_array_equal(first, again)

    def test_a_file_answers_as_the_model_does(self, model, rng, tmp_path):
        """Fails where the card loses that planes are free, or the scale of the answers."""
        save(model, tmp_path / "any.h5")
        loaded = load(tmp_path / "any.h5")
        assert isinstance(loaded.card.inputs, AnyPlanes)
        images = series(rng, [-52.0, 52.0])
        told = {"defocus": [-52, 52], "conditions": OPTICS.conditions(), "axes": "yxz"}
        np.testing.assert_array_equal(
            predict(loaded, images, **told), predict(model, images, **told)
        )
        assert evaluate(loaded, samples=2)["network"]["mae"]["phase"] > 0

    @pytest.mark.parametrize(
        ("told", "message"),
        [
            ({}, "needs those of the images"),
            ({"defocus": [-52, -52]}, "names a plane twice"),
            ({"defocus": [0.0]}, "all planes are in focus"),
            ({"defocus": [-52]}, "1 planes were given for an array"),
            ({"defocus": [-52, 52]}, "needs the wavelength"),
        ],
    )
    def test_what_is_missing_is_named(self, told, message, model, rng):
        """Fails where a model of any planes answers without its planes or optics."""
        with pytest.raises(InputError, match=message):
            predict(model, series(rng, [-52.0, 52.0]), axes="yxz", **told)

    def test_what_lies_outside_is_named(self, model):
        """Fails where a measurement that no sample was like passes without a word."""
        assert not outside(model.card, [-52.0, 52.0], OPTICS)
        lines = outside(model.card, [float(z) for z in range(1, 41)], Optics(0.65, 0.01, 0.45))
        assert len(lines) == 4
        assert "number of planes is 40" in lines[0]
        assert "1 to 4" in lines[0]


class TestFields:
    def test_halves_and_doubles_keep_the_mean(self, rng):
        """Fails where pixels are lost or a field is shifted."""
        field = rng.random((16, 24)).astype(np.float32)
        assert halved(field).mean() == pytest.approx(field.mean(), rel=1e-6)
        ramp = np.arange(12.0)[:, None] + np.zeros((12, 8))
        np.testing.assert_allclose(enlarged(halved(ramp))[2:-2], ramp[2:-2], atol=1e-6)

    def test_slow_changes_come_from_the_other_phase(self):
        """Fails where fine detail comes from there, or slow changes do not."""
        x = np.arange(512)
        slow, fine = np.cos(2 * np.pi * x / 512), np.cos(2 * np.pi * x / 16)
        one = np.repeat((0.2 * slow + fine)[None], 64, 0)
        found = with_slow(one, np.repeat(slow[None], 64, 0))
        np.testing.assert_allclose(found[0], slow + fine, atol=0.05)

    def test_a_wide_field_is_answered_whole(self, model, rng):
        """Fails where a field of odd size comes back in another, or with a mean."""
        images = series(rng, [-52.0, 52.0], 203)[:, :190]
        phase, amplitude = at_any_planes(model, images, [-52.0, 52.0], OPTICS)
        assert phase.shape == amplitude.shape == (203, 190)
        assert abs(phase.mean()) < 1e-5


class TestAgreement:
    def test_the_truth_explains_its_images(self, rng):
        """Fails where a wave is not compared with its own images, or its sign does not matter."""
        phase = 0.5 * np.cos(2 * np.pi * np.arange(96) / 24)[:, None] * np.ones(96)
        wave = np.exp(1j * phase).astype(np.complex64)
        images = defocus_stack(wave, np.array([-30.0, 30.0]), OPTICS)
        assert min(agreement(phase, None, images, [-30.0, 30.0], OPTICS)) > 0.99
        assert max(agreement(-phase, None, images, [-30.0, 30.0], OPTICS)) < 0


class TestEvaluation:
    def test_errors_are_in_radians(self, model):
        """Fails where errors are in each sample's own scale, or the truth keeps its mean."""
        found = evaluate(model, AnyPhase(), samples=3, image_size=64, seed=2)
        stream = measurements(AnyPhase(), "test", 64, seed=2)
        truths = [s["target"].numpy()[..., 0] for s in itertools.islice(stream, 3)]
        zero = np.mean([np.abs(t - t.mean()).mean() for t in truths])
        assert found["zero"]["mae"]["phase"] == pytest.approx(zero, rel=1e-5)
        assert found["zero"]["mae"]["amplitude"] < 0.5
        assert set(found) == {"network", "zero"}

    def test_given_planes_have_transport_of_intensity_beside_them(self):
        """Fails where what a network must beat is missing, or in another unit."""
        problem = Phase([-20.0, 20.0], input="estimates")
        model = train(problem, **TINY, start=None).model
        found = evaluate(model, problem, samples=3, image_size=64)
        transport = found["transport of intensity"]["mae"]["phase"]
        assert 0 < transport < found["zero"]["mae"]["phase"]
        assert found["network"]["mae"]["phase"] > 0


class TestCommand:
    @pytest.fixture
    def run(self, monkeypatch):
        import warnings

        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

        def command(*arguments):
            with pytest.raises(SystemExit) as end:
                cli.main([str(a) for a in arguments])
            return end.value.code

        return command

    def test_a_stack_becomes_a_phase(self, model, rng, tmp_path, run, capfd):
        """Fails where planes in a list, an order or a file give different answers, or none."""
        save(model, tmp_path / "any.h5")
        planes = [39.0, -88.0]
        images = np.moveaxis(series(rng, planes), -1, 0)
        tifffile.imwrite(tmp_path / "in.tif", images.astype(np.float32))
        tifffile.imwrite(tmp_path / "turned.tif", images[::-1].astype(np.float32))
        optics = ["--wavelength", 0.65, "--pixel-size", 0.31, "--model", tmp_path / "any.h5"]
        (tmp_path / "list.dat").write_text("39\n-88\n")
        ways = {
            "a": ["in.tif", "--defocus", 39, "--defocus", -88],
            "b": ["turned.tif", "--defocus", "-88,39"],
            "c": ["in.tif", "--defocus", tmp_path / "list.dat"],
        }
        for name, (file, *way) in ways.items():
            out = tmp_path / f"{name}.tif"
            assert run("phase", tmp_path / file, *way, *optics, "--refine", "--output", out) == 0
            assert (tmp_path / f"{name}.png").exists()
        said = capfd.readouterr().out
        assert said.count("refined: agreement with the images") == 3
        found = [tifffile.imread(tmp_path / f"{name}.tif") for name in ways]
        assert found[0].shape == (2, 64, 64)
        np.testing.assert_array_equal(found[0], found[1])
        np.testing.assert_array_equal(found[0], found[2])
        with tifffile.TiffFile(tmp_path / "a.tif") as file:
            assert "agreement" in str(file.imagej_metadata)

    def test_one_plane_says_that_the_amplitude_is_a_guess(self, model, rng, tmp_path, run, capfd):
        """Fails where an amplitude that nothing determines is given without a word."""
        save(model, tmp_path / "any.h5")
        tifffile.imwrite(tmp_path / "in.tif", series(rng, [30.0])[..., 0])
        code = run("phase", tmp_path / "in.tif", "--defocus", 3e5, "--wavelength", 0.65,
                   "--pixel-size", 0.31, "--model", tmp_path / "any.h5", "--output",
                   tmp_path / "out.tif")  # fmt: skip
        assert code == 0
        said = capfd.readouterr()
        assert "the amplitude is a guess" in said.out
        assert "the model was trained for 3 to 3000" in said.err

    def test_predict_points_to_the_right_command(self, model, rng, tmp_path, run, capfd):
        """Fails where `predict` takes a model that it cannot tell its planes."""
        save(model, tmp_path / "any.h5")
        tifffile.imwrite(tmp_path / "in.tif", series(rng, [30.0])[..., 0])
        code = run("predict", tmp_path / "any.h5", tmp_path / "in.tif", "--output",
                   tmp_path / "out.tif")  # fmt: skip
        assert code == 2
        assert "mcnn-keras phase" in capfd.readouterr().err

    def test_training_goes_on_at_given_planes(self, tmp_path, run, small_preset, monkeypatch):
        """Fails where a model of any planes is not trained by its name, or not held at planes."""
        words = "--image-size 64 --samples 8 --batch-size 4 --epochs 1 --precision float32".split()
        words += ["--one-size", "--preset", "fast", "--branches", "0"]
        folder = tmp_path / "any"
        assert run("train", "any_phase", *words, "--output", folder) == 0
        start = folder / "model.h5"
        two = ["train", "phase", "--defocus", "-20,30", *words]
        assert run(*two, "--start", start, "--output", tmp_path / "two") == 0
        card = load(tmp_path / "two" / "model.h5").card
        assert (card.problem, card.channels["name"]) == ("phase", "wave_estimates")
        assert card.training["before"]["image_size"] == 64
        assert card.inputs.defocus == (-20.0, 30.0)
        assert card.conditions["wavelength"] == 0.65
        assert [o.name for o in card.outputs] == ["phase", "amplitude"]
        begun = []

        def train_nothing(problem, *_):
            begun.append(problem)
            raise InputError("enough")

        monkeypatch.setattr("mcnn_keras.training.loop._train", train_nothing)
        assert run(*two, "--start", "none", "--output", tmp_path / "own") == 2
        assert (begun[0].name, begun[0].channels["name"]) == ("phase", "focus_estimates")

    def test_training_starts_from_the_shipped_model(self, tmp_path, run, capfd):
        """Fails where it starts from nothing unasked, or another network is asked for in vain."""
        words = "--image-size 64 --samples 4 --batch-size 4 --epochs 1 --precision float32".split()
        folder = tmp_path / "run"
        assert run("train", "phase", "--defocus", -108, *words, "--output", folder) == 0
        assert "starts from the model phase" in capfd.readouterr().out
        card = load(folder / "model.h5").card
        assert card.training["start"] == "phase"
        assert card.metrics["test_mae"] < 0.8 * card.metrics["constant_answer_mae"]

    @pytest.mark.parametrize(
        ("planes", "settings", "told"),
        [
            ([-108.0], {"branches": 1}, "--branches is given"),
            ([-5000.0], {}, "trained for 3 to 3000"),
            ([-108.0], {"start": None}, None),
        ],
    )
    def test_what_speaks_against_the_shipped_model(self, planes, settings, told):
        """Fails where another network is asked for in vain, or a model is used outside its range.

        Without a word, too.
        """
        options = PhaseOptions(defocus=(planes,))
        lines = options.begin(settings)
        assert options.input == "physical"
        assert told is None or f"{told}: the training starts from random weights" in lines[0]
