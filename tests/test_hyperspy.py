"""Fail where HyperSpy's signals lose what they know, or are inverted otherwise than arrays."""

import subprocess
import sys

import numpy as np
import pytest

import mcnn_keras as mcnn
from mcnn_keras import InputError, Optics, predict
from mcnn_keras.focal_series.network import at_any_planes
from mcnn_keras.physics.waves import defocus_stack

hs = pytest.importorskip("hyperspy.api")
PLANES = (-60.0, 45.0)
LIGHT = {"wavelength": 0.65, "numerical_aperture": 0.45}
# The tiny networks have seen next to nothing.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*the model was trained for"),
    pytest.mark.filterwarnings("ignore:images simulated from this result"),
]


@pytest.fixture
def movie(rng):
    """Frames of one field, as a signal that knows much of them."""
    field = 20 + 15 * np.sin(np.arange(40) / 2.0)[:, None] * np.cos(np.arange(48) / 3.0)
    signal = hs.signals.Signal2D(rng.poisson(field, (4, 40, 48)).astype(np.uint16))
    signal.metadata.General.title = "particles"
    signal.original_metadata.set_item("Detector.dwell_time", 2e-6)
    for own, (name, scale, units) in zip(
        signal.axes_manager._axes,
        [("time", 0.5, "s"), ("y", 0.02, "nm"), ("x", 0.02, "nm")],
        strict=True,
    ):
        own.name, own.scale, own.units = name, scale, units
    return signal


@pytest.fixture
def series(rng):
    """Two planes of a phase object, in nm on an axis of focus that runs downwards."""
    phase = rng.standard_normal((48, 64))
    phase = np.fft.ifft2(np.fft.fft2(phase) * np.exp(-((20 * np.fft.fftfreq(48)) ** 2))[:, None])
    wave = np.exp(0.3j * phase.real / phase.real.std()).astype(np.complex64)
    images = defocus_stack(wave, np.array(PLANES), Optics(pixel_size=0.31, **LIGHT))
    signal = hs.signals.Signal2D(np.ascontiguousarray(np.moveaxis(images, -1, 0)[::-1]))
    z, y, x = signal.axes_manager._axes
    z.name, z.offset, z.scale, z.units = "defocus", 1000 * PLANES[1], -105e3, "nm"
    for own in (y, x):
        own.scale, own.units = 310.0, "nm"
    signal.metadata.General.title = "cells"
    return signal


def same_axes(ours, theirs):
    names = ("name", "size", "scale", "offset", "units")
    told = [[tuple(str(getattr(a, n)) for n in names) for a in each] for each in (ours, theirs)]
    return told[0] == told[1]


def test_importing_the_package_does_not_import_hyperspy():
    """Fails where those without HyperSpy cannot import the module, or all wait for HyperSpy."""
    code = "import sys, mcnn_keras as m; m.hyperspy.phase; sys.exit('hyperspy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


class TestDenoise:
    def test_axes_and_metadata_are_kept(self, denoiser, movie):
        """Fails where axes, units, title or original metadata are lost, or the input changes."""
        before = movie.data.copy()
        clean = mcnn.hyperspy.denoise(movie, denoiser)
        assert type(clean) is type(movie)
        assert same_axes(clean.axes_manager._axes, movie.axes_manager._axes)
        assert clean.metadata.General.title == "particles"
        assert clean.original_metadata.Detector.dwell_time == 2e-6
        np.testing.assert_array_equal(movie.data, before)
        assert not movie.metadata.has_item("General.mcnn_keras")

    def test_what_was_done_is_told_and_saved(self, denoiser, movie, tmp_path):
        """Fails where the metadata do not list each step in its order, also after a file."""
        twice = mcnn.hyperspy.denoise(
            mcnn.hyperspy.denoise(movie, denoiser), denoiser, faults="keep"
        )
        twice.save(tmp_path / "twice.hspy")
        steps = hs.load(tmp_path / "twice.hspy").metadata.General.mcnn_keras.as_dictionary()
        assert [steps[n]["operation"] for n in ("0", "1")] == ["denoise", "denoise"]
        assert [steps[n]["faults"] for n in ("0", "1")] == ["mend", "keep"]
        assert steps["0"]["model"] == "a model for denoise"

    def test_a_movie_is_one_along_time_alone(self, denoiser, movie):
        """Fails where frames that follow each other are taken alone, or planes of a stack not."""
        data = movie.data
        together, alone = (
            predict(denoiser, data, axes="tyx", temporal=temporal) for temporal in ("auto", "off")
        )
        assert not np.allclose(together, alone, atol=1e-3)
        for name, expected in [("time", together), ("<undefined>", together), ("z", alone),
                               ("x", alone)]:  # fmt: skip
            movie.axes_manager.navigation_axes[0].name = name
            clean = mcnn.hyperspy.denoise(movie, denoiser)
            np.testing.assert_allclose(clean.data, expected, atol=1e-5, err_msg=name)
        clean = mcnn.hyperspy.denoise(movie, denoiser, temporal="off")
        np.testing.assert_allclose(clean.data, alone, atol=1e-5)

    def test_time_may_be_the_outer_axis(self, denoiser, movie):
        """Fails where the frames of each detector are not a movie of their own."""
        data = np.stack([movie.data, movie.data[::-1]], 1)
        signal = hs.signals.Signal2D(data)
        signal.axes_manager._axes[0].name = "time"
        signal.axes_manager._axes[1].name = "detector"
        clean = mcnn.hyperspy.denoise(signal, denoiser)
        expected = predict(denoiser, movie.data, axes="tyx")
        np.testing.assert_allclose(clean.data[:, 0], expected, atol=1e-5)

    def test_lazy_signals_stay_lazy(self, denoiser, movie):
        """Fails where a lazy signal is computed early, or its frames and faults otherwise."""
        movie.data[1, :, 7] = 60000
        for faults in ("mend", "keep"):
            clean = mcnn.hyperspy.denoise(movie.as_lazy(), denoiser, faults=faults)
            assert clean._lazy
            assert same_axes(clean.axes_manager._axes, movie.axes_manager._axes)
            assert clean.metadata.General.mcnn_keras.as_dictionary()["0"]["temporal"] == "off"
            clean.compute(show_progressbar=False)
            expected = predict(denoiser, movie.data, axes="tyx", temporal="off", faults=faults)
            np.testing.assert_allclose(clean.data, expected, rtol=1e-5)

    def test_other_layouts_are_brought_to_frames(self, denoiser, movie):
        """Fails where height and width are not the array's last axes and are taken for that."""
        axes = [{"name": n, "size": s, "navigate": n == "time"} for n, s in
                (("y", 40), ("x", 48), ("time", 4))]  # fmt: skip
        signal = hs.signals.Signal2D(np.moveaxis(movie.data, 0, -1), axes=axes)
        clean = mcnn.hyperspy.denoise(signal, denoiser)
        expected = mcnn.hyperspy.denoise(movie, denoiser)
        np.testing.assert_allclose(clean.data, expected.data, atol=1e-5)

    def test_what_is_no_image_is_refused(self, denoiser, phases, movie):
        """Fails where an array, a spectrum or another model's work gets past without its mend."""
        with pytest.raises(InputError, match="Signal2D is expected"):
            mcnn.hyperspy.denoise(movie.data, denoiser)
        with pytest.raises(InputError, match=r"1 signal axes.*as_signal2D"):
            mcnn.hyperspy.denoise(hs.signals.Signal1D(movie.data), denoiser)
        with pytest.raises(InputError, match="real numbers"):
            mcnn.hyperspy.denoise(hs.signals.ComplexSignal2D(movie.data * 1j), denoiser)
        with pytest.raises(InputError, match="a model for any_phase"):
            mcnn.hyperspy.denoise(movie, phases)
        with pytest.raises(InputError, match="temporal='never'"):
            mcnn.hyperspy.denoise(movie.as_lazy(), denoiser, temporal="never")


class TestPhase:
    def test_planes_and_pixels_come_from_the_axes(self, phases, series):
        """Fails where planes lose their order, or units of axes are not brought to um."""
        wave = mcnn.hyperspy.phase(series, model=phases, refine=False, **LIGHT)
        images = np.moveaxis(series.data[::-1], 0, -1)
        expected = at_any_planes(phases, images, PLANES, Optics(pixel_size=0.31, **LIGHT))
        np.testing.assert_allclose(wave.phase.data, expected[0], atol=1e-4)
        np.testing.assert_allclose(wave.amplitude.data, expected[1], atol=1e-4)

    def test_axes_and_metadata_are_kept(self, phases, series):
        """Fails where the field's axes or title are lost, or what was done is not told."""
        wave = mcnn.hyperspy.phase(series, model=phases, **LIGHT)
        for signal in wave:
            assert signal.axes_manager.navigation_dimension == 0
            assert same_axes(signal.axes_manager._axes, series.axes_manager._axes[1:])
            assert signal.metadata.General.title == "cells"
        assert wave.phase.metadata.Signal.quantity == "Phase (rad)"
        step = wave.phase.metadata.General.mcnn_keras.as_dictionary()["0"]
        assert step["operation"] == "phase"
        np.testing.assert_allclose(step["defocus"], PLANES[::-1])
        assert step["pixel_size"] == pytest.approx(0.31)
        assert -1 <= step["agreement"] <= 1

    def test_given_planes_and_pixels_count_first(self, phases, series):
        """Fails where a plain stack of given planes has another answer than one that tells them."""
        expected = mcnn.hyperspy.phase(series, model=phases, refine=False, **LIGHT)
        plain = hs.signals.Signal2D(series.data)
        wave = mcnn.hyperspy.phase(
            plain, defocus=PLANES[::-1], pixel_size=0.31, model=phases, refine=False, **LIGHT
        )
        np.testing.assert_allclose(wave.phase.data, expected.phase.data, atol=1e-4)

    def test_one_plane_of_many_measurements(self, phases, series):
        """Fails where a defocus of all images makes no phase of each, or no guess is told."""
        series.axes_manager._axes[0].name = "time"
        with pytest.warns(UserWarning, match="the amplitude is a guess"):
            wave = mcnn.hyperspy.phase(series, defocus=-60.0, model=phases, **LIGHT)
        assert same_axes(wave.phase.axes_manager._axes, series.axes_manager._axes)
        assert not np.allclose(wave.phase.data[0], wave.phase.data[1], atol=1e-3)
        steps = wave.amplitude.metadata.General.mcnn_keras.as_dictionary()
        assert steps["0"]["amplitude"] == "not determined"

    def test_each_measurement_of_a_longer_signal(self, phases, series):
        """Fails where the planes of a second measurement get into the first one's phase."""
        expected = mcnn.hyperspy.phase(series, model=phases, **LIGHT).phase.data
        data = np.stack([series.data, series.data[..., ::-1]], 1)  # planes outside
        signal = hs.signals.Signal2D(data)
        z, other, y, x = signal.axes_manager._axes
        z.name, z.offset, z.scale, z.units = "z", PLANES[1], -105.0, "um"
        other.name, other.scale = "time", 2.0
        y.scale = x.scale = 0.31
        y.units = x.units = "µm"
        wave = mcnn.hyperspy.phase(signal, model=phases, **LIGHT)
        assert wave.phase.axes_manager._axes[0].name == "time"
        assert wave.phase.axes_manager._axes[0].scale == 2.0
        np.testing.assert_allclose(wave.phase.data[0], expected, atol=2e-3)
        lazy = mcnn.hyperspy.phase(signal.as_lazy(), model=phases, **LIGHT)
        assert lazy.phase._lazy
        assert lazy.amplitude._lazy
        for ours, theirs in zip(lazy, wave, strict=True):
            ours.compute(show_progressbar=False)
            np.testing.assert_allclose(ours.data, theirs.data, atol=2e-3)

    def test_electrons_have_angstroms(self, phases, series):
        """Fails where lengths of electrons are taken in um."""
        for own, scale in zip(series.axes_manager._axes, (-10.0, 0.02, 0.02), strict=True):
            own.scale, own.units = scale, "nm"
        series.axes_manager._axes[0].offset = 50.0
        wave = mcnn.hyperspy.phase(series, energy=300e3, model=phases, refine=False)
        step = wave.phase.metadata.General.mcnn_keras.as_dictionary()["0"]
        assert step["unit"] == "A"
        np.testing.assert_allclose(step["defocus"], [500.0, 400.0])
        assert step["pixel_size"] == pytest.approx(0.2)
        assert step["wavelength"] == pytest.approx(0.0197, abs=1e-4)

    def test_what_is_missing_is_named(self, phases, series, trained):
        """Fails where a wavelength, a plane or a pixel is guessed, or the mend is not told."""

        def phase(signal=series, **given):
            return mcnn.hyperspy.phase(signal, **{"model": phases, **given})

        with pytest.raises(InputError, match="not guessed; give either wavelength"):
            phase()
        with pytest.raises(InputError, match="not guessed"):
            phase(wavelength=0.65, energy=300e3)
        with pytest.raises(InputError, match=r"3 planes given.*'defocus' has 2 images"):
            phase(defocus=[1, 2, 3], wavelength=0.65)
        with pytest.raises(InputError, match=r"not for phases|trained for"):
            phase(model=trained.model, wavelength=0.65)
        series.axes_manager._axes[0].units = "V"
        with pytest.raises(InputError, match=r"planes are not known.*defocus=\[...\] in um"):
            phase(wavelength=0.65)
        plain = hs.signals.Signal2D(series.data)
        with pytest.raises(InputError, match=r"pixel size is not known.*give pixel_size in um"):
            phase(plain, defocus=PLANES, wavelength=0.65)
        many = hs.signals.Signal2D(series.data[None])
        with pytest.raises(InputError, match="2 navigation axes; name the one"):
            phase(many, defocus=PLANES, pixel_size=0.31, wavelength=0.65)


@pytest.mark.parametrize("kind", ["type", "units", "scan"])
def test_what_is_no_image_is_refused(kind):
    """Fails where diffraction patterns are restored as images, or force=True does not help."""
    signal = hs.signals.Signal2D(np.ones((2, 2, 40, 48), np.float32))
    if kind == "type":
        signal.metadata.Signal.signal_type = "electron_diffraction"
    for own, name in zip(signal.axes_manager._axes, ("scan_y", "scan_x", "y", "x"), strict=True):
        own.name = name if kind == "scan" else own.name
        if kind == "units" and not own.navigate:
            own.scale, own.units = 0.1, "1/nm"
    with pytest.raises(InputError, match=r"holds .*(diffraction patterns|4D-STEM).*force=True"):
        mcnn.hyperspy.denoise(signal)
    with pytest.raises(InputError, match=r"holds .*(diffraction patterns|4D-STEM).*force=True"):
        mcnn.hyperspy.phase(signal, defocus=[1, 2], **LIGHT)
    with pytest.raises(InputError, match="temporal='no'"):  # the next check
        mcnn.hyperspy.denoise(signal, temporal="no", force=True)
