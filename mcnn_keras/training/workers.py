"""Training in several processes, on one machine or many: who they are, and what they agree on."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from ..errors import InputError, TrainingStopped
from .devices import require_gpus
from .meeting import meet
from .pipeline import ALL, Share

WAIT = 300.0
# Seconds for TensorFlow to connect workers that are all there.
CONNECT = 120.0
# Ports from the job's number, below those that systems give away themselves.
FIRST_PORT, PORTS = 12000, 20000
STEP = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE")


class Workers:
    """The processes that train together under a strategy; this one alone under most.

    Attributes
    ----------
    count, index : int
        The number of processes, and the place of this one.
    replicas : int
        Devices of each process.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self.strategy, self.count, self.index = strategy, 1, 0
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            resolver = strategy.cluster_resolver
            addresses, self.index = _places(
                resolver.cluster_spec().as_dict(), resolver.task_type, resolver.task_id
            )
            self.count = max(1, len(addresses))
        self.replicas = strategy.num_replicas_in_sync // self.count
        self._add: dict[Any, Callable[[Any], Any]] = {}

    @property
    def chief(self) -> bool:
        """Whether this process writes the run's folder."""
        return self.index == 0

    @property
    def share(self) -> Share:
        """The part of each batch that this process simulates."""
        return ALL if self.count == 1 else Share(self.index, self.count, self.replicas)

    def sum(self, value: np.ndarray) -> np.ndarray:
        """The sum of an array over the workers, which all must call this; it waits for them."""
        if self.count == 1:
            return value
        value = np.asarray(value)
        if value.dtype not in self._add:
            self._add[value.dtype] = self._compiled_sum(value.dtype)
        return self._add[value.dtype](value.ravel()).numpy().reshape(value.shape)

    def _compiled_sum(self, kind: np.dtype) -> Callable[[Any], Any]:
        def own(value: Any) -> Any:
            place = tf.distribute.get_replica_context().replica_id_in_sync_group
            # Of the replicas of a worker, the first one speaks.
            return value * tf.cast(tf.equal(place % self.replicas, 0), value.dtype)

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], kind)])
        def add(value: Any) -> Any:
            values = self.strategy.run(own, args=(value,))
            return self.strategy.reduce("SUM", values, axis=None)

        return add

    def any(self, *flags: bool) -> list[bool]:
        """Which of the flags are set in any of the workers."""
        return [bool(n) for n in self.sum(np.array(flags, np.int32))]

    def from_chief(self, told: Any) -> Any:
        """What the chief tells, in all workers; as JSON can hold it."""
        if self.count == 1:
            return told
        data = np.frombuffer(json.dumps(told).encode() if self.chief else b"", np.uint8)
        length = int(self.sum(np.array(len(data), np.int64)))
        content = np.zeros(length, np.int32)
        content[: len(data)] = data
        return json.loads(self.sum(content).astype(np.uint8).tobytes())

    def copy_variables(self, variables: Sequence[Any]) -> None:
        """Set the variables of all workers to the values that the chief has."""
        for variable in variables if self.count > 1 else ():
            value = variable.numpy()
            variable.assign(self.sum(value if self.chief else np.zeros_like(value)))

    def require_same(self, config: Mapping[str, Any]) -> None:
        """Compare with the chief's problem and settings.

        Raises
        ------
        InputError
            If this worker was started with others.
        """
        chief = self.from_chief(config)
        own = json.loads(json.dumps(config))
        for part in own if isinstance(own.get("settings"), dict) else ():
            pairs = [(part, chief.get(part), own[part])]
            if isinstance(own[part], dict):
                known = chief.get(part) or {}
                pairs = [(name, known.get(name), own[part][name]) for name in own[part]]
            for name, wanted, value in pairs:
                if value != wanted and name == "files":
                    raise InputError(
                        f"worker {self.index} finds other images in its folders than worker 0; "
                        "give all workers the same files"
                    )
                if value != wanted:
                    raise InputError(
                        f"worker {self.index} was started with {name} {value}, and worker 0 with "
                        f"{wanted}; give all workers the same command"
                    )

    def require_batch(self, batch_size: int, mixed_sizes: bool) -> None:
        """Raise InputError if the replicas of workers cannot have equal parts of a batch."""
        replicas = self.strategy.num_replicas_in_sync
        whole = replicas * (4 if mixed_sizes else 1)
        if self.count > 1 and batch_size % whole:
            why = " (a quarter of them in large batches, --mixed-sizes)" if mixed_sizes else ""
            raise InputError(
                f"batches of {batch_size} samples cannot be divided over {replicas} "
                f"replicas{why}; give a --batch-size that is a multiple of {whole}"
            )

    @contextmanager
    def ending_together(self) -> Iterator[None]:
        """Say in one line that another worker has ended, which ends this one, too."""
        try:
            yield
        except tf.errors.OpError as error:
            # Errors of TensorFlow that come from this worker's own work are of other words.
            if self.count == 1 or not (
                isinstance(error, tf.errors.UnavailableError) or "ollective" in str(error)
            ):
                raise
            raise TrainingStopped(
                f"another worker has ended, and worker {self.index} of {self.count} cannot go on "
                "alone; see what that one says, then start all of them with --resume"
            ) from None


def distributed_strategy(
    gpus: int | None = None, wait: float = WAIT
) -> tf.distribute.MultiWorkerMirroredStrategy:
    """Wait for the other workers, and connect with them.

    Call this before TensorFlow computes anything.

    Parameters
    ----------
    gpus : int, optional
        Number of GPUs of each worker; all by default, 0 for the processor.
    wait : float
        Seconds to wait for the others.

    Returns
    -------
    tf.distribute.MultiWorkerMirroredStrategy
        Of the workers that ``TF_CONFIG`` lists, or else of the tasks of a Slurm step.

    Raises
    ------
    InputError
        If the workers are not told, or one does not come up in time.
    """
    if gpus is not None:
        found = tf.config.list_physical_devices("GPU")
        require_gpus(gpus, len(found))
        _before_tensorflow(lambda: tf.config.set_visible_devices(found[:gpus], "GPU"))
    resolver = _resolver()
    spec = resolver.cluster_spec().as_dict()
    addresses, index = _places(spec, resolver.task_type, resolver.task_id)
    meet(addresses, index, wait)
    # TensorFlow waits for a worker that dies at this moment; no signal or thread of Python's can
    # end that, but this can: it prints where that was, and ends the process.
    faulthandler.dump_traceback_later(CONNECT, exit=True, file=2)
    try:
        strategy = _before_tensorflow(
            lambda: tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
        )
    finally:
        faulthandler.cancel_dump_traceback_later()
    # TensorFlow catches SIGTERM from here on, and does nothing.
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    return strategy


def _before_tensorflow(do: Callable[[], Any]) -> Any:
    try:
        return do()
    except RuntimeError as error:
        if "startup" not in str(error) and "initialized" not in str(error):
            raise
        raise InputError(
            "TensorFlow has computed before the workers were connected; call "
            "mcnn_keras.training.distributed_strategy() first of all, and give its result to "
            "train as strategy"
        ) from None


def _places(spec: Mapping[str, Any], kind: Any, place: Any) -> tuple[list[str], int]:
    """The addresses of the workers, the chief's first, and the place of this one."""
    # Sparse lists of TensorFlow are dictionaries, which no one uses for workers.
    lists = {job: list(spec[job]) for job in ("chief", "worker") if job in spec}
    addresses = [address for job in lists.values() for address in job]
    index = (place or 0) + (len(lists.get("chief", [])) if kind == "worker" else 0)
    return addresses, index


def _resolver() -> Any:
    if os.environ.get("TF_CONFIG"):
        return _told_by_tf_config(os.environ["TF_CONFIG"])
    if all(name in os.environ for name in STEP):
        return _told_by_slurm(os.environ)
    raise InputError(
        "--distributed finds no workers; start it with srun in a Slurm job, or list the workers "
        "in the environment variable TF_CONFIG"
    )


def _told_by_tf_config(text: str) -> Any:
    """TensorFlow's own resolver, whose errors name nothing, once the text is checked."""
    try:
        told = json.loads(text)
        lists = {job: list(told["cluster"][job]) for job in told["cluster"]}
        kind, place = told["task"]["type"], int(told["task"]["index"])
        right = set(lists) <= {"chief", "worker"} and 0 <= place < len(lists[kind])
        right = right and len(lists.get("chief", [])) <= 1
        for address in (a for each in lists.values() for a in each):
            host, _, port = address.rpartition(":")
            right = right and bool(host) and 0 < int(port) < 2**16
    except (ValueError, TypeError, LookupError, AttributeError):
        right = False
    if not right:
        raise InputError(
            f"TF_CONFIG is {text[:200]!r}; expected is "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
        )
    return tf.distribute.cluster_resolver.TFConfigClusterResolver()


def _told_by_slurm(variables: Mapping[str, str]) -> Any:
    """The tasks of a Slurm step, in the order of their numbers.

    TensorFlow's `SlurmClusterResolver` sorts the nodes by their names, where Slurm numbers its
    tasks in the order of its own list (n9 before n10); without a GPU it fails; and it changes
    CUDA_VISIBLE_DEVICES. So only its readers of Slurm's lists are used. They need no scontrol.
    """
    from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import (
        expand_hostlist,
        expand_tasks_per_node,
    )

    rank, count, nodes, tasks = (variables[name] for name in STEP)
    try:
        base = FIRST_PORT + int(variables.get("SLURM_JOB_ID", "0")) % PORTS
        pairs = zip(expand_hostlist(nodes), expand_tasks_per_node(tasks), strict=True)
        hosts = [(host, base + i) for host, own in pairs for i in range(own)]
        index = int(rank)
        right = len(hosts) == int(count) and 0 <= index < len(hosts)
        own_node = variables.get("SLURMD_NODENAME")
        right = right and own_node in (None, hosts[index][0])
    except ValueError:
        right = False
    if not right:
        told = ", ".join(f"{name}={variables[name]}" for name in STEP)
        raise InputError(
            f"the workers are not clear from Slurm's variables ({told}); use srun with "
            "--distribution=block, or list the workers in TF_CONFIG"
        )
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": [f"{host}:{port}" for host, port in hosts]}),
        task_type="worker", task_id=index, rpc_layer="grpc",
        num_accelerators={"GPU": len(tf.config.get_visible_devices("GPU"))},
    )  # fmt: skip
