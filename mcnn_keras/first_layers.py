"""NumPy twins of the fixed first layers of `mcnn_keras.network`, for engines without Keras.

Each is made with the layer's arguments and takes (batch, height, width, channels), float32.
"""

import numpy as np
from scipy import fft, ndimage

from .transport import SCREEN_CELLS, Scene, screen_filter


def low_pass():
    """See `mcnn_keras.network.low_pass.LowPass`."""
    y, x = np.mgrid[-7:8, -7:8]
    squared, reach = y**2 + x**2, np.maximum(abs(y), abs(x))
    filters = [
        1.0 * (reach <= 2),
        1.0 * (reach <= 3),
        np.exp(-squared / np.sqrt(20)),
        np.exp(-squared / np.sqrt(30)),
    ]

    def channels(batch):
        frames = batch[..., 0].astype(np.float32)
        return np.stack(
            [ndimage.convolve(frames, f[None] / f.sum(), mode="reflect") for f in filters], axis=-1
        )

    return channels


def spectral_wiener():
    """See `mcnn_keras.network.spectral.SpectralWiener`."""

    def channels(batch):
        waves = fft.fft2(batch[..., 0].astype(np.float32))
        power = np.abs(waves) ** 2
        fy, fx = (np.abs(fft.fftfreq(n)) for n in power.shape[1:])
        high = np.maximum.outer(fy, fx) > 0.25
        noise = np.exp(np.log(np.maximum(power[:, high], 1e-6)).mean(1) + np.euler_gamma)
        kernel = np.float32([0.25, 0.5, 0.25])
        for axis in (1, 2):
            power = ndimage.convolve1d(power, kernel, axis, mode="wrap")
        gain = np.maximum(1 - 2 * noise[:, None, None] / np.maximum(power, 1e-6), 0)
        return fft.ifft2(gain * waves).real[..., None].astype(np.float32)

    return channels


def focus_estimates(defocus, wavelength, pixel_size, numerical_aperture=None, refractive_index=1.0,
                    spherical_aberration=0.0, margin=32):  # fmt: skip
    """See `mcnn_keras.network.physical.FocusEstimates`."""
    z = np.asarray(defocus, np.float64)
    mean = z.mean() if len(z) > 1 else 0.0
    slopes = np.float32((z - mean) / ((z - mean) ** 2).sum())
    k = refractive_index / wavelength
    limit = min(k, (numerical_aperture or np.inf) / wavelength)
    scale = 2 * np.pi * wavelength / refractive_index
    period = 256  # TRANSPORT_PERIOD of the layer

    def fade(n):
        distance = np.arange(n) + 0.5
        distance = np.minimum(distance, n - distance)
        return np.sin(0.5 * np.pi * np.minimum(distance / max(margin, 1), 1.0)) ** 2

    def channels(batch):
        amplitude = np.sqrt(np.maximum(1.0 + batch, 0.0)) - 1.0
        derivative = (batch * slopes).sum(-1, keepdims=True)
        fields = np.moveaxis(np.concatenate([amplitude, derivative], axis=-1), -1, 1)
        if margin:
            fields = np.pad(fields, ((0, 0), (0, 0), (margin, margin), (margin, margin)),
                            mode="symmetric")  # fmt: skip
            fields = fields * np.float32(fade(fields.shape[2])[:, None] * fade(fields.shape[3]))
        height, width = fields.shape[2:]
        squared = np.add.outer(
            fft.fftfreq(height, pixel_size) ** 2, fft.fftfreq(width, pixel_size) ** 2
        )
        cycles = squared / (np.sqrt(np.maximum(k**2 - squared, 0.0)) + k)
        turns = z[:, None, None] * cycles + spherical_aberration * wavelength**3 / 4 * squared**2
        back = np.exp(2j * np.pi * turns) * (squared < limit**2)
        gain = scale * squared
        transport = gain / (gain**2 + (scale / (period * pixel_size) ** 2) ** 2)
        transfer = np.concatenate([back, transport[None]]).astype(np.complex64)
        waves = fft.ifft2(fft.fft2(fields.astype(np.complex64)) * transfer)
        found = np.concatenate([waves[:, :-1].real, waves[:, :-1].imag, waves[:, -1:].real], axis=1)
        inner = slice(margin, height - margin), slice(margin, width - margin)
        return np.moveaxis(found[(slice(None), slice(None), *inner)], 1, -1).astype(np.float32)

    return channels


def screen_estimate(scene, gamma, aim, automatic, corner):
    """See `mcnn_keras.network.screen.ScreenEstimate`."""
    matrix, offset = screen_filter(Scene(**scene), SCREEN_CELLS, corner)

    def triangles(positions, n, reach):
        apart = np.clip(positions, 0, n - 1)[:, None] - np.arange(n)
        weights = np.maximum(1 - np.abs(apart) / reach, 0)
        return (weights / weights.sum(1, keepdims=True)).astype(np.float32)

    def weights(pixels, first, length, cells):
        spacing = length / cells
        centres = (np.arange(cells) + 0.5) * spacing + first - 0.5
        positions = (np.arange(pixels) + 0.5 - first) / spacing - 0.5
        return triangles(centres, pixels, max(spacing, 1)), triangles(positions, cells, 1)

    def channels(batch):
        height, width = batch.shape[1:3]
        within = width * 9 // 16
        over_rows, to_rows = weights(height, (height - within) // 2, within, SCREEN_CELLS[0])
        over_columns, to_columns = weights(width, 0, width, SCREEN_CELLS[1])
        light = np.maximum(batch, 0) ** gamma
        cells = np.einsum("ih,bhwk,jw->bijk", over_rows, light, over_columns, optimize=True)
        level = np.maximum(cells.mean((1, 2, 3), keepdims=True), 1e-6)
        cells *= (level / aim) ** (1 / (1 - automatic)) / level
        screen = np.einsum("ij,bjk->bik", matrix, cells.reshape(len(batch), -1, batch.shape[-1]))
        screen = np.clip(screen + offset[:, None], 1e-6, 1) ** (1 / gamma)
        screen = screen.reshape(len(batch), *SCREEN_CELLS, -1)
        found = np.einsum("hi,bijk,wj->bhwk", to_rows, screen, to_columns, optimize=True)
        return found.astype(np.float32)

    return channels
