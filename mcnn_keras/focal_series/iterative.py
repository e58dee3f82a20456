"""The wave at focus by projecting onto the measured amplitudes of all planes, again and again."""

import numpy as np
from scipy import fft

from ..errors import InputError
from ..physics.waves import coherence_envelope, imaging_kernels, spread
from .tie import is_reflecting, unit_intensities


def iterative_phase(
    images, defocus, optics, iterations=50, start=None, boundary="reflect", progress=None
):
    """Phase and amplitude of any object from several planes.

    The wave at focus is propagated to each plane in turn, given the measured amplitude there, and
    brought back. Objects need not be weak; what few planes leave undetermined, low frequencies
    above all, comes slowly, and sooner from a good start.

    Parameters
    ----------
    images : (height, width, planes) array
        Intensities; each plane is divided by its mean.
    defocus : sequence of float
        Of each plane, in um; planes in focus are allowed.
    optics : Optics
        The imaging system, as `mcnn_keras.physics.optics` has it. An extended source counts as the blur
        of the intensities that are compared.
    iterations : int
        How often all planes are gone through.
    start : (height, width) array, optional
        Phase to start from, in rad; none by default.
    boundary : {'reflect', 'periodic'}
        How the field goes on beyond its borders.
    progress : callable, optional
        Called with (iterations done, iterations).

    Returns
    -------
    phase : numpy.ndarray
        (height, width), rad, mean-free; of more than pi unwrapped.
    amplitude : numpy.ndarray
        (height, width), its mean square one.

    Raises
    ------
    InputError
        If `iterations` is not positive.

    References
    ----------
    Allen and Oxley, Optics Communications 199, 65 (2001); Pedrini, Osten and Zhang, Optics
    Letters 30, 833 (2005).
    """
    from skimage.restoration import unwrap_phase

    if iterations < 1:
        raise InputError(f"iterations is {iterations}; it must be at least 1")
    planes = np.asarray(defocus, np.float64)
    images = unit_intensities(images)
    margins, inner = surroundings(images.shape[:2], planes, optics, boundary)
    amplitudes = np.sqrt(np.maximum(np.pad(images, (*margins, (0, 0)), mode="symmetric"), 0))
    shape = amplitudes.shape[:2]
    kernels = imaging_kernels(shape, planes, optics)
    blurs = coherence_envelope(shape, planes, optics) if optics.coherence_angle > 0 else None
    wave = np.ones(shape, complex)
    if start is not None:
        wave = np.exp(1j * np.pad(start, margins, mode="symmetric"))
    # The outermost planes first: they tell the low frequencies.
    order = np.argsort(-np.abs(planes))
    for i in range(iterations):
        wave = projected(wave, amplitudes, kernels, order, blurs)
        if progress:
            progress(i + 1, iterations)
    wave = wave[inner]
    amplitude = np.abs(wave)
    # The mean wave's phase is free; without it fewer pixels lie near the jump.
    phase = unwrap_phase(np.angle(wave * np.exp(-1j * np.angle(wave.mean()))))
    return phase - phase.mean(), amplitude / np.sqrt(np.mean(amplitude**2))


def surroundings(shape, defocus, optics, boundary):
    """What to add around a field before waves are propagated, and where the field is then.

    Parameters
    ----------
    shape : tuple of int
    defocus : sequence of float
    optics : Optics
    boundary : {'reflect', 'periodic'}
        'reflect' adds as much as light travels sideways, half of the field on each side at most.

    Returns
    -------
    margins : tuple
        (before, after) for height and width, in pixels.
    inner : tuple of slice
    """
    reach = spread(defocus, optics) if is_reflecting(boundary) else 0
    margins = []
    for n in shape:
        before = min(reach, n // 2)
        # A size whose transform is fast.
        margins.append((before, fft.next_fast_len(n + 2 * before) - n - before if before else 0))
    inner = tuple(slice(m[0], m[0] + n) for m, n in zip(margins, shape, strict=True))
    return tuple(margins), inner


def projected(wave, amplitudes, kernels, order, blurs=None):
    """A wave at focus after one projection onto the amplitude of each plane in turn.

    Parameters
    ----------
    wave : (height, width) array
        Complex, of the precision to work in.
    amplitudes : (height, width, planes) array
        That were measured.
    kernels : (planes, height, width) array
        From focus to each plane.
    order : sequence of int
        The planes to go through.
    blurs : (planes, height, width // 2 + 1) array, optional
        Of the intensities' spectra, by an extended source.
    """
    for plane in order:
        there = propagated(wave, kernels[plane])
        seen = np.abs(there)
        if blurs is not None:
            seen = np.sqrt(np.maximum(filtered(seen**2, blurs[plane]), 0))
        there *= amplitudes[..., plane] / np.maximum(seen, 1e-6)
        wave = propagated(there, kernels[plane].conj())
    return wave


def propagated(wave, kernel):
    """A wave after a multiplication of its spectrum, in its own precision."""
    return fft.ifft2(fft.fft2(wave, workers=2) * kernel, workers=2)


def filtered(image, gain):
    """A real image after a multiplication of its spectrum."""
    return fft.irfft2(fft.rfft2(image, workers=2) * gain, s=image.shape, workers=2)
