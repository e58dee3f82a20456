"""Fail where the widgets of napari lose a layer's place, cannot be stopped, or hide errors.

Without windows: on napari's model of a viewer, with Qt drawing nowhere.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mcnn_keras import InputError, Optics, predict
from mcnn_keras.focal_series.retrieval import wave_of
from mcnn_keras.physics.waves import defocus_stack

if not os.environ.get("DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip("napari")
try:
    from napari.components import ViewerModel
    from npe2 import PluginManifest
    from qtpy.QtCore import QEvent
    from qtpy.QtWidgets import QApplication

    from mcnn_keras.napari import layers, widgets, work
except ImportError as error:  # no binding of Qt
    pytest.skip(str(error), allow_module_level=True)

PLANES = (-60.0, 45.0)
OPTICS = Optics(0.65, 0.31, 0.45)
pytestmark = pytest.mark.filterwarnings("ignore:.*the model was trained for")


@pytest.fixture(scope="module")
def application():
    return QApplication.instance() or QApplication([])


@pytest.fixture
def viewer(application):
    return ViewerModel()


@pytest.fixture
def shipped(monkeypatch, denoiser, phases):
    """Tiny models in place of those of the package; returns what was asked for."""
    asked = []

    def engine(name):
        asked.append(name)
        return phases if name == "phase" else denoiser

    monkeypatch.setattr(work, "engine", engine)
    return asked


@pytest.fixture
def slow(viewer, denoiser, monkeypatch):
    """A layer, and a network that takes its time; returns the sizes of the batches."""
    computed = []

    class Slow:
        card, stride, name, precision = denoiser.card, 32, "slow", "float32"

        def compute(self, batch):
            computed.append(len(batch))
            time.sleep(0.1)
            return batch[..., :1]

    monkeypatch.setattr(work, "engine", lambda name: Slow())
    viewer.add_image(np.random.default_rng(0).random((60, 128, 128)).astype(np.float32))
    return computed


@pytest.fixture
def movie(viewer, rng):
    field = 20 + 15 * np.sin(np.arange(40) / 2)[:, None] * np.cos(np.arange(48) / 3)
    frames = rng.poisson(field, (3, 40, 48)).astype(np.uint16)
    return viewer.add_image(
        frames, name="scan", scale=(2, 0.02, 0.02), translate=(0, 1, 3), units=("s", "nm", "nm"),
        axis_labels=("t", "y", "x"),
    )  # fmt: skip


@pytest.fixture
def stack(viewer, rng):
    """Two planes of a phase object, the upper one first."""
    phase = rng.standard_normal((48, 64))
    phase = np.fft.ifft2(np.fft.fft2(phase) * np.exp(-((20 * np.fft.fftfreq(48)) ** 2))[:, None])
    wave = np.exp(0.3j * phase.real / phase.real.std()).astype(np.complex64)
    images = np.moveaxis(defocus_stack(wave, np.array(PLANES), OPTICS), -1, 0)[::-1]
    return viewer.add_image(
        images, name="cells", scale=(1, 310, 310), translate=(0, 5, 7),
        units=("pixel", "nm", "nm"), metadata={"defocus": PLANES[::-1]},
    )  # fmt: skip


def done(widget, seconds=60.0):
    """Press the button and wait; returns what the widget says."""
    widget.run.changed.emit(True)
    wait_for(lambda: widget.worker is None, seconds)
    return widget.message.value


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        QApplication.instance().processEvents()
        time.sleep(0.01)


def test_napari_finds_the_widgets():
    """Fails where the manifest is not installed, or names what is not there."""
    manifest = PluginManifest.from_distribution("mcnn-keras")
    found = {w.display_name: w.command for w in manifest.contributions.widgets}
    assert list(found) == ["Denoise (mcnn-keras)", "Phase (mcnn-keras)"]
    commands = {c.id: c.python_name for c in manifest.contributions.commands}
    for command in found.values():
        module, name = commands[command].split(":")
        assert module == widgets.__name__
        assert hasattr(widgets, name)
    assert Path(widgets.__file__).with_name("napari.yaml").is_file()


def test_tensorflow_stays_out_of_the_process(tmp_path):
    """Fails where a network needs TensorFlow beside OpenGL, which may end in a segmentation fault.

    Once exported, the network is not exported again.
    """
    code = (
        "import sys, mcnn_keras.napari.work as work, numpy as np, mcnn_keras as m\n"
        "e = work.engine('denoise-fast')\n"
        "m.predict(e, np.random.default_rng(0).random((2, 40, 40)), axes='tyx')\n"
        "from mcnn_keras.focal_series import retrieval\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    own = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", code], env=own).returncode == 0
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "mcnn-keras").glob("*.onnx")}
    assert len(kept) == 1
    assert subprocess.run([sys.executable, "-c", code], env=own).returncode == 0
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())


class TestDenoise:
    def test_the_result_lies_on_its_layer(self, viewer, movie, shipped, denoiser):
        """Fails where place, units or name are lost, or the values are not those of `predict`."""
        widget = widgets.DenoiseWidget(viewer)
        assert done(widget) == viewer.status == "done"
        result = viewer.layers["scan denoised"]
        assert shipped == ["denoise"]
        np.testing.assert_allclose(
            result.data, predict(denoiser, movie.data, axes="tyx"), atol=1e-5
        )
        for name in ("scale", "translate", "units", "axis_labels"):
            np.testing.assert_array_equal(getattr(result, name), getattr(movie, name))
        assert result.metadata["mcnn_keras"]["model"] == "denoise"

    def test_its_options_are_heeded(self, viewer, movie, shipped, denoiser):
        """Fails where quality or neighbours are chosen in vain."""
        widget = widgets.DenoiseWidget(viewer)
        widget.quality.value, widget.temporal.value = "fast", "off"
        assert done(widget) == "done"
        assert shipped == ["denoise-fast"]
        alone = predict(denoiser, movie.data, axes="tyx", temporal="off")
        np.testing.assert_allclose(viewer.layers["scan denoised"].data, alone, atol=1e-5)
        assert not np.allclose(alone, predict(denoiser, movie.data, axes="tyx"), atol=1e-3)

    def test_lazy_layers_stay_lazy(self, viewer, movie, shipped, denoiser):
        """Fails where a dask array is loaded as a whole."""
        array = pytest.importorskip("dask.array")
        viewer.add_image(array.from_array(movie.data, chunks=(1, 40, 48)), name="lazy")
        widget = widgets.DenoiseWidget(viewer)
        assert done(widget) == "done"
        result = viewer.layers["lazy denoised"].data
        assert isinstance(result, array.Array)
        alone = predict(denoiser, movie.data, axes="tyx", temporal="off")
        np.testing.assert_allclose(np.asarray(result), alone, atol=1e-5)

    def test_it_can_be_cancelled(self, viewer, slow):
        """Fails where Cancel waits for all batches, a layer is made, or no other run can begin."""
        widget = widgets.DenoiseWidget(viewer)
        widget.temporal.value = "off"
        widget.run.changed.emit(True)
        assert widget.cancel.enabled
        assert not widget.run.enabled
        wait_for(lambda: widget.progress.value > 0)
        assert widget.progress.max == 60 * 25  # tiles, of frames larger than those of training
        widget.cancel.changed.emit(True)
        wait_for(lambda: widget.worker is None)
        assert sum(slow) < 60 * 25
        assert widget.message.value == viewer.status == "cancelled"
        assert len(viewer.layers) == 1
        assert widget.run.enabled
        assert not widget.cancel.enabled

    def test_closing_ends_the_work(self, viewer, slow):
        """Fails where work goes on without its windows, or speaks to windows that are gone."""
        widget = widgets.DenoiseWidget(viewer)
        widget.run.changed.emit(True)
        wait_for(lambda: widget.progress.value > 0)
        worker = widget.worker
        widget.close()
        widget.native.deleteLater()
        QApplication.instance().sendPostedEvents(None, QEvent.Type.DeferredDelete)
        wait_for(lambda: not worker.is_running)
        QApplication.instance().processEvents()
        assert 0 < sum(slow) < 60 * 25
        viewer.add_image(np.ones((40, 40)))
        assert len(viewer.layers) == 2

    def test_errors_are_said(self, viewer, shipped):
        """Fails where a wrong layer, or one that is too small, is not told in the status."""
        widget = widgets.DenoiseWidget(viewer)
        assert "there is no image" in done(widget)
        viewer.add_image(np.zeros((40, 40, 3), np.uint8), rgb=True, name="photo")
        assert "photo is in colour" in done(widget)
        widget.image.value = viewer.add_image(np.ones((12, 12)))
        assert "at least 16x16" in done(widget)
        assert viewer.status == widget.message.value

    def test_a_bug_is_not_hidden(self, viewer):
        """Fails where an unexpected error does not reach napari, or the widget stays busy."""
        widget = widgets.DenoiseWidget(viewer)
        widget._busy(True)
        with pytest.raises(ZeroDivisionError):
            widget._failed(ZeroDivisionError("a bug"))
        assert widget.message.value == "failed: a bug"
        assert widget.run.enabled


class TestPhase:
    def test_what_the_layer_tells_is_shown(self, viewer, stack):
        """Fails where planes or pixels of a layer are not shown, or shown in another unit."""
        widget = widgets.PhaseWidget(viewer)
        assert widget.defocus.value == "45, -60"
        assert widget.pixel_size.value == "0.31"
        assert widget.wavelength.value == ""  # is never guessed
        widget.unit.value = "Angstrom (electrons)"
        assert widget.pixel_size.value == "3100"
        widget.image.value = viewer.add_image(np.ones((40, 40)), scale=(0.5, 0.5))
        assert (widget.defocus.value, widget.pixel_size.value) == ("", "")

    def test_planes_of_an_axis(self, viewer):
        """Fails where an axis of focus is not read, or another one is taken for it."""
        for labels, units, expected in [
            (("z", "y", "x"), ("nm", "nm", "nm"), [-2.0, -1.5]),
            (("t", "y", "x"), ("nm", "nm", "nm"), None),
            (("z", "y", "x"), ("pixel", "nm", "nm"), None),
        ]:
            layer = viewer.add_image(
                np.ones((2, 40, 40)), scale=(500, 1, 1), translate=(-2000, 0, 0), units=units,
                axis_labels=labels,
            )  # fmt: skip
            assert layers.planes_of(layer, "um") == pytest.approx(expected)

    def test_metadata_may_tell_the_optics(self, viewer):
        """Fails where a layer's metadata are overlooked, or their unit is."""
        told = {"unit": "nm", "defocus": [-500], "wavelength": 650, "numerical_aperture": 0.4}
        viewer.add_image(np.ones((40, 40)), metadata=told)
        widget = widgets.PhaseWidget(viewer)
        assert widget.defocus.value == "-0.5"
        assert widget.wavelength.value == "0.65"
        assert widget.aperture.value == "0.4"
        bad = viewer.add_image(np.ones((40, 40)), metadata={"unit": "parsec", "defocus": [1]})
        with pytest.raises(InputError, match="parsec"):
            layers.planes_of(bad, "um")

    def test_a_phase_and_an_amplitude_lie_on_the_layer(self, viewer, stack, shipped, phases):
        """Fails where planes are mixed up, a name or a place is lost, or no agreement is told."""
        widget = widgets.PhaseWidget(viewer)
        widget.wavelength.value, widget.aperture.value = "0.65", "0.45"
        assert done(widget).startswith("done; agreement with the images ")
        expected = wave_of(np.moveaxis(stack.data, 0, -1), PLANES[::-1], OPTICS, phases)
        for name, field in (("phase", expected.phase), ("amplitude", expected.amplitude)):
            layer = viewer.layers[f"cells {name}"]
            np.testing.assert_allclose(layer.data, field, atol=1e-3)
            np.testing.assert_array_equal(layer.scale, (310, 310))
            np.testing.assert_array_equal(layer.translate, (5, 7))
            assert layer.units == stack.units[1:]
        assert layer.metadata["mcnn_keras"]["defocus"] == [45.0, -60.0]

    def test_one_plane_says_that_the_amplitude_is_a_guess(self, viewer, stack, shipped):
        """Fails where one image makes no phase, or its amplitude passes for measured."""
        viewer.add_image(stack.data[0], name="one", metadata={"defocus": 45.0})
        widget = widgets.PhaseWidget(viewer)
        widget.wavelength.value, widget.pixel_size.value = "0.65", "0.31"
        assert "the amplitude is a guess" in done(widget)
        assert viewer.layers["one phase"].ndim == 2

    def test_what_is_missing_is_said(self, viewer, stack, shipped):
        """Fails where a wavelength, a plane or a pixel is guessed, or nothing is said."""
        widget = widgets.PhaseWidget(viewer)
        assert "give the wavelength in um" in done(widget)
        widget.wavelength.value = "0.65"
        widget.pixel_size.value = ""
        assert "give the pixel size in um" in done(widget)
        widget.pixel_size.value = "0.31"
        widget.defocus.value = "-60"
        assert "1 plane given for a layer of shape (2, 48, 64)" in done(widget)
        widget.defocus.value = ""
        assert "give the defocus in um" in done(widget)
        widget.defocus.value = "5, 5"
        assert "names a plane twice" in done(widget)
        widget.defocus.value = "-60, 45"
        widget.aperture.value = "2"
        assert "larger than the refractive index" in done(widget)
        assert viewer.status == widget.message.value
        assert [layer.name for layer in viewer.layers] == ["cells"]
