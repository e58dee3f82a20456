"""The inverse of the Laplacian of `mcnn_keras.problems.Laplacian`, in closed form."""

from __future__ import annotations

import numpy as np
from scipy import fft


def inverse_laplacian(
    image: np.ndarray, regularization: float, boundary: str = "zero"
) -> np.ndarray:
    """Invert a Laplacian by a sine or cosine transform, with Tikhonov's regularisation.

    Parameters
    ----------
    image : (height, width) array
        A picture convolved with [1 2 1; 2 -12 2; 1 2 1].
    regularization : float
        In units of the transfer function, which goes from 0 to -16: frequencies at which it is
        smaller are damped.
    boundary : {'zero', 'open'}
        Whether nothing lies beyond the picture's borders, or it goes on there, as if mirrored.

    Returns
    -------
    numpy.ndarray
        (height, width); mean-free where it goes on, since the Laplacian tells nothing of the mean.

    Raises
    ------
    ValueError
        If the boundary is no choice.

    Notes
    -----
    Sines that vanish one pixel beyond the borders, or cosines that are mirrored at them, are the
    kernel's eigenvectors: it becomes L = (2 + 2 cos a) (2 + 2 cos b) - 16, with a and b between 0
    and pi. Minimises |L x - y|^2 + regularization^2 |x|^2: x = L y / (L^2 + regularization^2).
    """
    if boundary not in ("zero", "open"):
        raise ValueError(f"boundary={boundary!r} is not known; choose 'zero' or 'open'")
    if boundary == "zero":
        angles = [np.pi * np.arange(1, n + 1) / (n + 1) for n in image.shape]
        there, back, kind = fft.dstn, fft.idstn, 1
    else:
        angles = [np.pi * np.arange(n) / n for n in image.shape]
        there, back, kind = fft.dctn, fft.idctn, 2
    transfer = np.multiply.outer(*(2 + 2 * np.cos(a) for a in angles)) - 16
    damped = transfer**2 + regularization**2
    damped[transfer == 0] = 1.0  # the lost mean, which stays zero in the answer
    spectrum = there(image, type=kind, norm="ortho") * transfer / damped
    return back(spectrum, type=kind, norm="ortho")
