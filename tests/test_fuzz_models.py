"""Damaged model files, cards and run folders are refused in a line, or answer as they did.

Each seed makes one damage; see `fuzzing`.
"""

import json
import os
import shutil
import sys
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from fuzzing import damaged_bytes, try_seeds, work

MODELS = Path(__file__).parent / "data" / "models"
IN_CI, ALL = 60, 5000
IMAGES = {
    "phase": {},
    "paired": {},
    "format_2_frames": {},
    "format_2_any_planes": {
        "conditions": {"defocus": [-30.0, 40.0], "wavelength": 0.65, "pixel_size": 0.31,
                       "numerical_aperture": 0.45, "refractive_index": 1.0,
                       "coherence_angle": 0.0, "spherical_aberration": 0.0}
    },
}  # fmt: skip
CHANNELS = {"phase": 1, "paired": 1, "format_2_frames": 1, "format_2_any_planes": 2}
VALUES = [
    None, True, -1, 0, 1, 2, 3, 17, 10**6, 2**31, 10**30, 10**400, 1e-320, 1e30, 1e308, -1e308, 0.5,
    float("nan"), float("inf"), "", "a", "__class__", "9" * 10**6, [], {}, [[]], [1.5] * 3,
    [0] * 10**5, ["phase"], {"name": "low_pass"}, {"kind": "frames"},
]  # fmt: skip


def damaged_json(text, rng):
    """JSON with one value of another kind, one missing or one too many; or hardly JSON at all."""
    if rng.random() < 0.1:
        return rng.choice(["", "{", "[" * 10**5, '{"a":' * 10**5, "null", "1" * 5000, "\0", "[1]"])
    told = json.loads(text)
    places, todo = [], [told]
    while todo:
        one = todo.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one))
        for key in keys:
            places.append((one, key))
            if isinstance(one[key], (dict, list)):
                todo.append(one[key])
    for _ in range(rng.choice([1, 1, 1, 3])):
        inside, key = rng.choice(places)
        what = rng.choice(["value", "value", "value", "remove", "add", "nest"])
        if what == "remove" and isinstance(inside, dict):
            inside.pop(key, None)
        elif what == "add" and isinstance(inside, dict):
            inside[rng.choice(["name", "depth", "x", "__init__", "dtype"])] = rng.choice(VALUES)
        elif what == "nest":
            deep = 0
            for _ in range(rng.choice([3, 190, 900])):
                deep = [deep]
            inside[key] = deep
        else:
            inside[key] = rng.choice(VALUES)
    return json.dumps(told)


class Work:
    """What the workers do, with all that is made once."""

    def __init__(self, folder):
        from mcnn_keras import load, save
        from mcnn_keras.models.onnx import OnnxModel, export

        self.folder = folder
        self.answers = {}
        self.sources = {f"{n}.h5": (MODELS / f"{n}.h5").read_bytes() for n in IMAGES}
        self.sources["denoise.onnx"] = (MODELS / "denoise.onnx").read_bytes()
        for name in IMAGES:  # the present format, with its digest
            model = load(MODELS / f"{name}.h5")
            save(model, folder / "sealed.h5")
            export(model, folder / "sealed.onnx")
            for ending in ("h5", "onnx"):
                path = folder / f"sealed.{ending}"
                self.sources[f"sealed {name}.{ending}"] = path.read_bytes()
            self.answers[f"sealed {name}.h5"] = self.answer(model, name)
            self.answers[f"sealed {name}.onnx"] = self.answer(OnnxModel(path), name)

    def answer(self, model, name):
        from mcnn_keras import predict

        card = model.card
        image = np.random.default_rng(0).random((32, 32, CHANNELS[name])).astype(np.float32) + 1
        if card.image_channels != CHANNELS[name] and name != "format_2_any_planes":
            image = np.repeat(image[..., :1], min(card.image_channels, 4000), -1)
            image[::2, ::3] *= 1.5
        image = image[..., 0] if image.shape[-1] == 1 else image
        return predict(model, image, **IMAGES[name])

    def try_model(self, rng):
        from mcnn_keras import load
        from mcnn_keras.models.saving import read_card

        source = rng.choice(sorted(self.sources))
        ending = source.rpartition(".")[2]
        name = source.removeprefix("sealed ").removesuffix(f".{ending}")
        name = "format_2_frames" if name == "denoise" else name
        path = self.folder / f"damaged.{ending}"
        content = self.sources[source]
        by_card = rng.random() < 0.4
        if not by_card:
            path.write_bytes(damaged_bytes(content, rng))
        elif ending == "h5":
            path.write_bytes(content)
            with h5py.File(path, "r+") as file:
                text = damaged_json(file.attrs["mcnn_keras_card"], rng)
                file.attrs.pop("mcnn_keras_digest", None)  # whoever edits a card removes it
                if rng.random() < 0.05:
                    file.attrs["mcnn_keras_card"] = np.zeros(1000)
                elif "\0" not in text:
                    file.attrs["mcnn_keras_card"] = text
        else:
            import onnx

            file = onnx.load_model_from_string(content)
            for note in file.metadata_props:
                if note.key == "mcnn_keras":
                    note.value = damaged_json(note.value, rng)
                elif note.key == "mcnn_keras_digest":
                    note.key = "removed"
            path.write_bytes(file.SerializeToString())
        read_card(path)
        answer = self.answer(load(path), name)
        assert np.isfinite(answer).all(), "a silent NaN"
        if not by_card and source in self.answers:
            np.testing.assert_allclose(answer, self.answers[source], rtol=1e-4, atol=1e-4)
        return "answers"

    def try_run(self, rng):
        from mcnn_keras.training.checkpoints import RunFolder

        run = self.folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(MODELS / "run", run)
        folder = RunFolder(run)
        if rng.random() < 0.5:
            path = folder.config_path
            if rng.random() < 0.8:
                path.write_text(damaged_json(path.read_text(), rng))
            else:
                path.write_bytes(damaged_bytes(path.read_bytes(), rng))
            folder.config()
            return "is read"
        with np.load(folder.checkpoint_path) as data:
            shapes = [data[f"variable_{i}"] for i in range(sum("vari" in n for n in data))]

        class Variable:
            def __init__(self, value):
                self.value, self.shape = value, value.shape

            def numpy(self):
                return self.value

            def assign(self, value):
                self.given = value

        variables = [Variable(value) for value in shapes]
        folder.save_checkpoint(variables, 7, np.ones(2), [{"step": 5, "epoch": 1}])
        content = folder.checkpoint_path.read_bytes()
        folder.checkpoint_path.write_bytes(damaged_bytes(content, rng))
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            step, _, rows = folder.load_checkpoint(variables)
        assert step in (2, 7)
        assert (step == 2) == bool(told)
        assert all(row["step"] <= step for row in rows)
        for variable in variables:
            np.testing.assert_array_equal(variable.given, variable.value)
        return f"goes on from {'the one before' if step == 2 else 'the same'}"

    def one(self, rng):
        if rng.random() < 0.25:
            return f"run {self.try_run(rng)}"
        return f"model {self.try_model(rng)}"


def test_damaged_files_are_refused_or_answer_as_they_did():
    """Fails where damage ends in another exception, a crash, a wait or a silent NaN."""
    counts, failed = try_seeds(__file__, 0, IN_CI)
    assert not failed, "\n".join(failed)
    assert sum(counts.values()) == IN_CI


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_many_damaged_files_are_refused_or_answer_as_they_did(part):
    """Fails as above, of many more."""
    each = ALL // 10
    counts, failed = try_seeds(__file__, 1000 + part * each, 1000 + (part + 1) * each)
    print(dict(counts))
    assert not failed, "\n".join(failed)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    work(lambda folder: Work(folder).one, int(sys.argv[1]), int(sys.argv[2]))
