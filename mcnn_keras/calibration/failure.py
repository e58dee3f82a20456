"""Train the predictor of wrong answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from ..models.failure import FARTHEST, Failure

# The share of the training's images that may be called wrong; and the worst share of their errors.
DOUBTED, WORST = 0.025, 0.01
MEMBERS, UNITS, EPOCHS = 3, 24, 80
# The label goes from 0 to 1 over this change of the logarithm of the error.
SOFT = 0.2
# With fewer samples, nothing can be learned.
LEAST = 128

Looks = Sequence[Mapping[str, float]]


def fitted(
    usual: Looks, errors: np.ndarray, disturbed: Looks, wrong: np.ndarray, seed: int = 0
) -> Failure | None:
    """A predictor of errors above the worst hundredth of the usual ones.

    Parameters
    ----------
    usual, disturbed : sequence of dict
        Statistics of images of the training, and of disturbed ones.
    errors, wrong : (samples,) array
        Their relative errors.
    seed : int

    Returns
    -------
    Failure or None
        None if there are too few samples. Two thirds of the usual ones are learned, and the rest
        gives the limit.
    """
    if len(usual) < LEAST or len(disturbed) < LEAST:
        return None
    names = tuple(n for n in usual[0] if all(n in one for one in (*usual, *disturbed)))
    own, other = (
        np.array([[one[n] for n in names] for one in looks]) for looks in (usual, disturbed)
    )
    held = np.arange(len(own)) % 3 == 0
    error = float(np.quantile(errors, 1 - WORST))
    values = np.concatenate([own[~held], other])
    middle, deviation = values.mean(0), np.maximum(values.std(0), 1e-6)
    x = np.clip((values - middle) / deviation, -FARTHEST, FARTHEST)
    away = np.log(np.maximum(np.concatenate([errors[~held], wrong]), 1e-12) / error)
    label = 1 / (1 + np.exp(np.clip(-away / SOFT, -50, 50)))
    members = [_member(x, label, seed + i) for i in range(MEMBERS)]
    found = Failure(
        names, _rounded(middle), _rounded(deviation), _rounded(np.median(own, 0)),
        tuple(members), 0.0, float(f"{error:.4g}"),
    )  # fmt: skip
    limit = float(np.quantile(found.scores(own[held]), 1 - DOUBTED))
    return Failure(**{**vars(found), "limit": float(f"{limit:.5g}")})


def _member(x: np.ndarray, label: np.ndarray, seed: int) -> tuple:
    generator = keras.random.SeedGenerator(seed)
    start = keras.initializers.GlorotUniform
    inputs = keras.Input((x.shape[1],))
    h = keras.layers.GaussianNoise(0.1, seed=seed)(inputs)
    regularizer = keras.regularizers.L2(1e-3)
    h = keras.layers.Dense(UNITS, "relu", kernel_regularizer=regularizer,
                           kernel_initializer=start(generator))(h)  # fmt: skip
    model = keras.Model(inputs, keras.layers.Dense(1, kernel_initializer=start(generator))(h))
    optimizer = keras.optimizers.Adam(3e-3)
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
    # All epochs as one, so that their order depends on the seed alone.
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(x)) for _ in range(EPOCHS)])
    model.fit(
        x[order].astype(np.float32), label[order, None], batch_size=64, shuffle=False, verbose=0
    )
    (first, bias), (last, offset) = (layer.get_weights() for layer in model.layers[-2:])
    return (
        (tuple(map(_rounded, first)), _rounded(bias)),
        (tuple(map(_rounded, last)), _rounded(offset)),
    )


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(f"{v:.4g}") for v in values)
