"""Faults in a raw frame: faulty lines, constant areas, hot and dead pixels.

They are found in the single frame, before it is normalised or enters a network. Fast checks come
first. Doubtful pixels are not marked, as a hole in a good frame costs more than a missed fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from scipy import ndimage

from ..errors import InputError

WHOLE = 0.9  # a line with at least this share of faulty pixels is faulty as a whole
SMALLEST = 12  # least pixels of an area; smaller ones count as single pixels
LEFT = 0.45  # least share of a frame, or of its lines, that must be left
CHANCE = np.log(1e-6)  # log probability of a constant line or area by noise, in a frame
FLYBACK, CROSS = 16, 24  # most noisy lines at an edge, and most constant lines inside
HIGH, TAIL = 8.0, 5.0  # robust deviations of a hot pixel, and of a possible tail of the noise
HOT_SHARE = 0.013  # a larger share of isolated pixels are events of a counting detector
COUNTED = 48  # most distinct values of a frame with few counts per pixel
MARK, THICK = 40, 9  # least pixels of a burned-in mark, and a width that is too large for one
_ring = np.maximum(*np.abs(np.mgrid[-3:4, -3:4]))
NEXT, SECOND = (_ring[1:-1, 1:-1].ravel() == i for i in (1, 2))  # of the 5x5 pixels around one
FREE = _ring.ravel() > 1  # second differences around a pixel that do not contain it


@dataclass(frozen=True)
class Faults:
    """The faults of a frame."""

    missing: np.ndarray  # (height, width) bool: faulty pixels
    rows: tuple[int, ...]  # whole faulty rows
    columns: tuple[int, ...]  # whole faulty columns
    pixels: int  # number of single pixels: hot or dead
    areas: int  # number of connected areas that are not whole lines
    unknown: int = 0  # number of pixels that are NaN or infinite, wherever they lie

    @property
    def any(self) -> bool:
        """Whether anything is missing."""
        return bool(self.rows or self.columns or self.pixels or self.areas or self.unknown)

    @property
    def told(self) -> str:
        """The faults in words; empty if there are none."""
        parts = [
            (len(self.rows), "saturated or constant row", _spans(self.rows)),
            (len(self.columns), "saturated or constant column", _spans(self.columns)),
            (self.areas, "constant area", ""),
            (self.pixels, "hot or dead pixel", ""),
            (self.unknown, "missing value", " (NaN or infinite)"),
        ]
        return ", ".join(f"{n} {name}{'s' * (n > 1)}{spans}" for n, name, spans in parts if n)


def find_faults(frame: np.ndarray) -> Faults:
    """Find the faults of a raw frame.

    Parameters
    ----------
    frame : (height, width) array of real numbers
        As recorded. Pixels that are not finite are missing.

    Returns
    -------
    Faults
        If more than 55 % of the frame would be faulty, lines and areas are not marked.
    """
    frame = np.asarray(frame)
    if frame.ndim != 2 or frame.dtype.kind not in "biuf" or not frame.size:
        raise InputError(
            f"an array of shape {frame.shape} and type {frame.dtype} was given; one frame "
            "(height, width) of real numbers is expected"
        )
    image = frame.astype(np.result_type(frame, np.float32))
    unknown = ~np.isfinite(image)
    missing = unknown.copy()
    if missing.any() and not missing.all():
        image[missing] = np.median(image[~missing])
    if not missing.all() and min(image.shape) >= 8 and image.min() < image.max():
        same = image[:, 1:] == image[:, :-1], image[1:] == image[:-1]
        _find_constant_lines(image, same, missing)
        _find_far_lines(image, missing)
        _find_far_lines(image.T, missing.T)
        _find_areas(image, same, missing)
        if not missing.all():
            _find_marks(image, missing)
        if missing.mean() > 1 - LEFT:
            missing = unknown.copy()
        _find_pixels(image, missing)
    whole = [np.flatnonzero(missing.mean(axis=a) >= WHOLE) for a in (1, 0)]
    rest = missing.copy()
    rest[whole[0]] = rest[:, whole[1]] = False
    # What is missing as a whole is no fault of the values: it is counted by itself.
    gaps = [unknown.mean(axis=a) >= WHOLE for a in (1, 0)]
    rows, columns = (
        tuple(lines[~gap[lines]].tolist()) for lines, gap in zip(whole, gaps, strict=True)
    )
    parts = ndimage.label(rest)[0].ravel()
    sizes = np.bincount(parts)[1:]
    faulty = np.bincount(parts, ~unknown.ravel(), len(sizes) + 1)[1:].astype(int)
    areas = sizes >= SMALLEST
    return Faults(
        missing, rows, columns, int(faulty[~areas].sum()), int((faulty[areas] > 0).sum()),
        int(unknown.sum()),
    )  # fmt: skip


def _find_constant_lines(image: np.ndarray, same: tuple[Any, Any], missing: np.ndarray) -> None:
    """Mark the rows and columns with one value, if that is neither chance nor clipping."""
    # Few lines of a noisy frame have equal neighbours.
    suspect = [np.mean(same[a], axis=1 - a) >= 0.8 for a in (0, 1)]
    if not any(s.any() for s in suspect):
        return
    values = [np.zeros(len(s)) for s in suspect]
    for s, v, lines in zip(suspect, values, (image, image.T), strict=True):
        v[s] = np.median(lines[s], axis=1)
        if s.mean() > 0.8:  # a sparse frame, in which lines of the common value are normal
            s &= v != np.median(v[s])
    for a, (lines, mask) in enumerate(((image, missing), (image.T, missing.T))):
        runs = _runs(suspect[a])
        # Many runs are a clipped lattice, unless they are saturated.
        inner = sum(i > 0 and j < len(lines) - 1 for i, j in runs)
        if len(runs) > 4 or np.mean(~suspect[a]) < LEFT:
            continue
        across = ~suspect[1 - a] if np.mean(suspect[1 - a]) < 0.4 else slice(None)
        for first, last in runs:
            for value in np.unique(values[a][first : last + 1]):
                run = first, last, value == image.max()
                if run[2] or inner < 2:
                    mask[_constant(lines[:, across], value, ~suspect[a], *run)] = True


def _constant(
    lines: np.ndarray, value: float, good: np.ndarray, first: int, last: int, top: bool
) -> np.ndarray:
    """Indices of the rows of a run that have this one value."""
    height, width = lines.shape
    beside = [i for i in (first - 1, last + 1) if 0 <= i < height]
    held = lines == value
    share, more = held.mean(axis=1), (held[beside, 1:] & held[beside, :-1]).sum(axis=1)
    apart = np.abs(lines - value).mean(axis=1, dtype=np.float64)
    edge, wide = len(beside) < 2, last - first >= CROSS
    # The beam has a width: a clipped part of the specimen ends in a slope. In a sparse frame,
    # the value is common next to the lines, too.
    least = 0.15 if edge and top and last - first < min(FLYBACK, height / 8) else 0.6
    most = 0.3 if (edge or wide) and not top else 0.8
    # If the pixels next to the run are equal, too, the frame has no noise or hardly any counts.
    flat = np.mean(lines[beside, 1:] == lines[beside, :-1], axis=1).max() > WHOLE
    clipped = apart[beside].min() < least * np.median(apart[good]) or share[beside].max() > most
    if clipped or (flat and not (top and last - first < 3)):
        return np.zeros(0, int)
    # Equal values may come in runs: p is the probability that the next pixel is equal. By
    # Chernoff's bound, a share s of equal pixels has the probability exp(-width * divergence).
    n = share[beside] * width
    p = np.where(n < 8, 0.3, (more + 1) / (n + 1)).max()
    s = np.clip(share[first : last + 1], p, 1 - 1e-9)
    divergence = s * np.log(s / p) + (1 - s) * np.log((1 - s) / (1 - p))
    return first + np.flatnonzero((s >= WHOLE) & (width * divergence > np.log(height) - CHANCE))


def _find_far_lines(image: np.ndarray, missing: np.ndarray) -> None:
    """Mark noisy rows with a mean far from all others: flyback, a line of lost beam."""
    good, kept = (np.flatnonzero(missing.mean(axis=a) < WHOLE) for a in (1, 0))
    part = image if not missing.any() else image[np.ix_(good, kept)]
    means = part.mean(axis=1, dtype=np.float64)
    away = np.abs(means - np.median(means))
    far = away > HIGH * 1.4826 * np.median(away)
    if not far.any() or far.mean() > 0.5:
        return
    low, high = means[~far].min(), means[~far].max()
    for first, last in _runs((means < 2 * low - high) | (means > 2 * high - low)):
        ends = [(e, s) for e, s in ((first, -1), (last, 1)) if 0 <= e + s < len(means)]
        if last - first >= (FLYBACK if len(ends) < 2 else 4):
            continue
        run = part[first : last + 1]
        for end, step in ends:
            beside = np.clip(end + step * np.arange(1, 5), 0, len(means) - 1)
            peak = np.abs(means[first : last + 1] - means[beside].mean()).max()
            low, high = np.quantile(part[beside], (0.25, 0.75))
            outside = run > high if means[end] > means[beside[0]] else run < low
            # An edge of the specimen is wider than a pixel, and does not cross the whole frame.
            steep = np.abs(means[end] - means[beside[0]]) > 0.6 * peak
            if not steep or outside.mean(axis=1).min() < WHOLE:
                break
        else:
            missing[good[first : last + 1]] = True


def _find_areas(image: np.ndarray, same: tuple[Any, Any], missing: np.ndarray) -> None:
    """Mark connected areas of one value: rims of aligned frames, burned-in bars, masks."""
    flat = same[0][:-1] & same[0][1:] & same[1][:, :-1] & ~missing[:-1, :-1]  # 2x2 pixels
    core = np.pad(flat[:-1, :-1] & flat[1:, :-1] & flat[:-1, 1:] & flat[1:, 1:], 1)
    values, counts = np.unique(image[core], return_counts=True)
    if not 0 < len(values) <= 8:  # more values: a picture without noise
        return
    labels = np.zeros(image.shape, np.int32)
    for value in values[np.argsort(-counts)[:3]]:
        part, _ = ndimage.label((image == value) & ~missing)
        labels += np.where(part > 0, part + labels.max(), 0)
    inside, count = labels > 0, labels.max()
    opened = ndimage.binary_dilation(core & inside, np.ones((3, 3)))
    size, full = (np.bincount(labels[m], minlength=count + 1) for m in (inside, opened))
    solid = (size >= SMALLEST) & (full >= 0.4 * size)
    outside = ~_grown(solid[labels]) & ~missing
    if outside.mean() < LEFT or flat[outside[:-1, :-1]].mean() > 0.02 or solid.sum() > 100:
        return
    chance = np.clip(3 * inside[outside].mean(), 1e-3, 1 - 1e-9)
    solid &= full > (CHANCE - np.log(image.size)) / np.log(chance)
    if not solid.any():
        return
    usual, found = image[outside][:: max(1, image.size // 8000)], np.zeros_like(missing)
    lowest = image[~missing].min()
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        if not solid[label]:
            continue
        whole = labels[box] == label
        value = image[box][whole][0]
        sides = [s == label for s in (labels[0], labels[-1], labels[:, 0], labels[:, -1])]
        allowed = value in (lowest, 0) or any(s[0] or s[-1] or s.mean() > 0.5 for s in sides)
        # Saturated particles inside the frame may have any shape, but do not fill a box.
        if not allowed and whole.size >= (48 if value == image.max() else 100):
            allowed = ndimage.binary_fill_holes(whole).mean() > 0.95
        if not allowed:
            continue
        around = tuple(slice(max(0, s.start - 6), s.stop + 6) for s in box)
        away = np.abs(image[around] - value)
        least = 0.2 * np.abs(usual - value).mean()
        if _cut_out(labels[around] == label, away, missing[around], least):
            found[box] |= whole
    if found.any():
        missing |= found
        holes, _ = ndimage.label(~found)
        size = np.bincount(holes.ravel())
        size[[0, *holes[0], *holes[-1], *holes[:, 0], *holes[:, -1]]] = image.size
        missing |= (size < 0.05 * found.sum())[holes]  # text on a bar belongs to the bar


def _find_marks(image: np.ndarray, missing: np.ndarray) -> None:
    """Mark thin shapes at the highest value: burned-in characters, outlines and arrows."""
    known = ~missing
    top = image[known].max()
    highest = (image == top) & known
    if not MARK <= np.count_nonzero(highest) <= 0.05 * image.size:
        return
    labels, _ = ndimage.label(highest, np.ones((3, 3)))
    size = np.bincount(labels.ravel())
    size[0] = 0
    marks = (size >= 5)[labels]
    # Single pixels are clipped noise, and thick shapes may be particles.
    if size.max() < MARK or marks.sum() < 0.8 * highest.sum():
        return
    if ndimage.binary_erosion(marks, np.ones((THICK, THICK))).any():
        return
    ring, middle = _grown(marks) & ~marks & known, np.median(image[known])
    # The specimen saturates on a slope or in its bright parts; a mark may be anywhere.
    if ring.any() and image[ring].mean(dtype=np.float64) < middle + 0.15 * (top - middle):
        missing |= marks


def _cut_out(area: np.ndarray, away: np.ndarray, missing: np.ndarray, least: float) -> bool:
    """Whether an area has smooth edges, unlike noise, and a step instead of a slope around it."""
    p = np.pad(area, 1, mode="edge").astype(np.uint8)
    within = p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]
    ring = (within > 0) & ~area & ~missing
    ragged = max((ring & (within > 2)).sum(), (area & (within < 2)).sum())
    near = _grown(_grown(_grown(area)))
    farther = _grown(_grown(near)) & ~near & ~missing
    if not (ring.any() and farther.any()):
        return True
    step = away[ring].mean() > max(0.4 * away[farther].mean(), least)
    return bool(step and ragged <= max(2, 0.05 * ring.sum()))


def _find_pixels(image: np.ndarray, missing: np.ndarray) -> None:
    """Mark single pixels far above or below all their neighbours."""
    n = max(1, int(np.sqrt(image.size / 4000)))
    known = (image[~missing] if missing.any() else image.ravel())[:: n * n]
    image = np.where(missing, np.median(known), image) if missing.any() else image
    padded = np.pad(image, 4, mode="symmetric")
    patches = np.lib.stride_tricks.sliding_window_view(padded, (9, 9))
    noise = _noise(patches[::n, ::n, 3:6, 3:6])
    if not noise.any():
        return
    scale = np.median(noise[noise > 0])
    # Sparse counts and clipped noise are isolated, too: the scale is at least the distance of
    # rare values from the common one. Counts have few values and the tail of a Poisson
    # distribution only.
    counts = len(np.unique(known)) <= COUNTED
    for value in (known.min(), np.median(known), known.max()):
        rare = known != value
        if 0 < rare.mean() < 0.9:
            scale = max(scale, (1.2 if counts else 2.0) * np.median(np.abs(known[rare] - value)))
    height, width = image.shape

    def at(y: int, x: int) -> np.ndarray:
        return padded[4 + y : 4 + y + height, 4 + x : 4 + x + width]

    pairs = [(at(y, x), at(-y, -x)) for y, x in ((0, 1), (1, 0), (1, 1), (1, -1))]
    allowed = ~_grown(missing)  # an atom that is cut by an area looks sharp
    score = np.zeros(image.shape, np.float32)
    for sign, first, then in ((1, np.maximum, np.minimum), (-1, np.minimum, np.maximum)):
        steps = image - reduce(then, (first(*pair) for pair in pairs))
        steps *= sign
        peaks = steps > (TAIL - 1) * scale
        if np.count_nonzero(peaks) > 0.05 * image.size:  # mostly peaks of a smooth specimen
            peaks &= steps > np.quantile(steps[::n, ::n], 0.97)
        places = np.nonzero(peaks & allowed)
        if len(places[0]):
            score[places] = _isolation(sign * patches[places], scale)
    # If the noise has a long tail, hot pixels lie farther out.
    passed = np.count_nonzero(score > HIGH)
    tail = np.count_nonzero(score > TAIL) - passed
    hot = score > HIGH * (2 if tail > passed + 2 + 2e-5 * image.size else 1)
    if hot.mean() <= HOT_SHARE:
        missing |= hot


def _isolation(patches: np.ndarray, scale: float) -> np.ndarray:
    """Height of peaks in deviations of the noise around them; 0 for peaks that are not isolated."""
    near = patches[:, 2:7, 2:7].reshape(-1, 25)
    value, around, ring = near[:, 12], np.sort(near[:, NEXT]), np.sort(near[:, SECOND])
    # One neighbour may be hot, too; an atom or a scan line has more bright neighbours.
    height, second = value - (around[:, 3] + around[:, 4]) / 2, around[:, 6]
    low = second - ring[:, 3] < 0.3 * (value - ring[:, 3])
    some = low & (height > TAIL * scale) & (height > 2.8 * (second - around[:, 0]))
    noise = np.median(_noise(patches[some]).reshape(-1, 49)[:, FREE], axis=1)
    score = np.zeros(len(value), np.float32)
    score[some] = height[some] / np.maximum(noise, scale)
    return score


def _noise(images: np.ndarray) -> np.ndarray:
    """Mixed second differences of the last two axes; their median is the deviation of noise."""
    # These differences contain little of a smooth specimen.
    return np.abs(np.diff(np.diff(images, n=2, axis=-1), n=2, axis=-2)) * (1.4826 / 6)


def _grown(mask: np.ndarray) -> np.ndarray:
    """A mask and the four neighbours of each pixel; much faster than `scipy.ndimage`."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _runs(chosen: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of each run of true values."""
    steps = np.diff(np.concatenate(([0], chosen.astype(np.int8), [0])))
    first, after = np.flatnonzero(steps > 0), np.flatnonzero(steps < 0)
    return list(zip(first.tolist(), (after - 1).tolist(), strict=True))


def _spans(lines: tuple[int, ...]) -> str:
    """Indices as ranges in brackets, the first four only."""
    chosen = np.isin(np.arange(max(lines, default=0) + 1), lines)
    spans = [f"{a} to {b}" if b > a else f"{a}" for a, b in _runs(chosen)]
    return f" ({', '.join(spans[:4] + ['...'] * (len(spans) > 4))})"
