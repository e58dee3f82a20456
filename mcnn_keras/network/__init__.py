"""The networks: pure Keras, so that they run on any of its backends."""

from .builder import MCNN, PRESETS, stride

__all__ = ["MCNN", "PRESETS", "stride"]
