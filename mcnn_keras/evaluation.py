"""How good a model is on unseen samples, beside answers that any network must beat."""

import numpy as np

from .errors import InputError
from .metrics import correlation, mean_absolute_error
from .problems import as_problem, from_card
from .training.pipeline import fixed_set


def evaluate(model, problem=None, samples=64, seed=1, image_size=None):
    """Measure a model on the test split of its problem.

    Parameters
    ----------
    model : keras.Model
        With its card.
    problem : Problem, optional
        For problems that this package does not know by name.
    samples : int
        Number of test samples.
    seed : int
        Of the samples.
    image_size : int, optional
        As in training by default.

    Returns
    -------
    dict
        For each answer by name ('network', 'zero' or 'constant', the problem's own): ``mae``, the
        mean absolute error of each output by its name, in the result's units, ``correlation`` with
        the truth, and ``with``, what was chosen for the answer's own best.

    Raises
    ------
    InputError
        If the number of samples is not positive, or the problem is unknown.
    """
    if samples < 1:
        raise InputError(f"samples is {samples}; it must be at least 1")
    card = model.card
    problem = from_card(card) if problem is None else as_problem(problem)
    image_size = image_size or card["training"]["image_size"]
    images, targets = fixed_set(problem, "test", samples, image_size, seed)
    answers = {"network": (_answers(model, images), {})}
    constant = np.median(targets, axis=(0, 1, 2))
    answers["constant"] = (np.broadcast_to(constant, targets.shape), {})
    if card["normalization"]["output"] in ("mean-free", "frame"):
        answers["zero"] = (np.zeros_like(targets), {})
        del answers["constant"]
    for name, baseline in problem.baselines.items():
        answers[name] = baseline(images, targets)
    scales = card["normalization"].get("output_deviation", [1.0] * targets.shape[-1])
    return {
        name: {
            "mae": {
                output: scales[c] * mean_absolute_error(answer[..., c], targets[..., c])
                for c, output in enumerate(card["output_names"])
            },
            "correlation": correlation(answer, targets),
            "with": settings,
        }
        for name, (answer, settings) in answers.items()
    }


def _answers(model, images, batch=8):
    """The network's full-size output for images that are normalised already."""
    from .inference.engines import full_size_function

    compute = full_size_function(model)
    return np.concatenate(
        [compute(images[i : i + batch]).numpy() for i in range(0, len(images), batch)]
    )
