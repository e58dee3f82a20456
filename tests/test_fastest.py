"""Fail where a slower engine serves than could, it is measured anew, or a cache ends a command."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from mcnn_keras import InputError, predict_files
from mcnn_keras.cli import main
from mcnn_keras.inference import fastest, filling, stream
from mcnn_keras.inference.fastest import engine_for
from mcnn_keras.models import onnx
from mcnn_keras.models.saving import read_card

ORT, TF, HALF = ("onnxruntime", "float32"), ("tensorflow", "float32"), ("tensorflow", "bfloat16")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mcnn-keras"


@pytest.fixture
def model(trained):
    return trained.folder / "model.h5"


@pytest.fixture
def timed(monkeypatch):
    """Times in place of measured ones, and which engines were measured."""
    times, asked = {ORT: 1.0, TF: 2.0, HALF: 3.0}, []

    def measured(engines):
        asked.append(tuple(engines))
        return {pair: times[pair] for pair in engines}

    monkeypatch.setattr(fastest, "measured", measured)
    times["asked"] = asked
    return times


def chosen(*arguments, **named):
    engine = engine_for(*arguments, **named)
    return engine.name, engine.precision


def test_the_fastest_serves_and_is_remembered(model, timed, cache):
    """Fails where a slower engine is chosen, or a machine is measured twice."""
    told = []
    assert chosen(model, say=told.append) == ORT
    assert told == [
        "first run of this model here: onnxruntime float32 computes it 2.0 times as fast as "
        "tensorflow float32; the choice is remembered"
    ]
    timed[ORT] = 9.0
    assert chosen(model, say=told.append) == ORT
    assert (len(told), len(timed["asked"])) == (1, 1)
    assert {path.suffix for path in cache.iterdir()} == {".json", ".onnx"}
    # Both precisions are a question of their own.
    assert chosen(model, precision="auto") == TF
    assert timed["asked"] == [(ORT, TF), (ORT, TF, HALF)]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((1.0, 0.95, 9.0), ORT),  # TensorFlow takes seconds to start
        ((1.0, 0.7, 9.0), TF),
        ((1.0, 2.0, 0.9), ORT),  # bfloat16 costs accuracy
        ((1.0, 2.0, 0.7), HALF),
        ((9.0, 1.0, 0.9), TF),
    ],
)
def test_an_advantage_must_be_worth_its_price(times, expected, model, timed):
    """Fails where start-up or accuracy is given away for a few percent."""
    timed.update(zip((ORT, TF, HALF), times, strict=True))
    assert chosen(model, precision="auto") == expected


def test_bfloat16_is_never_chosen_where_it_is_not_allowed(model, timed):
    """Fails where what is remembered of, or begun with, another precision is taken."""
    timed[HALF] = 0.1
    assert chosen(model, precision="auto") == HALF
    begun = {"engine": "tensorflow", "precision": "bfloat16"}
    assert chosen(model, begun=begun) == ORT
    assert chosen(model, "onnxruntime", "auto", begun=begun) == ORT
    assert HALF not in timed["asked"][1]
    assert chosen(model, "tensorflow", "float32") == TF
    assert chosen(model, precision="bfloat16") == HALF


def test_other_versions_and_machines_are_measured_anew(model, timed, monkeypatch):
    """Fails where a choice outlives the library or the machine that it was made for."""
    real = fastest.version_of
    changes = (
        (fastest, "version_of", lambda *names: "9.9" if "onnxruntime" in names else real(*names)),
        (fastest, "version_of", lambda *names: "9.9" if "tensorflow" in names else real(*names)),
        (onnx, "usable_cores", lambda: 96),
        (fastest, "processor", lambda: "another"),
    )
    engine_for(model)
    for count, change in enumerate(changes, 2):
        with monkeypatch.context() as patch:
            patch.setattr(*change)
            engine_for(model)
        assert len(timed["asked"]) == count
    engine_for(model)
    assert len(timed["asked"]) == len(changes) + 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"fastest": 3}', b"\xff\xfe", b"null"])
def test_a_broken_cache_is_measured_and_exported_again(content, model, timed, cache):
    """Fails where a damaged file of the cache ends the command, or is believed."""
    engine_for(model)
    for path in cache.iterdir():
        path.write_bytes(content)
    assert chosen(model) == ORT
    assert len(timed["asked"]) == 2
    engine_for(model)
    assert len(timed["asked"]) == 2


def test_a_choice_that_nobody_knows_is_not_believed(model, timed, cache):
    """Fails where an edited choice is taken for one of the engines."""
    engine_for(model)
    (path,) = cache.glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fastest": ["torch", "float8"]}))
    assert chosen(model) == ORT
    assert len(timed["asked"]) == 2


def test_a_cache_that_cannot_be_written_is_done_without(model, timed, tmp_path, monkeypatch):
    """Fails where a full or foreign cache folder, or a missing home, ends the command."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    told = []
    for _ in range(2):
        assert chosen(model, say=told.append) == ORT
    assert len(timed["asked"]) == 2
    assert "is not remembered (" in told[0]
    assert "\n" not in told[0]
    monkeypatch.setattr(fastest, "cache_folder", lambda: None)
    assert chosen(model, say=told.append) == ORT
    assert "no home" in told[-1]


def test_another_network_of_the_same_name_is_not_answered_by_the_old_one(
    model, timed, cache, tmp_path, monkeypatch
):
    """Fails where the cached network of other weights, or of another exporter, computes."""
    import shutil

    from mcnn_keras import load, save

    path = tmp_path / "m.h5"
    shutil.copy(model, path)
    shape = (1, 32, 32, read_card(path).network["input_channels"])
    image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    before = engine_for(path).compute(image)
    changed = load(path)
    changed.set_weights([1.5 * w for w in changed.get_weights()])
    save(changed, path)
    after = engine_for(path).compute(image)
    assert np.abs(after - before).max() > 0.01 * np.abs(before).max()
    assert len(list(cache.glob("*.onnx"))) == 2
    # A file under the right name with another key inside is exported anew.
    first, second = sorted(cache.glob("*.onnx"), key=lambda p: p.stat().st_mtime_ns)
    shutil.copy(first, second)
    np.testing.assert_array_equal(engine_for(path).compute(image), after)
    monkeypatch.setattr(fastest, "KEPT", 1)
    monkeypatch.setattr(fastest, "version_of", lambda *names: "9.9")
    engine_for(path)
    assert len(list(cache.glob("*.onnx"))) == 1


def test_what_cannot_be_exported_is_computed_by_tensorflow(model, timed, monkeypatch):
    """Fails where a layer without ONNX counterpart, or a missing package, ends the command."""

    def refuse(*_, **__):
        raise InputError("the layer odd (Odd) has no ONNX counterpart here")

    monkeypatch.setattr(onnx, "serialized", refuse)
    assert chosen(model) == TF
    with pytest.raises(InputError, match="no ONNX counterpart"):
        engine_for(model, "onnxruntime")
    monkeypatch.setattr(fastest, "find_spec", lambda name: None)
    assert chosen(model) == TF
    # One that was remembered and no longer starts is done without.
    monkeypatch.undo()
    assert not timed["asked"]


def test_an_engine_that_was_remembered_and_is_broken_is_done_without(
    model, timed, cache, monkeypatch
):
    """Fails where an ONNX Runtime that no longer starts ends the command."""
    engine_for(model)

    class Broken:
        def __init__(self, source):
            raise InputError(f"{source} needs ONNX Runtime; pip install onnxruntime")

    monkeypatch.setattr(onnx, "OnnxModel", Broken)
    assert chosen(model) == TF


def test_wrong_engines_are_refused_in_one_line(model, exported, tmp_path, capfd):
    """Fails where an engine or a pair that there is not is passed over, or found late."""
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((40, 40)) + 1)
    files = ([str(tmp_path / "a.npy")], tmp_path / "b.npy")
    for path, wrong, message in (
        (model, {"engine": "torch"}, "engine 'torch' is not known; choose 'auto' or 'tensorflow'"),
        (model, {"precision": "float16"}, "precision 'float16' is not known; choose 'auto'"),
        (model, {"engine": "onnxruntime", "precision": "bfloat16"}, "not bfloat16; leave one"),
        (exported, {"engine": "tensorflow"}, "ONNX Runtime, not TensorFlow; leave the engine out"),
        (exported, {"precision": "bfloat16"}, "computed in float32; leave the precision out"),
    ):
        with pytest.raises(InputError, match=message):
            predict_files(path, *files, **wrong)
        options = [x for name, value in wrong.items() for x in (f"--{name}", value)]
        arguments = ["predict", path, files[0][0], "--output", files[1], *options]
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        assert end.value.code == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert line.startswith("Error: ")
        assert not files[1].exists()


def test_both_engines_answer_alike(model, tmp_path, rng):
    """Fails where the exported network is another than the model's, in one piece or in tiles."""
    np.save(tmp_path / "a.npy", rng.random((3, 90, 70)) + 1)
    for tile_size in (None, 32):
        answers = []
        for engine in ("tensorflow", "onnxruntime"):
            out, _ = predict_files(
                model, [str(tmp_path / "a.npy")], tmp_path / "b.npy", engine=engine,
                tile_size=tile_size, overwrite=True,
            )  # fmt: skip
            answers.append(np.load(out))
        assert np.abs(answers[0] - answers[1]).max() < 1e-4 * np.abs(answers[0]).max()


def test_a_resumed_result_keeps_its_engine(model, timed, tmp_path, rng, monkeypatch):
    """Fails where frames of two engines are mixed in one result, or the first ones are lost."""
    np.save(tmp_path / "a.npy", rng.random((12, 40, 40)) + 1)
    files = ([str(tmp_path / "a.npy")], tmp_path / "b.npy")
    prepared, counted = filling.prepared, []

    def interrupting(engine, stack, *rest):
        counted.append((engine.name, engine.precision))
        if len(counted) == 6:
            raise KeyboardInterrupt
        return prepared(engine, stack, *rest)

    timed[HALF] = 0.1
    with monkeypatch.context() as patch:
        patch.setattr(filling, "prepared", interrupting)
        with pytest.raises(KeyboardInterrupt):
            predict_files(model, *files, batch_size=2, precision="auto")
        assert counted[0] == HALF
        timed[HALF] = 9.0
        for path in (tmp_path / "cache" / "mcnn-keras").iterdir():
            path.unlink()
        counted[:], told = ["more than six"] * 6, []
        predict_files(model, *files, batch_size=2, precision="auto", resume=True, say=told.append)
    assert 0 < len(counted[6:]) < 6
    assert set(counted[6:]) == {HALF}
    assert not any("anew" in line for line in told)
    assert len(timed["asked"]) == 1


def test_frames_of_another_engine_are_not_gone_on_with(model, tmp_path, rng, monkeypatch):
    """Fails where an engine that is asked for adds its frames to those of another."""
    np.save(tmp_path / "a.npy", rng.random((4, 40, 40)) + 1)
    files = ([str(tmp_path / "a.npy")], tmp_path / "b.npy")
    with monkeypatch.context() as patch:
        patch.setattr(stream, "write_recording", None)
        with pytest.raises(TypeError):
            predict_files(model, *files, engine="tensorflow")
    told = []
    predict_files(model, *files, engine="onnxruntime", resume=True, say=told.append)
    assert "b.npy starts again: the input or the model has changed" in told


def test_tensorflow_is_not_imported_once_onnx_runtime_is_known_to_serve(
    model, timed, tmp_path, rng
):
    """Fails where the cached network is not used, or waits for TensorFlow or Keras all the same."""
    np.save(tmp_path / "a.npy", rng.random((40, 40)) + 1)
    expected = predict_files(model, [str(tmp_path / "a.npy")], tmp_path / "b.npy")[0]
    code = (
        "import sys\n"
        "from mcnn_keras.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "assert not {'tensorflow', 'keras', 'onnx'} & set(sys.modules)\n"
    )
    arguments = ["predict", model, tmp_path / "a.npy", "--output", tmp_path / "c.npy"]
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    warned = [line.startswith("Warning: ") for line in result.stderr.splitlines()]
    assert all(warned)  # nothing is measured
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), np.load(expected))


def test_a_watched_folder_has_the_same_engine(model, timed, tmp_path, monkeypatch):
    """Fails where `--watch` measures one engine and computes with another."""
    seen = []
    monkeypatch.setattr(
        "mcnn_keras.inference.watch.watch",
        lambda name, *_, **options: seen.append(options["engine"]),
    )
    (tmp_path / "in").mkdir()
    for faster in (ORT, HALF):
        timed[faster] = 0.1
        with pytest.raises(SystemExit):
            main(["denoise", str(tmp_path / "in"), "--model", str(model), "--watch",
                  "--output", str(tmp_path / "out")])  # fmt: skip
        for path in (tmp_path / "cache" / "mcnn-keras").glob("*.json"):
            path.unlink()
        timed[faster] = 9.0
    assert [(engine.name, engine.precision) for engine in seen] == [ORT, HALF]
    assert seen[0].card == read_card(model)


def test_measured_times_are_those_of_a_batch(exported, trained):
    """Fails where the slower of two engines seems the faster, or a hopeless one takes long."""

    class Slow:
        stride = 4
        card = trained.model.card

        def __init__(self, seconds):
            self.seconds = seconds

        def compute(self, batch):
            time.sleep(self.seconds * len(batch))
            return batch

    began = time.perf_counter()
    times = fastest.measured({ORT: Slow(0.004), TF: Slow(0.008), HALF: Slow(0.2)})
    assert time.perf_counter() - began < 4
    assert 1.5 < times[TF] / times[ORT] < 2.5
    assert times[HALF] / times[ORT] > 20


def test_the_doctor_tells_what_computes(monkeypatch, capsys):
    """Fails where a version, the processor or the fastest engine is missing."""
    pairs = {("onnxruntime", "float32"): 90.0, ("tensorflow", "float32"): 130.0}
    monkeypatch.setattr(fastest, "rates", lambda name: pairs)
    with pytest.raises(SystemExit) as stop:
        main(["doctor"])
    assert stop.value.code == 0
    told = capsys.readouterr().out
    for word in ("tensorflow 2.", "keras 3.", "onnxruntime 1.", "cores usable", "GPUs:", "cache:"):
        assert word in told
    assert "denoise: onnxruntime float32 90, tensorflow float32 130; fastest: tensorflow" in told
