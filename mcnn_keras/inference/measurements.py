"""Measurements: the input of a network, read from one or more recordings when needed."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..files import Axis, Recording
from ..models import ModelCard, Planes


class Measurements:
    """The measurements that a network inverts, read from one or more recordings when needed.

    Parameters
    ----------
    recordings : list of Recording
        One recording; or one for each plane, with one image each.
    card : ModelCard
        Card of the model.

    Raises
    ------
    InputError
        If the number of images does not fit the model.
    """

    def __init__(self, recordings: list[Recording], card: ModelCard) -> None:
        self.recordings, self.planes = recordings, card.image_channels
        planes = self.planes
        first = recordings[0]
        outer, self.field = list(first.axes[:-2]), tuple(first.axes[-2:])
        # The colours of a picture are its channels if the model takes three.
        self.colours = len(recordings) == 1 and first.colour and card.takes_colours
        if planes > 1 and len(recordings) == 1 and not self.colours:
            if len(first) == planes:
                outer = []
            elif outer and outer[-1].size == planes:
                outer = outer[:-1]
            elif (
                isinstance(card.inputs, Planes)
                and len(first) % planes == 0
                and ([a.name for a in outer] == ["frame"])
            ):  # images were chosen and ordered by their planes, series after series
                outer = [Axis("frame", len(first) // planes)]
            else:
                raise InputError(
                    f"{first.path} holds {len(first)} image{'s' * (len(first) > 1)}, but the model "
                    f"was trained on {planes}; choose {planes} with --frames"
                )
        self.outer = tuple(outer)
        frames = 1 if self.colours else planes
        self.count = len(first) // frames if len(recordings) == 1 else 1
        sizes = {recording.size for recording in recordings}
        if len(sizes) > 1:
            raise InputError(f"the planes differ in size: {sorted(sizes)}; crop them to one size")
        self.size = first.size
        # Models of frames take out each frame's mean themselves, but in float32.
        if card.normalization.per_frame and len(recordings) == 1:
            first.offset = first.offset_needed()

    def __len__(self) -> int:
        return self.count

    def __enter__(self) -> Measurements:
        return self

    def __exit__(self, *_: object) -> None:
        for recording in self.recordings:
            recording.__exit__()

    @property
    def dtype(self) -> np.dtype:
        """Data type of the first file."""
        return self.recordings[0].dtype

    @property
    def offset(self) -> float:
        """What was subtracted from all values, and is to be added to results."""
        return self.recordings[0].offset

    @property
    def title(self) -> str:
        """Title of the first file."""
        return self.recordings[0].title

    def frame(self, number: int) -> np.ndarray:
        """One frame, (height, width), float32, for models that accept missing pixels.

        If a frame cannot be read but a neighbour can, it is NaN.
        """
        recording = self.recordings[0]
        try:
            return recording.read(number, number + 1, finite=False)[0]
        except InputError:
            after = number + 1 if number + 1 < self.count else number - 1
            if after >= 0:
                recording.read(after, after + 1, finite=False)  # fails if the whole file is gone
                return np.full(self.size, np.nan, np.float32)
            raise

    def shown(self, number: int) -> np.ndarray:
        """The first plane of a measurement, (height, width), to show in a picture."""
        if self.planes == 1 and len(self.recordings) == 1 and not self.colours:
            return self.frame(number)
        return self.read(number, number + 1)[0, ..., 0]

    def read(self, start: int, stop: int) -> np.ndarray:
        """The measurements start..stop, (measurements, height, width, planes), float32."""
        if len(self.recordings) > 1:
            return np.stack([r.read(0, 1)[0] for r in self.recordings], axis=-1)[None]
        if self.colours:
            return self.recordings[0].read(start, stop, colours=True)
        frames = self.recordings[0].read(start * self.planes, stop * self.planes)
        return np.moveaxis(frames.reshape(-1, self.planes, *self.size), 1, -1)

    def result_axes(self, card: ModelCard) -> tuple[Axis, ...]:
        """The axes of the result: those of the measurements, and one for several outputs."""
        field = []
        for a in self.field:
            scale = a.scale if a.scale is None else a.scale / card.scale
            field.append(a._replace(size=a.size * card.scale, scale=scale))
        outputs = len(card.outputs)
        between = (Axis("output", outputs),) if outputs > 1 else ()
        return (*self.outer, *between, *field)
