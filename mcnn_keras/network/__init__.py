"""The networks: pure Keras, so that they run on any of its backends."""

from .builder import MCNN, PRESETS, build, stride
from .discriminator import discriminator

__all__ = ["MCNN", "PRESETS", "build", "discriminator", "stride"]
