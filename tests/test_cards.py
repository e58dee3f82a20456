"""Fail where a damaged or hostile model file is built, read in part, or ends in a traceback."""

import json
import pickle
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from mcnn_keras import InputError, load, network, save
from mcnn_keras.models import schema
from mcnn_keras.models.saving import ATTRIBUTE, read_card
from mcnn_keras.models.weights import DIGEST
from mcnn_keras.network import build, builder, size

MODELS = Path(__file__).parent / "data" / "models"
KERNEL = "model_weights/encoder_1_conv/encoder_1_conv/kernel"


@pytest.fixture
def file(tmp_path):
    """A model of the present format without a digest, to be damaged."""
    shutil.copy(MODELS / "format_2_frames.h5", tmp_path / "model.h5")
    return tmp_path / "model.h5"


@pytest.fixture
def sealed(file, tmp_path):
    """The same model, saved anew."""
    save(load(file), tmp_path / "sealed.h5")
    return tmp_path / "sealed.h5"


def with_card(path, **changes):
    """Changes of a file's card, by names such as network__filters."""
    with h5py.File(path, "r+") as opened:
        card = json.loads(opened.attrs[ATTRIBUTE])
        for name, value in changes.items():
            *within, last = name.split("__")
            inside = card
            for part in within:
                inside = inside[part]
            if value is ...:
                del inside[last]
            else:
                inside[last] = value
        opened.attrs[ATTRIBUTE] = json.dumps(card)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network__filters": [4, "6"]}, r"network.filters\[1\] is '6'; a whole number"),
        ({"network__filters": [4] * 40}, "network.filters is a list of 40"),
        ({"network__filters": [4, 10**9]}, "network.filters"),
        ({"network__depth": 10**6}, "network.depth is 1000000; a whole number of 0 to 64"),
        ({"network__depth": True}, "network.depth is True"),
        ({"network__branches": -1}, "network.branches"),
        ({"network__input_channels": 2**40}, "network.input_channels"),
        ({"network__scale": 3}, "network.scale is 3; one of 1, 2"),
        ({"network__gated": "yes"}, "network.gated"),
        ({"network__preset": "__class__"}, "network.preset"),
        ({"network__dtype": "float16"}, "network.'dtype' is not known"),
        ({"network__scaled_by": [0, 1]}, "scaled_by"),
        ({"network__output_channels": ...}, "network.output_channels is missing"),
        ({"inputs__window": 0}, "inputs.window"),
        ({"inputs__window": 5}, "network.input_channels"),
        ({"inputs__kind": "voxels"}, "inputs.kind"),
        ({"inputs__count": 3}, "inputs.'count' is not known"),
        ({"outputs": []}, "outputs"),
        ({"outputs": [{"name": "a", "role": "frame"}]}, r"outputs\[0\].role"),
        ({"normalization__outliers": float("nan")}, "normalization.outliers is nan"),
        ({"normalization__kind": "eval"}, "normalization.kind"),
        ({"channels": {"name": "os"}}, "channels.name"),
        ({"channels": {"name": "spectral_series", "margin": 3}}, "channels.'margin'"),
        ({"channels": {"name": "focus_estimates"}}, "conditions.defocus is missing"),
        ({"conditions": {"wavelength": -1}}, "conditions.wavelength"),
        ({"tile__size": 0}, "tile.size"),
        ({"training__image_size": 1e6}, "training.image_size"),
        ({"pixel_size": float("inf")}, "pixel_size"),
        ({"description": "a" * 10**6}, "description"),
        ({"problem": 3}, "problem"),
        ({"more": 3}, "'more' is not known"),
        ({"format": "2"}, "format"),
        ({"format": ...}, "format"),
        ({"metrics": json.loads("[" * 300 + "]" * 300)}, "nested"),
    ],
    ids=str,
)  # fmt: skip
def test_a_field_that_cannot_be_is_named(file, change, message):
    """Fails where a card's field of another type, size or name is taken."""
    with_card(file, **change)
    for read in (read_card, load):
        with pytest.raises(InputError, match=message) as caught:
            read(file)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400


def test_the_choices_are_those_of_the_network():
    """Fails where a network that can be built is refused from a file."""
    assert tuple(builder.PRESETS) == schema.PRESETS
    assert tuple(builder.CELLS) == schema.CELLS


@pytest.mark.parametrize("cell", schema.CELLS)
@pytest.mark.parametrize(
    "more",
    [{}, {"scale": 2}, {"gated": True, "scaled_by": [0, None]}, {"full_size_filters": 6},
     {"depth": 3, "branches": 0}, {"depth": 0, "gated": True, "full_size_filters": 5},
     {"normalization": "group"}, {"normalization": "batch", "scale": 2, "full_size_filters": 4},
     {"head_kernel": 2, "filters": [3]}, {"branches": 3, "filters": [1, 1, 1, 2]},
     {"interval": True, "gated": True}, {"interval": True, "scale": 2, "filters": [4]},
     {"interval": True, "full_size_filters": 5, "filters": [4, 6]}],
    ids=str,
)  # fmt: skip
def test_the_size_of_a_network_is_foreseen(cell, more):
    """Fails where a model would be refused as larger than its file, or a larger one be built."""
    given = {"input_channels": 3, "output_channels": 2, "filters": [4, 6, 9], "cell": cell, **more}
    model = build(given)
    layers = sum(1 for layer in model.layers if layer.weights)
    assert size(given) == (layers, model.count_params())


@pytest.mark.parametrize("preset", schema.PRESETS)
def test_presets_have_the_sizes_that_are_told(preset):
    """Fails where a preset's own settings are not those that are counted."""
    told = {"light": 4, "fast": 1.3, "paper": 50, "paper-bottleneck": 20}[preset]
    given = {"input_channels": 1, "output_channels": 1, "preset": preset}
    assert size(given)[1] == pytest.approx(1e6 * told, rel=0.1)


@pytest.mark.parametrize(
    "change", [{"network__filters": [4, 9000]}, {"network__depth": 40},
               {"network__filters": [1] * 14, "network__depth": 64},
               {"network__cell": "resnext"}, {"network__normalization": "group"}]
)  # fmt: skip
def test_a_network_that_is_larger_than_its_file_is_not_built(file, change, monkeypatch):
    """Fails where gigabytes are taken before the weights are looked at."""
    monkeypatch.setattr(network, "build", lambda *a: pytest.fail("it was built"))
    with_card(file, **change)
    with pytest.raises(InputError, match="the network has more"):
        load(file)


def elsewhere(opened, tmp_path):
    """The kernel as a dataset of the same shape whose values lie in another file."""
    shape = opened[KERNEL].shape
    (tmp_path / "secret").write_bytes(bytes(4 * int(np.prod(shape))))
    del opened[KERNEL]
    outside = [(str(tmp_path / "secret"), 0, 4 * int(np.prod(shape)))]
    opened.create_dataset(KERNEL, shape, np.float32, external=outside)


def linked(opened, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["kernel"] = opened[KERNEL][()]
    opened.move(KERNEL, "model_weights/more")  # there are as many weights as before
    opened[KERNEL] = h5py.ExternalLink(str(tmp_path / "other.h5"), "kernel")


def aliased(opened, tmp_path):
    opened.move(KERNEL, "model_weights/more")
    opened[KERNEL] = h5py.SoftLink("/model_weights/more")


def virtual(opened, tmp_path):
    values = opened[KERNEL][()]
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["kernel"] = values
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[...] = h5py.VirtualSource(str(tmp_path / "other.h5"), "kernel", values.shape)
    del opened[KERNEL]
    opened.create_virtual_dataset(KERNEL, layout)


def as_(**how):
    def change(opened, tmp_path):
        shape = opened[KERNEL].shape
        del opened[KERNEL]
        opened.create_dataset(KERNEL, **{"shape": shape, "dtype": np.float32, **how})

    return change


def pickled(opened, tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "run",)

    del opened[KERNEL]
    opened.create_dataset(KERNEL, data=np.void(pickle.dumps(Evil.__reduce__(None))))


def odd_names(opened, tmp_path):
    opened[KERNEL].parent.parent.attrs["weight_names"] = ["../../kernel", "a"]


def nan(opened, tmp_path):
    opened[KERNEL][0, 0, 0, 0] = np.nan


def huge(opened, tmp_path):
    values = opened[KERNEL][()].astype(np.float64)
    del opened[KERNEL]
    opened[KERNEL] = values * 1e300


DAMAGE = {
    "values in another file": (elsewhere, "outside"),
    "a link to another file": (linked, "encoder_1_conv"),
    "a soft link": (aliased, "encoder_1_conv"),
    "a virtual dataset": (virtual, "outside"),
    "compressed": (as_(compression="gzip", chunks=(4, 4, 1, 1)), "compressed"),
    "never written": (as_(), "not whole"),
    "another shape": (as_(shape=(2**20, 2**20)), "not whole"),
    "empty": (as_(shape=None), "of float32"),
    "whole numbers": (as_(dtype=np.int32), "of int32"),
    "texts": (as_(dtype=h5py.string_dtype()), "of object"),
    "pickled": (pickled, "of |V"),
    "odd names": (odd_names, "model_weights|kernel"),
    "NaN": (nan, "NaN or infinity"),
    "beyond float32": (huge, "NaN or infinity"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_weights_that_are_not_plain_arrays_are_refused(file, tmp_path, kind):
    """Fails where another file of the machine is read, code is run, or NaN becomes an answer."""
    damage, message = DAMAGE[kind]
    with h5py.File(file, "r+") as opened:
        damage(opened, tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        load(file)
    assert "damaged" in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_layer_that_holds_code_is_not_run(file, tmp_path):
    """Fails where what Keras would build from the file is looked at."""
    config = {"class_name": "Functional", "config": {"layers": [{
        "class_name": "Lambda",
        "config": {"function": f"open({str(tmp_path / 'run')!r}, 'w')"},
    }]}}  # fmt: skip
    with h5py.File(file, "r+") as opened:
        opened.attrs["model_config"] = json.dumps(config)
    load(file)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", ["a weight", "the card", "one weight more"])
def test_what_is_not_as_it_was_saved_is_refused(sealed, damage):
    """Fails where a flipped bit changes an answer without a word."""
    with h5py.File(sealed, "r+") as opened:
        assert len(opened.attrs[DIGEST]) == 64
        if damage == "a weight":
            opened[KERNEL][0, 0, 0, 0] *= 1.0001
        elif damage == "the card":
            text = opened.attrs[ATTRIBUTE]
            opened.attrs[ATTRIBUTE] = text.replace('"outliers": 0.001', '"outliers": 0.003')
            assert opened.attrs[ATTRIBUTE] != text
        else:
            names = opened[KERNEL].parent.parent.attrs
            names["weight_names"] = [*names["weight_names"], "more"]
    with pytest.raises(InputError, match="damaged"):
        load(sealed)


def test_a_heap_that_does_not_end_is_refused(file):
    """Fails where HDF5 stays for ever at a text of which the heap is damaged."""
    content = file.read_bytes()
    places = [i for i in range(len(content)) if content.startswith(b"GCOL", i)]
    assert places
    for place in places:
        damaged = bytearray(content)
        damaged[place + 16 : place + 48] = bytes(32)
        file.write_bytes(damaged)
        with pytest.raises(InputError, match="damaged"):
            read_card(file)


@pytest.mark.parametrize("card", [np.zeros(1000), np.bytes_(b'{"format": 2, "a": "\xef"}')])
@pytest.mark.parametrize("name", [ATTRIBUTE, DIGEST])
def test_a_card_that_is_no_text_is_refused(sealed, card, name):
    """Fails where numbers, or bytes that are no UTF-8, end in a traceback."""
    with h5py.File(sealed, "r+") as opened:
        opened.attrs[name] = card
    with pytest.raises(InputError, match="damaged"):
        load(sealed)
