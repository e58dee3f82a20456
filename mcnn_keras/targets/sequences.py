"""Frames before and after a clean frame: drift, rotation, flicker; atoms appear, jump, disappear.

The frames are aligned with the middle one, except for the error of a search for their drift.
"""

from __future__ import annotations

import math

import tensorflow as tf

from ..physics.arrays import Array
from ..physics.motion import interpolated
from ..physics.noise import moved
from .draws import Ranges, between, either_way

# Limits of quantities that vary between sequences.
SEQUENCES: Ranges = {
    "drift": (0.0, 0.35),  # pixels from frame to frame, that alignment has not corrected
    "wander": (0.0, 0.25),  # pixels, of each frame around the drift
    "turning": (0.0, 0.4),  # degrees from frame to frame
    "flicker": (0.0, 0.15),  # share of the intensity
    "event": (0.15, 1.0),  # height of an atom that comes or goes, relative to the maximum
    "event_width": (1.0, 3.2),  # pixels
}
# The probability of each of these in a sample.
CHANCES = {"alone": 0.5, "still": 0.15, "events": 0.4, "ends": 0.15, "cut": 0.1, "unrelated": 0.06}
EVENTS = 6
# Largest shift of neighbours by the alignment, in pixels, down or across.
MOVED = 2.5


def around(ranges: Ranges, clean: Array, seed: Array, window: int) -> Array:
    """A clean frame in the middle of its neighbours in time.

    Parameters
    ----------
    ranges : dict
        As `SEQUENCES`.
    clean : (size, size) tensor
        With a maximum of one.
    seed : (2,) int tensor
    window : int
        Number of frames, odd.

    Returns
    -------
    tf.Tensor
        (size, size, window), float32. Missing frames are NaN: all neighbours of a single frame,
        and those before the first or after the last frame of a movie.
    """
    middle = window // 2
    missing = tf.fill(tf.shape(clean), math.nan)
    if window == 1:
        return clean[..., None]
    seeds = tf.unstack(tf.random.split(seed, 3))
    u = tf.random.stateless_uniform((10,), seeds[0])

    def alone() -> Array:
        return tf.stack([clean if k == middle else missing for k in range(window)], axis=-1)

    def moving() -> Array:
        offsets = tf.range(window, dtype=tf.float32) - middle
        direction = 2 * math.pi * u[1]
        # Mostly small: with enough contrast, drift is found to a tenth of a pixel.
        speed = tf.where(u[2] < CHANCES["still"], 0.0, between(u[3] ** 2, *ranges["drift"]))
        away = offsets[:, None] * speed * tf.stack([tf.sin(direction), tf.cos(direction)])
        wander = between(u[4] ** 2, *ranges["wander"])
        draws = tf.random.stateless_normal((window, 3), seeds[1])
        away += tf.where(offsets[:, None] == 0, 0.0, wander * draws[:, :2])
        turn = offsets * math.radians(1.0) * either_way(u[5], *ranges["turning"])
        frames = moved(clean, away, turn)
        flicker = 1.0 + between(u[6], *ranges["flicker"]) * draws[:, 2]
        frames *= tf.where(offsets == 0, 1.0, flicker)[:, None, None]
        frames = tf.cond(
            u[7] < CHANCES["events"],
            lambda: frames + events(ranges, seeds[2], clean.shape[0], away),
            lambda: frames,
        )
        # After a cut the frames show another field: the transposed and mirrored specimen.
        other = tf.reverse(tf.transpose(frames, (0, 2, 1)), axis=[1])
        cut = tf.where(
            u[8] < CHANCES["unrelated"], tf.abs(offsets) > 0,
            (u[8] > 1.0 - CHANCES["cut"]) & (offsets * tf.sign(u[9] - 0.5) > tf.abs(u[9] - 0.5) * 4)
        )  # fmt: skip
        frames = tf.where(cut[:, None, None], other, frames)
        # Near the first or the last frame there are fewer neighbours.
        gone = (u[0] > 1.0 - CHANCES["ends"]) & (offsets * tf.sign(u[9] - 0.5) > u[2] * middle)
        frames = tf.where((gone & (offsets != 0))[:, None, None], missing, frames)
        return tf.transpose(frames, (1, 2, 0))

    return tf.cond(u[0] < CHANCES["alone"], alone, moving)


def laid_on(clean: Array, noisy: Array, seed: Array) -> Array:
    """Interpolate the noise of frames, as if they had been moved onto the middle one.

    Parameters
    ----------
    clean, noisy : (size, size, frames) tensor
        Without noise, and with it; NaN where pixels are missing.
    seed : (2,) int tensor

    Returns
    -------
    tf.Tensor
        (size, size, frames), float32, with interpolated noise. The middle frame, and all frames of
        a specimen that does not move, are unchanged; rims from outside of a frame are NaN.
    """
    size, frames = noisy.shape[1:]
    if frames == 1:
        return noisy
    seeds = tf.unstack(tf.random.split(seed, 2))
    away = tf.random.stateless_uniform((2, frames), seeds[0], -MOVED, MOVED)
    whole = tf.round(away)
    noise = noisy - clean
    there = tf.math.is_finite(noise)
    moved = clean + interpolated(tf.where(there, noise, 0.0), *tf.unstack(away - whole))
    # Where each pixel of a frame comes from.
    y, x = (tf.range(size, dtype=tf.float32)[:, None] - whole[i] for i in (0, 1))
    inside = [(t >= 0) & (t < size) for t in (y, x)]
    moved = tf.where(there & inside[0][:, None] & inside[1][None], moved, math.nan)
    still = tf.random.stateless_uniform((), seeds[1]) < CHANCES["still"]
    here = still | (tf.range(frames) == frames // 2)
    return tf.where(here, noisy, moved)


def events(ranges: Ranges, seed: Array, size: int, away: Array) -> Array:
    """Atoms that exist in some frames only, (frames, size, size); they move with the specimen.

    Each appears at a frame and disappears at a later one, some after a single frame; half of them
    then jump to another place.
    """
    seeds = tf.unstack(tf.random.split(seed, 2))
    frames = away.shape[0]
    u = tf.random.stateless_uniform((EVENTS, 8), seeds[0])
    count = 1.0 + EVENTS * tf.random.stateless_uniform((), seeds[1])
    offsets = tf.range(frames, dtype=tf.float32)
    come = tf.floor(u[:, 0] * frames)
    gone = come + 1.0 + tf.where(u[:, 1] < 0.5, 0.0, tf.floor((2 * u[:, 1] - 1) * frames))
    there = (offsets[:, None] >= come) & (offsets[:, None] < gone)
    after = (offsets[:, None] >= gone) & (u[:, 2] < 0.5)
    height = between(u[:, 3], *ranges["event"])
    height = tf.where(tf.range(EVENTS, dtype=tf.float32) < count, height, 0.0)
    width = between(u[:, 4], *ranges["event_width"])
    first = u[:, 5:7] * size
    second = first + 6.0 * tf.stack([tf.sin(6.28 * u[:, 7]), tf.cos(6.28 * u[:, 7])], axis=1)
    total = tf.zeros((frames, size, size))
    t = tf.range(size, dtype=tf.float32)
    for present, place in ((there, first), (after, second)):
        sites = place[None] + away[:, None]
        y, x = (
            tf.exp(-((t - sites[..., i, None]) ** 2) / (2 * width[:, None] ** 2)) for i in (0, 1)
        )
        weight = tf.where(present, height, 0.0)
        total += tf.matmul(y * weight[..., None], x, transpose_a=True)
    return total
