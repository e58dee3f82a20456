"""Simulate a training set to disk, shard by shard: resumable, and by any number of processes.

A sample is a pure function of (seed, number), and a shard holds the samples of its numbers. So the
files do not depend on who writes them, or how many do.
"""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, reason
from ..files.locking import locked
from ..files.packing import packed, unpacked
from ..files.training_set import (
    FORMAT,
    INDEX,
    SHARD_SIZE,
    SPLITS,
    difference,
    first_sample_of,
    identity,
    kept_shard,
    parts,
    read_index,
    shard_name,
    write_index,
    write_shard,
)
from ..models.onnx import usable_cores
from ..progress import FrameProgress

# A kept sample and the same one simulated again: the mean difference that is allowed, in mean
# magnitudes. Another processor changes the last digits; other pictures or another version, more.
SAME = 0.01
# The arguments of `make_shard`, and what it returns.
Task = tuple[str, dict[str, Any], str, int, int]
Done = tuple[dict[str, Any], bool]


def simulate_set(
    problem: Any,
    folder: str | Path,
    samples: int,
    test_samples: int = 256,
    image_size: int | None = None,
    seed: int = 0,
    exact: bool = False,
    shard_size: int = SHARD_SIZE,
    run: Callable[[list[Task]], Iterable[Done]] | None = None,
    command: str = "",
) -> tuple[int, int]:
    """Write the samples of a problem to a folder, for `mcnn_keras.train(..., dataset=folder)`.

    Parameters
    ----------
    problem : Problem
        The problem to simulate; or any object with a name, `targets` and `observe`.
    folder : str or Path
        A new folder, or one that an earlier call with the same arguments has begun: its finished
        shards are checked and kept.
    samples, test_samples : int
        Samples of the train split and of the test split.
    image_size : int, optional
        Height and width in pixels; by default that of the problem's recipe.
    seed : int
        Seed of the samples.
    exact : bool
        Store float32 as it is, instead of 16-bit levels; see
        `mcnn_keras.files.packing.packed`.
    shard_size : int
        Samples of a file.
    run : callable, optional
        Takes a list of tasks and yields ``make_shard(*task)`` of each as it is done, in any order
        and by any processes; by default this process does all.
    command : str
        The command that writes the set, for messages.

    Returns
    -------
    written, kept : int
        Numbers of shards.

    Raises
    ------
    InputError
        If an argument is out of its range, the folder holds something else, or a shard cannot be
        written.
    """
    from ..problems.base import as_problem
    from .settings import Settings

    problem, folder = as_problem(problem), Path(folder)
    if image_size is None:
        image_size = Settings(**problem.recipe).image_size
    least = {"samples": samples, "test_samples": test_samples, "image_size": image_size,
             "shard_size": shard_size}  # fmt: skip
    for name, value in least.items():
        if value < 1:
            raise InputError(f"{name} is {value}; it must be at least 1")
    if not 0 <= seed < 2**31:
        raise InputError(f"seed {seed} must be in 0..{2**31 - 1}")
    problem = problem.for_run(samples)
    index: dict[str, Any] = {
        "format": FORMAT,
        "problem": {"name": problem.name, "config": problem.config()},
        "seed": seed,
        "image_size": image_size,
        "rounded": not exact,
        "samples": {"train": samples, "test": test_samples},
        "shard_size": shard_size,
    }
    index = json.loads(json.dumps(index))  # as it is read
    shards: list[dict[str, Any]] = []
    kept = 0
    with locked(folder, inside=True):
        try:
            index = _begun(folder, index) or _begin(folder, index, problem, command)
            tasks = [(str(folder.absolute()), index, *part) for part in parts(index)]
            done = (_shard(problem, *task) for task in tasks) if run is None else run(tasks)
            with FrameProgress(samples + test_samples, unit="sample") as progress:
                for shard, was_kept in done:
                    shards.append(shard)
                    kept += was_kept
                    progress.add(shard["count"])
            shards.sort(key=lambda shard: (SPLITS.index(shard["split"]), shard["first"]))
            write_index(folder, {**index, "complete": True, "shards": shards})
        except OSError as error:
            raise InputError(
                f"the training set {folder} cannot be written ({error.strerror or reason(error)}); "
                "finished shards are kept: make room, or mend the folder, and run it again"
            ) from None
    return len(shards) - kept, kept


def make_shard(folder: str, index: dict[str, Any], split: str, first: int, count: int) -> Done:
    """Write one shard of a problem that is known by its name, or check the one that is there.

    Returns
    -------
    shard : dict
        Its entry of the index.
    kept : bool
        Whether it was there.
    """
    told = index["problem"]
    problem = _problem(told["name"], json.dumps(told["config"]))
    return _shard(problem, folder, index, split, first, count)


@functools.lru_cache(maxsize=2)
def _problem(name: str, config: str) -> Any:
    from ..problems import from_config

    return from_config(name, json.loads(config))


def _shard(
    problem: Any, folder: str, index: dict[str, Any], split: str, first: int, count: int
) -> Done:
    file = shard_name(split, first, index["shard_size"])
    path = Path(folder) / file
    header = {"set": identity(index), "split": split, "first": first, "count": count}
    entry = {"file": file, "split": split, "first": first, "count": count}
    samples = _samples(problem, index, split, first, count)
    told = kept_shard(path, header)
    if told is None:
        return {**entry, **write_shard(path, header, samples, index["rounded"])}, False
    again = unpacked(packed(next(samples), index["rounded"]))
    if not all(map(_alike, first_sample_of(path, told["bytes"], count), again)):
        raise InputError(
            f"the first sample of the shard {path} is simulated differently now: by another "
            "version, or with other pictures; name a new folder"
        )
    return {**entry, **told}, True


def _alike(kept: np.ndarray, again: np.ndarray) -> bool:
    if kept.shape != again.shape:
        return False
    apart, size = np.nanmean(np.abs(kept - again)), np.nanmean(np.abs(kept))
    return not apart > SAME * size  # also where all is NaN


def _samples(
    problem: Any, index: Mapping[str, Any], split: str, first: int, count: int
) -> Iterator[list[np.ndarray]]:
    """The arrays of samples that follow each other: image, target, varying conditions."""
    import tensorflow as tf

    names = tuple(index["arrays"]["conditions"])
    sample = _traced(problem, split, index["image_size"], index["seed"], names)
    threads = THREADS or usable_cores()
    numbers = tf.data.Dataset.range(first, first + count)
    stream = numbers.map(sample, num_parallel_calls=threads, deterministic=True).prefetch(2)
    options = tf.data.Options()
    # The order in which the pixels of an image are added must not depend on the machine's threads.
    options.threading.max_intra_op_parallelism = 1
    options.threading.private_threadpool_size = threads
    for arrays in stream.with_options(options).as_numpy_iterator():
        yield list(arrays)


# Threads that simulate; all by default. One process of many has one.
THREADS: int | None = None


def use_threads(count: int) -> None:
    """Simulate with this number of threads in this process."""
    global THREADS
    THREADS = count


@functools.lru_cache(maxsize=4)
def _traced(problem: Any, split: str, size: int, seed: int, names: tuple[str, ...]) -> Any:
    """A sample by its number, as a graph that is traced once for all shards of a process."""
    import tensorflow as tf

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((), tf.int64)])
    def sample(number: Any) -> Any:
        found = problem.sample(tf.stack([tf.constant(seed, tf.int64), number]), size, split)
        varying = [tf.cast(found.conditions[name], tf.float32) for name in names]
        return (found.image, found.target, *varying)

    return tf.autograph.experimental.do_not_convert(sample)


def _begin(folder: Path, index: dict[str, Any], problem: Any, command: str) -> dict[str, Any]:
    """Write the index of a new set."""
    import tensorflow as tf

    from ..models.saving import versions
    from ..physics import arrays

    traced: list[Any] = []
    # For a seed that is not known: the shapes that all samples have in common.
    tf.function(
        lambda seed: traced.append(problem.sample(seed, index["image_size"], "train")),
        input_signature=[tf.TensorSpec((2,), tf.int64)], autograph=False,
    ).get_concrete_function()  # fmt: skip
    sample = traced[0]
    varying = {n: v for n, v in sample.conditions.items() if arrays.is_tensor(v)}
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    index |= {
        "arrays": {
            "image": sample.image.shape.as_list(),
            "target": sample.target.shape.as_list(),
            "conditions": {name: value.shape.as_list() for name, value in varying.items()},
        },
        "fixed": {n: v for n, v in sample.conditions.items() if n not in varying},
        "complete": False,
        "shards": [],
        "command": command,
        "versions": versions(),
        "created": now,
    }
    write_index(folder, index)
    return json.loads(json.dumps(index))


def _begun(folder: Path, index: Mapping[str, Any]) -> dict[str, Any] | None:
    """The index of the set that was begun in a folder; None in a new folder."""
    if not (folder / INDEX).exists():
        others = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
        if others:
            raise InputError(
                f"the folder {folder} holds other files ({others[0]}); name a new folder"
            )
        return None
    begun = read_index(folder)
    found = difference({name: begun[name] for name in index}, index)
    if found:
        raise InputError(
            f"{folder} holds a training set with {found}; name another folder, or give the "
            "options of that set"
        )
    return begun
