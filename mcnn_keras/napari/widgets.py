"""The plugin's two widgets: the user chooses an image layer, and the result is a new layer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from magicgui.widgets import ComboBox, Container, Label, LineEdit, ProgressBar, PushButton, Widget
from napari.layers import Image

from ..errors import InputError
from ..inference.frames import FAULTS, TEMPORAL, letters_of
from ..inference.planes import counted
from ..physics.optics import Optics
from . import work
from .layers import array_of, axes_of, optics_of, pixel_size_of, placed_like, planes_of
from .work import Cancelled, Progress, Result

QUALITIES = ("standard", "fast", "best")
UNITS = {"um (light)": "um", "Angstrom (electrons)": "A"}
REFINE = {"from two planes on": None, "always": True, "never": False}


class _WorkWidget(Container):
    """A choice of image layers, buttons to start and cancel, and the progress.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    action : str
        Text on the start button.
    own : list of Widget
        Widgets between the layer and the buttons.
    """

    def __init__(self, viewer: Any, action: str, own: list[Widget]) -> None:
        self.viewer, self.worker, self._gone = viewer, None, False
        self.image = ComboBox(name="image", label="image", choices=self._images, nullable=True)
        self.run = PushButton(name="run", text=action)
        self.cancel = PushButton(name="cancel", text="Cancel", enabled=False)
        self.progress = ProgressBar(name="progress", label="", value=0, max=1)
        self.message = Label(name="message", label="", value="")
        super().__init__(widgets=[
            self.image, *own, self.run, self.cancel, self.progress, self.message,
        ])  # fmt: skip
        self.message.native.setWordWrap(True)  # messages may be longer than the widget is wide
        self.run.changed.connect(self._begin)
        self.cancel.changed.connect(self._cancel)
        self.native.destroyed.connect(self._closed)
        layers = viewer.layers
        for event in (layers.events.inserted, layers.events.removed):
            event.connect(self._layers_changed)
        self._layers_changed()

    def compute(self) -> Callable[[Progress], list[Result]]:
        """The function for the other thread, with all values from layers and widgets."""
        raise NotImplementedError

    def tell(self, text: str) -> None:
        """Show a line in the viewer's status and in the widget."""
        self.message.value = text
        self.viewer.status = text

    def _images(self, _: Any = None) -> list[Any]:
        return [layer for layer in self.viewer.layers if isinstance(layer, Image)]

    def _layers_changed(self, _: Any = None) -> None:
        if self._gone:
            return
        self.image.reset_choices()
        if self.image.value is None and (images := self._images()):
            self.image.value = images[-1]

    def _begin(self) -> None:
        try:
            compute = self.compute()
        except InputError as error:
            self.tell(str(error))
            return
        self._busy(True)
        self.tell("loading the network; this takes about ten seconds the first time")
        self.worker = work.begin(compute, self._show, self._returned, self._failed)

    def _cancel(self) -> None:
        if self.worker is not None:
            self.cancel.enabled = False
            self.tell("stopping after this batch")
            self.worker.quit()

    def _closed(self) -> None:
        """Called when the viewer closes; later calls from the thread find no windows."""
        self._gone = True
        if self.worker is not None:
            self.worker.quit()

    def _show(self, done: int, count: int) -> None:
        if self._gone:
            return
        self.progress.max, self.progress.value = count, min(done, count)
        if self.cancel.enabled:
            self.message.value = ""

    def _returned(self, results: list[Result]) -> None:
        if self._gone:
            return
        self._busy(False)
        lines = []
        for data, described in results:
            self.viewer.add_image(data, **described)
            lines = described["metadata"]["mcnn_keras"].get("told", [])
        self.tell("; ".join(["done", *lines]))

    def _failed(self, error: Exception) -> None:
        if self._gone:
            return
        self._busy(False)
        if isinstance(error, Cancelled):
            self.tell("cancelled")
        elif isinstance(error, InputError):
            self.tell(str(error))
        else:
            self.tell(f"failed: {error}")
            raise error  # for napari's own report

    def _busy(self, busy: bool) -> None:
        self.run.enabled, self.cancel.enabled = not busy, busy
        self.progress.max, self.progress.value = 1, 0
        if not busy:
            self.worker = None


class DenoiseWidget(_WorkWidget):
    """Denoise the frames of an image layer.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: Any) -> None:
        self.quality = ComboBox(name="quality", choices=QUALITIES, value="standard")
        self.temporal = ComboBox(
            name="temporal", choices=TEMPORAL, value="auto", label="neighbours in time"
        )
        self.faults = ComboBox(name="faults", choices=FAULTS, value="mend", label="faulty pixels")
        own = [self.quality, self.temporal, self.faults]
        super().__init__(napari_viewer, "Denoise", own)

    def compute(self) -> Callable[[Progress], list[Result]]:
        """Denoise the chosen layer."""
        layer, quality = self.image.value, self.quality.value
        array = array_of(layer)
        options = {
            "axes": letters_of([a.name for a in axes_of(layer)[:-2]]),
            "temporal": self.temporal.value,
            "faults": self.faults.value,
            "average": quality == "best",
        }
        model = "denoise-fast" if quality == "fast" else "denoise"
        facts = {"operation": "denoise", "model": model, **options}
        described = placed_like(layer, "denoised", facts)
        described["colormap"] = layer.colormap.name

        def computed(progress: Progress) -> list[Result]:
            from ..inference.predict import predict

            network = work.engine(model)
            return [(predict(network, array, progress=progress, **options), described)]

        return computed


class PhaseWidget(_WorkWidget):
    """Retrieve the phase of an image layer: one defocused image, or one at each of some planes.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: Any) -> None:
        self.unit = ComboBox(name="unit", choices=list(UNITS), label="lengths in")
        self.defocus = LineEdit(name="defocus", tooltip="of each image, with commas: -52, 52")
        self.wavelength = LineEdit(name="wavelength", tooltip="0.65 um, or 0.0197 A at 300 keV")
        self.pixel_size = LineEdit(
            name="pixel_size", label="pixel size", tooltip="in the object; from the layer's scale"
        )
        self.aperture = LineEdit(
            name="aperture", tooltip="numerical aperture, or half-angle in rad; empty for none"
        )
        self.refine = ComboBox(name="refine", choices=list(REFINE))
        own = [
            self.unit, self.defocus, self.wavelength, self.pixel_size, self.aperture, self.refine,
        ]  # fmt: skip
        super().__init__(napari_viewer, "Retrieve", own)
        self.image.changed.connect(self._fill)
        self.unit.changed.connect(self._other_unit)
        self._fill()

    def _other_unit(self, _: Any = None) -> None:
        self.wavelength.value = self.aperture.value = ""
        self._fill()

    def _fill(self, _: Any = None) -> None:
        """Fill the fields from the layer; fields without a value stay empty, or as typed."""
        layer = self.image.value
        if layer is None:
            return
        unit = UNITS[self.unit.value]
        try:
            planes, told = planes_of(layer, unit), optics_of(layer, unit)
            told.setdefault("pixel_size", pixel_size_of(layer, unit) or 0.0)
        except (InputError, TypeError, ValueError) as error:
            self.tell(str(error))
            return
        # Pixel size and planes of another layer would be wrong without any sign.
        self.defocus.value = "" if planes is None else ", ".join(f"{z:.6g}" for z in planes)
        self.pixel_size.value = f"{told['pixel_size']:.6g}" if told["pixel_size"] else ""
        for field, name in ((self.wavelength, "wavelength"), (self.aperture, "numerical_aperture")):
            if name in told:
                field.value = f"{told[name]:.6g}"

    def compute(self) -> Callable[[Progress], list[Result]]:
        """Retrieve the phase of the chosen layer."""
        layer, unit = self.image.value, UNITS[self.unit.value]
        array = array_of(layer)
        planes = _numbers(self.defocus.value, f"defocus in {unit}, one for each image: -52, 52")
        if array.ndim > 3 or len(planes) != (1 if array.ndim == 2 else array.shape[0]):
            raise InputError(
                f"{counted(len(planes), 'plane')} given for a layer of shape {tuple(array.shape)}; "
                "one image, or a stack with a defocus for each image, is expected"
            )
        wavelength, pixel_size = (
            _number(field.value, f"{what} in {unit}")
            for field, what in ((self.wavelength, "wavelength"), (self.pixel_size, "pixel size"))
        )
        aperture = _number(self.aperture.value, "aperture") if self.aperture.value.strip() else None
        optics = Optics(wavelength, pixel_size, aperture, unit=unit)
        refine = REFINE[self.refine.value]
        kept = {name: value for name, value in optics.asdict().items() if value is not None}
        facts = {"operation": "phase", "model": "phase", "defocus": planes, **kept}
        described = functools.partial(
            placed_like, layer, facts=facts, without=0 if array.ndim == 3 else None
        )
        names = [described(suffix) for suffix in ("phase", "amplitude")]

        def computed(progress: Progress) -> list[Result]:
            from ..focal_series.retrieval import wave_of

            network = work.engine("phase")
            images = np.asarray(array, np.float32)
            stack = images[..., None] if images.ndim == 2 else np.moveaxis(images, 0, -1)
            said: list[str] = []
            wave = wave_of(stack, planes, optics, network, refine, progress, said.append)
            facts["agreement"] = wave.agreement
            facts["told"] = [f"agreement with the images {wave.agreement:.3f}", *said]
            return [
                (field.astype(np.float32), name)
                for field, name in zip((wave.phase, wave.amplitude), names, strict=True)
                if field is not None
            ]

        return computed


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{_shown(text)} is not a number; give the {what}") from None


def _numbers(text: str, what: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{_shown(text)} is not a list of numbers; give the {what}") from None


def _shown(text: str) -> str:
    return repr(text.strip()) if text.strip() else "an empty field"
