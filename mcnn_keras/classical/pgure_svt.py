"""PGURE-SVT: low-rank denoising of image sequences, with a threshold chosen from the data.

Patches that follow the motion through several frames form a matrix of nearly low rank. Its singular
values are reduced by a threshold. The threshold minimises an estimate of the risk under mixed
Poisson and Gaussian noise (PGURE, here to first order in the gain). After Furnival, Leary and
Midgley, Ultramicroscopy 174 (2017), 112, and Le Montagner, Angelini and Olivo-Marin, IEEE Trans.
Image Processing 23 (2014), 1255.
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError

# Size of the random probe that measures the divergence of the denoiser, in standard deviations of
# the noise.
PROBE = 0.1
# Least height and width of a frame, in pixels.
SMALLEST = 16


def pgure_svt(
    frames: np.ndarray,
    patch: int = 4,
    window: int = 15,
    step: int = 1,
    motion: int = 2,
    strengths: int = 24,
    seed: int = 0,
) -> np.ndarray:
    """Denoise a sequence of frames.

    Parameters
    ----------
    frames : (frames, height, width) array
        With Poisson and Gaussian noise, in any unit.
    patch : int
        Height and width of a patch.
    window : int
        Frames that are denoised together, at most.
    step : int
        Distance between patches, in pixels. Patches overlap if it is less than `patch`.
    motion : int
        How far, in pixels, a patch may have moved from one frame to the next.
    strengths : int
        How many thresholds to try.
    seed : int
        Seed of the random probe.

    Returns
    -------
    numpy.ndarray
        (frames, height, width), float64, in the frames' unit.

    Raises
    ------
    InputError
        If there are fewer than two frames, they are smaller than 16 pixels, or not finite.
    """
    frames = np.asarray(frames, np.float64)
    if frames.ndim != 3 or len(frames) < 2 or min(frames.shape[1:]) < SMALLEST:
        raise InputError(
            f"an array of shape {frames.shape} was given; PGURE-SVT takes (frames, height, width) "
            f"of at least two frames and {SMALLEST}x{SMALLEST} pixels"
        )
    if not np.isfinite(frames).all():
        raise InputError("the frames have pixels that are NaN or infinite; fill or cut them first")
    window = min(window, len(frames))
    result = np.empty_like(frames)
    done = 0
    while done < len(frames):
        # The last window starts earlier, so that it is as long as the others.
        start = min(done, len(frames) - window)
        answer = _denoise_window(
            frames[start : start + window], patch, step, motion, strengths, seed
        )
        result[done : start + window] = answer[done - start :]
        done = start + window
    return result


def noise_line(frames: np.ndarray) -> tuple[float, float]:
    """Gain and offset of the noise: variance = gain * value + offset.

    Parameters
    ----------
    frames : (frames, height, width) array

    Returns
    -------
    gain, offset : float
        Fitted to blocks of 8x8 pixels. The noise of a block is estimated from differences between
        neighbouring pixels.
    """
    mask = np.array([1.0, -2.0, 1.0])
    mask = np.outer(mask, mask) / 6  # keeps the variance of white noise, removes linear gradients
    rows = sum(mask[i, j] * frames[:, i : i - 2 or None, j : j - 2 or None]
               for i in range(3) for j in range(3))  # fmt: skip
    inner = frames[:, 1:-1, 1:-1]
    values, variances = _blocks(inner).mean((-1, -2)), (_blocks(rows) ** 2).mean((-1, -2))
    values, variances = values.ravel(), variances.ravel()
    # Medians within classes of brightness are robust to blocks with fine detail.
    order = np.array_split(np.argsort(values), min(16, len(values)))
    x = np.array([values[i].mean() for i in order])
    y = np.array([np.median(variances[i]) for i in order])
    if np.ptp(x) <= 1e-12 * np.abs(x).max():
        return 0.0, float(y.mean())
    gain, offset = np.polyfit(x, y, 1)
    return (float(gain), float(offset)) if gain > 0 else (0.0, float(y.mean()))


def _blocks(images: np.ndarray, size: int = 8) -> np.ndarray:
    height, width = (n // size * size for n in images.shape[1:])
    cut = images[:, :height, :width]
    return cut.reshape(len(images), height // size, size, width // size, size).swapaxes(2, 3)


def _denoise_window(
    frames: np.ndarray, patch: int, step: int, motion: int, strengths: int, seed: int
) -> np.ndarray:
    if np.ptp(frames) == 0:
        return frames
    places = _follow(frames, patch, step, motion)
    gain, offset = noise_line(frames)
    variance = gain * frames + offset
    delta = np.random.default_rng(seed).choice([-1.0, 1.0], frames.shape)
    size = PROBE * np.sqrt(max(variance.mean(), 1e-12 * frames.var()))
    plain, probed = (_Shrinkage(f, places, patch) for f in (frames, frames + size * delta))
    # From almost no threshold to one that removes nearly everything.
    best: tuple[float, np.ndarray] = (np.inf, frames)
    for strength in np.geomspace(0.01, 1.0, strengths) * plain.largest:
        answer = plain.at(strength)
        divergence = np.sum(variance * delta * (probed.at(strength) - answer)) / size
        risk = np.sum((answer - frames) ** 2) + 2 * divergence - np.sum(variance)
        if risk < best[0]:
            best = (risk, answer)
    return best[1]


def _follow(frames: np.ndarray, patch: int, step: int, motion: int) -> np.ndarray:
    """Where each patch of the middle frame lies in every frame: (frames, patches, 2)."""
    from scipy.ndimage import median_filter, uniform_filter

    count, height, width = frames.shape
    steady = median_filter(frames, (3, 5, 5), mode="nearest")
    corners = [sorted({*range(0, n - patch + 1, step), n - patch}) for n in (height, width)]
    start = np.stack(np.meshgrid(*corners, indexing="ij"), -1).reshape(-1, 2)
    places = np.empty((count, len(start), 2), int)
    middle = count // 2
    places[middle] = start
    shifts = [(y, x) for y in range(-motion, motion + 1) for x in range(-motion, motion + 1)]
    shifts.sort(key=lambda s: s[0] ** 2 + s[1] ** 2)
    # An area larger than the patch is compared: at low dose the patch alone is too noisy.
    reach = 2 * patch + 1
    for way in (1, -1):
        for i in range(middle, count - 1 if way > 0 else 0, way):
            here, there = steady[i], steady[i + way]
            costs = []
            for y, x in shifts:
                difference = (here - np.roll(there, (-y, -x), (0, 1))) ** 2
                cost = uniform_filter(difference, reach)
                centre = np.minimum(places[i] + patch // 2, (height - 1, width - 1))
                costs.append(cost[centre[:, 0], centre[:, 1]] * (1 + 0.02 * (y * y + x * x)))
            moved = places[i] + np.array(shifts)[np.argmin(costs, axis=0)]
            places[i + way] = np.clip(moved, 0, (height - patch, width - patch))
    # Pixels that no patch covers, since patches moved away, are covered by unmoved patches.
    covered = np.zeros(frames.shape, bool)
    for dy in range(patch):
        for dx in range(patch):
            index = np.arange(count)[:, None], places[..., 0] + dy, places[..., 1] + dx
            covered[index] = True
    bare = np.logical_not(covered.all(axis=0))
    needed = [bool(bare[y : y + patch, x : x + patch].any()) for y, x in start]
    still = np.broadcast_to(start[needed], (count, sum(needed), 2))
    return np.concatenate([places, still], axis=1)


class _Shrinkage:
    """The low-rank answer as a function of the threshold. The decomposition is done once."""

    def __init__(self, frames: np.ndarray, places: np.ndarray, patch: int) -> None:
        self.shape = frames.shape
        y, x = np.mgrid[:patch, :patch]
        rows = places[..., 0, None] + y.ravel()
        columns = places[..., 1, None] + x.ravel()
        count, _, width = frames.shape
        index = (np.arange(count)[:, None, None] * frames.shape[1] + rows) * width + columns
        self.index = index.swapaxes(0, 1)  # (patches, frames, pixels)
        matrices = frames.ravel()[self.index]
        self.means = matrices.mean(axis=(1, 2), keepdims=True)
        # Singular vectors over the frames, since there are few frames and may be many pixels.
        self.matrices = matrices - self.means
        squares, self.vectors = np.linalg.eigh(self.matrices @ self.matrices.swapaxes(1, 2))
        self.values = np.sqrt(np.maximum(squares, 0.0))
        self.largest = float(np.percentile(self.values[:, -1], 99))
        self.weights = np.bincount(self.index.ravel(), minlength=frames.size)

    def at(self, strength: float) -> np.ndarray:
        kept = np.maximum(1 - strength / np.maximum(self.values, 1e-300), 0.0)
        projector = (self.vectors * kept[:, None, :]) @ self.vectors.swapaxes(1, 2)
        answers = projector @ self.matrices + self.means
        total = np.bincount(self.index.ravel(), answers.ravel(), minlength=self.weights.size)
        return (total / self.weights).reshape(self.shape)
