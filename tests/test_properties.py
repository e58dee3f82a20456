"""Fail where a symmetry of the physics, or of what `predict` promises, is broken for some input.

The inputs are drawn by Hypothesis, the same ones in every run.
"""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mcnn_keras import Optics, predict
from mcnn_keras.physics.noise import poisson
from mcnn_keras.physics.waves import defocus_stack
from mcnn_keras.training.losses import coarse_targets

OPTICS = Optics(wavelength=0.65, pixel_size=0.5, numerical_aperture=0.4)
# Pixels of 0.5 um carry no evanescent wave of this light.
OPEN = Optics(wavelength=0.65, pixel_size=0.5, numerical_aperture=None)
few = settings(max_examples=15, deadline=None, derandomize=True)
defoci = st.floats(-80, 80).filter(lambda z: abs(z) > 0.1)
seeds = st.integers(0, 2**31 - 1)
sides = st.integers(12, 40)


def wave_of(seed, height, width):
    rng = np.random.default_rng(seed)
    amplitude, phase = rng.uniform(0.5, 1, (height, width)), rng.uniform(-2, 2, (height, width))
    return (amplitude * np.exp(1j * phase)).astype(np.complex64)


def images_of(wave, planes, optics=OPTICS):
    return defocus_stack(tf.constant(wave), list(planes), optics).numpy()


class TestWaves:
    @few
    @given(seeds, sides, sides, defoci)
    def test_flips_and_turns_commute_with_simulation(self, seed, height, width, z):
        """Fails where an axis is treated unlike the other, or a pixel is shifted."""
        wave = wave_of(seed, height, width)
        image = images_of(wave, [z])
        for change in (np.flipud, np.fliplr, np.rot90):
            np.testing.assert_allclose(
                images_of(np.ascontiguousarray(change(wave)), [z]), change(image), atol=2e-4
            )

    @few
    @given(seeds, st.floats(-100, 100), defoci)
    def test_a_constant_phase_does_not_matter(self, seed, offset, z):
        """Fails where an intensity depends on the phase's zero."""
        wave = wave_of(seed, 24, 20)
        turned = (wave * np.exp(1j * offset)).astype(np.complex64)
        np.testing.assert_allclose(images_of(turned, [z]), images_of(wave, [z]), atol=2e-4)

    @few
    @given(seeds, st.floats(0.1, 10), defoci)
    def test_intensity_goes_with_the_square_of_the_amplitude(self, seed, factor, z):
        """Fails where something is added to, or taken from, the simulated light."""
        wave = wave_of(seed, 20, 24)
        brighter = images_of((factor * wave).astype(np.complex64), [z])
        np.testing.assert_allclose(brighter, factor**2 * images_of(wave, [z]), rtol=1e-3, atol=1e-3)

    @few
    @given(seeds, st.lists(defoci, min_size=2, max_size=4, unique=True), st.randoms())
    def test_planes_may_come_in_any_order(self, seed, planes, random):
        """Fails where a plane's image depends on the planes beside it."""
        order = list(range(len(planes)))
        random.shuffle(order)
        wave = wave_of(seed, 16, 16)
        np.testing.assert_allclose(
            images_of(wave, [planes[i] for i in order]), images_of(wave, planes)[..., order],
            atol=1e-5,
        )  # fmt: skip

    @few
    @given(seeds, defoci)
    def test_light_is_conserved_without_an_aperture(self, seed, z):
        """Fails where propagation makes or loses light."""
        wave = wave_of(seed, 32, 32)
        light = float((np.abs(wave) ** 2).mean())
        assert images_of(wave, [z], OPEN).mean() == pytest.approx(light, rel=1e-4)


class TestScales:
    @few
    @given(
        arrays(np.float32, (2, 16, 24, 1), elements=st.floats(-100, 100, width=32)),
        st.integers(1, 3),
    )
    def test_coarse_targets_keep_the_mean(self, target, count):
        """Fails where a coarse target is not the mean of the pixels that it stands for."""
        for coarse in coarse_targets(tf.constant(target), count):
            np.testing.assert_allclose(
                coarse.numpy().mean((1, 2)), target.mean((1, 2), dtype=np.float64), atol=1e-3
            )

    @few
    @given(seeds, st.floats(0.5, 50))
    def test_counts_have_their_mean_as_variance(self, seed, dose):
        """Fails where Poisson noise has another variance, at any dose."""
        seed = tf.constant([seed, 7], tf.int64)
        counts = poisson(tf.ones((128, 128)), dose, seed).numpy() * dose
        error = 6 * np.sqrt(dose / 128**2)  # six standard errors of the mean
        assert counts.mean() == pytest.approx(dose, abs=error)
        assert counts.var() == pytest.approx(dose, rel=6 * np.sqrt((2 + 1 / dose) / 128**2))


class TestPredictions:
    @few
    @given(seeds, st.floats(1e-3, 1e4), st.floats(-1e3, 1e3))
    def test_denoising_keeps_scale_and_offset(self, denoiser, seed, factor, away):
        """Fails where an answer depends on the unit or the zero of the intensity."""
        offset = away * factor
        frame = np.random.default_rng(seed).poisson(4, (32, 36)).astype(np.float64)
        options = {"faults": "keep"}
        answer = predict(denoiser, frame, **options)
        changed = predict(denoiser, factor * frame + offset, **options)
        # float32 holds seven digits of the larger of scale and offset.
        least = 1e-5 * (1 + abs(offset) / factor)
        np.testing.assert_allclose((changed - offset) / factor, answer, atol=20 * least)

    @few
    @given(seeds, st.integers(1, 5))
    def test_batches_do_not_matter(self, denoiser, seed, batch):
        """Fails where a frame's answer depends on those computed together with it."""
        frames = np.random.default_rng(seed).poisson(4, (5, 32, 32)).astype(np.float32)
        whole = predict(denoiser, frames, temporal="off", axes="tyx", batch_size=5)
        parts = predict(denoiser, frames, temporal="off", axes="tyx", batch_size=batch)
        np.testing.assert_allclose(parts, whole, atol=1e-4)

    @few
    @given(seeds, st.sampled_from([32, 48, 64, 96]))
    def test_tiles_do_not_matter(self, trained, seed, size):
        """Fails where a tile's border shows: a normalised field is answered alike in any tiles."""
        image = np.random.default_rng(seed).uniform(0.5, 1.5, (96, 80))
        whole = predict(trained.model, image, tile_size=128)
        np.testing.assert_allclose(predict(trained.model, image, tile_size=size), whole, atol=1e-4)
