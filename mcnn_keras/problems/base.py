"""The base class of inverse problems: targets, and the forward model that makes images of them.

targets -> observe (conditions) -> detect -> Sample -> normalised, fixed channels -> network
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from ..channels import network_input
from ..errors import InputError
from ..models import Channels, ModelCard, Normalization, Output
from ..models.normalization import KINDS
from ..physics.arrays import Array
from ..targets.pictures import SPLITS

# Results to compare a network's with: (images, targets), normalised, of a whole set -> results in
# the scale of the targets, and the settings that were chosen for them.
Baseline = Callable[..., tuple[Any, dict[str, Any]]]


# Height and width of whole images are extended by mirroring to multiples of this, the stride of
# most networks.
FULL = 64
WHOLE = "train on whole images of one size with whole=True (--whole)"
# Images of one target whose mean is taken as free of noise.
AVERAGED = 16


class Sample(NamedTuple):
    """One measurement of a known object, in the units of the instrument.

    Attributes
    ----------
    image : tensor
        (height, width, channels), float32.
    conditions : dict
        Acquisition parameters of the measurement, by name: numbers that all samples share, or
        tensors.
    target : tensor
        (height, width, outputs), float32; it may be twice as large.
    """

    image: Array
    conditions: Mapping[str, Array]
    target: Array


class Problem:
    """An image-to-image inverse problem; derive from it to define your own.

    A derived class defines a name, `targets` and `observe`, and also `detect` if noise is a
    separate step: image = detect(observe(target)). All are TensorFlow code that runs inside
    tf.data. All random numbers must come from the given seed, so that a sample is a pure function
    of (seed, index).

    Attributes
    ----------
    name : str
        Name of the problem in file names and reports.
    margin : int
        Pixels simulated outside each border and then cut off, for forward models with a long range.
    normalization : Normalization
        Converts a measurement to the network's input, and its output to a result, in training and
        in prediction. See `mcnn_keras.models.Fixed` to divide by a number.
    channels : dict or None
        Name and arguments of fixed channels in addition to the image, see `mcnn_keras.channels`.
    outputs : sequence of Output
        Description of each channel of the target.
    scaled_by : sequence of int or None, optional
        For each channel of the target, the channel of the network's input that gives its unit, see
        `mcnn_keras.MCNN`.
    inputs : Planes, Channels, Frames or None
        The kind of measurement; None for an image with the channels of the samples.
    pixel_size : float or None
        Pixel size of the images in um, if the model depends on it.
    lost : {'', 'gain', 'gain and offset'} or None
        What an image does not keep of the scale of `noise_free`; None for what the normalisation
        removes.
    most_pixels : int or None
        The greatest image_size that samples can have, if it is limited; 0 if they have their own.
    recipe : dict
        Default settings of a training run, see `mcnn_keras.Settings`.
    baselines : dict
        Further results for comparison in `mcnn_keras.evaluate`, by name: functions (images,
        targets) -> (results, chosen settings), over a whole set, normalised.
    """

    name: str = "problem"
    margin: int = 0
    normalization: Normalization = Normalization()
    channels: Mapping[str, Any] | None = None
    outputs: Any = (Output("output"),)
    scaled_by: Any = None
    inputs: Any = None
    pixel_size: float | None = None
    lost: str | None = None
    most_pixels: int | None = None
    recipe: Any = {}  # noqa: RUF012 - replaced, never changed
    baselines: Any = {}  # noqa: RUF012 - replaced, never changed
    # The target pictures of a problem that takes a folder of them.
    _pictures: Any = None

    @property
    def files(self) -> Mapping[str, str]:
        """What the user's files hold: a digest of each, by its name; of these a run is resumed."""
        return {} if self._pictures is None else self._pictures.files

    @property
    def learned(self) -> Mapping[str, str]:
        """Of `files`, those of the training split, with what tells them; for the model's card."""
        return {} if self._pictures is None else self._pictures.learned

    def for_model(self, card: ModelCard) -> Problem:
        """The problem to measure a model with: its test split holds nothing of the training.

        The split is made anew if the user's files are others than those of the training.

        Raises
        ------
        InputError
            If no other files are left.
        """
        if self._pictures is not None:
            self._pictures.leave_out(learned_by(card.training))
        return self

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
            Height and width, including the margins.
        split : {'train', 'test'}

        Returns
        -------
        tf.Tensor
            (size, size, channels), float32.
        """
        raise NotImplementedError(f"{type(self).__name__} must define targets(seed, size, split)")

    def conditions(self, seed: Array) -> Mapping[str, Array]:
        """Acquisition parameters of a measurement: none, fixed numbers, or random by the seed."""
        return {}

    def observe(self, target: Array, seed: Array, **conditions: Array) -> Array:
        """The forward model: the image of a target.

        Parameters
        ----------
        target : (size, size, channels) tensor
        seed : (2,) int tensor
        **conditions
            The acquisition parameters from `conditions`.

        Returns
        -------
        tf.Tensor
            (size, size, channels), float32.
        """
        raise NotImplementedError(f"{type(self).__name__} must define observe(target, seed)")

    def detect(self, image: Array, seed: Array) -> Array:
        """The detector's noise, added after the margins are cut off; none by default."""
        return image

    def noise_free(self, target: Array, **conditions: Array) -> Array:
        """The image of a target without noise, which checks results: those of `predict`.

        By default this is the mean of several observed and detected images. Define it where the
        image is known exactly, which is also faster; or where `sample` or `answer` are defined.

        Parameters
        ----------
        target : (height, width, channels) tensor
            A result of the network, of any size, with the margins mirrored.
        **conditions
            The acquisition parameters.

        Returns
        -------
        tf.Tensor
            (height, width, channels), including the margins.
        """
        images: list[Array] = []
        for number in range(AVERAGED):
            seeds = tf.unstack(tf.random.split(tf.constant([0, number]), 2))
            images.append(self.detect(self.observe(target, seeds[0], **conditions), seeds[1]))
            if number == 1 and bool(tf.reduce_all(images[0] == images[1])):
                return images[0]
        return tf.add_n(images) / len(images)

    def answer(self, target: Array) -> Array:
        """The part of a target that the network learns; all of it by default."""
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
        """The network's input and target for a sample.

        Returns
        -------
        inputs, target : tf.Tensor
            (height, width, channels), float32; normalised, the fixed channels after the image's.
        """
        image, scale = self.normalization.apply(sample.image)
        target = self.normalization.target(sample.target, scale)
        return network_input(image, self.channels, sample.conditions), target

    def for_run(self, samples: int) -> Problem:
        """The problem for a run with this total number of samples over all epochs."""
        return self

    def _measured(
        self,
        target: Array,
        size: int,
        observe_seed: Array,
        detect_seed: Array,
        conditions: Mapping[str, Array],
    ) -> Sample:
        """The sample of a target picture with its margins."""
        image = self.observe(target, observe_seed, **conditions)
        image = self.detect(self._cut(image, size), detect_seed)
        return Sample(image, conditions, self.answer(self._cut(target, size)))

    def _cut(self, array: Array, size: int) -> Array:
        """Cut the margins off an array; its size may be the simulated one times a factor."""
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
        """The constructor's arguments as JSON values, for `from_config`."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Problem:
        """The problem that `config` describes."""
        return cls(**config)


# Attributes that an adapted object cannot replace.
KEPT = ("from_config", "label", "files", "learned", "for_model")


class _Adapted(Problem):
    """A problem made from an object that is not derived from `Problem`."""

    def __init__(self, thing: Any) -> None:
        taken = [n for n in dir(Problem) if not n.startswith("_") and n not in KEPT]
        for name in taken:
            if hasattr(thing, name):
                setattr(self, name, getattr(thing, name))


def as_problem(thing: Any) -> Problem:
    """A problem from any object with a name, `targets` and `observe`.

    Parameters
    ----------
    thing : object
        A `Problem`, or an object with some of its attributes and methods.

    Raises
    ------
    InputError
        If one of the three is missing, or it normalises its samples in a way that a card cannot
        store.
    """
    missing = [name for name in ("name", "targets", "observe") if not hasattr(thing, name)]
    if missing:
        raise InputError(
            f"a {type(thing).__name__} was given without {' and '.join(missing)}; a problem needs "
            "a name, targets(seed, size, split) and observe(target, seed)"
        )
    if hasattr(thing, "normalize"):
        raise InputError(
            f"the problem {thing.name!r} has a method normalize, which prediction cannot use; set "
            "its attribute normalization to one of mcnn_keras.models: Fixed(input_deviation=100) "
            "divides images by 100"
        )
    own = getattr(thing, "normalization", None)
    if own is not None and type(own) not in KINDS.values():
        raise InputError(
            f"the normalization of the problem {thing.name!r} is a {type(own).__name__}, which a "
            "card cannot store; choose from mcnn_keras.models: Normalization, Contrast, "
            "FrameScale, Fixed"
        )
    return thing if isinstance(thing, Problem) else _Adapted(thing)


def simulates(problem: Problem) -> bool:
    """Whether the images of results can be simulated with a problem's `noise_free`.

    That of `Problem` cannot be used if samples, or the part of the target that the network learns,
    are made in a way of their own.
    """

    def own(name: str) -> bool:
        return getattr(getattr(problem, name), "__func__", None) is not getattr(Problem, name)

    return own("noise_free") or not (own("sample") or own("answer"))


def simulator(
    problem: Problem, scale: int, conditions: Mapping[str, Any]
) -> Callable[[np.ndarray], np.ndarray]:
    """A function from results, (height, width, outputs), to their images without noise.

    Parameters
    ----------
    problem : Problem
    scale : int
        Size of a result relative to its image.
    conditions : dict
        The acquisition parameters.
    """

    def simulate(result: np.ndarray) -> np.ndarray:
        m = scale * problem.margin
        target = np.pad(result, ((m, m), (m, m), (0, 0)), mode="symmetric")
        image = problem.noise_free(tf.constant(target, tf.float32), **conditions)
        inner = slice(problem.margin, -problem.margin or None)
        return np.asarray(image)[inner, inner]

    return simulate


def some(names: Sequence[str], most: int = 3) -> str:
    """The first of several names, and how many there are more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def learned_by(training: Mapping[str, Any]) -> dict[str, str]:
    """The files that a model has learned, by its card, also in the runs that it was started from.

    Parameters
    ----------
    training : dict
        `ModelCard.training`.
    """
    before = training.get("before")
    earlier = learned_by(before) if isinstance(before, Mapping) else {}
    own = training.get("learned")
    return {**earlier, **(own if isinstance(own, Mapping) else {})}


def inputs_of(problem: Problem, channels: int) -> Any:
    """The kind of measurement of a problem whose samples have this number of channels."""
    return problem.inputs if problem.inputs is not None else Channels(channels)
