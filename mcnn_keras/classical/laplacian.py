"""The inverse of the Laplacian of `mcnn_keras.problems.Laplacian`, in closed form."""

from __future__ import annotations

import numpy as np
from scipy import fft


def inverse_laplacian(
    image: np.ndarray, regularization: float, boundary: str = "zero"
) -> np.ndarray:
    """Invert a Laplacian by a sine or cosine transform, with Tikhonov regularisation.

    Parameters
    ----------
    image : (height, width) array
        A picture convolved with [1 2 1; 2 -12 2; 1 2 1].
    regularization : float
        In units of the transfer function, whose values lie between -16 and 0. Frequencies are
        damped where its magnitude is smaller than this.
    boundary : {'zero', 'open'}
        What is assumed outside the picture's borders: zero, or the mirrored picture.

    Returns
    -------
    numpy.ndarray
        (height, width). For 'open' its mean is zero, since the Laplacian removes the mean.

    Raises
    ------
    ValueError
        If the boundary is neither 'zero' nor 'open'.

    Notes
    -----
    The eigenvectors of the convolution are sines that vanish one pixel beyond the borders, or
    cosines that are mirrored at the borders. The eigenvalues are
    L = (2 + 2 cos a) (2 + 2 cos b) - 16, with a and b between 0 and pi. The result minimises
    |L x - y|^2 + regularization^2 |x|^2, so x = L y / (L^2 + regularization^2).
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
    damped[transfer == 0] = 1.0  # the mean, which is lost and stays zero
    spectrum = there(image, type=kind, norm="ortho") * transfer / damped
    return back(spectrum, type=kind, norm="ortho")
