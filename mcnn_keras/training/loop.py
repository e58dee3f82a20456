"""The training loop: a pure function of (problem, settings, step) on a given machine."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..errors import InputError, TrainingStopped
from ..files.locking import locked
from ..models.saving import save
from ..network import stride
from ..problems.base import Problem, as_problem
from ..progress import Progress, hidden
from ..report import write_report
from .adversary import Adversary
from .build import (
    build_model,
    first_sample,
    make_card,
    network_arguments,
    require_divisible,
    schedule,
    start_from,
)
from .callbacks import Callbacks, interruptible
from .checkpoints import RunFolder, config_of, going_on, require_same
from .devices import choose_strategy, faster_precision
from .losses import growth, scale_weights
from .optimizer import Adam
from .pipeline import batch_of, endless, fixed_set, is_large, mixed_stream, stream, unsharded
from .settings import Settings
from .step import compiled_step, errors_of, mend, require_learning
from .stored import as_simulated, faults_told, from_disk, told_of
from .workers import Workers, distributed_strategy

TEST_SAMPLES = 64
CHECKPOINT_SECONDS = 120


@dataclass
class Run:
    """A finished training run.

    Attributes
    ----------
    model : keras.Model
        In float32, with its card as ``model.card``.
    history : list of dict
        A row for each epoch, as in history.csv.
    folder : Path or None
        The folder of its files.
    """

    model: keras.Model
    history: list[dict[str, Any]]
    folder: Path | None


def train(
    problem: Any,
    output: str | Path | None = None,
    resume: bool = False,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    distributed: bool = False,
    **settings: Any,
) -> Run:
    """Train a network on a problem.

    Parameters
    ----------
    problem : Problem
        The problem to learn; or any object with a name, `targets` and `observe`.
    output : str or Path, optional
        The run's folder, for model.h5, config.json, history.csv, report.html and checkpoints;
        without it nothing is written.
    resume : bool
        Continue the run in `output`. It must have the same problem and settings. The result is the
        same as without the interruption. If there is no run yet, it is started.
    strategy : tf.distribute.Strategy, optional
        The devices, instead of all or `gpus` GPUs.
    callbacks : sequence of keras.callbacks.Callback
        Called as by Keras: at the begin and end of training, epochs and batches. Logs contain loss,
        mae, test_mae, test_deviation and learning_rate. ``model.stop_training`` ends the run after
        the step. With several workers each of them calls its own; one that stops, stops all.
    distributed : bool
        Train with the other processes that ``TF_CONFIG`` or Slurm tells of, on all or `gpus` GPUs
        of each. TensorFlow must not have computed before; else give `distributed_strategy()` of
        `mcnn_keras.training`, called first of all, as `strategy`. Of the processes, only the first
        writes `output`.
    **settings
        See `Settings`; defaults come from the problem's ``recipe``, then from `Settings`.

    Returns
    -------
    Run
        Use its model with `mcnn_keras.predict`.

    Raises
    ------
    InputError
        If the settings do not fit the problem, or the folder is not as expected.
    TrainingStopped
        If loss or weights are not finite, the error diverges, the output becomes constant, or
        another worker has ended.
    KeyboardInterrupt
        After Ctrl-C, when the checkpoint is written.
    """
    if distributed and strategy is None:  # before the problem computes anything
        strategy = distributed_strategy(settings.get("gpus"))
    problem = from_disk(as_problem(problem), settings)
    chosen = Settings(**{**problem.recipe, **settings})
    problem = problem.for_run(chosen.samples * (chosen.epochs if chosen.fresh else 1))
    workers = Workers(strategy or choose_strategy(chosen.gpus))
    workers.require_batch(chosen.batch_size, chosen.mixed_sizes)
    if resume and output is None:
        raise InputError("resume needs the folder of the run; give it with output (--output)")
    folder = RunFolder(output) if output is not None and workers.chief else None
    if resume and folder is not None:
        folder.begun()  # where others keep their files, no lock is put
    alone = contextlib.nullcontext()
    lock = alone if folder is None else locked(folder.path, inside=True)
    try:
        quiet = alone if workers.chief else hidden()
        with workers.ending_together(), lock, quiet, faults_told(problem):
            run = _train(problem, chosen, folder, resume, workers, callbacks)
            workers.any(False)  # the others stay until the chief has written its files
    except (MemoryError, tf.errors.ResourceExhaustedError):
        raise TrainingStopped(
            f"the memory is too small for batches of {chosen.batch_size} images of "
            f"{chosen.image_size} pixels; start a new run with a smaller --batch-size or "
            "--image-size"
        ) from None
    return Run(*run, None if output is None else Path(output))


def _train(
    problem: Problem,
    settings: Settings,
    folder: RunFolder | None,
    resume: bool,
    workers: Workers,
    callbacks: Sequence[keras.callbacks.Callback],
) -> tuple[keras.Model, list[dict[str, Any]]]:
    sample = first_sample(problem, settings)
    network = network_arguments(problem, settings, sample)
    resume, precision = workers.from_chief(_begin(problem, settings, folder, resume, workers))
    workers.require_same(config_of(problem, settings, precision))

    keras.utils.set_random_seed(settings.seed)
    with workers.strategy.scope():
        model = build_model(network, precision)
        before = None if settings.start is None else start_from(model, settings.start, problem)
        optimizer = Adam(schedule(settings))
        optimizer.build(model.trainable_variables)
        adversary = None
        if settings.adversarial > 0:
            outputs = len(model.outputs)
            adversary = Adversary(network["output_channels"], outputs, settings.learning_rate)
    trainer = Trainer(problem, settings, workers, model, optimizer, folder, adversary, callbacks)
    require_divisible(trainer.test[0].shape[1:3], stride(model), problem.most_pixels)
    if folder is not None and not resume:
        folder.create(config_of(problem, settings, precision))
    history = trainer.run(resume)
    if resume and folder is not None and trainer.resumed == trainer.step:
        kept = folder.finished(model.get_weights())
        if kept is not None:
            return kept, history

    final = build_model(network, "float32")
    final.set_weights(model.get_weights())
    trainer.judge(final)
    metrics = {"test_samples": len(trainer.test[1]), **trainer.test_metrics()}
    training = settings.asdict() | {"precision": precision} | told_of(problem)
    if not problem.normalization.lost:  # the result depends on the unit of the images
        images = trainer.test[0][..., : sample.image.shape[-1]].std((1, 2, 3), dtype=np.float64)
        training["deviations"] = [float(images.min()), float(images.max())]
    if before is not None:
        training["before"] = before
    final.card = make_card(problem, network, sample, final, training, metrics)
    if folder is not None:
        done = "the training is done and its last checkpoint kept"
        with going_on(f"the model or the report in {folder.path}", lambda: done):
            save(final, folder.model_path)
            write_report(folder, final.card, history, trainer.test, trainer.test_answer(), final)
    return final, history


def _begin(
    problem: Problem, settings: Settings, folder: RunFolder | None, resume: bool, workers: Workers
) -> tuple[bool, str]:
    """Whether there is a run to continue, and the precision; of the chief."""
    if resume and folder is not None and folder.begun():
        started = folder.config()
        require_same(started, config_of(problem, settings, None))
        return True, started["precision"]
    measured = settings.precision == "auto" and workers.chief
    return False, faster_precision() if measured else settings.precision


class Trainer:
    """One run: its stream of samples, its compiled steps, and its state."""

    def __init__(
        self,
        problem: Problem,
        settings: Settings,
        workers: Workers,
        model: keras.Model,
        optimizer: Adam,
        folder: RunFolder | None,
        adversary: Adversary | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        self.problem, self.settings = problem, settings
        self.workers, self.strategy = workers, workers.strategy
        self.model, self.optimizer, self.folder = model, optimizer, folder
        self.adversary = adversary
        self.branches = len(model.outputs) - 1
        self.step = 0
        self.sums = np.zeros(2)
        self.history: list[dict[str, Any]] = []
        self.kept = 0  # the step of the last checkpoint
        self.resumed = -1  # the step from which the run goes on
        self.callbacks = Callbacks(callbacks, model, settings, optimizer)
        samples = min(
            TEST_SAMPLES, settings.samples, getattr(problem, "test_samples", TEST_SAMPLES)
        )
        self.test = fixed_set(problem, "test", samples, settings.image_size, settings.seed)
        self._compiled: dict[tuple[int, int], Any] = {}
        self.judge(model)

    @property
    def variables(self) -> list[Any]:
        """All variables that a checkpoint must contain."""
        own = [*self.model.variables, *self.optimizer.variables]
        return own if self.adversary is None else [*own, *self.adversary.variables]

    def run(self, resume: bool) -> list[dict[str, Any]]:
        """Train from the current step to the end; returns the history."""
        s = self.settings
        if resume:
            self._restore()
        iterator = iter(self._batches())
        began = saved = time.monotonic()
        with interruptible() as interrupted, Progress(s) as progress, self.callbacks as told:
            if resume:
                progress.going_on(self.step)
            while self.step < s.steps and not told.stopped:
                told.batch_begin(self.step)
                self._advance(next(iterator))
                progress.update(self.step, self.sums, self.history)
                told.batch_end(self.step - 1, self.sums)
                if self.step % s.steps_per_epoch == 0:
                    self._finish_epoch(time.monotonic() - began)
                    self._save()
                    told.epoch_end(self.history[-1])
                    saved = began = time.monotonic()
                elif time.monotonic() - saved > CHECKPOINT_SECONDS:
                    self._save()
                    saved = time.monotonic()
                stop, told.stopped = self.workers.any(interrupted(), told.stopped)
                if stop:
                    self._save()
                    raise KeyboardInterrupt
        return self.history

    def _restore(self) -> None:
        """Go on from the last checkpoint. The chief reads it, and tells the other workers."""
        found = None
        if self.folder is not None:
            step, sums, history = self.folder.load_checkpoint(self.variables)
            found = step, None if sums is None else list(sums), history
        self.step, sums, self.history = self.workers.from_chief(found)
        self.workers.copy_variables(self.variables)
        self.sums = self.sums if sums is None else np.array(sums)
        self.kept = self.resumed = self.step
        if self.folder is not None:
            self.folder.stopped_path.unlink(missing_ok=True)
            if self.step:
                with self._going_on("history.csv"):
                    self.folder.write_history(self.history)

    def _batches(self) -> Any:
        """The batches from the current step, distributed over the replicas."""
        s = self.settings
        epoch: dict[str, Any] = {"samples": s.steps_per_epoch * s.batch_size, "fresh": s.fresh}
        sizes = (s.batch_size, s.image_size, s.seed)
        epoch["share"] = self.workers.share
        if s.mixed_sizes:
            batches = mixed_stream(self.problem, *sizes, step=self.step, **epoch)
        else:
            start = self.step * s.batch_size
            batches = stream(self.problem, "train", *sizes, start=start, **epoch)
        if self.workers.count > 1:
            return self.strategy.distribute_datasets_from_function(lambda _: endless(batches))
        if self.strategy.num_replicas_in_sync == 1:
            return batches
        return self.strategy.experimental_distribute_dataset(unsharded(batches))

    def _advance(self, batch: Any) -> None:
        """One optimiser step."""
        s = self.settings
        finest, fade = growth(self.branches, self.step, s.steps) if s.growing else (0, 1.0)
        weights = scale_weights(s.loss_weights, self.branches, self.step, s.steps)[finest:]
        samples = s.batch_size // 4 if s.mixed_sizes and is_large(self.step) else s.batch_size
        if (finest, samples) not in self._compiled:
            self._compiled[finest, samples] = self._compile(finest, samples)
        sums = self._compiled[finest, samples](
            batch, tf.constant(weights), tf.constant(fade, tf.float32)
        )
        sums = sums.numpy()
        if not np.isfinite(sums).all():
            self._stop(f"the loss became {sums[0]} at step {self.step}", self.step)
        self.sums = self.sums + sums
        self.step += 1

    def _compile(self, finest: int, samples: int) -> Any:
        """The compiled training step for outputs[finest:] and this number of samples."""
        return compiled_step(
            self.problem, self.settings, self.strategy, self.model, self.optimizer, self.adversary,
            finest, samples,
        )  # fmt: skip

    def _finish_epoch(self, seconds: float) -> None:
        s = self.settings
        loss, mae = self.sums / s.steps_per_epoch
        self.sums = np.zeros(2)
        row = {
            "epoch": self.step // s.steps_per_epoch,
            "step": self.step,
            "loss": float(f"{loss:.6g}"),
            "mae": float(f"{mae:.6g}"),
            "test_mae": float(f"{self.test_metrics()['test_mae']:.6g}"),
            "test_deviation": float(f"{self._deviation():.6g}"),
            "learning_rate": float(f"{float(self.optimizer.learning_rate):.6g}"),
            "seconds": round(seconds, 1),
        }
        self.history.append(row)
        require_learning(self.history, self.test_metrics()["constant_answer_mae"])

    def _deviation(self) -> float:
        """The deviation of the output relative to that of its target, of the flattest channel."""
        pixels = (0, 1, 2)
        return float((self.test_answer().std(pixels) / self.test[1].std(pixels)).min())

    def _save(self) -> None:
        if not all(np.isfinite(v.numpy()).all() for v in self.model.trainable_variables):
            why = f"the weights are not finite (NaN or infinity) at step {self.step}"
            self._stop(why, self.step - 1)
        if self.folder is None:
            return
        with self._going_on(f"the checkpoint of step {self.step}"):
            self.folder.save_checkpoint(self.variables, self.step, self.sums, self.history)
            self.kept = self.step
            self.folder.write_history(self.history)

    def _going_on(self, what: str) -> Any:
        return going_on(what, lambda: f"the checkpoint of step {self.kept} is kept")

    def _stop(self, why: str, step: int) -> None:
        """End the run, and note the batch at which it ended."""
        noted, batch = "", batch_of(step, self.settings)
        if self.folder is not None:
            told = {"reason": why, "step": step, **as_simulated(self.problem, batch)}
            self.folder.note_stopped(told)
            noted = f" (its batch: {self.folder.stopped_path})"
        raise TrainingStopped(f"{why}{noted}; {mend(self.problem, batch)}")

    def judge(self, model: keras.Model) -> None:
        """Use `model` for the test results from now on."""
        self._answer = tf.function(
            lambda x: keras.tree.flatten(model(x, training=False))[0], autograph=False
        )
        self._answered: tuple[int | None, Any] = (None, None)

    def test_answer(self) -> np.ndarray:
        """The full-size output for the test images, as of this step."""
        if self._answered[0] != self.step:
            size = self.settings.batch_size
            images = self.test[0]
            parts = [self._answer(images[i : i + size]) for i in range(0, len(images), size)]
            self._answered = (self.step, np.concatenate(parts))
        return self._answered[1]

    def test_metrics(self) -> dict[str, float]:
        """Error and correlation on the test set, and the error of the best constant answer."""
        return errors_of(self.test_answer(), self.test[1])
