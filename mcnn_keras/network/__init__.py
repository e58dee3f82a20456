"""The networks, in pure Keras: they run on any Keras backend."""

from .builder import MCNN, PRESETS, build, preset_settings, stride
from .discriminator import discriminator
from .receptive import receptive_radius
from .size import size

__all__ = [
    "MCNN", "PRESETS", "build", "discriminator", "preset_settings", "receptive_radius", "size",
    "stride",
]  # fmt: skip
