"""Fail where tiles give another answer than the whole field, or than a slow blend of them.

Functions of NumPy stand in for networks.
"""

import numpy as np
import pytest
from reference import blended as reference_blended
from scipy.ndimage import uniform_filter

from mcnn_keras import InputError
from mcnn_keras.inference import tiles
from mcnn_keras.models import Channels, FrameScale, ModelCard, Normalization, Output
from mcnn_keras.models.card import Tile

RADIUS = 5


class Engine:
    """What `network` answers to a batch; remembers the shapes that it was given."""

    stride = 4

    def __init__(self, network, scaling=None, scale=1, tile=None, image_size=1024, channels=None):
        self.card = ModelCard(
            "mine", {}, Channels(1), (Output("a"),), scaling or Normalization(),
            {"input_channels": 1, "output_channels": 1, "scale": scale},
            {"image_size": image_size}, channels=channels, tile=tile or Tile(),
        )  # fmt: skip
        self.network, self.shapes = network, []

    def compute(self, batch):
        assert batch.dtype == np.float32
        assert batch.flags.c_contiguous
        assert not any(n % self.stride for n in batch.shape[1:3])
        self.shapes.append(batch.shape[:3])
        return self.network(batch)


def same(batch):
    return batch


def doubled(batch):
    """Twice the size, each pixel four times."""
    return batch.repeat(2, 1).repeat(2, 2)


def looking(batch):
    """What looks 5 pixels far, with a network's own zeros at the rim, on a grid of its stride."""
    sums = uniform_filter(batch, (0, 2 * RADIUS + 1, 2 * RADIUS + 1, 0), mode="constant")
    y, x = (np.arange(n) % Engine.stride for n in batch.shape[1:3])
    return sums + 0.1 * y[:, None, None] + 0.01 * x[:, None]


@pytest.fixture
def image(rng):
    return rng.random((90, 70, 1)).astype(np.float32)


class TestSizes:
    def test_a_tile_is_asked_for_or_the_cards(self):
        """Fails where an image that one tile holds is cut, or one that it does not hold is not."""
        engine = Engine(same, tile=Tile(48))
        assert tiles.choose_size(engine, (48, 20)) is None
        assert tiles.choose_size(engine, (20, 49)) == 48
        assert tiles.choose_size(engine, (20, 49), 52) is None
        assert tiles.choose_size(engine, (20, 49), 4) == 4

    @pytest.mark.parametrize(("asked", "offered"), [(3, 4), (5, 4), (41, 40), (47, 44)])
    def test_what_the_stride_does_not_divide_is_refused(self, asked, offered):
        """Fails where the size that is offered instead could not be taken, or is a larger one."""
        with pytest.raises(InputError, match=rf"size {asked} is not .* of 4,.*example {offered}$"):
            tiles.choose_size(Engine(same), (90, 90), asked)

    @pytest.mark.parametrize("length", [32, 33, 59, 60, 61, 89, 200])
    @pytest.mark.parametrize("overlap", [0, 3, 16])
    def test_as_few_tiles_as_overlap_enough(self, length, overlap):
        """Fails where tiles overlap too little, or one less would do, or they lie unevenly."""
        starts = tiles.tile_starts(length, 32, overlap)
        assert (starts[0], starts[-1]) == (0, length - 32)
        least = min(overlap, 4)  # an eighth of the tile
        enough = next(n for n in range(1, 99) if length <= 32 + (n - 1) * (32 - least))
        assert len(starts) == enough
        assert len(starts) == 1 or np.ptp(np.diff(starts)) <= 1

    def test_tiles_overlap_by_16_pixels_unless_told(self):
        """Fails where large tiles overlap by more, or less, than the card's pixels."""
        assert list(tiles.tile_starts(240, 128)) == [0, 112]
        assert len(tiles.tile_starts(241, 128)) == 3


class TestPadding:
    @pytest.mark.parametrize("scale", [1, 2])
    @pytest.mark.parametrize(("shape", "rims"), [
        ((32, 40), ((0, 0), (0, 0))),
        ((33, 39), ((1, 2), (0, 1))),
        ((40, 42), ((0, 0), (1, 1))),
        # Larger than the 40 pixels of the training: a stride more on each side.
        ((41, 40), ((5, 6), (4, 4))),
        ((20, 46), ((4, 4), (5, 5))),
    ])  # fmt: skip
    def test_images_are_mirrored_to_whole_strides(self, rng, shape, rims, scale):
        """Fails where the image lies off centre, or large ones lack a stride on some side."""
        images = rng.random((2, *shape, 1))
        engine = Engine(same, scale=scale, image_size=42 if shape == (40, 42) else 40)
        padded, inner = tiles.pad(images, 4, engine.card)
        wanted = np.pad(images, ((0, 0), *rims, (0, 0)), mode="symmetric")
        np.testing.assert_array_equal(padded, wanted)
        assert (padded is images) == (not np.any(rims))
        larger = padded.repeat(scale, 1).repeat(scale, 2)
        answer = images.repeat(scale, 1).repeat(scale, 2)
        np.testing.assert_array_equal(larger[(slice(None), *inner)], answer)


class TestBlended:
    @pytest.mark.parametrize(("network", "scale"), [(same, 1), (doubled, 2)])
    def test_what_all_tiles_agree_on_stays(self, image, network, scale):
        """Fails where weights do not sum to one, or an answer lands elsewhere."""
        found = tiles.blended(Engine(network, scale=scale), image, 32)
        np.testing.assert_allclose(found, image.repeat(scale, 0).repeat(scale, 1), rtol=1e-5)

    @pytest.mark.parametrize(("overlap", "least"), [(None, 4), (2, 2)])
    def test_tiles_are_weighed_by_their_distance_from_the_rim(self, image, overlap, least):
        """Against a blend pixel by pixel, of tiles in their own scales.

        Fails where a weight, a scale or a tile's place is another's.
        """
        image[:, 40:] *= 50
        scaling = FrameScale()
        found = tiles.blended(Engine(np.square, scaling, tile=Tile(overlap=overlap)), image, 32)
        starts = [tiles.tile_starts(n, 32, least) for n in (90, 70)]
        places = [(y, x) for y in starts[0] for x in starts[1]]
        answers = []
        for y, x in places:
            scaled, scale = scaling.apply(image[y : y + 32, x : x + 32])
            answers.append(scaling.restore(scaled**2, scale)[..., 0])
        wanted = reference_blended(answers, 32, places, (90, 70))
        np.testing.assert_allclose(found[..., 0], wanted, rtol=1e-4, atol=1e-4)

    def test_a_side_that_is_shorter_than_a_tile_is_one_tile(self, rng):
        """Fails where tiles are wider than the image, or padding stays in the answer."""
        strip = rng.random((90, 30, 1)).astype(np.float32)
        engine = Engine(same, image_size=32)
        np.testing.assert_allclose(tiles.blended(engine, strip, 32), strip, rtol=1e-5)
        assert {shape[1:] for shape in engine.shapes} == {(32, 32)}

    @pytest.mark.parametrize(("pixels", "most"), [(2 * 32**2, 2), (3 * 32**2 - 1, 2), (1, 1)])
    def test_as_many_are_computed_together_as_memory_holds(self, rng, monkeypatch, pixels, most):
        """Fails where more pixels are computed together, or fewer, or some tiles are not told."""
        monkeypatch.setattr(tiles, "PIXELS", pixels)
        engine, told = Engine(same, FrameScale()), []
        wide = rng.random((40, 130, 1)).astype(np.float32)
        tiles.blended(engine, wide, 32, told.append)
        number = tiles.count(engine, (40, 130), 32)
        assert number == 2 * 5  # 130 pixels are 32 and 3.5 times 28
        assert sum(told) == number
        assert told == [shape[0] for shape in engine.shapes]
        assert max(told) == most

    def test_a_quarter_of_a_million_pixels_are_computed_together(self):
        """Fails where the rate of small tiles drops, or memory runs out, for another number."""
        engine = Engine(same, FrameScale())
        tiles.blended(engine, np.ones((64, 4200, 1), np.float32), 64)
        assert max(shape[0] for shape in engine.shapes) == 2**18 / 64**2

    def test_conditions_reach_the_channels_of_each_tile(self, image, monkeypatch):
        """Fails where a tile's fixed channels are made without the measurement's conditions."""

        def summed(batch, channels, conditions):
            return batch + np.float32(conditions.get(channels["name"], 0))

        monkeypatch.setattr(tiles, "network_input", summed)
        for method in (tiles.blended, tiles.joined):
            engine = Engine(same, channels={"name": "dose"}, tile=Tile(overlap=0))
            found = method(engine, image, 32, conditions={"dose": 3})
            np.testing.assert_allclose(found, image + 3, rtol=1e-5)
            np.testing.assert_allclose(method(engine, image, 32), image, rtol=1e-5)


class TestJoined:
    @pytest.mark.parametrize("image_size", [1024, 40])
    @pytest.mark.parametrize("size", [4, 20, 32, 64])
    def test_the_answer_is_that_of_the_whole_field(self, image, size, image_size):
        """Fails where a tile sees too little around it, starts off the grid, or lands elsewhere."""
        engine = Engine(looking, image_size=image_size, tile=Tile(overlap=RADIUS))
        whole, inner = tiles.pad(image[None], 4, engine.card)
        told = []
        found = tiles.joined(engine, image, size, told.append)
        np.testing.assert_allclose(found, looking(whole)[0][inner], atol=1e-6)
        # Radius 5 is 8 pixels in whole strides: no tile sees more, on each side that has them.
        sides = 2 if 2 * size < whole.shape[1] else 1
        assert max(shape[1] for shape in engine.shapes) == size + 8 * sides
        assert {shape[0] for shape in engine.shapes} == {1}
        assert told == [1] * tiles.count(engine, (90, 70), size)

    def test_a_network_that_enlarges(self, image):
        """Fails where places in the answer are those in the image."""
        engine = Engine(doubled, scale=2, image_size=40, tile=Tile(overlap=RADIUS))
        found = tiles.joined(engine, image, 20)
        np.testing.assert_array_equal(found, doubled(image[None])[0])

    def test_results_are_in_the_scale_of_the_whole_field(self, image):
        """Fails where a scale is taken tile by tile, or is not put back."""
        scaling = Normalization(limits=(0.2, 0.7))
        found = tiles.joined(Engine(same, scaling, tile=Tile(overlap=0)), image, 32)
        np.testing.assert_array_equal(found, image.clip(0.2, 0.7))
        scaled, scale = FrameScale().apply(image)
        found = tiles.joined(Engine(np.square, FrameScale(), tile=Tile(overlap=0)), image, 32)
        np.testing.assert_allclose(found, FrameScale().restore(scaled**2, scale), rtol=1e-5)

    def test_how_far_a_network_looks_is_measured_once(self):
        """Fails where what the card says is measured, or what was measured is not kept."""
        engine = Engine(looking, tile=Tile(64))
        assert tiles.overlap(engine) == RADIUS
        assert engine.card.tile == Tile(64, RADIUS)
        engine.shapes.clear()
        assert tiles.overlap(engine) == RADIUS
        assert engine.shapes == []


class TestEstimate:
    """With a clock that each computation moves on by two seconds, the first one by a minute."""

    @pytest.fixture
    def clock(self, monkeypatch):
        calls = []

        def network(batch):
            calls.append(batch.shape)
            return batch

        class Clock:
            @staticmethod
            def perf_counter():
                return 60.0 * min(len(calls), 1) + 2.0 * max(len(calls) - 1, 0)

        monkeypatch.setattr(tiles, "time", Clock)
        return network, calls

    def test_of_tiles_with_halos(self, clock):
        """Fails where the first, slow computation counts, a tile is left out, or memory is."""
        network, calls = clock
        engine = Engine(network, tile=Tile(overlap=RADIUS))
        seconds, memory = tiles.estimate(engine, (90, 70), 32)
        assert calls == [(1, 48, 48, 1)] * 2
        assert seconds == 2 * 3 * 3
        # In float32: image and answer of the field, each twice; the features of a tile.
        assert memory == 4 * 90 * 70 * 2 * (1 + 1) + 400 * 48**2

    @pytest.mark.parametrize(("pixels", "together"), [(5 * 32**2 + 1, 5), (32**2 - 1, 1)])
    def test_of_tiles_in_their_own_scale(self, clock, monkeypatch, pixels, together):
        """Fails where a batch's time is taken for a tile's."""
        network, calls = clock
        monkeypatch.setattr(tiles, "PIXELS", pixels)
        seconds, memory = tiles.estimate(Engine(network, FrameScale()), (90, 70), 32)
        assert calls == [(together, 32, 32, 1)] * 2
        assert seconds == pytest.approx(2 / together * 4 * 3)
        assert memory == 4 * 90 * 70 * 2 * (1 + 1) + 400 * together * 32**2
