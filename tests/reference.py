"""Slow, obvious NumPy references in float64, written without a look at the package's code."""

import numpy as np


def transfer_function(shape, z, wavelength, pixel_size, index=1.0):
    """exp(2 pi i z (sqrt((n / lambda)^2 - f^2) - n / lambda)), element by element."""
    height, width = shape
    out = np.zeros(shape, complex)
    for i in range(height):
        for j in range(width):
            fy = (i if i < (height + 1) // 2 else i - height) / (height * pixel_size)
            fx = (j if j < (width + 1) // 2 else j - width) / (width * pixel_size)
            square = (index / wavelength) ** 2 - fy**2 - fx**2
            if square > 0:
                out[i, j] = np.exp(2j * np.pi * z * (np.sqrt(square) - index / wavelength))
    return out


def area_average(image, factor):
    """The mean of each square of factor x factor pixels, one by one."""
    height, width = image.shape
    out = np.zeros((height // factor, width // factor))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = image[i * factor : (i + 1) * factor, j * factor : (j + 1) * factor].mean()
    return out


def blended(answers, size, places, shape):
    """The mean of square tiles' answers, (size, size) each, weighted by sin^2, pixel by pixel."""
    total, weights = np.zeros(shape), np.zeros(shape)
    for answer, (top, left) in zip(answers, places, strict=True):
        for i in range(size):
            for j in range(size):
                rises = [np.sin(np.pi * (k + 0.5) / size) ** 2 + 1e-3 for k in (i, j)]
                total[top + i, left + j] += rises[0] * rises[1] * answer[i, j]
                weights[top + i, left + j] += rises[0] * rises[1]
    return total / weights


def frame_scale(frame, outliers):
    """A frame, NaN where pixels are missing, in its own scale; its mean, deviation and limits.

    By the words of `FrameScale`: quantiles of the pixels, of which missing ones lie at the mean;
    the deviation between these, of the seen pixels alone; what lies twice as far out as the
    quantiles, and six deviations at least, is drawn in.
    """
    seen = np.isfinite(frame)
    values = np.where(seen, frame, frame[seen].mean(dtype=float)).astype(float)
    ordered = sorted(values.ravel())
    count = max(1, int(outliers * len(ordered)))
    low, high = ordered[count - 1], ordered[-count]
    between = np.clip(values, low, high)
    middle, deviation = between.mean(), between.std()
    limits = (
        middle - max(2 * (middle - low), 6 * deviation),
        middle + max(2 * (high - middle), 6 * deviation),
    )
    drawn = np.clip(values, *limits)
    deviation /= np.sqrt(seen.mean())
    return (drawn - drawn.mean()) / deviation, drawn.mean(), deviation, limits
