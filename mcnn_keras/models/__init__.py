"""Models: their cards, their normalisation, and their files."""

from .card import AnyPlanes, Channels, Frames, ModelCard, Output, Planes, Tile
from .normalization import Contrast, Fixed, FrameScale, Normalization, ScaledContrast

__all__ = [
    "AnyPlanes", "Channels", "Contrast", "Fixed", "FrameScale", "Frames", "ModelCard",
    "Normalization", "Output", "Planes", "ScaledContrast", "Tile",
]  # fmt: skip
