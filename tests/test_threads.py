"""Fail where the number of threads changes an answer by more than the order of its sums."""

import subprocess
import sys

import numpy as np
import pytest

# Of the deviation of the answer.
BOUND = 1e-4

CODE = """
import sys
import numpy as np
import tensorflow as tf
threads = int(sys.argv[1])
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(threads)
from mcnn_keras import load, predict
frames = np.random.default_rng(0).poisson(4, (3, 160, 200)).astype(np.float32)
models = [(load(name), options) for name, options in
          (("denoise-fast", {}), ("denoise-fast", {"tile_size": 128}))]
answers = [predict(model, frames, axes="tyx", **options) for model, options in models]
assert tf.config.threading.get_intra_op_parallelism_threads() == threads
np.savez(sys.argv[2], *answers)
"""


def answers(threads, path):
    command = [sys.executable, "-W", "ignore", "-c", CODE, str(threads), str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(path) as found:
        return [found[name] for name in found]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return answers(1, tmp_path_factory.mktemp("one") / "a.npz")


@pytest.mark.parametrize("threads", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_the_number_of_threads_does_not_matter(threads, one, tmp_path):
    """Fails where threads that share an image lose, repeat or mix parts of it."""
    for single, several in zip(one, answers(threads, tmp_path / "a.npz"), strict=True):
        apart = np.abs(several - single).max() / single.std()
        print(f"{threads} threads: the answers differ by {apart:.2g} deviations at most")
        assert apart <= BOUND
