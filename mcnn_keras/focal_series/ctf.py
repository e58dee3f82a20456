"""The contrast transfer function of all planes, inverted by damped least squares."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft

from ..errors import InputError
from ..inference.planes import require_out_of_focus
from ..physics import contrast_transfer as transfer
from ..physics.optics import Optics
from ..physics.waves import coherence_envelope, extended, imaging_kernels
from .tie import is_reflecting, unit_intensities

# Width of the mirrored margin around the field, which fades to the mean, in pixels.
MARGIN = 64
# The share of the contrast that counts as noise, see `contrast_transfer.unexplained`. For natural
# objects in noise, results with 0.02 to 0.1 differ by a tenth. For smooth objects in clean images,
# smaller values are better.
UNEXPLAINED = 0.03


def ctf_phase(
    images: np.ndarray,
    defocus: ArrayLike,
    optics: Optics,
    absorption: float | None = None,
    noise: float | None = None,
    boundary: str = "reflect",
) -> tuple[np.ndarray, np.ndarray]:
    """Phase and amplitude of a weak object from any number of planes.

    Each spatial frequency of each contrast is a known linear sum of the object's phase and
    absorption, see `mcnn_keras.physics.contrast_transfer`. Both are found by least squares, damped
    where the signal of all planes is below the noise (Wiener filter). White noise is measured in
    the corners of each plane's spectrum. The effects of strong objects and of the field's border
    are added as a share of the contrast that grows towards low frequencies. The power of the phase
    is assumed to fall with the cube of the frequency; its strength follows from the contrasts.

    Generalised cross-validation and the discrepancy principle choose far too little damping here:
    both judge by intensities, in which slow changes of a phase hardly show.

    Parameters
    ----------
    images : (height, width, planes) array
        Intensities; each plane is divided by its mean.
    defocus : sequence of float
        Of each plane, in um; some planes may be in focus.
    optics : Optics
        The imaging system, see `mcnn_keras.physics.optics`.
    absorption : float, optional
        Power of the absorption relative to that of the phase, 0 for a pure phase object; by
        default 0.1, and 0.01 for one plane, which cannot separate the two.
    noise : float, optional
        Standard deviation of the contrast's noise, instead of the measured noise and its additions.
    boundary : {'reflect', 'periodic'}
        How the field continues beyond its borders.

    Returns
    -------
    phase : numpy.ndarray
        (height, width), rad, mean-free.
    amplitude : numpy.ndarray
        (height, width), with a mean square of one.

    Raises
    ------
    InputError
        If a number is negative or infinite, or all planes are in focus.

    References
    ----------
    Cloetens et al., Applied Physics Letters 75, 2912 (1999); Zabler et al., Review of Scientific
    Instruments 76, 073705 (2005).
    """
    for name, value in (("absorption", absorption), ("noise", noise)):
        if value is not None and not 0 <= value < np.inf:
            raise InputError(f"{name} is {value}; 0 or a positive number is expected")
    planes = np.asarray(defocus, np.float64)
    require_out_of_focus(planes)
    if absorption is None:
        absorption = transfer.ABSORPTION if len(planes) > 1 else transfer.FAINT
    # In a fixed order, so that rounding does not depend on the order of the planes.
    order = np.argsort(planes, kind="stable")
    planes, contrasts = planes[order], (unit_intensities(images) - 1)[..., order]
    is_periodic = not is_reflecting(boundary)
    fields = np.moveaxis(contrasts, -1, 0).astype(np.float32)
    fields, inner = extended(fields, 0 if is_periodic else MARGIN)
    shape = fields.shape[-2:]
    spectra = fft.rfft2(fields, workers=2)
    kernels = imaging_kernels(shape, planes, optics, half=True)
    envelope = coherence_envelope(shape, planes, optics)
    by_phase, by_absorption = transfer.transfers(kernels, envelope)
    law = transfer.power_law(shape)
    # The power of rounding errors in images without noise.
    rounding = 1e-8 * transfer.power(spectra).mean((-2, -1), keepdims=True)
    least = np.maximum(transfer.noise_power(spectra, shape), rounding)
    strength = transfer.object_power(spectra, by_phase, least, law)
    if noise is not None:
        allowed = np.full_like(least, max(noise, 1e-9) ** 2 * fields[0].size)
    else:
        allowed = least + (0 if is_periodic else transfer.unexplained(spectra, shape, UNEXPLAINED))
    system = transfer.LeastSquares(by_phase, by_absorption, allowed, strength * law)
    phase, absorbed = system.solve(spectra, absorption)
    phase, absorbed = (
        fft.irfft2(s, shape, workers=2)[inner].astype(np.float64) for s in (phase, absorbed)
    )
    amplitude = np.maximum(1 + absorbed, 0)
    return phase - phase.mean(), amplitude / np.sqrt(np.mean(amplitude**2))
