"""Numbers that describe an image and the answer to it, to compare with those of the training.

image, answer (of a window as large as the training's samples) -> statistics by name

None depends on the scale or the offset of the image.
"""

from __future__ import annotations

import itertools

import numpy as np

# Limits of the bands of spatial frequency, in cycles per pixel.
BANDS = (0.0, 0.03, 0.06, 0.12, 0.2, 0.3, 0.4, 0.5)
# Highest peaks of the answer's spectrum at which image and residual are looked at.
PEAKS = 12
# Statistics of what cameras do to values, which many simulations leave out.
OF_CAMERAS = ("values", "at the lower end", "at the upper end")
# Least power or share that is told from none; and least power of a band, so that an image without
# noise is as usual as one with little.
LEAST, QUIET = 1e-6, 1e-3
# Instead of a deviation of zero.
NONE = 1e-300


def image_statistics(image: np.ndarray) -> dict[str, float]:
    """Statistics of an image.

    Parameters
    ----------
    image : (height, width) array
        NaN where pixels are missing.

    Returns
    -------
    dict
        ``power 0.03-0.06`` and so on: logarithms (base 10) of the mean power in bands of spatial
        frequency, relative to white noise; ``rows against columns``: that of the ratio of the high
        frequencies along rows to those along columns; ``skewness`` and ``kurtosis``, compressed by
        sign(x) log(1 + |x|); ``at the lower end`` and ``at the upper end``: logarithms of the
        shares of pixels with the least and the greatest value, above those with the value next to
        it: a detector that saturates; ``values``: that of the number of
        different values for each pixel; ``highest peak``: that of the highest peak of the spectrum
        relative to other places of its frequency.
    """
    seen = np.isfinite(image)
    values = image[seen].astype(np.float64)
    if values.size < 2 or np.ptp(values) == 0:
        return {}
    z = _standard(np.where(seen, image, values.mean()))
    power, radius, fy, fx = _power(z)
    told = _bands("power", power, radius)
    along = (abs(fx) > 0.25) & (abs(fy) < 0.1)
    across = (abs(fy) > 0.25) & (abs(fx) < 0.1)
    told["rows against columns"] = _log(power[along].mean()) - _log(power[across].mean())
    told["skewness"] = _compressed(np.mean(z**3))
    told["kurtosis"] = _compressed(np.mean(z**4) - 3)
    levels, counts = np.unique(values, return_counts=True)
    told["at the lower end"] = _log((counts[0] - counts[1]) / values.size, 1e-4)
    told["at the upper end"] = _log((counts[-1] - counts[-2]) / values.size, 1e-4)
    told["values"] = _log(len(levels) / values.size, 1e-4)
    told["highest peak"] = _log(_prominence(power, radius).max())
    return told


def answer_statistics(image: np.ndarray, answer: np.ndarray) -> dict[str, float]:
    """Statistics of a denoised image, and of what was taken from it.

    Parameters
    ----------
    image, answer : (height, width) array

    Returns
    -------
    dict
        ``removed``: logarithm of the deviation of the residual, image - answer, relative to the
        image's; ``residual ...``: its spectrum, relative to its own deviation, its kurtosis, its
        correlation with the answer and with its neighbours, and that of its square with the answer;
        ``lattice in the residual``: logarithm of its power at the peaks of the answer's spectrum
        relative to other places of these frequencies; ``support``: at these peaks, the part of the
        answer that is in the image.
    """
    seen = np.isfinite(image) & np.isfinite(answer)
    if seen.sum() < 2:
        return {}
    image = np.where(seen, image, answer[seen].mean(dtype=np.float64)).astype(np.float64)
    answer = np.where(seen, answer, answer[seen].mean(dtype=np.float64)).astype(np.float64)
    deviation = image.std()
    residual = np.where(seen, image - answer, 0.0)
    size = residual.std()
    told = {
        "removed": _log(size / max(deviation, NONE), 1e-4),
        "answer": _log(answer.std() / max(deviation, NONE), 1e-4),
    }
    if size <= 1e-9 * max(deviation, NONE) or answer.std() <= 1e-9 * max(deviation, NONE):
        return told
    r, a = _standard(residual), _standard(answer)
    power, radius, _, _ = _power(r)
    told.update(_bands("residual", power, radius, (0.0, 0.06, 0.2, 0.35, 0.5)))
    told["residual kurtosis"] = _compressed(np.mean(r**4) - 3)
    told["residual with the answer"] = float(np.mean(r * a))
    told["residual along rows"] = float(np.mean(r[:, 1:] * r[:, :-1]))
    told["residual along columns"] = float(np.mean(r[1:] * r[:-1]))
    told["residual squared with the answer"] = float(np.mean(_standard(np.minimum(r**2, 16)) * a))
    spectrum = np.fft.rfft2(a * _window(a.shape))
    own = np.abs(spectrum) ** 2 / a.size
    told.update(_bands("answer", own, radius))
    own[radius < 0.03] = 0  # slow changes are no lattice
    at = np.argsort(own, axis=None)[-PEAKS:]
    told["lattice in the residual"] = _log(np.median(_prominence(power, radius).ravel()[at]))
    both = np.fft.rfft2((image - image.mean()) / deviation * _window(a.shape)).ravel()[at]
    alone = spectrum.ravel()[at] * answer.std() / deviation
    told["support"] = float(
        np.sum((both * alone.conj()).real) / max(np.sum(abs(alone) ** 2), 1e-30)
    )
    return told


def statistics(
    image: np.ndarray, answer: np.ndarray, width: np.ndarray | None = None, residual: bool = False
) -> dict[str, float]:
    """All statistics of an image, its answer, and its uncertainty.

    Parameters
    ----------
    image, answer : (height, width) array
    width : (height, width) array, optional
        The uncertainty of the answer.
    residual : bool
        Whether image and answer are the same quantity.
    """
    told = image_statistics(image)
    if not told:
        return {}
    if residual:
        own = answer_statistics(image, answer)
        if len(own) < 3:
            return {}
        told.update(own)
    else:
        told.update({f"answer {k}": v for k, v in image_statistics(answer).items()})
    if width is not None:
        within = width[np.isfinite(width)].astype(np.float64)
        scale = float(np.nanstd((image if residual else answer).astype(np.float64)))
        told["uncertainty"] = _log(within.mean() / max(scale, NONE), 1e-4)
        told["greatest uncertainty"] = _log(np.quantile(within, 0.99) / max(scale, NONE), 1e-4)
    return told


def windows(shape: tuple[int, int], size: int) -> list[tuple[slice, slice]]:
    """Windows of at most this size: the middle one, and one in each quarter of a larger image."""
    sides = [min(size, n) for n in shape]

    def starts(part: float) -> list[int]:
        middles = (int(part * n) - side // 2 for n, side in zip(shape, sides, strict=True))
        return [
            min(max(0, start), n - side)
            for start, n, side in zip(middles, shape, sides, strict=True)
        ]

    (top, left), (bottom, right) = starts(0.25), starts(0.75)
    corners = [tuple(starts(0.5))]
    if max(shape) >= 1.5 * size:
        corners += [(y, x) for y in {top, bottom} for x in {left, right}]
    return [(slice(y, y + sides[0]), slice(x, x + sides[1])) for y, x in corners]


def _bands(
    name: str, power: np.ndarray, radius: np.ndarray, limits: tuple[float, ...] = BANDS
) -> dict[str, float]:
    """The mean power in bands of frequency; bands that a small image does not have are left out."""
    found = {}
    for low, high in itertools.pairwise(limits):
        inside = power[(radius > low) & (radius <= high)]
        if inside.size:
            found[f"{name} {low:g}-{high:g}"] = _log(inside.mean(), QUIET)
    return found


def _standard(values: np.ndarray) -> np.ndarray:
    away = values.astype(np.float64) - values.mean(dtype=np.float64)
    return away / max(away.std(), NONE)


def _window(shape: tuple[int, ...]) -> np.ndarray:
    down, across = np.hanning(shape[0] + 2)[1:-1], np.hanning(shape[1] + 2)[1:-1]
    window = down[:, None] * across
    return window / np.sqrt(np.mean(window**2))


def _power(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The power spectrum, one for white noise of deviation one, and its frequencies."""
    power = np.abs(np.fft.rfft2(z * _window(z.shape))) ** 2 / z.size
    fy, fx = np.fft.fftfreq(z.shape[0])[:, None], np.fft.rfftfreq(z.shape[1])[None]
    fy, fx = np.broadcast_arrays(fy, fx)
    return power, np.hypot(fy, fx), fy, fx


def _prominence(power: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """The power relative to the mean of its ring without the highest values; 0 outside of rings."""
    rings = np.minimum((radius * 40).astype(int), 20)
    found = np.zeros_like(power)
    for ring in range(1, 20):
        inside = rings == ring
        if inside.sum() > 8:
            found[inside] = power[inside] / max(np.median(power[inside]) / np.log(2), LEAST)
    return found


def _log(value: float, least: float = LEAST) -> float:
    return float(np.log10(max(float(value), least)))


def _compressed(value: float) -> float:
    return float(np.sign(value) * np.log1p(abs(value)))
