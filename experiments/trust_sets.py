"""Images outside of a training, for trust.py: each function draws (image, truth[, conditions])."""

import sys
from pathlib import Path

import numpy as np
import skimage.data
from scipy.ndimage import zoom
from skimage.color import rgb2gray

from mcnn_keras.physics.optics import Optics
from mcnn_keras.physics.waves import defocus_stack

sys.path.append(str(Path(__file__).parents[1] / "data_tools"))
from messy_frames import KINDS, SPECIMENS, at_snr, specimen

SIZE, WINDOW = 128, 5
PHOTOGRAPHS = ("camera", "coins", "moon", "page", "clock", "astronaut", "coffee", "chelsea")


def _window(frame):
    """A single frame, as a window without neighbours."""
    window = np.full((*frame.shape, WINDOW), np.nan, np.float32)
    window[..., WINDOW // 2] = frame
    return window


def _clean(rng, number, size=SIZE):
    return specimen(list(SPECIMENS)[number % len(SPECIMENS)], rng, size)


def _coloured(rng, power):
    fy, fx = np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None]
    gain = np.maximum(np.hypot(fy, fx), 1 / SIZE) ** power
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(SIZE, SIZE))) * gain, s=(SIZE, SIZE))
    return noise / noise.std()


def _noisy(low, high):
    def draw(rng, number):
        clean = _clean(rng, number)
        return _window(at_snr(clean, rng.uniform(low, high), rng)), clean

    return draw


def _messy(rng, number):
    kind = KINDS[list(KINDS)[number % len(KINDS)]]
    frame, truth = kind(_clean(rng, number), rng.uniform(-10, 6), rng)
    seen = np.isfinite(truth)
    return _window(np.where(seen, frame, np.nan)), np.where(seen, truth, truth[seen].mean())


def _magnified(factor):
    def draw(rng, number):
        big = _clean(rng, number, 2 * SIZE)
        if factor < 1:
            clean = big.reshape(SIZE, 2, SIZE, 2).mean((1, 3))
        else:
            clean = zoom(_clean(rng, number)[: SIZE // 2, : SIZE // 2], 2, order=3).clip(0)
        return _window(at_snr(clean, rng.uniform(-10, 6), rng)), clean

    return draw


def _with_noise(power):
    def draw(rng, number):
        clean = _clean(rng, number)
        strength = clean.std() * 10 ** (-rng.uniform(-10, 6) / 20)
        return _window(clean + strength * _coloured(rng, power)), clean

    return draw


def _hum(rng, number):
    clean = _clean(rng, number)
    y, x = np.mgrid[:SIZE, :SIZE]
    fy, fx = rng.uniform(0.05, 0.4, 2)
    wave = clean.std() * 10 ** (-rng.uniform(-6, 6) / 20) * np.sin(2 * np.pi * (fy * y + fx * x))
    return _window(at_snr(clean, rng.uniform(-4, 12), rng) + 1.4 * wave), clean


def _inverted(rng, number):
    clean = 1.2 - _clean(rng, number)
    return _window(at_snr(clean, rng.uniform(-10, 6), rng)), clean


def _photograph(rng, number):
    picture = getattr(skimage.data, PHOTOGRAPHS[number % len(PHOTOGRAPHS)])()
    picture = rgb2gray(picture) if picture.ndim == 3 else picture / 255
    y, x = (rng.integers(n - SIZE + 1) for n in picture.shape)
    clean = picture[y : y + SIZE, x : x + SIZE]
    return _window(at_snr(clean, rng.uniform(-2, 14), rng)), clean


def _diffraction(rng, number):
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    rate = 1e3 * np.exp(-np.hypot(y, x) / rng.uniform(3, 8))
    pitch, turn = rng.uniform(12, 30), rng.uniform(0, np.pi)
    for i, j in np.ndindex(11, 11):
        a, b = pitch * (i - 5), pitch * (j - 5)
        cy, cx = a * np.cos(turn) - b * np.sin(turn), a * np.sin(turn) + b * np.cos(turn)
        disc = np.hypot(y - cy, x - cx) < rng.uniform(2, 5)
        rate += rng.exponential(200) * np.exp(-np.hypot(cy, cx) / 40) * disc
    rate *= np.exp(rng.uniform(-3, 1.6))
    return _window(rng.poisson(rate).astype(float)), rate


def _spectrum_map(rng, number):
    coarse = _clean(rng, number, SIZE // 4).repeat(4, 0).repeat(4, 1).clip(0)
    rate = rng.uniform(0.05, 0.5) * coarse / max(coarse.mean(), 1e-6)
    return _window(rng.poisson(rate).astype(float)), rate


def _saturated(rng, number):
    clean = _clean(rng, number)
    frame = at_snr(clean, rng.uniform(-4, 12), rng)
    return _window(np.minimum(frame, np.quantile(frame, rng.uniform(0.4, 0.9)))), clean


def _speckle(rng, number):
    clean = _clean(rng, number)
    return _window(clean * np.exp(rng.normal(0, rng.uniform(0.2, 0.8), clean.shape))), clean


SHIFTS = {
    "other simulator": _noisy(-10, 6), "other simulator, detector faults": _messy,
    "a tenth of the dose": _noisy(-26, -16), "ten times the dose": _noisy(10, 16),
    "half magnification": _magnified(0.5), "double magnification": _magnified(2),
    "pink noise": _with_noise(-1), "brown noise": _with_noise(-2), "blue noise": _with_noise(1),
    "hum": _hum, "inverted": _inverted, "photographs": _photograph, "diffraction": _diffraction,
    "spectrum maps": _spectrum_map, "saturated": _saturated, "speckle": _speckle,
}  # fmt: skip


def phase_shifts(card):
    """Sets for a phase model: images of photographs as phases, and wrong instruments."""
    size = card.training["image_size"]

    def drawn(
        change=lambda planes, optics, rng: (planes, optics), spoil=lambda images, rng: images
    ):
        def draw(rng, number):
            name = PHOTOGRAPHS[number % len(PHOTOGRAPHS)]
            picture = getattr(skimage.data, name)()
            picture = rgb2gray(picture) if picture.ndim == 3 else picture / 255
            picture = np.pad(picture, size // 2, mode="reflect")
            y, x = (rng.integers(n - 2 * size + 1) for n in picture.shape)
            phase = picture[y : y + 2 * size, x : x + 2 * size] * rng.uniform(0.5, 2)
            optics = Optics(wavelength=0.65, pixel_size=0.31, numerical_aperture=0.45)
            planes = [-60.0, 50.0][: 1 + number % 2]
            if card.inputs.kind == "planes":
                planes = list(card.inputs.defocus)
            stack = defocus_stack(np.exp(1j * phase).astype(np.complex64), planes, optics)
            inner = slice(size // 2, size // 2 + size)
            images = rng.poisson(np.maximum(stack[inner, inner], 0) * 1000) / 1000
            told_planes, told_optics = change(planes, optics, rng)
            told = {**told_optics.conditions(), "defocus": told_planes}
            truth = phase[inner, inner]
            return spoil(images, rng).astype(np.float32), truth - truth.mean(), told

        return draw

    def other(factor):
        return lambda planes, optics, rng: ([factor * z for z in planes], optics)

    def pixel(factor):
        def changed(planes, optics, rng):
            return planes, Optics(0.65, 0.31 * factor, 0.45)

        return changed

    sets = {
        "photographs as phases": drawn(),
        "saturated": drawn(spoil=lambda i, rng: np.minimum(i, np.quantile(i, 0.7))),
        "hum": drawn(spoil=lambda i, rng: i + 0.2 * np.sin(np.arange(size))[:, None, None]),
        "few counts": drawn(spoil=lambda i, rng: rng.poisson(i * 3) / 3),
    }
    if card.inputs.kind != "planes":
        sets |= {
            "defocus 30 % too large": drawn(other(1.3)), "30 % too small": drawn(other(0.7)),
            "wrong sign": drawn(other(-1.0)), "pixels twice as large": drawn(pixel(2.0)),
            "pixels half as large": drawn(pixel(0.5)),
        }  # fmt: skip
    return sets
