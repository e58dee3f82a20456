"""What a finished model can tell of its own errors; nothing else in the model changes.

interval   model -> head trained on the errors of the answers -> corrected -> measured -> card
looks       unseen samples, usual and disturbed -> statistics, errors, agreements
failure     statistics and errors -> predictor of answers that are wrong
"""

from .interval import calibrate

__all__ = ["calibrate"]
