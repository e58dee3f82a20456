"""Models: their cards, their normalisation, and their files."""

from .card import Channels, Frames, ModelCard, Output, Planes, Tile
from .normalization import Contrast, Fixed, FrameScale, Normalization

__all__ = [
    "Channels", "Contrast", "Fixed", "FrameScale", "Frames", "ModelCard", "Normalization", "Output",
    "Planes", "Tile",
]  # fmt: skip
