import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

# Two logical processors stand in for two GPUs; they must be made before TensorFlow starts.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()],
)

from mcnn_keras.physics.optics import Optics
from mcnn_keras.problems import Phase
from mcnn_keras.targets import pictures


def pytest_xdist_auto_num_workers(config):
    """A folder is tested in several processes, each of which starts TensorFlow; files in one."""
    whole = any(os.path.isdir(name.split("::")[0]) for name in config.args)
    return min(4, len(os.sched_getaffinity(0))) if whole else 0


@pytest.fixture(scope="session", autouse=True)
def small_picture_sets():
    """Fewer and smaller target pictures, so that each test does not spend seconds on them."""
    patch = pytest.MonkeyPatch()
    patch.setattr(pictures, "SIZE", 128)
    patch.setattr(pictures, "PER_FAMILY", {"train": 2, "test": 1})
    patch.setattr(pictures, "MASKS", {"train": 2, "test": 1})
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory):
    """The user's own cache is left alone, also by processes that tests start."""
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture
def small_preset(monkeypatch):
    """A preset "fast" of two scales, for commands that have no option for the filters."""
    from mcnn_keras.network import PRESETS

    monkeypatch.setitem(PRESETS, "fast", {**PRESETS["fast"], "filters": (4, 6), "branches": 2})


def plain_noise(problem, image, seed):
    """In place of `Denoise.detect` where the kind of noise does not matter; it is soon traced."""
    return image + 0.1 * tf.random.stateless_normal(tf.shape(image), seed)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def optics():
    return Optics(wavelength=0.65, pixel_size=0.31, numerical_aperture=0.45)


@pytest.fixture(scope="session")
def phase_problem(optics):
    return Phase([-20.0], optics, input="physical")


TINY = {
    "image_size": 32,
    "samples": 8,
    "epochs": 2,
    "batch_size": 4,
    "filters": (4, 6),
    "branches": 2,
    "precision": "float32",
}


@pytest.fixture
def tiny():
    """Settings of a training run that takes a second."""
    return dict(TINY)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, phase_problem):
    """A finished tiny run and its folder."""
    from mcnn_keras.training import train

    return train(phase_problem, output=tmp_path_factory.mktemp("run") / "phase", **TINY)


@pytest.fixture(scope="session")
def denoiser():
    """A tiny model of five frames."""
    from mcnn_keras.problems import Denoise
    from mcnn_keras.training import train

    problem = Denoise(0, families={"columns": 2, "lattices": 2, "blank": 1}, window=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Denoise, "detect", plain_noise)
        return train(problem, **{**TINY, "samples": 16, "epochs": 1, "mixed_sizes": False}).model


@pytest.fixture(scope="session")
def phases():
    """A tiny model of any planes."""
    from mcnn_keras.problems.any_phase import AnyPhase
    from mcnn_keras.training import train

    return train(AnyPhase(ranges={"planes": (1, 4)}), **TINY).model


@pytest.fixture(scope="session")
def exported(tmp_path_factory, trained):
    """That run's model as an ONNX file: processes that load it do not wait for TensorFlow."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from mcnn_keras.models.onnx import export

    path = tmp_path_factory.mktemp("onnx") / "phase.onnx"
    export(trained.model, path)
    return path
