"""Fail where a stop's rim spoils a phase, focus is misplaced, or damping follows no noise."""

import numpy as np
import pytest
import tifffile

from mcnn_keras import InputError, Optics, cli
from mcnn_keras.focal_series import FocalSeries
from mcnn_keras.focal_series.field_stop import lit_field, within_stop
from mcnn_keras.focal_series.focus import least_contrast, on_one_side, refocused
from mcnn_keras.focal_series.reconstruct import METHODS, lowest_useful, reconstruct
from mcnn_keras.focal_series.tie import lowest_cutoff, noise_cutoff, slow_share
from mcnn_keras.physics.waves import defocus_stack

OPTICS = Optics(0.55, 0.25, None)


def lens_array(size=256, pitch=32, depth=0.6):
    """Parabolic lenses side by side, and the disc that a field stop leaves lit."""
    t = (np.arange(size) + 0.5) % pitch - pitch / 2
    phase = -depth * (t[:, None] ** 2 + t**2) / (pitch / 2) ** 2
    y, x = np.mgrid[:size, :size] - size / 2
    return phase - phase.mean(), np.hypot(y, x) < 0.42 * size


def stopped(planes, size=256, noise=0.003, rng=None, loss=0.003):
    """Images of the lens array inside a stop, the last with a little less light."""
    phase, lit = lens_array(size)
    wave = np.exp(1j * phase).astype(np.complex64)
    images = (
        defocus_stack(wave, np.array(planes, float), OPTICS) * np.where(lit, 1.0, 0.002)[..., None]
    )
    images[..., -1] *= 1 - loss
    images = images + noise * (rng or np.random.default_rng(0)).standard_normal(images.shape)
    return np.maximum(images, 0).astype(np.float32), phase, lit


def series_of(images, planes):
    return FocalSeries(images, tuple(map(float, planes)), ())


def test_the_rim_of_a_stop_is_found(rng):
    """Fails where a lit pixel counts as dark, a dark one as lit, or a dark object as a rim."""
    images, _, lit = stopped([0.0, 1.0])
    found = lit_field(images)
    assert not (found & ~lit).any()
    assert found.sum() > 0.9 * lit.sum()
    assert lit_field(np.ones((64, 64, 2), np.float32) + 0.1 * rng.random((64, 64, 2))) is None
    hole = np.ones((64, 64, 2), np.float32)
    hole[20:40, 20:40] = 0  # an object, which no border cuts
    assert lit_field(hole) is None
    edges = np.ones((64, 64, 2), np.float32)
    edges[:20, :30, 0] = edges[40:, 20:50, 1] = 0  # light that an object spreads, by planes
    assert lit_field(edges) is None


def test_planes_have_the_same_energy_inside_the_stop():
    """Fails where less light in one image is left to be taken for a phase."""
    images, _, _ = stopped([0.0, 1.0], loss=0.1)
    own, lit = within_stop(series_of(images, [0.0, 1.0]))
    means = own.images[lit].mean(axis=0)
    np.testing.assert_allclose(means, 1, atol=1e-3)
    assert own.images[~lit].std() < 0.01


@pytest.mark.parametrize("method", ["tie", "ctf"])
def test_a_lens_array_in_a_stop_is_no_dome(method):
    """In focus and 1 um beyond, a dark stop, 0.3 % less light in the second image.

    Fails where the rim or the light is taken for a phase, or a plane in focus is left out.
    """
    planes = [0.0, 1.0]
    images, phase, _ = stopped(planes)
    own, lit = within_stop(series_of(images, planes))
    answer, _ = reconstruct(method, own, OPTICS)
    inside = answer[lit] - answer[lit].mean()
    true = phase[lit] - phase[lit].mean()
    assert np.ptp(inside) < 5 * np.ptp(true)
    assert np.corrcoef(inside, true)[0, 1] > 0.6


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_keeps_its_size_inside_a_stop(method):
    """Fails where a method answers domes of thousands of rad to a rim."""
    planes = [-2.0, -1.0, 1.0, 2.0]
    images, phase, _ = stopped(planes, size=128)
    own, lit = within_stop(series_of(images, planes))
    options = {"iterations": 5} if method in ("iterative", "variational") else {}
    answer, _ = reconstruct(method, own, OPTICS, **options)
    assert np.ptp(answer[lit]) < 10 * np.ptp(phase)


def test_noise_raises_the_cutoff(rng):
    """Fails where the damping does not follow the noise, or starts below what the field shows."""
    phase, _ = lens_array()
    clean = defocus_stack(np.exp(1j * phase).astype(np.complex64), np.array([-1.0, 1.0]), OPTICS)
    found = [
        noise_cutoff(clean + s * rng.standard_normal(clean.shape), [-1.0, 1.0], OPTICS)
        for s in (0.001, 0.01, 0.1)
    ]
    assert found == sorted(found)
    assert found[0] < 0.1 * found[-1]
    assert lowest_useful(clean, np.array([-1.0, 1.0]), OPTICS) >= lowest_cutoff((256, 256), 0.25)


def test_the_share_of_slow_changes():
    """Fails where the share is of amplitudes, or of fast changes."""
    x = np.arange(128)
    phase = 3 * np.cos(2 * np.pi * x / 128)[:, None] + np.cos(2 * np.pi * x / 8)
    assert slow_share(phase, 0.02, 1.0) == pytest.approx(0.9, abs=0.01)


class TestFocus:
    def series(self, planes, focus=0.0):
        phase, _ = lens_array(128)
        wave = np.exp(1j * phase).astype(np.complex64)
        images = defocus_stack(wave, np.array(planes) - focus, OPTICS)
        return series_of(images, planes)

    def test_it_lies_where_a_phase_shows_least(self):
        """Fails where the place between images is missed, or is told on another scale."""
        planes = [float(z) for z in range(9)]
        found = least_contrast(self.series(planes, 4.3))
        assert found == pytest.approx(4.3, abs=0.25)
        own = refocused(self.series(planes, 4.3), 4.0)
        assert own.defocus[4] == 0.0
        assert on_one_side(planes)
        assert not on_one_side(own.defocus)
        assert not on_one_side([5.0])

    def test_a_series_that_does_not_pass_focus_is_refused(self):
        """Fails where the first or last image passes for the focus."""
        with pytest.raises(InputError, match="at an end of the series"):
            least_contrast(self.series([2.0, 3.0, 4.0]))
        with pytest.raises(InputError, match="there are 2"):
            least_contrast(self.series([2.0, 3.0]))

    def test_the_command_is_told_the_focus(self, tmp_path, capfd, monkeypatch):
        """A stack whose focused image is in its middle.

        Fails where it is taken to begin in focus without a word, or the focus is not used.
        """
        import warnings

        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        planes = [float(z) for z in range(9)]
        own = self.series(planes, 4.0)
        tifffile.imwrite(tmp_path / "z.tif", np.moveaxis(own.images, -1, 0))
        phase, _ = lens_array(128)
        said, slopes = {}, {}
        for name, more in {
            "none": [],
            "index": ["--focus", "4"],
            "auto": ["--focus", "auto"],
        }.items():
            out = tmp_path / f"{name}.tif"
            with pytest.raises(SystemExit) as end:
                cli.main(["reconstruct", "ctf", str(tmp_path / "z.tif"), "--defocus", "0:8:1",
                          "--wavelength", "0.55", "--pixel-size", "0.25", "--output", str(out),
                          *more])  # fmt: skip
            assert end.value.code == 0
            said[name] = capfd.readouterr()
            slopes[name] = np.polyfit(phase.ravel(), tifffile.imread(out)[0].ravel(), 1)[0]
        assert "one side of focus" in said["none"].err
        assert "one side" not in said["index"].err
        assert "focus at 4" in said["auto"].out
        assert slopes["index"] == pytest.approx(1, abs=0.3)
        assert slopes["auto"] == pytest.approx(slopes["index"], abs=0.1)

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            (["--focus", "-1"], "not the number of an image"),
            (["--focus", "9"], "the image in focus, 9, is not used"),
            (["--defocus", "0:8:3"], "is not a list of planes"),
            (["--defocus", "near"], "is not a list of planes"),
            (["--defocus", "1,2"], "9 frames, 2 planes"),
        ],
    )
    def test_wrong_planes_are_told_in_one_line(self, option, message, tmp_path, capfd):
        """Fails where a list that is none passes, or is a traceback."""
        own = self.series([float(z) for z in range(9)], 4.0)
        tifffile.imwrite(tmp_path / "z.tif", np.moveaxis(own.images, -1, 0))
        planes = [] if option[0] == "--defocus" else ["--defocus", "0:8:1"]
        with pytest.raises(SystemExit) as end:
            cli.main(["reconstruct", "ctf", str(tmp_path / "z.tif"), *planes, *option,
                      "--wavelength", "0.55", "--pixel-size", "0.25", "--output",
                      str(tmp_path / "o.tif")])  # fmt: skip
        assert end.value.code == 2
        assert message in capfd.readouterr().err
