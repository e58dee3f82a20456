"""Fail where a stated interval does not hold the truth as often as it says."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from pages import Page

import mcnn_keras as mcnn
from mcnn_keras.errors import InputError
from mcnn_keras.files import open_recording, write_recording
from mcnn_keras.inference.stream import predict_files
from mcnn_keras.models import Fixed
from mcnn_keras.models.calibration import COVERAGE, Interval
from mcnn_keras.models.card import card_from
from mcnn_keras.problems import forward_of

LOW, HIGH = 0.03, 0.5
# A few in a hundred images of the training are called unusual, too.
pytestmark = pytest.mark.filterwarnings("ignore:.* unlike the images of the training")


class Noisy(mcnn.Problem):
    """Smooth fields; the noise of the right half is much stronger than that of the left half."""

    name = "noisy halves"
    normalization = Fixed(output_mean=10.0, output_deviation=4.0)
    recipe = {  # noqa: RUF012
        "image_size": 32, "samples": 1024, "epochs": 4, "batch_size": 16, "filters": (12, 16),
        "learning_rate": 4e-3, "precision": "float32",
    }  # fmt: skip

    def targets(self, seed, size, split):
        field = tf.random.stateless_normal((size // 8, size // 8, 1), seed)
        return 10.0 + 4.0 * tf.image.resize(field, (size, size), "bicubic")

    def observe(self, target, seed):
        size = target.shape[1]
        deviation = np.where(np.arange(size) < size // 2, LOW, HIGH).astype(np.float32)
        noise = tf.random.stateless_normal(target.shape, seed)
        return (target - 10.0) / 4.0 + deviation[:, None] * noise


@pytest.fixture(scope="module")
def trained():
    return mcnn.train(Noisy()).model


@pytest.fixture(scope="module")
def model(trained):
    return mcnn.calibrate(
        trained, Noisy(), samples=2048, calibration_samples=64, precision="float32"
    )


@pytest.fixture(scope="module")
def samples():
    problem = Noisy()
    seeds = [tf.constant([77, n], tf.int64) for n in range(64)]
    drawn = [problem.sample(seed, 32, "test") for seed in seeds]
    return np.stack([s.image for s in drawn]), np.stack([s.target for s in drawn])[..., 0]


class TestInterval:
    def test_it_holds_for_widths_that_are_wrong(self):
        # Errors with a normal distribution, whose predicted width is wrong by another factor for
        # each size.
        rng = np.random.default_rng(0)

        def drawn():
            scale = np.exp(rng.uniform(-4, 1, (64, 512, 2)))
            error = np.log(np.abs(rng.normal(size=scale.shape)) * scale)
            return np.log(scale**0.5 * [0.1, 7.0]), error

        told = Interval.fitted(*drawn()).measured(*drawn())
        assert abs(told["coverage"] - COVERAGE) < 0.01
        assert np.abs(np.array(told["coverage by width"]) - COVERAGE).max() < 0.02

    def test_beyond_its_ends_the_last_correction_holds(self):
        interval = Interval(((0.0, 1.0),), ((0.5, -0.5),))
        width = interval.logarithm(np.array([[-9.0], [0.5], [9.0]]))
        np.testing.assert_allclose(width[:, 0], [-8.5, 0.5, 8.5])

    def test_a_width_without_end_is_a_number(self):
        """Fails where an image that the head knows nothing of is refused for its uncertainty."""
        interval = Interval(((0.0, 1.0),), ((0.5, -0.5),))
        assert np.isfinite(1e10 * interval.half_width(np.array([[1e4]]))).all()

    def test_it_survives_the_card(self):
        interval = Interval(((0.0, 1.0), (2.0,)), ((0.5, -0.5), (0.25,)))
        assert Interval.of(interval.asdict()) == interval


class TestPrediction:
    def test_the_truth_is_within_the_interval_as_often_as_stated(self, model, samples):
        images, truth = samples
        answer, half = mcnn.predict(model, images, uncertainty=True)
        assert half.shape == answer.shape == truth.shape
        assert (half > 0).all()
        within = np.abs(answer - truth) <= half
        assert abs(within.mean() - COVERAGE) < 0.03
        for side in (slice(0, 12), slice(20, 32)):
            assert abs(within[..., side].mean() - COVERAGE) < 0.06

    def test_it_is_wide_where_errors_are(self, model, samples):
        images, truth = samples
        answer, half = mcnn.predict(model, images, uncertainty=True)
        left, right = (np.abs(answer - truth)[..., s].mean() for s in (slice(12), slice(20, 32)))
        told = half[..., 20:].mean() / half[..., :12].mean()
        assert right / left > 1.5
        assert abs(np.log(told / (right / left))) < np.log(1.4)

    def test_it_changes_no_result(self, model, trained, samples):
        answer, _ = mcnn.predict(model, samples[0][:3], uncertainty=True)
        np.testing.assert_allclose(answer, mcnn.predict(trained, samples[0][:3]), atol=1e-5)

    def test_tiles_have_it_too(self, model):
        rng = np.random.default_rng(1)
        image = rng.normal(size=(160, 144, 1)).astype(np.float32)
        whole = mcnn.predict(model, image, uncertainty=True)
        tiled = mcnn.predict(model, image, uncertainty=True, tile_size=64)
        for one, other in zip(whole, tiled, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("change", [
        {"widths": [[0.0]]}, {"widths": [[0.0]], "corrections": [[0.0], [1.0]]},
        {"widths": [[]], "corrections": [[]]}, {"widths": [["a"]], "corrections": [[1.0]]},
        {"reference": {"names": ["a"], "quantiles": [[1.0]], "limit": 1.0}},
        {"refined": {"widths": [[0.0]]}}, {"coverage": "all"},
    ])  # fmt: skip
    def test_a_damaged_calibration_is_refused(self, model, change):
        told = model.card.asdict()
        told["calibration"] = change
        with pytest.raises(ValueError, match="calibration"):
            card_from(told)

    def test_a_dask_array_has_it_too(self, model, trained, samples):
        """Fails where lazy intervals are others than those in memory, or are computed early."""
        dask = pytest.importorskip("dask.array")
        images = samples[0][:6, ..., 0]
        lazy = mcnn.predict(model, dask.from_array(images, chunks=(2, 16, 16)), uncertainty=True)
        for one, other in zip(lazy, mcnn.predict(model, images, uncertainty=True), strict=True):
            assert isinstance(one, dask.Array)
            assert one.shape == images.shape
            np.testing.assert_allclose(
                one.compute(scheduler="synchronous"), other, rtol=1e-5, atol=1e-6
            )
        with pytest.raises(InputError, match="has no uncertainty yet"):
            mcnn.predict(trained, dask.from_array(images), uncertainty=True)

    def test_a_model_without_it_is_refused(self, trained, samples):
        with pytest.raises(InputError, match="has no uncertainty yet; add it with mcnn-keras cal"):
            mcnn.predict(trained, samples[0][0], uncertainty=True)


class TestFiles:
    @pytest.fixture
    def file(self, model, tmp_path):
        mcnn.save(model, tmp_path / "model.h5")
        return tmp_path / "model.h5"

    def test_it_is_saved_with_the_model(self, model, file, samples):
        own = mcnn.load(file)
        assert own.card == model.card
        for one, other in zip(
            mcnn.predict(own, samples[0][:2], uncertainty=True),
            mcnn.predict(model, samples[0][:2], uncertainty=True), strict=True,
        ):  # fmt: skip
            np.testing.assert_array_equal(one, other)

    def test_keras_opens_it(self, file, model, samples):
        plain = keras.models.load_model(file, compile=False)
        for one, other in zip(plain(samples[0]), model(samples[0]), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_a_training_starts_from_it(self, file, model):
        started = mcnn.train(
            Noisy(), start=str(file), epochs=1, samples=16, learning_rate=1e-9, mixed_sizes=False
        ).model
        assert not started.card.network.get("interval")
        kernels = (m.get_layer("output_1").get_weights()[0] for m in (started, model))
        np.testing.assert_allclose(*kernels, atol=1e-6)

    def test_a_second_file_holds_it(self, file, samples, tmp_path):
        axes = [("t", 3), *(("y", 32), ("x", 32))]
        from mcnn_keras.files import Axis

        write_recording(
            tmp_path / "in.tif",
            samples[0][:3, ..., 0],
            [Axis(n, s) for n, s in axes],
            "",
            "float32",
        )
        wrote = predict_files(
            file, [str(tmp_path / "in.tif")], tmp_path / "out.tif", uncertainty=True
        )
        assert tmp_path / "out_uncertainty.tif" in wrote
        expected = mcnn.predict(mcnn.load(file), samples[0][:3], uncertainty=True)
        for name, values in zip(("out.tif", "out_uncertainty.tif"), expected, strict=True):
            with open_recording(str(tmp_path / name), force=True) as recording:
                np.testing.assert_allclose(recording.read(0, 3), values, rtol=1e-4, atol=1e-4)
        with pytest.raises(InputError, match=r"out_uncertainty\.tif|out\.tif"):
            predict_files(file, [str(tmp_path / "in.tif")], tmp_path / "out.tif", uncertainty=True)

    def test_the_agreement_to_expect_is_learned(self, model, samples):
        """Fails where it is not what all but a few results reach, by the known forward model."""
        answers = mcnn.predict(model, samples[0])
        inner = (slice(None), slice(1, -1), slice(1, -1))
        scores = [
            np.corrcoef(((a - 10) / 4)[inner[1:]].ravel(), i[..., 0][inner[1:]].ravel())[0, 1]
            for a, i in zip(answers, samples[0], strict=True)
        ]
        least = model.card.calibration["least agreement"]
        assert min(scores) - 0.1 < least < np.quantile(scores, 0.1)

    def test_results_with_uncertainty_are_checked_too(self, file, samples, tmp_path):
        """Fails where half-widths are taken for results, or nothing is simulated."""
        np.save(tmp_path / "in.npy", samples[0][:4, ..., 0])
        told = []
        predict_files(
            file, [str(tmp_path / "in.npy")], tmp_path / "out.npy", uncertainty=True,
            say=told.append, forward_of=lambda card: forward_of(card, problem=Noisy()),
        )  # fmt: skip
        (line,) = (line for line in told if "agreement with the images" in line)
        assert "the worst of 4" in line
        least = mcnn.load(file).card.calibration["least agreement"]
        assert float(line.split("images ")[1].split()[0]) > least - 0.1

    def test_a_report_shows_it_at_once_and_later(self, file, samples, tmp_path):
        """Fails where the uncertainty is missing in a report, or is that of another image."""
        np.save(tmp_path / "in.npy", samples[0][:3, ..., 0])
        pages = []
        for name, options in (("a.html", {}), ("b.html", {"resume": True})):
            options = {"uncertainty": True, "report": tmp_path / name, **options}
            predict_files(file, [str(tmp_path / "in.npy")], tmp_path / "out.npy", **options)
            pages.append(Page(tmp_path / name).pictures)
        assert [title for title, _ in pages[0][:3]] == ["Input", "Result", "Uncertainty"]
        for (title, one), (other, two) in zip(*pages, strict=True):
            assert title == other
            np.testing.assert_array_equal(one, two)
        half = np.load(tmp_path / "out_uncertainty.npy")
        for i, (_, picture) in enumerate(pages[0][2::3]):
            expected = 255 * np.clip(half[i] / np.percentile(half[i], 99.8), 0, 1)
            np.testing.assert_allclose(picture[..., 0], expected, atol=1.5)

    def test_onnx_runtime_has_none(self, file, tmp_path):
        image = str(tmp_path / "in.npy")
        np.save(image, np.random.default_rng(0).normal(size=(32, 32)))
        with pytest.raises(InputError, match="ONNX Runtime computes no uncertainty"):
            predict_files(
                file, [image], tmp_path / "out.tif", uncertainty=True, engine="onnxruntime"
            )
