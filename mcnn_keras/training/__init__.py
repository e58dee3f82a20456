"""Training: one tf.data pipeline, one loop."""

from .loop import Run, train
from .settings import Settings

__all__ = ["Run", "Settings", "train"]
