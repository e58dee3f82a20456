"""The inverse of the Laplacian of `mcnn_keras.problems.Laplacian`, in closed form."""

import numpy as np
from scipy import fft


def inverse_laplacian(image, regularization):
    """Invert a Laplacian by a cosine transform, with Tikhonov's regularisation.

    Parameters
    ----------
    image : (height, width) array
        A picture convolved with [1 2 1; 2 -12 2; 1 2 1].
    regularization : float
        In units of the transfer function, which goes from 0 to -16: frequencies at which it is
        smaller are damped.

    Returns
    -------
    numpy.ndarray
        (height, width), mean-free, since the Laplacian tells nothing of the mean.

    Notes
    -----
    The picture is taken to go on mirrored beyond its borders, where the discrete cosine transform
    is the Fourier transform and the kernel becomes L = (2 + 2 cos a) (2 + 2 cos b) - 16, with
    a and b from 0 to pi. Minimises |L x - y|^2 + regularization^2 |x|^2: x = L y / (L^2 +
    regularization^2).
    """
    a, b = (2 + 2 * np.cos(np.pi * np.arange(n) / n) for n in image.shape)
    transfer = np.multiply.outer(a, b) - 16
    damped = transfer**2 + regularization**2
    damped[0, 0] = 1.0  # where the transfer function is zero, and the answer with it
    spectrum = fft.dctn(image, norm="ortho") * transfer / damped
    return fft.idctn(spectrum, norm="ortho")
