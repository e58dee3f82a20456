"""Fail where a card takes what makes no sense, answers wrongly, or changes through JSON."""

import dataclasses
import json
from types import MappingProxyType

import pytest

from mcnn_keras import InputError
from mcnn_keras.models import (
    AnyPlanes,
    Channels,
    Contrast,
    Fixed,
    Frames,
    FrameScale,
    ModelCard,
    Normalization,
    Output,
    Planes,
    Tile,
)
from mcnn_keras.models.card import card_from, parsed_card

VALUE, PHASE = Output("a"), Output("phase", "rad", "phase")

OPTICS = {
    "defocus": [-20.0, 20.0], "wavelength": 0.65, "pixel_size": 0.3, "refractive_index": 1.0,
    "coherence_angle": 0.0, "spherical_aberration": 0.0,
}  # fmt: skip


def card(inputs=None, outputs=(VALUE,), scaling=None, network=None, training=None, **more):
    inputs = inputs or Channels(1)
    network = {
        "input_channels": max(inputs.count, 1), "output_channels": len(outputs), "scale": 1,
        **(network or {}),
    }  # fmt: skip
    training = {"image_size": 32, **(training or {})}
    return ModelCard("mine", {}, inputs, outputs, scaling or Normalization(), network, training,
                     **more)  # fmt: skip


CARDS = [
    card(),
    card(Channels(3), [Output(n, "", "colour") for n in "rgb"], Fixed(1.0, 2.0, limits=(0, 1))),
    card(Planes((-20, 20), (1, 2.5), "A"), [PHASE, Output("amplitude", "", "amplitude")],
         Contrast(["phase", "amplitude"]), {"input_channels": 7},
         channels={"name": "focus_estimates"}, conditions={**OPTICS, "wavelength": None}),
    card(AnyPlanes(5), [PHASE], Contrast(), {"input_channels": 24},
         channels={"name": "wave_estimates"}, conditions=dict.fromkeys(OPTICS)),
    card(Frames(5), [Output("frame", "", "image")], FrameScale(missing=True),
         {"input_channels": 6}, tile=Tile(128, 16), pixel_size=0.2, metrics={"test_mae": 0.1},
         calibration={"levels": [1.0]}, versions={"keras": "3"}, created="today", command="train",
         description="a line"),
]  # fmt: skip


@pytest.mark.parametrize("given", CARDS, ids=lambda c: c.inputs.kind)
def test_a_card_goes_through_json(given):
    """Fails where a field is lost, or a list comes back where a tuple was."""
    again = parsed_card(given.to_json(), "m.h5")
    assert again == given
    assert again.asdict() == json.loads(given.to_json())
    assert given.asdict()["format"] == 2
    for field in dataclasses.fields(ModelCard):
        if field.name != "normalization":
            assert getattr(again, field.name) == getattr(given, field.name), field.name
    assert type(again.normalization) is type(given.normalization)
    assert dataclasses.replace(again, description="another") != given
    assert given != given.asdict()


def test_a_view_of_a_dictionary_is_written_as_one():
    """Fails where a mapping that JSON does not know cannot be written."""
    given = card(metrics=MappingProxyType({"test_mae": 0.5}))
    assert given.asdict()["metrics"] == {"test_mae": 0.5}


def test_what_is_left_out_is_what_it_always_was():
    """Fails where an older file, which lacks a field, would mean another model."""
    told = card().asdict()
    least = ("format", "problem", "config", "inputs", "outputs", "normalization", "network",
             "training")  # fmt: skip
    assert card_from({name: told[name] for name in least}) == card()
    assert card().tile == Tile(1024, None)
    assert (AnyPlanes().most, Channels().count, Frames().window) == (32, 1, 1)
    assert Output("a") == Output("a", "", "value")
    assert Planes((1.0,), (2.0,)).unit == "um"


def test_inputs_say_how_many_images_a_measurement_has():
    """Fails where planes, channels or frames in time are counted wrongly, or can be changed."""
    counts = [g.image_channels for g in CARDS]
    assert counts == [1, 3, 2, 1, 1]
    planes = Planes([1, 2], [3, 4])
    assert (planes.defocus, planes.tolerance) == ((1.0, 2.0), (3.0, 4.0))
    for thing in (planes, AnyPlanes(), Channels(), Frames(), Output("a"), Tile()):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, dataclasses.fields(thing)[0].name, 5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Planes((1.0, 2.0), (1.0,)), "needs a tolerance"),
        (lambda: Planes((1.0,), (1.0, 2.0)), "needs a tolerance"),
        (lambda: Planes((), ()), "needs a tolerance"),
        (lambda: Planes((1.0,), (1.0,), "nm"), "'um' or 'A', not 'nm'"),
        (lambda: Output("a", "", "odd"), "role='odd' is not known"),
        (lambda: card(network={"output_channels": 2}), "names 1 outputs, .* has 2"),
        (lambda: card(network={"output_channels": 0}), "names 1 outputs, .* has 0"),
        (lambda: card(Channels(3), network={"input_channels": 2}), "fewer channels"),
        (lambda: card(Channels(3), network={"input_channels": 2}, channels={"name": "low_pass"}),
         "fewer channels"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(make, message):
    """Fails where such a card would be saved."""
    with pytest.raises(ValueError, match=message):
        make()


def test_estimates_of_the_wave_stand_for_any_number_of_images():
    """Fails where channels that take the images' place must be as many as these."""
    inputs = Planes((1, 2, 3, 4), (1, 1, 1, 1))
    assert card(inputs, network={"input_channels": 3}, channels={"name": "wave_estimates"})


@pytest.mark.parametrize("left_out", ["image_size", "scale"])
def test_a_card_without_its_sizes_is_not_whole(left_out):
    """Fails where a size that prediction needs is missed later."""
    told = card().asdict()
    told["training" if left_out == "image_size" else "network"].pop(left_out)
    with pytest.raises(InputError, match=r"^m\.h5 is damaged: its card is not complete"):
        parsed_card(json.dumps(told), "m.h5")


@pytest.mark.parametrize("text", ["", "[]", "5", "{}", '{"format": 2}', "null", "nothing"])
def test_what_is_no_card_is_refused_in_a_line(text):
    """Fails where a file's text ends in an error of Python."""
    with pytest.raises(InputError, match=r"^m\.h5 is damaged: its card is not complete"):
        parsed_card(text, "m.h5")


@pytest.mark.parametrize(("number", "fine"), [(2, True), (3, False), (99, False)])
def test_a_newer_format_is_told_of(number, fine):
    """Fails where a newer card is read as one of this version, or called damaged."""
    text = json.dumps({**card().asdict(), "format": number})
    if fine:
        assert parsed_card(text, "m.h5") == card()
    else:
        with pytest.raises(InputError, match=r"^m\.h5 cannot be used: .* newer mcnn-keras"):
            parsed_card(text, "m.h5")


def test_colours_are_three_channels():
    """Fails where three of anything, or another number of colours, make a picture."""
    colours = [Output(n, "", "colour") for n in "rgb"]
    assert card(Channels(3), colours).takes_colours
    assert card(Channels(3), colours).gives_colours
    for inputs in (Channels(2), Channels(4), Planes((1, 2, 3), (1, 1, 1))):
        assert not card(inputs, colours).takes_colours
    for outputs in (colours[:2], [*colours, colours[0]], [*colours[:2], Output("b")]):
        assert not card(Channels(3), outputs).gives_colours


def test_sizes_of_training_and_results():
    """Fails where samples of mixed sizes count as the smaller ones, or a size is another's."""
    assert card(training={"image_size": 48}).largest_trained == 48
    assert card(training={"image_size": 48, "mixed_sizes": False}).largest_trained == 48
    assert card(training={"image_size": 48, "mixed_sizes": True}).largest_trained == 96
    assert card(network={"scale": 2}).scale == 2


def test_ranges_are_those_of_the_problem():
    """Fails where the ranges are lost, or a reader of them can change the card."""
    given = card()
    assert given.ranges == {}
    given.config["ranges"] = {"dose": [1, 2]}
    given.ranges["dose"] = 5
    assert given.ranges == {"dose": [1, 2]}


def test_errors_are_in_the_outputs_unit():
    """Fails where the mean over unlike outputs is told in the unit of one of them."""
    assert card(outputs=[PHASE]).error_unit == "rad"
    assert card().error_unit == ""
    two = [PHASE, Output("amplitude", "", "amplitude")]
    assert card(outputs=two).error_unit == "(mean over phase and amplitude)"
    scaled = Fixed(output_deviation=2.0)
    assert card(outputs=[PHASE], scaling=scaled).error_unit == "of the targets' deviation"


GIVEN = {"wavelength": 0.65, "defocus": None, "dose": 0.0, "numerical_aperture": 0.4}


class TestConditions:
    def test_what_training_shared_needs_no_telling(self):
        """Fails where a condition of the training is lost, or one that is zero counts as free."""
        told = card(conditions=GIVEN).measured_conditions({"defocus": [3.0]})
        assert told == {**GIVEN, "defocus": [3.0]}
        assert card().measured_conditions() == {}
        assert GIVEN["defocus"] is None

    def test_what_differed_must_be_told(self):
        """Fails where a value is guessed, or the message names another."""
        given = card(conditions=GIVEN)
        message = r"needs the defocus of .* conditions=\{'defocus': \.\.\.\}"
        for told in (None, {}, {"defocus": None}):
            with pytest.raises(InputError, match=message):
                given.measured_conditions(told)

    def test_of_several_the_first_is_named(self):
        """Fails where the named condition is not the first one that is missing."""
        given = card(conditions={"dose": 1.0, "wavelength": None, "defocus": None})
        with pytest.raises(InputError, match="needs the wavelength of"):
            given.measured_conditions()
        with pytest.raises(InputError, match="needs the defocus of"):
            given.measured_conditions({"wavelength": 0.5})

    def test_an_aperture_may_be_left_out(self):
        """Fails where a measurement without an aperture must tell of one, or it cannot be told."""
        given = card(conditions={"wavelength": 0.65, "numerical_aperture": None})
        assert given.measured_conditions() == {"wavelength": 0.65}
        told = given.measured_conditions({"numerical_aperture": 0.3})
        assert told == {"wavelength": 0.65, "numerical_aperture": 0.3}

    @pytest.mark.parametrize("name", ["wavelength", "dose", "odd"])
    def test_what_the_model_does_not_take_is_refused(self, name):
        """Fails where a given condition is passed over, or the free ones are not named."""
        with pytest.raises(InputError, match=f"takes no {name} at prediction; give only defocus"):
            card(conditions=GIVEN).measured_conditions({"defocus": [1.0], name: 1.0})
        with pytest.raises(InputError, match=f"takes no {name} .*; leave the conditions out"):
            card(conditions={"wavelength": 0.5, "dose": 2.0}).measured_conditions({name: 1.0})
