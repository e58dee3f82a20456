"""Images larger than the network can take at once.

A model that normalises each frame by itself (denoising) sees tiles of its largest training size,
each in its own scale, blended over 16 pixels: over 32 the SNR of the answers was 0.02 to 0.06 dB
higher, in a quarter more time. All others see tiles as large as memory allows, of an image that was
normalised as a whole; their halos are as wide as the network looks, so that nothing tells where
they met.
"""

import os
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..errors import InputError
from .engines import receptive_radius
from .normalize import normalize

# Images or tiles that are computed together, in pixels.
PIXELS = 2**18
# Bytes that the light network needs for a pixel of a tile, and the share of the free memory for it.
BYTES = 400
SHARE = 0.25
LARGEST = 2048
# Of tiles in their own scale, in pixels; an eighth of small ones.
OVERLAP = 16
_radii = weakref.WeakKeyDictionary()


def choose_size(engine, shape, asked=None):
    """The tiles' height and width for an image; None where it goes in one piece.

    Parameters
    ----------
    engine : engine
    shape : tuple of int
        Of the image.
    asked : int, optional
        By the user.

    Raises
    ------
    InputError
        If the tiles that were asked for are no multiple of the network's stride.
    """
    if asked is not None and (asked < engine.stride or asked % engine.stride):
        raise InputError(
            f"tile size {asked} is no multiple of {engine.stride}, the network's stride; choose "
            f"for example {max(1, asked // engine.stride) * engine.stride}"
        )
    own_scale = engine.card["normalization"]["input"] == "frame"
    if asked is not None and not own_scale and asked < 4 * engine.stride:
        raise InputError(f"tile size {asked} leaves no room for halos; give {4 * engine.stride}")
    if own_scale:
        size = asked or largest_trained(engine.card)
    else:
        size = asked or _affordable(engine.stride)
    return None if max(shape) <= size else size


def largest_trained(card):
    """The size of the largest samples that a model was trained on."""
    training = card["training"]
    return training["image_size"] * (2 if training.get("mixed_sizes") else 1)


def _affordable(stride):
    side = int((SHARE * free_memory() / BYTES) ** 0.5)
    return max(4 * stride, min(side, LARGEST) // stride * stride)


def free_memory():
    """Bytes of memory that are to be had."""
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (ValueError, OSError, AttributeError):
        return 2**32


def pad(images, stride, card):
    """Mirror the images up to the next size that the stride divides, and where to cut the answer.

    Of images larger than those in training at least one stride is mirrored on each side: there the
    coarsest features just inside the border differ from those farther in, as they are made from
    the network's own zero padding, and would draw a frame into the answer.
    """
    widths, inner, scale = [], [], card["network"]["scale"]
    margin = stride if max(images.shape[1:3]) > largest_trained(card) else 0
    for n in images.shape[1:3]:
        total = -(-(n + 2 * margin) // stride) * stride
        before = (total - n) // 2
        widths.append((before, total - n - before))
        inner.append(slice(scale * before, scale * (before + n)))
    return np.pad(images, ((0, 0), *widths, (0, 0)), mode="symmetric"), inner


def blended(engine, image, size, tick=lambda tiles: None):
    """Invert a large image in overlapping tiles of their own scale, a row of them at a time.

    What the coarsest features see then is what they saw in training, and an image may hold regions
    of any brightness.

    Parameters
    ----------
    engine : engine
    image : (height, width, channels) array
    size : int
        Of the tiles.
    tick : callable
        Told how many tiles are done each time that some are.

    Returns
    -------
    numpy.ndarray
        (height, width, outputs), float32.
    """
    scale, outputs = engine.card["network"]["scale"], engine.card["network"]["output_channels"]
    height, width = (min(n, size) for n in image.shape[:2])
    rows, columns = (
        tile_starts(n, t) for n, t in zip(image.shape[:2], (height, width), strict=True)
    )
    # The weight of a tile falls towards its borders.
    down, across = (
        np.float32(np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 + 1e-3)
        for n in (scale * height, scale * width)
    )
    weight = (down[:, None] * across)[..., None]
    total = np.zeros((*(scale * n for n in image.shape[:2]), outputs), np.float32)
    each = max(1, PIXELS // (height * width))
    works = [
        (y, columns[first : first + each]) for y in rows for first in range(0, len(columns), each)
    ]

    def prepare(y, some):
        tiles = [
            normalize(image[y : y + height, x : x + width], engine.card["normalization"])
            for x in some
        ]
        batch, inner = pad(np.stack([t for t, _ in tiles]), engine.stride, engine.card)
        return batch, inner, [undo for _, undo in tiles]

    with ThreadPoolExecutor(1) as ahead:
        ready = ahead.submit(prepare, *works[0])
        for (y, some), following in zip(works, [*works[1:], None], strict=True):
            batch, inner, undos = ready.result()
            if following is not None:
                ready = ahead.submit(prepare, *following)
            answers = engine.compute(batch)[(slice(None), *inner)]
            for x, answer, undo in zip(some, answers, undos, strict=True):
                place = tuple(
                    slice(scale * a, scale * (a + n)) for a, n in ((y, height), (x, width))
                )
                total[place] += weight * undo(answer)
            tick(len(some))
    sums = []
    for starts, ramp, n in ((rows, down, image.shape[0]), (columns, across, image.shape[1])):
        sums.append(np.zeros(scale * n, np.float32))
        for start in starts:
            sums[-1][scale * start : scale * start + len(ramp)] += ramp
    total /= sums[0][:, None, None]
    total /= sums[1][None, :, None]
    return total


def tile_starts(length, tile):
    """Where tiles begin that cover a length and overlap by `OVERLAP` or a little more.

    Parameters
    ----------
    length, tile : int
        Of the image and of a tile along one axis, in pixels.
    """
    count = 1 + -(-(length - tile) // (tile - min(OVERLAP, tile // 8)))
    return np.linspace(0, length - tile, count).round().astype(int)


def joined(engine, image, size, tick=lambda tiles: None):
    """Invert a large image in tiles whose halos are as wide as the network looks.

    Parameters
    ----------
    engine : engine
    image : (height, width, channels) array
    size : int
        Of the tiles, halos included.
    tick : callable
        As for `blended`.

    Returns
    -------
    numpy.ndarray
        (height, width, outputs), float32.
    """
    scale, stride = engine.card["network"]["scale"], engine.stride
    normalized, undo = normalize(image, engine.card["normalization"])
    padded, inner = pad(normalized[None], stride, engine.card)
    padded = padded[0]
    # Tiles start at whole strides, as the network's own grid does.
    halo = _halo(engine, size)
    core = size - 2 * halo
    outputs = engine.card["network"]["output_channels"]
    answer = np.empty((*(scale * n for n in padded.shape[:2]), outputs), np.float32)
    for y in range(0, padded.shape[0], core):
        for x in range(0, padded.shape[1], core):
            around, within, place = [], [], []
            for start, n in ((y, padded.shape[0]), (x, padded.shape[1])):
                stop = min(start + core, n)
                first, last = max(0, start - halo), min(n, stop + halo)
                around.append(slice(first, last))
                within.append(slice(scale * (start - first), scale * (stop - first)))
                place.append(slice(scale * start, scale * stop))
            tile = np.ascontiguousarray(padded[tuple(around)])[None]
            answer[tuple(place)] = engine.compute(tile)[0][tuple(within)]
            tick(1)
    return undo(answer[tuple(inner)])


def _halo(engine, size):
    return -(-min(radius(engine), size // 4) // engine.stride) * engine.stride


def count(engine, shape, size):
    """The number of tiles of an image, (height, width)."""
    if engine.card["normalization"]["input"] == "frame":
        return int(np.prod([len(tile_starts(n, min(n, size))) for n in shape]))
    core = size - 2 * _halo(engine, size)
    # `pad` adds a stride on each side and fills up to whole ones.
    return int(np.prod([-(-(-(-(n + 2 * engine.stride) // engine.stride) * engine.stride) // core)
                        for n in shape]))  # fmt: skip


def estimate(engine, shape, size):
    """What an image in tiles will need.

    Parameters
    ----------
    engine : engine
    shape : tuple of int
        Height and width of the image.
    size : int
        Of the tiles.

    Returns
    -------
    seconds : float
        From the time of one batch of tiles.
    memory : float
        In bytes, beside the program itself: image, answer, copies and the network's features.
    """
    card = engine.card
    own_scale = card["normalization"]["input"] == "frame"
    together = max(1, PIXELS // size**2) if own_scale else 1
    batch = np.zeros((together, size, size, card["network"]["input_channels"]), np.float32)
    engine.compute(batch)
    began = time.perf_counter()
    engine.compute(batch)
    seconds = (time.perf_counter() - began) / together * count(engine, shape, size)
    channels = card["network"]["input_channels"] + card["network"]["output_channels"]
    return seconds, 4 * int(np.prod(shape)) * 2 * channels + BYTES * together * size**2


def radius(engine):
    """How far the network looks, measured once for each model."""
    if engine.model not in _radii:
        _radii[engine.model] = receptive_radius(engine)
    return _radii[engine.model]
