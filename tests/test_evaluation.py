import numpy as np
import pytest

from mcnn_keras import InputError, evaluate
from mcnn_keras.metrics import correlation, mean_absolute_error
from mcnn_keras.training.pipeline import fixed_set


def test_metrics_agree_with_numpy(rng):
    a, b = rng.standard_normal((2, 5, 6))
    assert mean_absolute_error(a, b) == pytest.approx(np.abs(a - b).mean())
    assert correlation(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    assert correlation(a, np.ones_like(a)) == 0


def test_a_model_stands_beside_zero_and_tie(trained, phase_problem):
    answers = evaluate(trained.model, samples=6, seed=4)
    assert set(answers) == {"network", "zero", "transport of intensity"}
    images, targets = fixed_set(phase_problem, "test", 6, 32, 4)
    assert answers["zero"]["mae"] == pytest.approx(np.abs(targets).mean(), rel=1e-5)
    direct = np.abs(np.asarray(trained.model(images)[0]) - targets).mean()
    assert answers["network"]["mae"] == pytest.approx(direct, rel=1e-4)
    assert answers["transport of intensity"]["mae"] <= answers["zero"]["mae"] * 1.001
    assert answers["transport of intensity"]["with"]["cutoff"] > 0


def test_samples_must_be_positive(trained):
    with pytest.raises(InputError, match="samples"):
        evaluate(trained.model, samples=0)
