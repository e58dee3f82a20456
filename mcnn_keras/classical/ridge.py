"""A linear inverse of any problem: ridge regression on pairs of image and target."""

from __future__ import annotations

from typing import Any

import numpy as np


class Ridge:
    """A linear map from images to targets, fitted to pairs.

    Parameters
    ----------
    images, targets : array
        (pairs, ...) each.

    Notes
    -----
    Minimises |targets - W images|^2 + strength n |W|^2 over n centred pairs (Hoerl and Kennard
    1970). The dual form is solved (Saunders et al. 1998): the size of its matrix is the number of
    pairs, not of pixels. Images are scaled so that the mean of this Gram matrix's diagonal is one.
    """

    def __init__(self, images: Any, targets: Any) -> None:
        count = len(images)
        self.shape = targets.shape[1:]
        flat = np.asarray(images, np.float32).reshape(count, -1)
        self.image_mean = flat.mean(0)
        flat = flat - self.image_mean
        self.scale = float(np.sqrt(np.mean((flat**2).sum(1)))) or 1.0
        self.flat = flat / self.scale
        targets = np.asarray(targets, np.float32).reshape(count, -1)
        self.target_mean = targets.mean(0)
        self.targets = targets - self.target_mean
        values, self.vectors = np.linalg.eigh((self.flat @ self.flat.T).astype(np.float64))
        self.values = np.maximum(values, 0.0)

    def predict(self, images: Any, strength: float) -> np.ndarray:
        """Predict the targets of images.

        Parameters
        ----------
        images : (images, ...) array
        strength : float
            Strength of the regularisation.
        """
        flat = np.asarray(images, np.float32).reshape(len(images), -1)
        inner = ((flat - self.image_mean) / self.scale) @ self.flat.T
        damped = self.values + strength * len(self.values)
        weights = (inner @ self.vectors / damped) @ self.vectors.T
        answer = weights.astype(np.float32) @ self.targets + self.target_mean
        return answer.reshape(len(images), *self.shape)
