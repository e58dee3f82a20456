"""The settings of a training run, checked; with the problem they define it completely."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..checks import Check, flag, number, optional, several, text, whole
from ..errors import InputError

LOSSES = ("absolute", "squared", "logarithmic")
LOSS_WEIGHTS = ("constant", "annealed", "closing")
SCHEDULES = ("cosine", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")
LOW = -(2**63)
# The types of the settings, and what is too large for any machine; further limits are told with
# what they are about.
FIELDS: dict[str, Check] = {
    "image_size": whole(LOW, 2**16),
    "samples": whole(LOW, 2**40),
    "epochs": whole(LOW, 2**31),
    "batch_size": whole(LOW, 2**20),
    "fresh": flag,
    "mixed_sizes": flag,
    "dataset": optional(text()),
    "start": optional(text()),
    "preset": text(),
    "filters": optional(several(whole(1, 2**14), most=14)),
    "branches": optional(whole(LOW, 2**31)),
    "cell": optional(text()),
    "normalization": optional(text()),
    "gated": flag,
    "loss": text(),
    "loss_weights": text(),
    "growing": flag,
    "adversarial": number(),
    "learning_rate": number(),
    "schedule": text(),
    "precision": text(),
    "gpus": optional(whole(LOW, 2**31)),
    "seed": whole(LOW, 2**63),
}


@dataclass(frozen=True)
class Settings:
    """How to train.

    Parameters
    ----------
    image_size : int
        Height and width of a training sample in pixels.
    samples : int
        Samples per epoch.
    epochs : int
        Number of epochs.
    batch_size : int
        Samples per step, over all devices.
    fresh : bool
        True: each sample is new. False: the first `samples` are repeated in each epoch.
    mixed_sizes : bool
        Every fourth batch has a quarter as many samples with twice the size, so that the network
        also learns larger fields.
    dataset : str, optional
        The folder of a training set on disk, whose samples are taken in a shuffled order, again and
        again, instead of simulated ones; see `mcnn_keras.training.simulated.simulate_set`.
    start : str, optional
        A model file or the name of a shipped model; training starts from its weights.
    preset, filters, branches, cell, normalization, gated :
        Arguments of the network, see `mcnn_keras.MCNN`.
    loss : {'absolute', 'squared', 'logarithmic'}
        Error of each output: mean absolute error, as in the paper; mean squared error; or the
        logarithm of each sample's mean squared error, which gives samples with much and with little
        noise the same weight.
    loss_weights : {'constant', 'annealed', 'closing'}
        'constant': each output has weight 1. 'annealed': output m + 1 has weight (2 - 2t)^m, where
        t goes from 0 to 1, so that training starts with the coarse outputs and ends as for a plain
        U-Net. 'closing': (1 - t)^m, for networks that have already learned the coarse outputs.
    growing : bool
        Train the coarse outputs first and fade in the finer ones over the first half.
    adversarial : float
        Weight of the adversarial loss of a discriminator; 0 for none.
    learning_rate : float
        Learning rate of Adam.
    schedule : {'cosine', 'constant'}
        'cosine': the learning rate rises in a short warm-up, then decays to zero as a cosine.
        'constant': it stays as it is, without a warm-up.
    precision : {'auto', 'float32', 'bfloat16'}
        Precision of the network's arithmetic; 'auto' measures which is faster.
    gpus : int, optional
        Number of GPUs; all by default.
    seed : int
        Seed of initial weights and samples.

    Raises
    ------
    InputError
        If a value is out of its range.
    """

    image_size: int = 256
    samples: int = 2048
    epochs: int = 32
    batch_size: int = 8
    fresh: bool = True
    mixed_sizes: bool = False
    dataset: str | None = None
    start: str | None = None
    preset: str = "light"
    filters: Sequence[int] | None = None
    branches: int | None = None
    cell: str | None = None
    normalization: str | None = None
    gated: bool = False
    loss: str = "absolute"
    loss_weights: str = "constant"
    growing: bool = False
    adversarial: float = 0.0
    learning_rate: float = 5e-4
    schedule: str = "cosine"
    precision: str = "auto"
    gpus: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, check in FIELDS.items():
            value = getattr(self, name)
            if hasattr(value, "item"):  # one of NumPy's numbers
                value = value.item()
            if isinstance(value, os.PathLike):
                value = os.fspath(value)
            try:
                check(value, name)
            except ValueError as error:
                raise InputError(str(error)) from None
            object.__setattr__(self, name, value)
        for name in ("image_size", "samples", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.samples < self.batch_size:
            raise InputError(
                f"samples {self.samples} is less than one batch of {self.batch_size}; "
                "give more samples or a smaller batch size"
            )
        if self.mixed_sizes and self.batch_size % 4:
            raise InputError(
                f"batch_size {self.batch_size} cannot be divided by 4 for mixed_sizes; give a "
                "multiple of 4"
            )
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate {self.learning_rate} must be positive")
        if not self.adversarial >= 0:
            raise InputError(f"adversarial {self.adversarial} must be 0 or a positive weight")
        if self.adversarial and self.growing:
            raise InputError(
                "a growing network has no full-size output at first, which adversarial needs; "
                "choose either adversarial or growing"
            )
        if not 0 <= self.seed < 2**31:
            raise InputError(f"seed {self.seed} must be in 0..{2**31 - 1}")
        choices_of = {
            "loss": LOSSES,
            "loss_weights": LOSS_WEIGHTS,
            "schedule": SCHEDULES,
            "precision": PRECISIONS,
        }
        for name, choices in choices_of.items():
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} {getattr(self, name)!r} is not known; choose one of "
                    + ", ".join(choices)
                )

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one epoch; a last, smaller batch is left out."""
        return self.samples // self.batch_size

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.steps_per_epoch * self.epochs

    def asdict(self) -> dict[str, Any]:
        """The values by name, for a configuration file."""
        return asdict(self)
