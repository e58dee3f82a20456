"""Simulate a training set to disk, by many processes or machines; run it again to go on.

    python data_tools/simulate_set.py phase --defocus -108 --samples 20000 --output sets/phase
    mcnn-keras train phase --dataset sets/phase --output runs/phase

Takes any problem that `mcnn-keras simulate` takes, with its options. Writes shards of compressed
samples, each with a checksum, and index.json. The files do not depend on the number of processes.
Finished shards are kept and checked when the same command is run again.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import shlex
import signal
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

import mcnn_keras  # noqa: F401 - sets up TensorFlow's kernels, as in the training
from mcnn_keras.cli.options import SampleOptions, option
from mcnn_keras.cli.problems import OPTIONS, AnyOptions, described, others
from mcnn_keras.cli.quiet import import_tensorflow
from mcnn_keras.cli.sections import SectionedCommand
from mcnn_keras.errors import InputError
from mcnn_keras.files.training_set import SHARD_SIZE


@dataclass
class SetOptions(SampleOptions):
    """What to write, and by whom."""

    samples: int = option("--samples", type=int, required=True, help="Samples to train on.")
    test_samples: int = option(
        "--test-samples", type=int, default=256, show_default=True, help="Samples to test on."
    )
    exact: bool = option(
        "--exact", is_flag=True,
        help="Store float32 as it is, in about twice as much space. By default images are rounded "
        "to 0.2 % of their deviation.",
    )  # fmt: skip
    shard_size: int = option(
        "--shard-size", type=int, default=SHARD_SIZE, show_default=True, help="Samples of a file."
    )
    workers: int | None = option(
        "--workers", type=int, help="Processes.  [default: one for each core]"
    )
    scheduler: str | None = option(
        "--scheduler", metavar="ADDRESS",
        help="A Dask scheduler, tcp://HOST:8786 say, or its scheduler file: its workers simulate "
        "instead. They need this package, and the folder under the same path.",
    )  # fmt: skip
    output: str = option("--output", type=click.Path(), required=True, metavar="FOLDER")


class Problems(click.Group):
    """A command for each problem."""

    def list_commands(self, context):
        """The problems that can be simulated."""
        return sorted([*(name for name in OPTIONS if name != "paired"), *others()])

    def get_command(self, context, name):
        """The command of one problem."""
        if name not in self.list_commands(context):
            return None
        group = OPTIONS.get(name, AnyOptions)

        @click.command(name, cls=SectionedCommand, help=f"Samples of the problem {name}.")
        @group.attach
        @SetOptions.attach
        def command(**values):
            write(name, group.take(values), SetOptions.take(values))

        return command


def write(name, options, asked):
    """Write or continue the set of one problem."""
    workers = asked.workers or len(os.sched_getaffinity(0))
    if workers < 1:
        raise InputError(f"--workers is {workers}; it must be at least 1")
    import_tensorflow()
    from mcnn_keras.training.simulated import simulate_set

    options.begin({})  # what `train` would choose: for the phase, its input
    run = None
    if asked.scheduler is not None:
        run = by_dask(asked.scheduler)
    elif workers > 1:
        run = by_processes(workers)
    written, kept = simulate_set(
        described(name, options), asked.output, asked.samples, asked.test_samples,
        asked.image_size, asked.seed or 0, asked.exact, asked.shard_size, run,
        shlex.join(["python", *sys.argv]),
    )  # fmt: skip
    size = sum(path.stat().st_size for path in Path(asked.output).glob("*.set"))
    count = asked.samples + asked.test_samples
    print(
        f"{asked.output}: {asked.samples} samples to train on and {asked.test_samples} to test on, "
        f"{size / 1e6:.0f} MB, {size / count / 1e3:.0f} kB a sample; {written} shards written, "
        f"{kept} kept\n"
        f"train with: mcnn-keras train {name} --dataset {shlex.quote(asked.output)}"
    )


def by_processes(workers):
    """Tasks are done by processes of this machine, each with one thread."""

    def run(tasks):
        from mcnn_keras.training.simulated import make_shard

        pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), initializer=begin_process
        )
        try:
            for done in as_completed([pool.submit(make_shard, *task) for task in tasks]):
                yield done.result()
        except BrokenProcessPool:
            raise InputError(
                "a process has ended, perhaps for want of memory; finished shards are kept: run "
                "it again, with fewer --workers"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    return run


def begin_process():
    """Prepare a process of many: one thread, quiet, and ended by Ctrl-C at once."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    import_tensorflow()
    import tensorflow as tf

    from mcnn_keras.training.simulated import use_threads

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    use_threads(1)


def by_dask(address):
    """Tasks are done by the workers of a Dask scheduler, which is reached before a set is begun."""
    from mcnn_keras.inference.scheduler import Connection
    from mcnn_keras.training.simulated import make_shard

    connection = Connection(address, functools.partial(print, file=sys.stderr))

    def run(tasks):
        with contextlib.closing(connection):
            connection.require_workers()
            for future in [connection.submit(make_shard, *task) for task in tasks]:
                yield connection.waited(
                    future, "a shard", "begin a new set with a smaller --shard-size"
                )
                future.release()

    return run


@click.group(cls=Problems, help=__doc__.splitlines()[0])
def main():
    """Write a training set."""


if __name__ == "__main__":
    try:
        main(standalone_mode=False)
    except (InputError, click.ClickException) as error:
        told = error.format_message() if isinstance(error, click.ClickException) else str(error)
        print(f"Error: {told}", file=sys.stderr)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        print("Interrupted. Finished shards are kept; run it again to go on.", file=sys.stderr)
        sys.exit(130)
