"""What every inverse problem is: targets, and the forward model that turns them into images."""

import tensorflow as tf

from ..errors import InputError
from ..images import SPLITS


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
    first_layer : dict or None
        A fixed first layer of the network, see `mcnn_keras.MCNN`.
    normalization : dict
        How a measurement becomes the network's input and what is done to its output, by the names
        that `mcnn_keras.inference` knows; the card of a model carries it.
    output_names : sequence of str
        What each channel of the target is.
    units : sequence of str
        Of each channel of the target.
    pixel_size : float or None
        Of the images, in um; written into result files.
    baselines : dict
        Further answers that `mcnn_keras.evaluate` sets beside the network's, by name: functions
        (images, targets) -> answers over a whole set.
    """

    name = "problem"
    margin = 0
    first_layer = None
    normalization = {"input": "none", "output": "none"}  # noqa: RUF012 - replaced, never changed
    output_names = ("output",)
    units = ("",)
    pixel_size = None
    baselines = {}  # noqa: RUF012 - replaced, never changed

    @property
    def label(self):
        """A name for the run's folder."""
        return self.name

    def targets(self, seed, size, split):
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

    def observe(self, target, seed):
        """The forward model: what is measured of a target.

        Parameters
        ----------
        target : (size, size, channels) tensor
        seed : (2,) int tensor

        Returns
        -------
        tf.Tensor
            (size, size, channels), float32.
        """
        raise NotImplementedError(f"{type(self).__name__} must define observe(target, seed)")

    def detect(self, image, seed):
        """The detector's noise, added once the margins are cut off; none by default."""
        return image

    def normalize(self, image, target):
        """Scale image and target, the margins cut off, as the network is to see them."""
        return image, target

    def sample(self, seed, size, split="train"):
        """One pair of network input and target.

        Parameters
        ----------
        seed : (2,) int tensor
            The sample is a pure function of it.
        size : int
            Height and width in pixels.
        split : {'train', 'test'}

        Returns
        -------
        image, target : tf.Tensor
            (size, size, channels), float32; the target may be twice as large.
        """
        # The splits draw from different sources and from different seeds.
        seeds = tf.unstack(tf.random.split(tf.random.fold_in(seed, SPLITS.index(split)), 3))
        target = self.targets(seeds[0], size + 2 * self.margin, split)
        return self._measured(target, size, *seeds[1:])

    def _measured(self, target, size, observe_seed, detect_seed):
        """The pair of network input and target that a target picture with its margins makes."""
        image = self.observe(target, observe_seed)
        image = self.detect(self._cut(image, size), detect_seed)
        return self.normalize(image, self._cut(target, size))

    def _cut(self, array, size):
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

    def config(self):
        """The constructor's arguments as JSON can hold them; `from_config` takes them back."""
        return {}

    @classmethod
    def from_config(cls, config):
        """The problem that `config` describes."""
        return cls(**config)


# What an adapted object cannot bring.
KEPT = ("from_config", "label")


class _Adapted(Problem):
    """A problem made of an object that is none by descent."""

    def __init__(self, thing):
        taken = [n for n in dir(Problem) if not n.startswith("_") and n not in KEPT]
        for name in taken:
            if hasattr(thing, name):
                setattr(self, name, getattr(thing, name))


def as_problem(thing):
    """A problem out of any object with a name, `targets` and `observe`.

    Parameters
    ----------
    thing : object
        A `Problem`, or an object with some of its attributes and methods.

    Raises
    ------
    InputError
        If it lacks one of the three.
    """
    if isinstance(thing, Problem):
        return thing
    missing = [name for name in ("name", "targets", "observe") if not hasattr(thing, name)]
    if missing:
        raise InputError(
            f"a {type(thing).__name__} was given without {' and '.join(missing)}; a problem has a "
            "name, targets(seed, size, split) and observe(target, seed)"
        )
    return _Adapted(thing)
