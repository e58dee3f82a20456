"""Fail where several workers train otherwise than one, or wait for one another without an end."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from test_training import Blur

from mcnn_keras import InputError, train
from mcnn_keras.training import pipeline, workers
from mcnn_keras.training.meeting import meet

SCRIPT = Path(__file__).with_name("distributed_training.py")
CLEAR = {name: "" for name in os.environ if name.startswith("SLURM") or name == "TF_CONFIG"}


def free_addresses(count=2):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    return addresses


def started(plan, indices=(0, 1), **told):
    """The processes of the workers."""
    plan = {"address": free_addresses(), **plan, **told}
    return [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", str(SCRIPT), json.dumps({**plan, "index": index})],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for index in indices
    ]  # fmt: skip


def ended(processes, seconds=150):
    """Status, what each told on standard output, and its standard error."""
    try:
        texts = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
    told = [[json.loads(line) for line in out.splitlines()] for out, _ in texts]
    return [p.returncode for p in processes], told, [err for _, err in texts]


def assert_same(told, run):
    """Fails where a worker's losses or weights differ from those of a run in one process."""
    for row, expected in zip(told["history"], run.history, strict=True):
        for name, value in row.items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-5, err_msg=name)
    weights = [float(np.abs(np.asarray(w)).sum()) for w in run.model.get_weights()]
    np.testing.assert_allclose(told["weights"], weights, rtol=1e-3, atol=1e-5)


def test_two_workers_train_as_one_and_resume(tiny, tmp_path):
    """Fails where losses differ from one process's, a worker simulates samples of the other one, a
    stop or Ctrl-C of one worker does not end both at the same step, or resuming loses something.
    """
    mixed = {"samples": 16, "batch_size": 8, "mixed_sizes": True}
    here = {"output": str(tmp_path / "run"), "resume": True}
    runs = [
        {**tiny, **mixed, **here, "signal": [1, 3, "SIGTERM"]},
        {**tiny, **mixed, **here},
        {**tiny, "stop": 3},
        {**tiny, "batch_size": 5, "samples": 10},
    ]
    status, told, errors = ended(started({"runs": runs}))
    assert status == [0, 0], errors
    assert told[0][0] == told[1][0] == "interrupted"
    for of_worker in told:
        assert_same(of_worker[1], train(Blur(), **{**tiny, **mixed}))
        assert [row["epoch"] for row in of_worker[2]["history"]] == [1]
        assert of_worker[3].startswith("batches of 5 samples cannot be divided over 2 replicas")
        assert "multiple of 2" in of_worker[3]
    # Resumed at the third step; its fourth one is of large samples, 24 and 25.
    both = [set(worker[1]["simulated"]) - {0} for worker in told]
    assert not both[0] & both[1]
    assert 24 in both[0]
    assert 25 in both[1]
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"model.h5", "history.csv", "report.html", "config.json"} <= names
    assert not [name for name in names if name.startswith(".")]
    assert "continues at epoch 2 of 2, step 2 of 2" in errors[0]
    assert "epoch" not in errors[1]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"adversarial": 0.1}, {"fresh": False}, {"growing": True}])
def test_two_workers_train_any_kind_as_one(tiny, options):
    """Fails where a kind of training sums its losses or gradients wrongly over the workers."""
    options = {**tiny, **options, "samples": 16}
    status, told, errors = ended(started({"runs": [options]}))
    assert status == [0, 0], errors
    expected = train(Blur(), **options)
    for of_worker in told:
        assert_same(of_worker[0], expected)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_worker_ends_the_other_and_both_go_on(tiny, tmp_path, victim):
    """Fails where a worker waits for a dead one without an end, or a restart ends otherwise."""
    run = {**tiny, "epochs": 4, "output": str(tmp_path / "run"), "resume": True}
    killed = {**run, "signal": [victim, 5, "SIGKILL"]}
    status, told, errors = ended(started({"runs": [killed]}))
    assert status[victim] == -signal.SIGKILL
    assert status[1 - victim] == 3, errors
    assert told[1 - victim][0].startswith("another worker has ended, and worker")
    assert not (tmp_path / "run" / ".lock").exists() or victim == 0
    assert not (tmp_path / "run" / "model.h5").exists()
    whole = train(Blur(), **{**tiny, "epochs": 4})
    # With any number of workers, also one that is told of itself alone.
    address = free_addresses(1 + victim)
    status, told, errors = ended(started({"address": address, "runs": [run]}, range(1 + victim)))
    assert status == [0] * len(address), errors
    assert_same(told[0][0], whole)
    assert "continues at epoch 3 of 4" in errors[0]


@pytest.mark.slow
def test_the_command_line_trains_over_two_workers(tmp_path):
    """Fails where --distributed prints twice, is a setting of the run, or is slow to end."""
    common = [
        "train", "laplacian", "--image-size", "64", "--samples", "8", "--epochs", "1",
        "--preset", "fast", "--precision", "auto", "--output", str(tmp_path / "run"),
        "--distributed", "--resume", "--wait", "100",
    ]  # fmt: skip
    for again in (False, True):
        begun = time.monotonic()
        processes = started({"runs": [], "command_line": common})
        texts = [process.communicate(timeout=200) for process in processes]
        assert [p.returncode for p in processes] == [0, 0], texts
        assert "2 workers, 2 replicas" in texts[0][0]
        assert "model:" in texts[0][0]
        assert not texts[1][0]
        assert ("all 1 epochs are done already" in texts[0][1]) == again
        print(time.monotonic() - begun)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert not {"distributed", "wait"} & set(config["settings"])


@pytest.mark.slow
def test_workers_of_different_settings_are_refused(tiny):
    """Fails where two workers train with different settings, without a word."""
    addresses = free_addresses()
    processes = [
        started({"address": addresses, "runs": [{**tiny, "seed": index}]}, (index,))[0]
        for index in (0, 1)
    ]
    status, told, errors = ended(processes)
    assert status == [3, 0], errors
    assert told[1][0].startswith("worker 1 was started with seed 1, and worker 0 with 0")


@pytest.mark.slow
def test_a_worker_that_dies_while_tensorflow_connects_ends_the_other():
    """Fails where TensorFlow waits for it without an end."""
    addresses = free_addresses()
    chief = started({"address": addresses, "runs": [], "connect": 5.0}, (0,))
    found = {}
    meeting(addresses, 1, 60.0, found)  # and no more of it is heard
    status, _, errors = ended(chief, 60)
    assert found == {1: "met"}
    assert status == [1]
    assert "Timeout" in errors[0]


def meeting(addresses, index, wait, found):
    try:
        meet(addresses, index, wait)
        found[index] = "met"
    except InputError as error:
        found[index] = str(error)


def met(addresses, indices, wait=20.0, before=lambda: None):
    """What comes of the workers that meet, each in a thread."""
    found = {}
    threads = [
        threading.Thread(target=meeting, args=(addresses, index, wait, found)) for index in indices
    ]
    for thread in threads:
        thread.start()
    before()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return found


def test_workers_meet_in_any_order():
    """Fails where a worker that comes first, or a stranger at the port, is in the way."""
    addresses = free_addresses(3)

    def strange():
        for words in (b"GET / HTTP/1.0\n", b"mcnn-keras 7 3\n", b"\xff\n", b""):
            for _ in range(50):
                try:
                    with socket.create_connection(("127.0.0.1", int(addresses[0][-5:]))) as one:
                        one.sendall(words)
                    break
                except OSError:
                    time.sleep(0.02)

    threading.Timer(0.3, strange).start()
    assert met(addresses, (2, 0, 1)) == {0: "met", 1: "met", 2: "met"}


@pytest.mark.parametrize("missing", [0, 2])
def test_a_worker_that_does_not_come_up_is_named_by_all(missing):
    """Fails where the workers wait without an end, or it is not told for whom."""
    addresses = free_addresses(3)
    found = met(addresses, [i for i in range(3) if i != missing], wait=1.0)
    wanted = f"worker {missing} ({addresses[missing]}) did not come up within 1 seconds"
    assert len(found) == 2
    assert all(text.startswith(wanted) and "--wait" in text for text in found.values()), found


def test_a_worker_that_has_gone_again_is_missing():
    """Fails where the chief counts a worker that has ended while the others were awaited."""
    addresses = free_addresses(3)

    def leave():
        for _ in range(100):
            try:
                host, port = addresses[0].split(":")
                with socket.create_connection((host, int(port))) as one:
                    one.sendall(b"mcnn-keras 1 3\n")
                return
            except OSError:
                time.sleep(0.02)

    found = met(addresses, (0, 2), wait=3.0, before=leave)
    assert all("worker 1 (" in text and "worker 2" not in text for text in found.values()), found


def test_a_port_in_use_and_other_numbers_of_workers_are_told_of():
    addresses = free_addresses(2)
    with (
        socket.create_server(("", int(addresses[1].split(":")[1]))),
        pytest.raises(InputError, match="worker 1 cannot listen at port"),
    ):
        meet(addresses, 1, 1.0)
    found = {}
    longer = threading.Thread(target=meeting, args=([*addresses, "a:1"], 1, 5.0, found))
    longer.start()
    meeting(addresses, 0, 1.0, found)
    longer.join(30)
    assert found[1].startswith("worker 1 was told of 3 workers, and worker 0 of 2")


@pytest.fixture
def alone(monkeypatch):
    """No cluster's variables; their meeting and TensorFlow's are left out."""
    for name in CLEAR:
        monkeypatch.delenv(name)
    monkeypatch.setattr(workers, "meet", lambda *told: told)
    seen = []
    monkeypatch.setattr(
        tf.distribute, "MultiWorkerMirroredStrategy", lambda cluster_resolver: seen.append(
            (cluster_resolver.cluster_spec().as_dict(), cluster_resolver.task_id)
        ),
    )  # fmt: skip
    return monkeypatch, seen


def test_slurm_numbers_its_tasks_in_the_order_of_its_nodes(alone):
    """Fails where n10 comes before n9, as the alphabet has it, or a GPU is needed."""
    patch, seen = alone
    told = {
        "PROCID": "2", "STEP_NUM_TASKS": "3", "STEP_NODELIST": "n[9-10]",
        "STEP_TASKS_PER_NODE": "2,1", "JOB_ID": "40007",
    }  # fmt: skip
    for name, value in told.items():
        patch.setenv(f"SLURM_{name}", value)
    patch.setenv("SLURMD_NODENAME", "n10")
    workers.distributed_strategy()
    assert seen == [({"worker": ["n9:12007", "n9:12008", "n10:12007"]}, 2)]
    patch.setenv("SLURMD_NODENAME", "n9")  # tasks dealt out in turns
    with pytest.raises(InputError, match=r"not clear from Slurm's .*--distribution=block"):
        workers.distributed_strategy()


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"cluster": {}}', '{"cluster": {"worker": ["a:1"]}}',
     '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
     '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
     '{"cluster": {"ps": ["a:1"], "worker": ["a:2"]}, "task": {"type": "worker", "index": 0}}'],
)  # fmt: skip
def test_a_wrong_tf_config_is_told_of(alone, text):
    alone[0].setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=r"TF_CONFIG is .*; expected is .*host:port"):
        workers.distributed_strategy()


def test_a_chief_of_tf_config_is_the_first_worker(alone):
    patch, seen = alone
    cluster = {"chief": ["a:1"], "worker": ["b:2", "c:3"]}
    task = {"type": "worker", "index": 1}
    patch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    workers.distributed_strategy()
    assert workers._places(seen[0][0], "worker", 1) == (["a:1", "b:2", "c:3"], 2)
    assert workers._places(seen[0][0], "chief", 0)[1] == 0


def test_without_a_cluster_the_way_to_one_is_told(alone):
    with pytest.raises(InputError, match=r"srun .* TF_CONFIG"):
        train(Blur(), distributed=True)


def test_tensorflow_that_has_computed_is_told_of(alone, tiny):
    """Fails where the workers are connected too late, with an error of TensorFlow."""

    def late(cluster_resolver):
        raise RuntimeError("Collective ops must be configured at program startup")

    patch, _ = alone
    patch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", late)
    told = {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}
    patch.setenv("TF_CONFIG", json.dumps(told))
    with pytest.raises(InputError, match=r"call mcnn_keras.training.distributed_strategy\(\)"):
        train(Blur(), distributed=True, **tiny)


@pytest.mark.parametrize("mixed", [False, True], ids=["one size", "mixed sizes"])
@pytest.mark.parametrize("replicas", [1, 2])
def test_the_shares_of_all_workers_are_the_batches_of_one(mixed, replicas):
    """Fails where a sample is left out, comes twice, or goes to another step or device."""
    count, size, steps = 2, 16, 5

    def batches(share, parts):
        if mixed:
            stream = pipeline.mixed_stream(Blur(), size, 32, 0, 2, 64, False, share=share)
        else:
            start = 2 * size
            stream = pipeline.stream(Blur(), "train", size, 32, 0, start, 64, False, share=share)
        return [images.numpy() for images, _ in stream.take(steps * parts)]

    whole = batches(pipeline.ALL, 1)
    of_workers = [batches(pipeline.Share(i, count, replicas), replicas) for i in range(count)]
    for step, expected in enumerate(whole):
        parts = [own[step * replicas + r] for own in of_workers for r in range(replicas)]
        assert len({len(part) for part in parts}) == 1
        np.testing.assert_array_equal(np.concatenate(parts), expected)
