"""Answers that are numbers."""

from __future__ import annotations

import numpy as np

from ..errors import NotFinite


def finite(answer: np.ndarray) -> np.ndarray:
    """An answer, unless something in it is no number.

    Raises
    ------
    InputError
        If it holds NaN or infinity: the model is damaged, or the image far from what it knows.
    """
    if not np.isfinite(answer).all():
        raise NotFinite(
            "the model answers NaN or infinity; its file is damaged, or the image holds values "
            "that are far too large"
        )
    return answer
