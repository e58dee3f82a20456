"""Which axes of an array are height and width: told, or plain from the shape; else refused."""

import numpy as np
import pytest

from mcnn_keras import InputError, predict
from mcnn_keras.inference.axes import arranged
from mcnn_keras.models import Channels, Frames, ModelCard, Normalization, Output, Planes


def card(inputs):
    network = {"input_channels": inputs.count, "output_channels": 1, "scale": 1}
    return ModelCard("mine", {}, inputs, (Output("a"),), Normalization(), network,
                     {"image_size": 32})  # fmt: skip


ONE, COLOURS = card(Frames(1)), card(Channels(3))
SERIES = card(Planes((-5.0, 5.0), (1.0, 1.0)))


@pytest.mark.parametrize(
    ("shape", "axes", "model", "stack", "outer"),
    [
        ((40, 50), None, ONE, (1, 40, 50, 1), ()),
        ((7, 40, 50), None, ONE, (7, 40, 50, 1), (7,)),
        ((2, 7, 40, 50), None, ONE, (14, 40, 50, 1), (2, 7)),
        ((40, 50, 1), None, ONE, (1, 40, 50, 1), ()),
        ((90, 40, 50), "tyx", ONE, (90, 40, 50, 1), (90,)),
        ((40, 50, 90), "yxt", ONE, (90, 40, 50, 1), (90,)),
        ((40, 7, 50), "ytx", ONE, (7, 40, 50, 1), (7,)),
        ((40, 50), "xy", ONE, (1, 50, 40, 1), ()),
        ((40, 50, 3), None, COLOURS, (1, 40, 50, 3), ()),
        ((3, 40, 50), "cyx", COLOURS, (1, 40, 50, 3), ()),
        ((6, 2, 40, 50), "tzyx", SERIES, (6, 40, 50, 2), (6,)),
        ((40, 50, 2), None, SERIES, (1, 40, 50, 2), ()),
    ],
)
def test_arrays_become_measurements(shape, axes, model, stack, outer):
    """Fails where an axis is taken for another one; the values tell each from the others."""
    images = np.arange(np.prod(shape)).reshape(shape)
    found = arranged(images, model, axes)
    assert found.stack.shape == stack
    assert found.outer == outer
    letters = axes or {2: "yx", 3: "tyx", 4: "styx"}[len(shape)]
    if axes is None and shape[-1] == model.image_channels:
        letters = "yxc"
    place = {"y": 31, "x": 29, "c": stack[-1] - 1, "z": stack[-1] - 1}
    index = tuple(place.get(letter, 0) for letter in letters)
    assert found.stack[0, 31, 29, -1] == images[index]


@pytest.mark.parametrize(
    ("shape", "axes", "model", "message"),
    [
        ((64, 64, 64), None, ONE, r"two ways; .* axes='tyx' \(frames first\) or axes='yxt'"),
        ((90, 40, 50, 60), None, ONE, "two ways"),
        ((32, 64, 32), None, card(Planes((1.0,) * 32, (0.1,) * 32)), "axes='yxc' or axes='cyx'"),
        ((3, 40, 50), None, COLOURS, r"\(..., height, width, 3\)"),
        ((40, 50, 7), None, ONE, r"\(..., height, width\)"),
        ((40, 50), "yxc", ONE, "one letter for each"),
        ((40, 50, 2), "yyx", ONE, "one letter for each"),
        ((4, 40, 50), "cyx", COLOURS, "trained on 3 images"),
        ((40,), None, ONE, "shape"),
    ],
)
def test_what_is_not_plain_is_refused(shape, axes, model, message):
    """Fails where the sizes of the axes decide in silence which of them is which."""
    with pytest.raises(InputError, match=message):
        arranged(np.zeros(shape), model, axes)


def test_predict_answers_in_the_arrays_own_order(trained, rng):
    """Fails where the answers of frames are given back in another order."""
    frames = rng.random((3, 40, 44)) + 1
    each = np.stack([predict(trained.model, f) for f in frames])
    np.testing.assert_allclose(predict(trained.model, frames, axes="tyx"), each, atol=1e-6)
    last = np.moveaxis(frames, 0, -1)
    np.testing.assert_allclose(predict(trained.model, last, axes="yxt"), each, atol=1e-6)
