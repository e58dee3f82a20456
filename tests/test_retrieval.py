"""Fail where images in memory get another wave than those of a file, or a doubt is not told."""

import numpy as np
import pytest

from mcnn_keras import InputError, Optics
from mcnn_keras.focal_series.network import at_any_planes
from mcnn_keras.focal_series.retrieval import Retrieved, wave_of
from mcnn_keras.physics.waves import defocus_stack

OPTICS = Optics(0.65, 0.31, 0.45)


@pytest.fixture
def images(rng):
    phase = np.fft.ifft2(
        np.fft.fft2(rng.standard_normal((64, 64))) * np.exp(-((20 * np.fft.fftfreq(64)) ** 2))
    ).real
    wave = np.exp(0.3j * phase / phase.std()).astype(np.complex64)
    return defocus_stack(wave, np.array([-60.0, 45.0]), OPTICS)


def test_the_order_of_the_planes_does_not_matter(phases, images):
    """Fails where images are taken for those of other planes."""
    expected = at_any_planes(phases, images, [-60.0, 45.0], OPTICS)
    for order in ([0, 1], [1, 0]):
        planes = np.array([-60.0, 45.0])[order]
        found = wave_of(images[..., order], planes, OPTICS, phases, refine=False)
        assert found.defocus == (-60.0, 45.0)
        np.testing.assert_allclose(found.phase, expected[0], atol=1e-4)


def test_two_planes_are_refined_and_one_is_not(phases, images):
    """Fails where refinement is not the default from two planes on, or changes nothing."""
    two = wave_of(images, [-60.0, 45.0], OPTICS, phases)
    plain = wave_of(images, [-60.0, 45.0], OPTICS, phases, refine=False)
    assert two.before == pytest.approx(plain.agreement)
    assert not np.allclose(two.phase, plain.phase, atol=1e-3)
    assert two.guess is None
    one = wave_of(images[..., :1], [-60.0], OPTICS, phases)
    assert one.before is None
    assert "the amplitude is a guess" in one.guess


def test_a_wave_that_explains_nothing_is_doubted():
    """Fails where a poor agreement passes without a word, or a good one is doubted."""
    nothing = np.zeros((4, 4))
    assert "correlate with yours by 0.20 only" in Retrieved(nothing, None, (1.0,), 0.2).doubt
    assert Retrieved(nothing, None, (1.0,), 0.9).doubt is None


def test_what_progress_raises_ends_it(phases, images):
    """Fails where neither the network nor the refinement can be interrupted."""

    class Enough(Exception):
        pass

    for last in (1, 4):
        calls = []

        def progress(done, count, last=last, calls=calls):
            calls.append((done, count))
            if len(calls) == last:
                raise Enough

        with pytest.raises(Enough):
            wave_of(images, [-60.0, 45.0], OPTICS, phases, progress=progress)
        assert len(calls) == last


def test_what_is_no_series_is_refused(phases, images):
    """Fails where a plane too few, the same plane twice or a lone plane in focus gets past."""
    for planes, what in [([-60.0], "2 images and the planes"), ([5.0, 5.0], "names a plane twice"),
                         ([np.nan, 5.0], "a defocus in um for each image")]:  # fmt: skip
        with pytest.raises(InputError, match=what):
            wave_of(images, planes, OPTICS, phases)
    with pytest.raises(InputError, match="all planes are in focus"):
        wave_of(images[..., :1], [0.0], OPTICS, phases)
    with pytest.raises(InputError, match="NaN or infinite"):
        wave_of(images * np.nan, [-60.0, 45.0], OPTICS, phases)
    with pytest.raises(InputError, match="at least 16x16"):
        wave_of(images[:12], [-60.0, 45.0], OPTICS, phases)


@pytest.mark.filterwarnings("ignore:.*implausible:UserWarning")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # zeros are divided by zeros
def test_an_answer_that_is_not_a_number_is_refused(phases, images):
    """Fails where NaN is written as a phase: of a wavelength in nm, no frequency is seen."""
    with pytest.raises(InputError, match="not a number"):
        wave_of(images, [-60.0, 45.0], Optics(650.0, 0.31, 0.45), phases)
