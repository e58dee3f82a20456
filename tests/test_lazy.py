"""Fail where a lazy array is computed early, or otherwise than an array in memory."""

import numpy as np
import pytest

from mcnn_keras import InputError, Optics, load, predict
from mcnn_keras.models import Contrast, ModelCard, Output, Planes

array = pytest.importorskip("dask.array")


@pytest.fixture
def frames(rng):
    return rng.random((2, 3, 36, 40)).astype(np.float32) + 1


def test_a_dask_array_makes_a_dask_array(trained, frames):
    """Fails where the answer is computed at once, or chunks cut an image into pieces."""
    lazy = predict(trained.model, array.from_array(frames, chunks=(1, 2, 20, 20)))
    assert isinstance(lazy, array.Array)
    assert lazy.shape == frames.shape
    answers = lazy.compute(scheduler="synchronous")
    assert answers.dtype == lazy.dtype == np.float32
    np.testing.assert_allclose(answers[1, 2], predict(trained.model, frames[1, 2]), atol=1e-6)


def test_options_are_heeded(trained, frames):
    """Fails where an option that counts for arrays in memory is dropped for lazy ones."""
    lazy = array.from_array(frames, chunks=(1, 2, -1, -1))
    averaged = predict(trained.model, lazy, average=True).compute(scheduler="synchronous")
    np.testing.assert_allclose(averaged, predict(trained.model, frames, average=True), atol=1e-6)
    assert not np.allclose(averaged, predict(trained.model, frames), atol=1e-4)
    with pytest.raises(InputError, match="batch_size 0"):
        predict(trained.model, lazy, batch_size=0).compute(scheduler="synchronous")


def test_several_planes_are_refused(frames):
    """Fails where single frames are given to a network for two planes, or for any."""

    class TwoPlanes:
        card = ModelCard(
            "phase", {}, Planes((-5.0, 5.0), (1.0, 1.0)), (Output("phase"),), Contrast(),
            {"input_channels": 2, "output_channels": 1, "scale": 1}, {"image_size": 32},
        )  # fmt: skip

    with pytest.raises(InputError, match="takes 2 planes"):
        predict(TwoPlanes(), array.from_array(frames))
    told = {"defocus": [-5.0, 5.0], "conditions": Optics().conditions()}
    with pytest.raises(InputError, match="images at any planes"):
        predict("phase", array.from_array(frames), **told)


def test_workers_load_the_model_for_themselves(trained, exported, frames):
    """Fails where a worker cannot load the file, or a model in memory fails without a reason."""
    distributed = pytest.importorskip("distributed")
    lazy = array.from_array(frames, chunks=(1, 1, -1, -1))
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        answers = client.compute(predict(exported, lazy)).result(timeout=120)
        with pytest.raises(Exception, match="serialize"):
            client.compute(predict(trained.model, lazy)).result(timeout=60)
    np.testing.assert_allclose(answers[0, 1], predict(load(exported), frames[0, 1]), atol=1e-6)


def test_hyperspy_maps_it(trained, frames):
    """Fails where `predict` does not take the images of HyperSpy's `map`."""
    signals = pytest.importorskip("hyperspy.signals")
    signal = signals.Signal2D(frames)
    signal.axes_manager[-1].scale = 0.2
    mapped = signal.map(
        lambda image: predict(trained.model, image), inplace=False, show_progressbar=False
    )
    np.testing.assert_allclose(mapped.data[1, 0], predict(trained.model, frames[1, 0]), atol=1e-6)
    assert mapped.axes_manager[-1].scale == 0.2
