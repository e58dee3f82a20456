"""Reports: one HTML file for a training, a prediction or a comparison, with nothing beside it.

    numbers and arrays -> Layer, View -> pictures with limits -> one page with style and script

A page loads nothing: its pictures, style and script are inside.
"""

from .layers import Layer, View
from .places import require_report
from .prediction import write_prediction_report
from .training import write_report

__all__ = ["Layer", "View", "require_report", "write_prediction_report", "write_report"]
