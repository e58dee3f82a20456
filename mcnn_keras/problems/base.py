"""What every inverse problem is: targets, and the forward model that turns them into images.

targets -> observe (conditions) -> detect -> Sample -> normalised, fixed channels -> network
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from ..channels import network_input
from ..errors import InputError
from ..models import Channels, Normalization, Output
from ..models.normalization import KINDS
from ..physics.arrays import Array
from ..targets.pictures import SPLITS

# Answers to set beside a network's: (images, targets), normalised, of a whole set -> answers in the
# scale of the targets, and what was chosen for them.
Baseline = Callable[..., tuple[Any, dict[str, Any]]]


class Sample(NamedTuple):
    """One measurement of a known object, in the units of the instrument.

    Attributes
    ----------
    image : tensor
        (height, width, channels), float32.
    conditions : dict
        What the instrument says of the measurement, by name: numbers that all samples share, or
        tensors.
    target : tensor
        (height, width, outputs), float32; it may be twice as large.
    """

    image: Array
    conditions: Mapping[str, Array]
    target: Array


class Problem:
    """An image-to-image inverse problem; derive from it to bring one of your own.

    A derived class gives a name, `targets` and `observe`, and `detect` where noise is a step of
    its own: image = detect(observe(target)). All are TensorFlow code that runs inside tf.data,
    and every random draw in them must come from the given seed, so that a sample is a pure
    function of (seed, index).

    Attributes
    ----------
    name : str
        What the problem is called in file names and reports.
    margin : int
        Pixels simulated beyond each border and cut off again, for forward models that reach far.
    normalization : Normalization
        How a measurement becomes the network's input and its output a result; the same object
        serves training and prediction. See `mcnn_keras.models.Fixed` to divide by a number.
    channels : dict or None
        Name and arguments of fixed channels beside the image, see `mcnn_keras.channels`.
    outputs : sequence of Output
        What each channel of the target is.
    scaled_by : sequence of int or None, optional
        Of each channel of the target, the channel of the network's input that its answer is in
        units of, see `mcnn_keras.MCNN`.
    inputs : Planes, Channels, Frames or None
        What a measurement is; None for an image of as many channels as the samples have.
    pixel_size : float or None
        Of the images, in um, where the model depends on it.
    recipe : dict
        Settings of a training run that suit the problem, see `mcnn_keras.Settings`.
    baselines : dict
        Further answers that `mcnn_keras.evaluate` sets beside the network's, by name: functions
        (images, targets) -> (answers, what was chosen for them), over a whole set, normalised.
    """

    name: str = "problem"
    margin: int = 0
    normalization: Normalization = Normalization()
    channels: Mapping[str, Any] | None = None
    outputs: Any = (Output("output"),)
    scaled_by: Any = None
    inputs: Any = None
    pixel_size: float | None = None
    recipe: Any = {}  # noqa: RUF012 - replaced, never changed
    baselines: Any = {}  # noqa: RUF012 - replaced, never changed

    @property
    def label(self) -> str:
        """A name for the run's folder."""
        return self.name

    def targets(self, seed: Array, size: int, split: str) -> Array:
        """A target picture.

        Parameters
        ----------
        seed : (2,) int tensor
        size : int
            Height and width, the margins included.
        split : {'train', 'test'}

        Returns
        -------
        tf.Tensor
            (size, size, channels), float32.
        """
        raise NotImplementedError(f"{type(self).__name__} must define targets(seed, size, split)")

    def conditions(self, seed: Array) -> Mapping[str, Array]:
        """What the instrument says of a measurement: none, fixed numbers, or draws by the seed."""
        return {}

    def observe(self, target: Array, seed: Array, **conditions: Array) -> Array:
        """The forward model: what is measured of a target.

        Parameters
        ----------
        target : (size, size, channels) tensor
        seed : (2,) int tensor
        **conditions
            Those of the measurement, from `conditions`.

        Returns
        -------
        tf.Tensor
            (size, size, channels), float32.
        """
        raise NotImplementedError(f"{type(self).__name__} must define observe(target, seed)")

    def detect(self, image: Array, seed: Array) -> Array:
        """The detector's noise, added once the margins are cut off; none by default."""
        return image

    def answer(self, target: Array) -> Array:
        """What of a target the network is to find; all of it by default."""
        return target

    def sample(self, seed: Array, size: int, split: str = "train") -> Sample:
        """One measurement and its truth.

        Parameters
        ----------
        seed : (2,) int tensor
            The sample is a pure function of it.
        size : int
            Height and width in pixels.
        split : {'train', 'test'}
        """
        # The splits draw from different sources and from different seeds.
        own = tf.random.fold_in(seed, SPLITS.index(split))
        first, second, third = tf.unstack(tf.random.split(own, 3))
        target = self.targets(first, size + 2 * self.margin, split)
        conditions = self.conditions(tf.random.fold_in(own, 3))
        return self._measured(target, size, second, third, conditions)

    def network_pair(self, sample: Sample) -> tuple[Array, Array]:
        """What the network is given of a sample, and what it is to answer.

        Returns
        -------
        inputs, target : tf.Tensor
            (height, width, channels), float32; normalised, the fixed channels behind the image's.
        """
        image, scale = self.normalization.apply(sample.image)
        target = self.normalization.target(sample.target, scale)
        return network_input(image, self.channels, sample.conditions), target

    def for_run(self, samples: int) -> Problem:
        """The problem as a run of so many samples, in all of its epochs, needs it."""
        return self

    def _measured(
        self,
        target: Array,
        size: int,
        observe_seed: Array,
        detect_seed: Array,
        conditions: Mapping[str, Array],
    ) -> Sample:
        """The sample that a target picture with its margins makes."""
        image = self.observe(target, observe_seed, **conditions)
        image = self.detect(self._cut(image, size), detect_seed)
        return Sample(image, conditions, self.answer(self._cut(target, size)))

    def _cut(self, array: Array, size: int) -> Array:
        """Cut the margins off an array that may be a multiple or a part of the simulated size."""
        whole = size + 2 * self.margin
        before, inner = (array.shape[0] * n / whole for n in (self.margin, size))
        if before % 1 or inner % 1:
            raise InputError(
                f"the problem {self.name!r} gives arrays of {tuple(array.shape)} for a simulated "
                f"size of {whole}; the margin {self.margin} does not cut them evenly"
            )
        window = slice(int(before), int(before + inner))
        return array[window, window]

    def config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON can hold them; `from_config` takes them back."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Problem:
        """The problem that `config` describes."""
        return cls(**config)


# What an adapted object cannot bring.
KEPT = ("from_config", "label")


class _Adapted(Problem):
    """A problem made of an object that is none by descent."""

    def __init__(self, thing: Any) -> None:
        taken = [n for n in dir(Problem) if not n.startswith("_") and n not in KEPT]
        for name in taken:
            if hasattr(thing, name):
                setattr(self, name, getattr(thing, name))


def as_problem(thing: Any) -> Problem:
    """A problem out of any object with a name, `targets` and `observe`.

    Parameters
    ----------
    thing : object
        A `Problem`, or an object with some of its attributes and methods.

    Raises
    ------
    InputError
        If it lacks one of the three, or scales its samples in a way that prediction cannot know.
    """
    missing = [name for name in ("name", "targets", "observe") if not hasattr(thing, name)]
    if missing:
        raise InputError(
            f"a {type(thing).__name__} was given without {' and '.join(missing)}; a problem has a "
            "name, targets(seed, size, split) and observe(target, seed)"
        )
    if hasattr(thing, "normalize"):
        raise InputError(
            f"the problem {thing.name!r} has a method normalize, which prediction would not know; "
            "set its attribute normalization to one of mcnn_keras.models: Fixed(input_deviation="
            "100) divides images by 100"
        )
    own = getattr(thing, "normalization", None)
    if own is not None and type(own) not in KINDS.values():
        raise InputError(
            f"the normalization of the problem {thing.name!r} is a {type(own).__name__}, which no "
            "card can hold; choose from mcnn_keras.models: Normalization, Contrast, FrameScale, "
            "Fixed"
        )
    return thing if isinstance(thing, Problem) else _Adapted(thing)


def inputs_of(problem: Problem, channels: int) -> Any:
    """What a measurement of a problem is, whose samples have so many channels."""
    return problem.inputs if problem.inputs is not None else Channels(channels)
