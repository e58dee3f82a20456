"""The transport-of-intensity equation, solved in Fourier space."""

import math

import numpy as np

from ..metrics import mean_absolute_error


def tie(images, defocus, optics, cutoff, boundary="reflect"):
    """Phase of a weakly absorbing object from one or more defocused images.

    Solves dI/dz = -lambda / (2 pi n) laplacian(phase) at unit intensity, with Tikhonov
    regularisation. The axial derivative is the slope of a line through the planes; through unit
    intensity at focus where there is one plane only.

    Parameters
    ----------
    images : (height, width, planes) array
        Intensities; each plane is divided by its mean.
    defocus : sequence of float
        Of each plane, in um.
    optics : Optics
        Its wavelength, pixel size and refractive index count.
    cutoff : float
        Spatial frequency, in 1/um, below which the solution is damped.
    boundary : {'reflect', 'periodic'}
        How the field goes on beyond its borders.

    Returns
    -------
    numpy.ndarray
        (height, width), rad, mean-free.

    References
    ----------
    Teague, JOSA 73, 1434 (1983); Paganin and Nugent, PRL 80, 2586 (1998).
    """
    solve = _solver(images, defocus, optics, boundary)
    return solve(cutoff)


def best_tie(images, targets, defocus, optics, cutoffs=15):
    """`tie` over a whole set, with the one cutoff that is best on that very set.

    Parameters
    ----------
    images, targets : (samples, height, width, channels) array
        Contrasts or intensities, and phases in rad.
    defocus, optics :
        As for `tie`.
    cutoffs : int
        How many cutoffs to try, from a tenth of the lowest frequency to the highest.

    Returns
    -------
    answers : numpy.ndarray
        (samples, height, width, 1), rad.
    settings : dict
        The cutoff and the boundary that were best.
    """
    field = images.shape[1] * optics.pixel_size
    grid = np.geomspace(0.1 / field, 0.5 / optics.pixel_size, cutoffs)
    best = (math.inf, None, None)
    for boundary in ("reflect", "periodic"):
        solvers = [_solver(image, defocus, optics, boundary) for image in images]
        for cutoff in grid:
            answers = np.stack([solve(cutoff) for solve in solvers])[..., None]
            error = mean_absolute_error(answers, targets)
            if error < best[0]:
                best = (error, answers, {"cutoff": float(cutoff), "boundary": boundary})
    return best[1], best[2]


def _solver(images, defocus, optics, boundary):
    """The solution as a function of the cutoff, the transform done once."""
    if boundary not in ("reflect", "periodic"):
        raise ValueError(f"boundary={boundary!r} is not known; choose 'reflect' or 'periodic'")
    height, width = images.shape[:2]
    slope = _axial_derivative(np.asarray(images, np.float64), np.asarray(defocus, np.float64))
    if boundary == "reflect":
        slope = np.pad(slope, ((0, height), (0, width)), mode="symmetric")
    fy = np.fft.fftfreq(slope.shape[0], optics.pixel_size)[:, None]
    fx = np.fft.rfftfreq(slope.shape[1], optics.pixel_size)[None]
    spectrum = np.fft.rfft2(slope)
    # A pure phase of spatial frequency f changes the intensity by `gain` per um and rad.
    scale = 2 * math.pi * optics.wavelength / optics.refractive_index
    gain = scale * (fy**2 + fx**2)

    def solve(cutoff):
        damping = (scale * cutoff**2) ** 2
        phase = np.fft.irfft2(spectrum * gain / (gain**2 + damping), s=slope.shape)
        phase = phase[:height, :width]
        return phase - phase.mean()

    return solve


def _axial_derivative(images, defocus):
    if (images < 0).any():  # contrasts rather than intensities
        images = images + 1
    images = images / images.mean(axis=(0, 1))
    if len(defocus) == 1:
        return (images[..., 0] - 1) / defocus[0]
    weights = defocus - defocus.mean()
    return images @ weights / np.sum(weights**2)
