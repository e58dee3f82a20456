"""Columns of atoms in an image: where they are, and which of them are invented or missed.

image -> Laplacian of Gaussian -> local maxima -> sub-pixel positions -> pairs with the truth

scipy and scikit-image, which the package needs anyway, do the work. `skimage.feature.blob_log`
would give whole pixels only; atomap and atomai would bring HyperSpy or PyTorch with them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError

# A column's standard deviation, if only the spacing is given: in spacings.
WIDTH = 0.2
# The narrowest filter, in pixels: narrower ones are not sampled well.
NARROWEST = 0.8
# Widths that are tried to measure it, in pixels.
WIDTHS = np.geomspace(0.7, 12.0, 20)
# Least height of a column by default, relative to the typical one.
LEAST = 0.25
# Largest spacing in widths: columns that stand alone must not hide their neighbours.
ALONE = 6.0


@dataclass(frozen=True)
class ColumnCounts:
    """Columns that were found, counted against the truth.

    Attributes
    ----------
    true : int
        Columns of the truth that were found.
    invented : int
        Found columns that the truth does not have.
    missed : int
        Columns of the truth that were not found.
    position_error : float
        Root mean square distance of the true ones from their places, in pixels; NaN without any.
    """

    true: int
    invented: int
    missed: int
    position_error: float

    @property
    def precision(self) -> float:
        """The share of the found columns that are true; NaN if none was found."""
        return _share(self.true, self.true + self.invented)

    @property
    def recall(self) -> float:
        """The share of the truth's columns that were found; NaN if it has none."""
        return _share(self.true, self.true + self.missed)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; NaN if nothing is there or found."""
        return _share(2 * self.true, 2 * self.true + self.invented + self.missed)


def total(counts: Iterable[ColumnCounts]) -> ColumnCounts:
    """The counts of several images together."""
    counts = list(counts)
    true = sum(c.true for c in counts)
    squares = sum(c.true * c.position_error**2 for c in counts if c.true)
    return ColumnCounts(
        true,
        sum(c.invented for c in counts),
        sum(c.missed for c in counts),
        float(np.sqrt(squares / true)) if true else float("nan"),
    )


def find_columns(
    image: Any,
    spacing: float | None = None,
    *,
    width: float | None = None,
    least: float | None = None,
    dark: bool = False,
) -> np.ndarray:
    """The positions of the columns of atoms in an image.

    Parameters
    ----------
    image : (height, width) array
        Of finite values.
    spacing : float, optional
        Smallest distance of two columns, in pixels. Maxima closer than half of it are one column.
        By default it is measured in the image, for which the image must have little noise.
    width : float, optional
        Standard deviation of a column, in pixels; by default a fifth of the spacing, or measured
        if the spacing is.
    least : float, optional
        Least height of a column above its surroundings, in the image's unit. By default a quarter
        of the typical height in this image. So fainter ones are left out, and an image of noise
        alone has "columns": give `least` for noisy images, and where there may be none.
    dark : bool
        Columns are dark on a bright ground, as in a bright field.

    Returns
    -------
    numpy.ndarray
        (columns, 2), float64: y and x in pixels, the highest column first. The centre of the first
        pixel is at (0, 0).

    Raises
    ------
    InputError
        If the image is not two-dimensional or not finite, or a length is not positive.

    Notes
    -----
    A constant or linear background has no effect. A curved one has little, if it is much wider than
    a column. What is not found, or found in vain:

    - a column fainter than a sixth of one that is three widths away: the filter's ring hides it;
    - two columns that are closer than 2.5 widths: they are one;
    - hot pixels count as columns, and raise the typical height; mend them first;
    - so do the grains of a film, if they are as wide as a column and high enough.
    """
    positions, heights = column_maxima(image, spacing, width=width, dark=dark)
    if least is None:
        least = LEAST * _typical(heights)
    return positions[heights >= least]


def column_maxima(
    image: Any, spacing: float | None = None, *, width: float | None = None, dark: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """All maxima that may be columns, and their heights, to choose from.

    Parameters
    ----------
    image, spacing, width, dark :
        As for `find_columns`.

    Returns
    -------
    positions : numpy.ndarray
        (maxima, 2), the highest first.
    heights : numpy.ndarray
        (maxima,), above the surroundings, positive. A Gaussian of the given width has its own.
    """
    from skimage.feature import peak_local_max

    image = _checked(image, dark)
    for name, value in (("spacing", spacing), ("width", width)):
        if value is not None and not 0 < value < np.inf:
            raise InputError(f"{name} {value} is not a positive length; give it in pixels")
    if spacing is None and width is None:
        width, spacing = _shape(image)
    elif width is None:
        width = WIDTH * spacing  # type: ignore[operator]
    elif spacing is None:
        spacing = width / WIDTH
    response = _response(image, width)
    places = peak_local_max(
        response,
        min_distance=max(1, int(spacing / 2)),  # type: ignore[operator]
        threshold_abs=1e-9 * float(np.ptp(image)),
        exclude_border=False,
    )
    heights = response[tuple(places.T)]
    order = np.argsort(-heights, kind="stable")
    positions = _refined(response, places[order])
    spread = math.hypot(max(width, NARROWEST), width)
    return _apart(positions, heights[order], spread), heights[order]


def column_shape(image: Any, dark: bool = False) -> tuple[float, float]:
    """Width and spacing of the columns in an image with little noise.

    Parameters
    ----------
    image, dark :
        As for `find_columns`.

    Returns
    -------
    width, spacing : float
        In pixels: the standard deviation of a column, and the distance to the next column that
        nine in ten exceed; at most six widths.
    """
    return _shape(_checked(image, dark))


def match_columns(found: Any, true: Any, within: float, ignored: Any = ()) -> ColumnCounts:
    """Count found columns against the true ones.

    As many pairs as possible are made, and of these possibilities the one with the least distances.

    Parameters
    ----------
    found, true : (columns, 2) array
        Positions in pixels.
    within : float
        Largest distance of a pair, in pixels.
    ignored : (columns, 2) array, optional
        Places where a found column is neither true nor invented: columns at the image's border,
        or ones too faint to tell.

    Returns
    -------
    ColumnCounts
    """
    found, true, ignored = (_positions(p) for p in (found, true, ignored))
    if not 0 < within < np.inf:
        raise InputError(f"within {within} is not a positive distance; give it in pixels")
    pairs, distances = _pairs(found, true, within)
    left = np.delete(found, pairs[:, 0], axis=0)
    excused, _ = _pairs(left, ignored, within)
    return ColumnCounts(
        len(pairs),
        len(left) - len(excused),
        len(true) - len(pairs),
        float(np.sqrt(np.mean(distances**2))) if len(pairs) else float("nan"),
    )


def _pairs(ones: np.ndarray, others: np.ndarray, within: float) -> tuple[np.ndarray, np.ndarray]:
    """One-to-one pairs of indices, (pairs, 2), and their distances."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    nothing = np.empty((0, 2), int), np.empty(0)
    if not len(ones) or not len(others):
        return nothing
    near = cKDTree(ones).sparse_distance_matrix(cKDTree(others), within, output_type="ndarray")
    if not len(near):
        return nothing
    # Groups that share no candidate are assigned by themselves: one table of all would not fit
    # into memory for large images.
    count = len(ones) + len(others)
    links = coo_matrix((np.ones(len(near)), (near["i"], near["j"] + len(ones))), (count, count))
    group = connected_components(links, directed=False)[1][near["i"]]
    order = np.argsort(group, kind="stable")
    pairs = []
    for part in np.split(near[order], np.flatnonzero(np.diff(group[order])) + 1):
        rows, i = np.unique(part["i"], return_inverse=True)
        columns, j = np.unique(part["j"], return_inverse=True)
        # No pair costs more than any number of true pairs: first as many as possible.
        none = within * (min(len(rows), len(columns)) + 1.0)
        costs = np.full((len(rows), len(columns)), none)
        costs[i, j] = part["v"]
        chosen = np.stack(linear_sum_assignment(costs), axis=1)
        cost = costs[tuple(chosen.T)]
        near_enough = cost <= within
        pairs.append(np.stack([rows[chosen[:, 0]], columns[chosen[:, 1]], cost], 1)[near_enough])
    found = np.concatenate(pairs)
    return found[:, :2].astype(int), found[:, 2]


def _shape(image: np.ndarray) -> tuple[float, float]:
    from scipy.spatial import cKDTree
    from skimage.feature import peak_local_max

    # Of a Gaussian, this response is largest for the filter of its own width. The first maximum is
    # taken, as a whole crystal answers to wide filters.
    strengths = [float(_curvature(image, width).max()) * width**2 for width in WIDTHS]
    falls = [i for i in range(len(WIDTHS) - 1) if strengths[i + 1] < strengths[i]]
    width = float(WIDTHS[falls[0] if falls else -1])
    response = _response(image, width)
    heights = response[tuple(peak_local_max(response, min_distance=1, exclude_border=False).T)]
    places = peak_local_max(
        response, min_distance=1, threshold_abs=LEAST * _typical(heights), exclude_border=False
    )
    if len(places) < 2:
        return width, ALONE * width
    positions = _refined(response, places)
    distances, _ = cKDTree(positions).query(positions, k=2)
    return width, float(min(np.quantile(distances[:, 1], 0.1), ALONE * width))


def _response(image: np.ndarray, width: float) -> np.ndarray:
    """The filtered image, in units of the height of a Gaussian column of this width."""
    sigma = max(width, NARROWEST)
    return _curvature(image, sigma) * (sigma**2 + width**2) ** 2 / (2 * width**2)


def _curvature(image: np.ndarray, sigma: float) -> np.ndarray:
    """Minus the Laplacian of the blurred image."""
    from scipy.ndimage import gaussian_laplace

    # Continued beyond the border without a kink, so that a slope ends in no column.
    margin = [min(math.ceil(4 * sigma), n - 1) for n in image.shape]
    wide = np.pad(image, [(m, m) for m in margin], mode="reflect", reflect_type="odd")
    inner = tuple(slice(m, m + n) for m, n in zip(margin, image.shape, strict=True))
    return -gaussian_laplace(wide, sigma, mode="nearest")[inner]


def _refined(response: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The vertex of the paraboloid around each maximum."""
    r = np.pad(response, 1, mode="edge")
    y, x = places.T + 1
    middle = r[y, x]
    dy, dx = (r[y + 1, x] - r[y - 1, x]) / 2, (r[y, x + 1] - r[y, x - 1]) / 2
    yy = r[y + 1, x] + r[y - 1, x] - 2 * middle
    xx = r[y, x + 1] + r[y, x - 1] - 2 * middle
    xy = (r[y + 1, x + 1] + r[y - 1, x - 1] - r[y + 1, x - 1] - r[y - 1, x + 1]) / 4
    det = yy * xx - xy**2
    good = (yy < 0) & (det > 0)
    det = np.where(good, det, 1.0)
    away = np.stack([xy * dx - xx * dy, xy * dy - yy * dx], axis=1) / det[:, None]
    return places + np.where(good[:, None], np.clip(away, -0.7, 0.7), 0.0)


def _apart(positions: np.ndarray, heights: np.ndarray, spread: float) -> np.ndarray:
    """Positions without the pull of the neighbours, whose filtered images reach this far.

    The response to a column at distance r is height (1 - u / 2) exp(-u / 2), u = (r / spread)^2.
    """
    from scipy.spatial import cKDTree

    if len(positions) < 2:
        return positions
    i, j = cKDTree(positions).query_pairs(5 * spread, output_type="ndarray").T
    away = (positions[i] - positions[j]) / spread
    u = np.sum(away**2, axis=1)
    slope = away * ((u / 2 - 2) * np.exp(-u / 2))[:, None]
    pull = np.zeros_like(positions)
    np.add.at(pull, i, slope * (heights[j] / heights[i])[:, None])
    np.add.at(pull, j, -slope * (heights[i] / heights[j])[:, None])
    return positions - np.clip(pull / 2, -0.5, 0.5) * spread


def _typical(heights: np.ndarray) -> float:
    """The median of the heights above half of the largest; infinity without any."""
    if not len(heights):
        return float("inf")
    return float(np.median(heights[heights >= heights.max() / 2]))


def _checked(image: Any, dark: bool) -> np.ndarray:
    if np.ma.is_masked(image):
        raise InputError("the image has masked pixels; cut these places off, or fill them in")
    given = np.asarray(image)
    image = np.asarray(given, np.float64)
    if image.ndim != 2 or not image.size:
        raise InputError(f"an array of shape {image.shape} was given; an image of (height, width) "
                         "is expected")  # fmt: skip
    if not np.isfinite(image).all():
        raise InputError("the image holds NaN or infinity; cut these places off, or fill them in")
    precision = np.finfo(given.dtype if given.dtype.kind == "f" else np.float64).eps
    rounding = 16 * float(precision) * float(np.abs(image).max())
    # Without its mean and slope: the sampled filter does not remove large ones completely.
    image = image - image.mean()
    for axis, n in enumerate(image.shape):
        place = np.arange(n) - (n - 1) / 2
        place = place[:, None] if axis == 0 else place[None]
        if n > 1:
            image -= place * (np.mean(image * place) / np.mean(place**2))
    if np.ptp(image) <= rounding:
        image = np.zeros_like(image)
    return -image if dark else image


def _positions(given: Any) -> np.ndarray:
    positions = np.asarray(given, np.float64)
    if not positions.size:
        return np.empty((0, 2))
    if positions.ndim != 2 or positions.shape[1] != 2 or not np.isfinite(positions).all():
        raise InputError(
            f"positions of shape {positions.shape} were given; (columns, 2) finite numbers, y and "
            "x in pixels, are expected"
        )
    return positions


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
