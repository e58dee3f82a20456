"""Fail where a metric differs from NumPy's, or a model stands alone."""

import numpy as np
import pytest

from mcnn_keras import InputError, evaluate
from mcnn_keras.metrics import correlation, mean_absolute_error
from mcnn_keras.training.pipeline import fixed_set


def test_metrics_agree_with_numpy(rng):
    """Fails where a constant divides by zero, or the means of the channels count as correlation."""
    a, b = rng.standard_normal((2, 5, 6))
    assert mean_absolute_error(a, b) == pytest.approx(np.abs(a - b).mean())
    assert correlation(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    assert correlation(a, np.ones_like(a)) == 0
    # Channels of different means do not correlate by these means alone.
    levels = np.stack([a * 0, a * 0 + 5], -1)[None]
    assert correlation(levels, levels + np.stack([a, b], -1)[None]) == 0


def test_a_model_stands_beside_zero_and_tie(trained, phase_problem):
    """Fails where the set is not that of the seed, or an error is not the mean absolute one."""
    answers = evaluate(trained.model, samples=6, seed=4)
    assert set(answers) == {"network", "zero", "transport of intensity"}
    images, targets = fixed_set(phase_problem, "test", 6, 32, 4)
    assert answers["zero"]["mae"]["phase"] == pytest.approx(np.abs(targets).mean(), rel=1e-5)
    direct = np.abs(np.asarray(trained.model(images)[0]) - targets).mean()
    assert answers["network"]["mae"]["phase"] == pytest.approx(direct, rel=1e-4)
    tie, zero = (answers[name]["mae"]["phase"] for name in ("transport of intensity", "zero"))
    assert tie <= zero * 1.001
    assert answers["transport of intensity"]["with"]["cutoff"] > 0


def test_samples_must_be_positive(trained):
    """Fails where a set without samples gives numbers."""
    with pytest.raises(InputError, match="samples"):
        evaluate(trained.model, samples=0)
