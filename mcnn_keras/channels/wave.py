"""Estimates of a wave from any number of planes in any order, as fixed channels.

contrasts -> linear estimates -> simulated again -> corrected once; back-propagated waves, averaged
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..physics import arrays
from ..physics import contrast_transfer as ctf
from ..physics.arrays import Array
from ..physics.intensity_transport import slope_gain, slope_weights
from ..physics.optics import Optics
from ..physics.waves import (
    coherence_envelope,
    extended,
    imaging_kernels,
    squared_frequencies,
)

# Lower intensities, relative to the mean, are clipped to this before the logarithm.
DARK = 0.03
# The unexplained share of the contrast (see `contrast_transfer.unexplained`), for strong, usual and
# weak damping.
CAUTIOUS, USUAL, BOLD = 1.0, ctf.UNEXPLAINED, 0.01
# Estimates are softly clipped at this multiple of their units.
MOST = 20.0
# Indices of the phase channels, index of the channel with their unit, and number of channels.
PHASES, PHASE_SCALE, COUNT = (0, 2, 4, 6, 7, 8, 9), 14, 24


def wave_estimates(contrast: Array, conditions: Mapping[str, Array], margin: int = 32) -> Array:
    """Estimates of the wave at focus from all planes, and parameters of the instrument.

    The number of channels does not depend on the number of planes, and their values do not depend
    on the order of the planes. All are divided by the root mean square of the contrasts, and phases
    also by that of the usual estimates, so that weak and strong objects look alike. Two channels
    give these scales.

    Phase and absorption are found by least squares for a weak object, from the contrasts and from
    their logarithms, with strong and weak damping; and again with a correction by the difference
    between the measurement and its simulation. Further channels are the transport-of-intensity
    phase, mean and variation of the back-propagated waves, and eight constants.

    Parameters
    ----------
    contrast : (..., height, width, planes) array or tensor
        intensity / mean(intensity) - 1, float32.
    conditions : dict
        ``defocus`` of each plane, and the values of `Optics`, all in one unit of length.
    margin : int
        Pixels by which the field is extended on each side, mirrored and faded to the mean.

    Returns
    -------
    array or tensor
        (..., height, width, 24), float32.

    References
    ----------
    See `mcnn_keras.physics.contrast_transfer` and `mcnn_keras.channels.focus_estimates`.
    """
    xp = arrays.of(contrast, *conditions.values())
    defocus, optics = conditions["defocus"], Optics.from_conditions(conditions)
    scale = ctf.contrast_scale(contrast)
    intensity = arrays.channels_first(xp.maximum(1.0 + contrast, np.float32(DARK)))
    # In one transform: the contrast, its logarithm, and twice the amplitude's contrast.
    kinds = [intensity - 1.0, xp.log(intensity), 2.0 * (xp.sqrt(intensity) - 1.0)]
    fields, inner = extended(xp.stack(kinds, axis=0), margin)
    shape = tuple(int(n) for n in fields.shape[-2:])
    spectra = xp.rfft2(fields)
    weak, strong, amplitude = (spectra[i] for i in range(3))

    kernels = imaging_kernels(shape, defocus, optics, half=True)
    envelope = coherence_envelope(shape, defocus, optics)
    solver = _Solver(weak, defocus, optics, shape, ctf.transfers(kernels, envelope))
    usual, bold = solver.system(USUAL), solver.system(BOLD)
    first = usual.solve(strong, ctf.FAINT)
    phase, absorbed = (xp.irfft2(s, shape) for s in first)
    seen = ctf.simulated(phase, absorbed, kernels, envelope)
    seen = seen / xp.mean(seen, axis=(-2, -1)) - 1.0
    missed = xp.clip(fields[0] - seen, -2.0, 2.0)
    second = usual.solve(xp.rfft2(missed), ctf.FAINT)
    found = [
        usual.solve(weak, ctf.FAINT)[0], usual.solve(weak, ctf.ABSORPTION)[1], *first,
        *(a + b for a, b in zip(first, second, strict=True)),
        bold.solve(weak, ctf.FAINT)[0], bold.solve(strong, ctf.FAINT)[0],
        solver.system(CAUTIOUS).solve(strong, 0.0)[0], solver.transport(strong),
    ]  # fmt: skip
    estimates = xp.irfft2(xp.stack(found, axis=-3), shape)

    halved = 0.5 * amplitude
    parts = (-ctf.imaginary(kernels), xp.real(kernels))  # for back-propagation
    # The first axis counts real and imaginary part of the waves.
    back = xp.irfft2(xp.stack([xp.cast(k, "complex64") * halved for k in parts], axis=0), shape)
    mean = xp.mean(back, axis=-3)
    apart = xp.mean(xp.sum((back - mean) ** 2, axis=0), axis=-3)
    errors = xp.concat([apart, xp.mean(missed**2, axis=-3)], axis=-3)
    images = xp.concat([estimates, mean[0], mean[1], xp.sqrt(errors + np.float32(1e-12))], axis=-3)
    images = images[(..., *inner)] / scale
    phases = xp.stack([images[..., i, :, :] for i in (0, 2, 4)], axis=-3)
    size = xp.sqrt(xp.mean(phases * phases, axis=(-3, -2, -1)) + np.float32(2.5e-3))
    units = [size if i in PHASES else xp.cast(size > 0, "float32") for i in range(PHASE_SCALE)]
    images = images / xp.concat(units, axis=-3)
    images = images / xp.sqrt(1.0 + (images / MOST) ** 2)
    noisy = xp.mean(xp.sqrt(solver.noise / solver.power), axis=-3)
    told = [
        size, *_told(defocus, optics), ctf.decades(size), ctf.decades(scale) + 1.0,
        xp.minimum(noisy, np.float32(1.0)),
    ]  # fmt: skip
    blank = xp.zeros_like(images[..., :1, :, :])
    images = xp.concat([images, *(blank + number for number in told)], axis=-3)
    return arrays.channels_last(images)


class _Solver:
    """Linear estimates of phase and absorption from the spectra of all planes."""

    def __init__(
        self,
        contrasts: Array,
        defocus: Array,
        optics: Optics,
        shape: Sequence[int],
        transfers: tuple[Array, Array],
    ) -> None:
        xp = arrays.of(contrasts, defocus)
        self.defocus, self.optics, self.shape = defocus, optics, shape
        self.phase, self.absorption = transfers
        self.noise = ctf.noise_power(contrasts, shape)
        self.power = xp.mean(ctf.power(contrasts), axis=(-2, -1))
        law = ctf.power_law(shape)
        self.prior = ctf.object_power(contrasts, self.phase, self.noise, law) * law
        self.unexplained = ctf.unexplained(contrasts, shape, 1.0)

    def system(self, share: float) -> ctf.LeastSquares:
        """The equations if this share of the contrast counts as noise."""
        noise = self.noise + share * self.unexplained
        return ctf.LeastSquares(self.phase, self.absorption, noise, self.prior)

    def transport(self, spectra: Array) -> Array:
        """The transport-of-intensity phase, damped by the same noise."""
        xp = arrays.of(spectra, self.defocus)
        weights = xp.cast(slope_weights(self.defocus), "float32")[:, None, None]
        squared = squared_frequencies(self.shape, self.optics.pixel_size, half=True)
        gain = xp.cast(slope_gain(squared, self.optics), "float32")
        slope = xp.sum(spectra * xp.cast(weights, "complex64"), axis=-3)
        noise = xp.sum((self.noise + USUAL * self.unexplained) * weights * weights, axis=-3)
        share = gain * self.prior / xp.maximum(gain * gain * self.prior + noise, 1e-30)
        return xp.cast(share, "complex64") * slope


def _told(defocus: Array, optics: Optics) -> list[Array]:
    """Planes and optics, as six numbers of order one."""
    u = ctf.dimensionless(defocus, optics)
    xp = arrays.of(u)
    farthest, size = xp.sqrt(xp.mean(u * u)), xp.sqrt(u * u)
    angle, pixel = (xp.cast(v, "float64") for v in (optics.coherence_angle, optics.pixel_size))
    z = xp.cast(defocus, "float64")
    blur = angle * xp.sqrt(xp.mean(z * z)) / pixel
    return [
        ctf.decades(farthest) - 2.0,
        ctf.decades(xp.maximum(xp.mean(size), 1e-3)) - 2.0,
        ctf.decades(xp.sum(xp.cast(u == u, "float64"))),
        xp.cast(xp.mean(u) / farthest, "float32"),
        xp.cast(ctf.aperture_radius(optics), "float32") * 2.0,
        ctf.decades(xp.maximum(blur, 1e-2)),
    ]
