"""Fail where a cluster gives other results than one machine, or loses or doubles parts."""

import json
import os
import signal
import sys

import h5py
import numpy as np
import pytest

from mcnn_keras import InputError
from mcnn_keras.cli import main
from mcnn_keras.files import write_recording
from mcnn_keras.inference import cluster as spread
from mcnn_keras.inference import worker
from mcnn_keras.inference.spool import Spool
from mcnn_keras.inference.stream import predict_files

distributed = pytest.importorskip("distributed")
zarr = pytest.importorskip("zarr")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
LONG = {"batch_size": 2}


@pytest.fixture(scope="module")
def machines():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=None
    ) as cluster:
        yield cluster


@pytest.fixture
def address(machines):
    return machines.scheduler_address


@pytest.fixture(scope="module")
def frame_model(denoiser, tmp_path_factory):
    """A model of five frames that workers load without TensorFlow."""
    from mcnn_keras.models.onnx import export

    path = tmp_path_factory.mktemp("onnx") / "frames.onnx"
    export(denoiser, path)
    return path


@pytest.fixture
def frames(rng):
    return rng.random((40, 36, 40)).astype(np.float32) + 1


@pytest.fixture
def movie(rng):
    """A field that drifts, another from frame 11 on, and faulty lines where parts meet."""
    fields = [np.kron(rng.random((20, 20)), np.ones((4, 4))) for _ in range(2)]
    found = [np.roll(fields[i > 10], i, 1)[:36, :40] for i in range(18)]
    stack = np.stack(found) + 0.05 * rng.normal(size=(18, 36, 40))
    stack[[3, 4, 7], 20] = 0
    return stack.astype(np.float32)


def both(model, inputs, tmp_path, address, name="out.npy", **options):
    """The results without and with a cluster, and the lines that were said."""
    told = []
    for place, further in (("alone", {}), ("shared", {"scheduler": address})):
        (tmp_path / place).mkdir()
        lines = []
        output = tmp_path / place / name if name else tmp_path / place
        predict_files(model, inputs, output, say=lines.append, **options, **further)
        told.append([line.replace(f"/{place}", "") for line in lines])
    found = [sorted((tmp_path / place).glob("*.npy")) for place in ("alone", "shared")]
    assert [p.name for p in found[0]] == [p.name for p in found[1]] != []
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(np.load(other), np.load(one), rtol=1e-5, atol=1e-6)
    assert not [*(tmp_path / "shared").glob(".*")]
    return told


def stored(kind, frames, folder):
    path = folder / f"in.{kind}"
    if kind == "zarr":
        zarr.open(str(path), mode="w", shape=frames.shape, dtype="f4", chunks=(3, 36, 40))[:] = (
            frames
        )
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("a/b", data=frames.reshape(5, 8, 36, 40), chunks=(1, 4, 36, 40))
        return f"{path}:/a/b"
    else:
        write_recording(path, frames)
    return str(path)


@pytest.mark.parametrize("kind", ["zarr", "h5", "tif", "hspy"])
def test_a_store_is_computed_in_parts(kind, exported, frames, tmp_path, address):
    """Fails where frames of a store are lost, doubled or swapped between workers."""
    if kind == "hspy":
        pytest.importorskip("rsciio")
    told = both(exported, [stored(kind, frames, tmp_path)], tmp_path, address, **LONG)
    assert f"computed by 2 workers with 2 threads at {address}" in told[1]


def test_workers_read_the_axes_that_are_told(exported, frames, tmp_path, address, monkeypatch):
    """Fails where a worker takes other axes, or each of many reads a large array as a whole."""
    name = str(tmp_path / "last.npy")
    np.save(name, frames.transpose(1, 2, 0))
    both(exported, [name], tmp_path, address, axes="yxt", **LONG)
    assert np.load(tmp_path / "shared" / "out.npy").shape[0] == len(frames)
    monkeypatch.setattr(spread, "MOST_WHOLE", 1000)
    with pytest.raises(InputError, match="can only be read as a whole"):
        predict_files(exported, [name], tmp_path / "a.npy", axes="yxt", scheduler=address, **LONG)


def test_parts_hold_whole_chunks_of_a_store(exported, frames, tmp_path, address, monkeypatch):
    """Fails where two workers unpack the same chunk, or a part has more bytes than it may."""
    made, parts = [], spread.Cluster._parts
    monkeypatch.setattr(spread.Cluster, "_parts", lambda *a: made.append(parts(*a)) or made[-1])
    options = {"scheduler": address, "batch_size": 2}
    predict_files(exported, [stored("zarr", frames, tmp_path)], tmp_path / "a.npy", **options)
    assert [(p.start, p.stop) for p in made[0]] == [(i, min(i + 6, 40)) for i in range(0, 40, 6)]
    made.clear()
    monkeypatch.setattr(spread, "MOST", 4 * 36 * 40 * 4)
    np.save(tmp_path / "in.npy", frames)
    predict_files(exported, [str(tmp_path / "in.npy")], tmp_path / "b.npy", **options)
    assert {p.stop - p.start for p in made[0]} == {4}


def test_a_worker_may_be_lost(exported, frames, tmp_path, address, machines, monkeypatch):
    """Fails where what a killed worker had computed is lost, or is written twice."""
    append, killed = Spool.append, []

    def killing(self, some):
        append(self, some)
        if self.done >= 12 and not killed and "shared" in str(self.folder):
            killed.append(next(iter(machines.workers.values())).pid)
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(Spool, "append", killing)
    both(exported, [stored("npy", frames, tmp_path)], tmp_path, address, **LONG)
    assert killed


def test_windows_of_frames_cross_the_borders_of_parts(frame_model, movie, tmp_path, address):
    """Fails where a frame at the border of a part lacks neighbours, or what is told of it is."""
    np.save(tmp_path / "in.npy", movie)
    alone, shared = both(frame_model, [str(tmp_path / "in.npy")], tmp_path, address, **LONG)
    shared = [line for line in shared if not line.startswith("computed by")]
    assert shared == alone
    assert any("with their neighbours in time" in line for line in alone)
    assert any("the field changes before frame 11" in line for line in alone)
    assert any("frames with faults: 3 in all (3, 4, 7)" in line for line in alone)


def test_the_files_of_a_folder_are_spread(frame_model, movie, tmp_path, address, monkeypatch):
    """Fails where files wait for one another, or a movie of files loses its neighbours."""
    (tmp_path / "in").mkdir()
    for i, frame in enumerate(movie[6:14]):
        np.save(tmp_path / "in" / f"a_{i}.npy", frame)
    np.save(tmp_path / "in" / "several.npy", movie[:3])
    (tmp_path / "in" / "broken.npy").write_bytes(b"nothing")
    most, submit = [], spread.Cluster._submit

    def counting(self, *arguments):
        most.append(len(self._pending))
        return submit(self, *arguments)

    monkeypatch.setattr(spread.Cluster, "_submit", counting)
    told = []
    for place, further in (("alone", {}), ("shared", {"scheduler": address})):
        lines = []
        with pytest.raises(InputError, match="1 of 10 inputs failed"):
            predict_files(
                frame_model, [str(tmp_path / "in")], tmp_path / place, say=lines.append, **further
            )
        told.append([li.replace(place, "") for li in lines if not li.startswith("computed by")])
    assert told[0] == told[1]
    assert any("a_0.npy to a_7.npy: 8 of 8 frames" in line for line in told[0])
    for one in sorted((tmp_path / "alone").glob("*.npy")):
        other = np.load(tmp_path / "shared" / one.name)
        np.testing.assert_allclose(other, np.load(one), rtol=1e-5, atol=1e-6)
    assert 2 <= max(most) < 4  # more than one, and never more than two for each thread


def test_only_some_parts_are_on_their_way(exported, frames, tmp_path, address, monkeypatch):
    """Fails where the parts of a long recording pile up in the cluster or here."""
    here, there = [], []
    append = Spool.append

    def counting(self, some):
        here.append(len(some))
        with distributed.Client(address, set_as_default=False) as client:
            there.append(
                client.run_on_scheduler(
                    lambda dask_scheduler: sum(
                        "compute_part" in key for key in dask_scheduler.tasks
                    )
                )
            )
        append(self, some)

    monkeypatch.setattr(Spool, "append", counting)
    monkeypatch.setattr(spread, "SHARE", 20)
    path = stored("npy", frames, tmp_path)
    predict_files(exported, [path], tmp_path / "out.npy", scheduler=address, batch_size=1)
    assert here == [1] * 40
    assert max(there) <= 4
    with distributed.Client(address, set_as_default=False) as client:
        left = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
    assert left == 0


def test_an_interrupted_run_goes_on(exported, frames, tmp_path, address, monkeypatch):
    """Fails where an interruption leaves half a result, or work in the cluster."""
    path, append = stored("npy", frames, tmp_path), Spool.append

    def stopping(self, some):
        append(self, some)
        if self.done >= 10:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Spool, "append", stopping)
        with pytest.raises(KeyboardInterrupt, match="12 of 40 frames are done; add --resume"):
            predict_files(exported, [path], tmp_path / "out.npy", scheduler=address, **LONG)
    assert not (tmp_path / "out.npy").exists()
    predict_files(exported, [path], tmp_path / "whole.npy", **LONG)
    options = {"resume": True, "scheduler": address, **LONG}
    predict_files(exported, [path], tmp_path / "out.npy", **options)
    np.testing.assert_allclose(
        np.load(tmp_path / "out.npy"), np.load(tmp_path / "whole.npy"), rtol=1e-5
    )


def test_the_command_takes_a_scheduler_file(exported, frames, tmp_path, address, capsys):
    """Fails where the option does not reach the cluster, or a scheduler file is not read."""
    path = stored("npy", frames, tmp_path)
    (tmp_path / "s.json").write_text(json.dumps({"type": "Scheduler", "address": address}))
    words = ["predict", str(exported), path, "--output", str(tmp_path / "out.npy")]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--scheduler", str(tmp_path / "s.json")])
    assert ended.value.code == 0
    assert "computed by 2 workers" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main([*words, "--overwrite", "--watch", "--scheduler", address])
    assert ended.value.code == 2


class TestRefusals:
    @pytest.fixture
    def run(self, exported, frames, tmp_path):
        path = stored("npy", frames, tmp_path)
        return lambda address, name=path: predict_files(
            exported, [name], tmp_path / "out.npy", scheduler=address, **LONG
        )

    @pytest.mark.parametrize("wrong", ["tcp://127.0.0.1:9", "nowhere"])
    def test_a_scheduler_that_is_not_there(self, run, wrong, monkeypatch):
        monkeypatch.setattr(spread.scheduler, "PATIENCE", 1.0)
        with pytest.raises(InputError, match=rf"^no scheduler can be reached at {wrong} \(.*\n?"):
            run(wrong)

    def test_a_scheduler_file_that_is_none(self, run, tmp_path):
        with pytest.raises(InputError, match=r"s\.json cannot be read"):
            run(str(tmp_path / "s.json"))
        (tmp_path / "s.json").write_text("[1]")
        with pytest.raises(InputError, match="is no scheduler file"):
            run(str(tmp_path / "s.json"))

    def test_without_dask(self, run, monkeypatch):
        monkeypatch.setitem(sys.modules, "distributed", None)
        with pytest.raises(InputError, match=r"pip install 'mcnn-keras\[dask\]'"):
            run("tcp://127.0.0.1:9")

    def test_a_first_message_that_comes_with_another(self, address, monkeypatch):
        """Fails where the client's own assertion, which depends on the moment, ends a command."""
        client, seen = distributed.Client, []

        def sometimes(*arguments, **options):
            seen.append(arguments)
            assert len(seen) > 1
            return client(*arguments, **options)

        monkeypatch.setattr(distributed, "Client", sometimes)
        spread.scheduler.connected(address).close()
        assert len(seen) >= 2  # the client itself may fail, too

    def test_other_versions(self, run, address, monkeypatch):
        own = worker.versions()
        other = {**own, "mcnn-keras": "0.0.1"}
        monkeypatch.setattr(worker, "versions", lambda: other)
        with pytest.raises(
            InputError, match=r"worker tcp://\S+ has mcnn-keras .* 0\.0\.1; install"
        ):
            run(address)

    def test_files_that_workers_do_not_reach(self, run, address, monkeypatch, tmp_path):
        monkeypatch.setattr(spread, "_absolute", lambda name: "/not/there.npy")
        with pytest.raises(InputError, match=r"/not/there\.npy cannot be read .* the same path"):
            run(address)
        np.save(tmp_path / "other.npy", np.zeros((40, 36, 40), np.float32))
        monkeypatch.setattr(spread, "_absolute", lambda name: str(tmp_path / "other.npy"))
        with pytest.raises(InputError, match="is not the same on the worker"):
            run(address)

    def test_a_file_that_is_read_as_a_whole(self, run, address, frames, monkeypatch, tmp_path):
        np.save(tmp_path / "f.npy", np.asfortranarray(frames))
        monkeypatch.setattr(spread, "MOST_WHOLE", 1000)
        with pytest.raises(InputError, match="can only be read as a whole, 0 MiB"):
            run(address, str(tmp_path / "f.npy"))
