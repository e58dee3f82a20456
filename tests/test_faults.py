"""Fail where a fault of a frame is missed, or the specimen is taken for one."""

import io

import imageio.v3 as iio
import numpy as np
import pytest
from scipy import ndimage

from mcnn_keras.errors import InputError
from mcnn_keras.inference.faults import Faults, find_faults

SIZES = [(20, 32), (20, 256), (128, 128), (130, 200)]


def lattice(size, fwhm=3.0, pitch=9.3, angle=0.2, base=0.3):
    """Round atoms on a square lattice."""
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    u, v = ((i + pitch / 2) % pitch - pitch / 2 for i in (u, v))
    return base + np.exp(-4 * np.log(2) * (u**2 + v**2) / fwhm**2)


def noisy(size, decibels=5.0, seed=0, **of_lattice):
    clean = lattice(size, **of_lattice)
    deviation = clean.std() * 10 ** (-decibels / 20)
    return clean + deviation * np.random.default_rng(seed).normal(size=size)


def eight_bits(frame, low, high):
    return (255 * np.clip((frame - low) / (high - low), 0, 1)).astype(np.uint8)


def particles(size, radius=9, edge=1.0, seed=1):
    """Round particles on an empty support, with edges as wide as a beam."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    frame = np.zeros(size)
    for _ in range(max(2, frame.size // 3000)):
        far = np.hypot(y - rng.uniform(0, size[0]), x - rng.uniform(0, size[1]))
        frame = np.maximum(frame, 1 / (1 + np.exp((far - radius) / edge)))
    return frame


def through_jpeg(frame, quality):
    file = io.BytesIO()
    iio.imwrite(file, frame, extension=".jpg", quality=quality)
    return iio.imread(file.getvalue())


def frames():
    """Noisy frames of several kinds, each bright everywhere."""
    rng = np.random.default_rng(3)
    specimen = lattice((128, 128))
    return {
        "noise": rng.normal(100, 10, (128, 128)).astype(np.float32),
        "lattice of 20 dB": 1000 * noisy((128, 128), 20).astype(np.float32),
        "lattice of 0 dB": 1000 + 300 * noisy((128, 128), 0),
        "lattice without noise": 1000 * specimen,
        "counts": rng.poisson(30 * specimen).astype(np.uint16),
        "8 bits": eight_bits(noisy((128, 128), 10), -0.4, 1.6),
    }


FRAMES = frames()
kinds = pytest.mark.parametrize("kind", FRAMES)


def assert_none(frame, *about):
    """Nothing is found but, in noise, a few single pixels."""
    faults = find_faults(frame)
    assert (faults.rows, faults.columns, faults.areas) == ((), (), 0), (faults.told, *about)
    assert faults.pixels <= 1 + 0.0005 * frame.size, (faults.told, *about)


def assert_found(frame, mask):
    found = find_faults(frame).missing
    np.testing.assert_array_equal(found, mask)


@kinds
@pytest.mark.parametrize("width", [1, 2, 3, 16])
@pytest.mark.parametrize("value", ["top", 0])
def test_constant_lines_at_the_edge_are_found(kind, width, value):
    """Fails where saturated or dead lines at an edge are missed, or more than they are found."""
    frame = FRAMES[kind]
    if value == "top":
        value = np.iinfo(frame.dtype).max if frame.dtype.kind == "u" else 65535
    for turn in range(4):
        turned = np.rot90(frame, turn).copy()
        turned[:, :width] = value
        faults = find_faults(turned)
        assert faults.columns == tuple(range(width))
        assert faults.rows == ()
        assert faults.missing.sum() == width * len(frame)


@kinds
def test_single_lines_inside_are_found(kind):
    """Fails where one saturated column or one dead row is missed, or one of 95 % alone."""
    frame = FRAMES[kind].copy()
    top = np.iinfo(frame.dtype).max if frame.dtype.kind == "u" else 65535
    kept = slice(30, 36)
    frame[: kept.start, 41] = frame[kept.stop :, 41] = top
    faults = find_faults(frame)
    assert (faults.rows, faults.columns, faults.areas) == ((), (41,), 0)
    frame[77] = 0
    faults = find_faults(frame)
    assert (faults.rows, faults.columns, faults.areas) == ((77,), (41,), 0)
    assert faults.missing.sum() == 128 + 127


@pytest.mark.parametrize("dose", [0.02, 0.3, 3.0])
def test_saturated_lines_of_sparse_frames_are_found(dose):
    """Fails where zeros everywhere hide a saturated line."""
    frame = np.random.default_rng(0).poisson(dose, (96, 120)).astype(np.uint8)
    frame[:, :2] = 255
    frame[50] = 255
    assert find_faults(frame).columns == (0, 1)
    assert find_faults(frame).rows == (50,)


@kinds
@pytest.mark.parametrize("width", [1, 16])
def test_noisy_flyback_is_found(kind, width):
    """Fails where lines far off all others, but not constant, are missed."""
    frame, rng = FRAMES[kind].astype(np.float32), np.random.default_rng(4)
    for height in (4, 9):
        noise = rng.normal(1, 0.05, (len(frame), width))
        frame[:, -width:] = height * frame[:, :-width].max() * noise
        assert find_faults(frame).columns == tuple(range(128 - width, 128))
        assert find_faults(frame.T).rows == tuple(range(128 - width, 128))


@kinds
@pytest.mark.parametrize("width", [1, 4, 16, 24])
def test_a_detector_cross_is_found(kind, width):
    """Fails where the gaps between the parts of a detector are missed."""
    frame = FRAMES[kind].copy()
    mask = np.zeros(frame.shape, bool)
    mask[60 : 60 + width] = mask[:, 45 : 45 + width] = True
    frame[mask] = 0
    assert_found(frame, mask)
    faults = find_faults(frame)
    assert faults.rows == tuple(range(60, 60 + width))
    assert faults.columns == tuple(range(45, 45 + width))
    assert (faults.areas, faults.pixels) == (0, 0)


@kinds
def test_constant_rims_are_found(kind):
    """Fails where the rims of shifted or turned frames are missed."""
    y, x = np.mgrid[:128, :128]
    shifted = (y < 3) | (x < 7) | (x > 125)
    corners = (y + x < 25) | (2 * (127 - y) + (127 - x) < 20)
    along, across = 0.98 * (x - 64) + 0.2 * (y - 64), 0.98 * (y - 64) - 0.2 * (x - 64)
    turned = (abs(along) > 64) | (abs(across) > 64)
    for mask, areas in ((shifted, 0), (corners, 2), (turned, 4)):
        frame = FRAMES[kind].copy()
        frame[mask] = 0
        assert_found(frame, mask)
        assert find_faults(frame).areas == areas
    assert find_faults(np.where(shifted, 0, FRAMES[kind])).rows == (0, 1, 2)


@kinds
@pytest.mark.parametrize("value", ["highest", "lowest"])
def test_burned_in_bars_are_found(kind, value):
    """Fails where a scale bar, or what is written on one, counts as specimen."""
    frame = FRAMES[kind].copy()
    mask = np.zeros(frame.shape, bool)
    mask[110:118, 10:60] = True
    frame[mask] = frame.max() if value == "highest" else min(0, frame.min())
    frame[112:116, 20:23] = frame[112:116, 26:29] = np.median(frame)
    assert_found(frame, mask)
    assert find_faults(frame).areas == 1
    assert find_faults(frame).rows == ()


@kinds
@pytest.mark.parametrize("share", [0.0005, 0.01])
def test_hot_pixels_are_found(kind, share):
    """Fails where hot pixels are missed other than in clusters, or their neighbours are found."""
    rng = np.random.default_rng(6)
    frame = FRAMES[kind].astype(np.float32)
    mask = rng.random(frame.shape) < share
    frame[mask] += rng.uniform(15, 60, mask.sum()) * frame.std()
    crowded = ndimage.convolve(mask.astype(int), np.ones((3, 3), int), mode="constant") > 2
    faults = find_faults(frame)
    assert not (faults.missing & ~mask).any()
    assert (faults.missing & mask & ~crowded).sum() >= 0.97 * (mask & ~crowded).sum()
    assert faults.pixels == faults.missing.sum()


def test_dead_pixels_are_found():
    """Fails where only what is bright is found, or a pixel at the edge is left out."""
    frame, mask = FRAMES["noise"].copy(), np.zeros((128, 128), bool)
    mask[[3, 40, 41, 80, 0, 90], [3, 60, 60, 100, 50, 127]] = True
    frame[mask] = -60
    assert_found(frame, mask)
    assert find_faults(frame).pixels == 6


@kinds
def test_what_is_not_finite_is_missing(kind):
    """Fails where NaN or infinity is left, hides other faults or takes more with it."""
    frame = FRAMES[kind].astype(np.float32)
    mask = np.zeros(frame.shape, bool)
    mask[5, 6] = mask[10:14, 20:30] = mask[:, -1] = True
    frame[mask] = np.nan
    frame[5, 6] = -np.inf
    assert_found(frame, mask)
    faults = find_faults(frame)
    # What is missing is no fault of the detector.
    assert (faults.rows, faults.columns, faults.areas, faults.pixels) == ((), (), 0, 0)
    assert faults.told == f"{mask.sum()} missing values (NaN or infinite)"
    frame[90, 40] += 30000
    assert find_faults(frame).told == f"1 hot or dead pixel, {faults.told}"
    frame[100] = 65535
    assert find_faults(frame).rows == (100,)


def test_all_kinds_at_once():
    """Fails where one kind of fault hides another, or the input is changed."""
    frame = FRAMES["lattice of 20 dB"].copy()
    y, x = np.mgrid[:128, :128]
    mask = (x < 3) | (y == 70) | (y + x < 30)
    frame[y + x < 30] = 0
    frame[70], frame[:, :3] = 0, 65535
    for place in ((40, 90), (100, 20), (127, 127)):
        mask[place] = place != (127, 127)
        frame[place] += 30000 * mask[place]
    before = frame.copy()
    assert_found(frame, mask)
    np.testing.assert_array_equal(frame, before)
    assert find_faults(frame).told == (
        "1 saturated or constant row (70), 3 saturated or constant columns (0 to 2), "
        "1 constant area, 2 hot or dead pixels"
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("fwhm", "pitch"), [(2, 5), (2, 8), (3, 9.3), (2.5, 20)])
def test_lattices_have_no_faults(size, fwhm, pitch):
    """Fails where sharp atoms, or their saturated or clipped parts, are taken for faults."""
    for angle in (0, 0.2, np.pi / 4):
        shape = {"fwhm": fwhm, "pitch": pitch, "angle": angle}
        kinds = [noisy(size, decibels, **shape) for decibels in (300, 34, 20, 10, 0, -10)]
        for clipped in ((-0.5, 1.8), (0.4, 1.6), (-0.2, 0.6), (0.4, 0.8)):
            kinds += [eight_bits(noisy(size, d, **shape), *clipped) for d in (300, 30, 0)]
        for i, frame in enumerate(kinds):
            assert_none(frame, i, angle)


@pytest.mark.parametrize("size", [*SIZES, (512, 512)])
@pytest.mark.parametrize("dose", [0.002, 0.02, 0.1, 0.3, 1.0, 3.0, 30.0])
def test_counts_have_no_faults(size, dose):
    """Fails where single counts are taken for hot pixels, or many zeros for constant areas."""
    rng = np.random.default_rng(0)
    for mean in (np.ones(size), lattice(size, 2, 8, base=0.1), particles(size) + 0.01):
        assert_none(rng.poisson(dose * mean / mean.mean()).astype(np.uint16))


def test_events_of_many_heights_have_no_faults():
    """Fails where electrons that a detector counts with read-out noise are taken for faults."""
    rng = np.random.default_rng(0)
    for dose in (0.02, 0.3, 2):
        events = rng.poisson(dose, (128, 128)) * rng.uniform(20, 40, (128, 128))
        assert not find_faults(events + rng.normal(size=(128, 128))).any


@pytest.mark.parametrize("size", SIZES[1:])
def test_particles_have_no_faults(size):
    """Fails where saturated particles, or an empty or clipped support, are taken for faults."""
    rng = np.random.default_rng(0)
    for radius, edge in ((6, 0.8), (15, 2)):
        clean = particles(size, radius, edge)
        for noise in (0, 0.02, 0.1, 0.3):
            for clipped in ((-0.3, 1.3), (0.1, 1.3), (-0.5, 0.7), (0.1, 0.6)):
                frame = eight_bits(clean + noise * rng.normal(size=size), *clipped)
                for kind in (frame, through_jpeg(frame, 40), through_jpeg(frame, 90)):
                    assert_none(kind, radius, noise, clipped)


@pytest.mark.parametrize("width", [2, 3, 5])
def test_straight_edges_of_the_specimen_have_no_faults(width):
    """Fails where a layer or a facet along the frame is taken for faulty lines."""
    rng, places = np.random.default_rng(0), np.arange(128)
    facet = ndimage.gaussian_filter1d((places > 70).astype(float), width / 2.355)
    layer = ndimage.gaussian_filter1d((places < 8).astype(float), width / 2.355)
    for dose in (1, 5, 20, 200):
        for profile in (facet, 1 + 8 * layer):
            frame = rng.poisson(dose * profile * np.ones((128, 1)))
            assert not find_faults(frame).any
            assert not find_faults(frame.T).any


def test_pictures_without_noise_have_no_faults():
    """Fails where flat parts of a drawing or a simulation are taken for faults."""
    y, x = np.mgrid[:96, :128]
    disc = np.hypot(y - 48, x - 64) < 30
    box = (abs(y - 48) < 20) & (abs(x - 64) < 40)
    step = (y + x) / 222
    for frame in (
        y + x, 255 * step, np.round(255 * step), np.sin(x / 3) + 0 * y, disc, box, 1.0 * disc + box,
        (y // 8 + x // 8) % 2, np.exp(-((y - 48.0) ** 2 + (x - 64) ** 2) / 50),
    ):  # fmt: skip
        assert not find_faults(frame).any
        assert not find_faults(np.clip(frame, 0, 255).astype(np.uint8)).any


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_blank_frames_have_no_faults(value):
    """Fails where a frame of one value is lost, or stops the search."""
    assert not find_faults(np.full((40, 50), value, np.uint16)).any
    faults = find_faults(np.full((40, 50), np.nan))
    assert faults.missing.all()


def test_a_frame_is_not_lost_as_a_whole():
    """Fails where faults leave nothing of the frame."""
    frame = FRAMES["noise"].copy()
    frame[:, 20:] = 0
    frame[3, 4] = np.nan
    faults = find_faults(frame)
    assert faults.missing[3, 4]
    assert faults.missing.mean() < 0.5


def test_line_noise_has_no_faults():
    """Fails where lines of an unsteady beam are taken for faulty ones, or for hot pixels."""
    rng = np.random.default_rng(0)
    for seed in range(5):
        frame = noisy((128, 128), 10, seed=seed)
        assert not find_faults(frame + 0.3 * rng.normal(size=(128, 1))).any
        assert not find_faults(frame + 0.1 * rng.standard_t(3, size=(128, 1))).any


def test_faults_are_told_in_a_clause():
    """Fails where numbers, names or places are told wrong."""
    none = np.zeros((30, 40), bool)
    assert Faults(none, (), (), 0, 0).told == ""
    assert not Faults(none, (), (), 0, 0).any
    faults = Faults(none, (), (0, 1, 2), 12, 0)
    assert faults.told == "3 saturated or constant columns (0 to 2), 12 hot or dead pixels"
    assert faults.any
    many = Faults(none, (0, 2, 3, 6, 8, 11), (5,), 0, 1).told
    assert many == (
        "6 saturated or constant rows (0, 2 to 3, 6, 8, ...), "
        "1 saturated or constant column (5), 1 constant area"
    )


@pytest.mark.parametrize(
    "frame", [np.zeros((3, 40, 40)), np.zeros(40), np.zeros((40, 40), complex), np.zeros((0, 9))]
)
def test_other_arrays_are_refused(frame):
    """Fails where a stack, a line, complex numbers or nothing are searched."""
    with pytest.raises(InputError, match="one frame"):
        find_faults(frame)


def test_characters_are_found():
    """Fails where text without a bar stays, or bright atoms that are clipped are taken for it."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:96, :96]
    bright = np.exp(np.cos(rows / 2.2) + np.cos(columns / 2.2))
    frame = bright + rng.normal(0, 1.5, bright.shape)
    mark = np.zeros(frame.shape, bool)
    mark[10:26, 12:14] = mark[10:12, 12:22] = mark[17:19, 12:20] = True  # an F
    mark[10:26, 28:30] = mark[24:26, 28:38] = True  # an L
    marked = np.where(mark, frame.max(), frame)
    assert mark[find_faults(marked).missing].all()
    assert find_faults(marked).missing[mark].mean() > 0.95
    for clipped in (np.minimum(bright, 4.0), np.minimum(frame, 3.0)):
        assert not find_faults(clipped).missing.any()
