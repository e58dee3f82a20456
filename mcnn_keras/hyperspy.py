"""HyperSpy signals in, HyperSpy signals out: frames restored, phases of focal series::

    import mcnn_keras as mcnn

    clean = mcnn.hyperspy.denoise(signal)
    phase, amplitude = mcnn.hyperspy.phase(signal, defocus=[-88, 39], wavelength=0.65)

Axes, units, title and original metadata are those of the signal; a record of the processing is
appended to the metadata under ``General.mcnn_keras``. Lazy signals give lazy results.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .errors import InputError
from .files.instrument import FOCUS_AXES
from .files.kinds import kind_of
from .files.precision import without_mask
from .files.recording import Axis, axis, pixel_length
from .files.units import LENGTHS, spelled
from .inference.planes import counted
from .physics.optics import Optics

# The record of processing in the metadata, like HyperSpy's record of its readers, General.FileIO.
RECORD = "General.mcnn_keras"


class Wave(NamedTuple):
    """A retrieved wave.

    Parameters
    ----------
    phase : hyperspy.signals.Signal2D
        In rad, mean-free.
    amplitude : hyperspy.signals.Signal2D or None
        None from a model without amplitude.
    """

    phase: Any
    amplitude: Any


def denoise(
    signal: Any,
    model: Any = "denoise",
    *,
    temporal: str = "auto",
    faults: str = "mend",
    average: bool = False,
    tile_size: int | None = None,
    force: bool = False,
) -> Any:
    """Denoise the frames of a signal.

    Parameters
    ----------
    signal : hyperspy.signals.Signal2D
        Frames, with any navigation axes. The frames are a movie along an axis named t or time, else
        along the innermost axis, unless its name is that of another quantity (z, defocus, energy,
        tilt, x, ...).
    model : str, Path, keras.Model or engine
        A model for one image: "denoise", "denoise-fast", or your own. For a lazy signal that
        several processes compute, give the name of a file.
    temporal : {'auto', 'off'}
        Use neighbours in a movie that show the same field, or process each frame by itself. The
        frames of a lazy signal are always processed by themselves.
    faults : {'mend', 'keep'}
        Fill in saturated and dead lines, hot pixels and NaN, or keep their raw values.
    average : bool
        Average over eight mirrored and rotated copies of each frame; takes eight times as long.
    tile_size : int, optional
        Size of the tiles of large frames, in pixels.
    force : bool
        Treat as images what the signal says is none: diffraction patterns, 4D-STEM.

    Returns
    -------
    hyperspy.signals.Signal2D
        float32, with the intensity scale, axes and metadata of the signal; lazy if the signal is
        lazy.

    Raises
    ------
    InputError
        If the signal does not hold real images, or the model is not for single images with results
        of the same size.
    """
    from .inference.frames import TEMPORAL, letters_of
    from .inference.predict import predict
    from .models import Channels, Frames
    from .models.saving import card_of

    signal = _images_of(signal, force)
    if temporal not in TEMPORAL:
        raise InputError(f"temporal={temporal!r} is not known; choose from {TEMPORAL}")
    card = card_of(model)
    if (
        not isinstance(card.inputs, (Frames, Channels))
        or card.image_channels != 1
        or len(card.outputs) != 1
        or card.scale != 1
    ):
        raise InputError(
            f"{_told(model)} is a model for {card.problem}; denoise needs a model with one input "
            "image and one output image of the same size, for example 'denoise'"
        )
    found = predict(
        model, signal.data, axes=letters_of([a.name for a in _outer(signal)]), temporal=temporal,
        faults=faults, average=average, tile_size=tile_size,
    )  # fmt: skip
    alone = signal._lazy or temporal == "off"
    facts = {"temporal": "off" if alone else temporal, "faults": faults, "average": average}
    return _answer(signal, found, "denoise", {"model": _told(model), **facts})


def phase(
    signal: Any,
    *,
    defocus: Sequence[float] | float | None = None,
    wavelength: float | None = None,
    pixel_size: float | None = None,
    numerical_aperture: float | None = None,
    energy: float | None = None,
    refractive_index: float = 1.0,
    coherence_angle: float = 0.0,
    spherical_aberration: float = 0.0,
    model: Any = "phase",
    refine: bool | None = None,
    force: bool = False,
) -> Wave:
    """Retrieve phase and amplitude from a signal of defocused images.

    Parameters
    ----------
    signal : hyperspy.signals.Signal2D
        Its planes lie along the navigation axis named z, defocus, focus or depth, or along the
        only one. Other navigation axes count measurements, each with all planes.
    defocus : float or sequence of float, optional
        Of each plane, in um (Angstrom with `energy`), positive downstream; by default the values
        of the focus axis, if it has a unit of length. One number is the plane of all images.
    wavelength : float, optional
        Of light, in um.
    pixel_size : float, optional
        In the object, in um (Angstrom with `energy`); by default that of the signal's axes.
    numerical_aperture : float, optional
        Of the objective (with `energy` the half-angle of its aperture, in rad); by default all
        waves pass.
    energy : float, optional
        Of electrons, in eV, instead of a wavelength of light; all lengths are then in Angstrom.
    refractive_index, coherence_angle, spherical_aberration : float
        As for `mcnn_keras.Optics`.
    model : str, Path, keras.Model or engine
        A phase model, for any planes or for given planes.
    refine : bool, optional
        Improve the agreement of the wave with the images; by default with two or more planes.
    force : bool
        As for `denoise`.

    Returns
    -------
    Wave
        Phase and amplitude, two signals without the axis of the planes, otherwise with the axes
        and metadata of the signal; lazy if the signal is lazy. NaN in the rim of a field stop.

    Raises
    ------
    InputError
        If the signal does not hold real images, or planes, wavelength or pixel size are missing.

    Warns
    -----
    UserWarning
        If the measurement is outside of the model's training, the result does not explain the
        images, or the amplitude is a guess, as from one plane; for lazy signals when they are
        computed.
    """
    from .focal_series.network import frames_of
    from .models.saving import card_of

    signal = _images_of(signal, force)
    unit = "um" if energy is None else "A"
    optics = _optics(
        signal, wavelength, energy, pixel_size, numerical_aperture=numerical_aperture,
        refractive_index=refractive_index, coherence_angle=coherence_angle,
        spherical_aberration=spherical_aberration,
    )  # fmt: skip
    place, planes = _planes(signal, defocus, unit)
    card = card_of(model)
    frames_of(card, _told(model), planes, unit)  # raises an error if the model does not fit
    if place is None:
        images, left = signal.data[..., None, :, :], signal
    else:
        images = np.moveaxis(signal.data, place, -3)
        # HyperSpy counts the navigation axes from the innermost.
        inner = signal.axes_manager.navigation_dimension - 1 - place
        left = signal.inav[(*[slice(None)] * inner, 0)]
    facts = {"model": _told(model), "defocus": list(planes)}
    facts |= {name: value for name, value in optics.asdict().items() if value is not None}
    if signal._lazy:
        waves = _lazy_waves(images, planes, optics, model, refine, len(card.outputs))
    else:
        waves, scores = _waves(images, planes, optics, model, refine)
        facts["agreement"] = scores.tolist()
    found = _answer(left, waves[..., 0, :, :], "phase", facts, "Phase (rad)")
    if len(card.outputs) == 1:
        return Wave(found, None)
    if len(planes) == 1:
        facts["amplitude"] = "not determined"
    return Wave(found, _answer(left, waves[..., 1, :, :], "phase", facts, "Amplitude"))


def _images_of(signal: Any, force: bool) -> Any:
    """The signal with height and width last in its array; InputError without real images."""
    manager = getattr(signal, "axes_manager", None)
    if manager is None:
        raise InputError(
            f"a {type(signal).__name__} was given; a HyperSpy Signal2D is expected: "
            "hyperspy.api.signals.Signal2D(array)"
        )
    if manager.signal_dimension != 2:
        raise InputError(
            f"the signal has {manager.signal_dimension} signal axes, but images have two; choose "
            "two with signal.as_signal2D((0, 1))"
        )
    if signal.data.dtype.kind not in "buif":
        raise InputError(
            f"the signal holds values of type {signal.data.dtype}; real numbers are expected: "
            "signal.real, signal.amplitude, or signal.change_dtype('uint8') and one colour"
        )
    axes = [*_outer(signal), *(_axis(a) for a in manager.signal_axes[::-1])]
    kind = kind_of(axes, str(signal.metadata.get_item("Signal.signal_type", default="")))
    if kind and not force:
        raise InputError(
            f"the signal holds {kind}, and the models are made for images; give force=True to "
            "treat them as images"
        )
    last = {signal.data.ndim - 2, signal.data.ndim - 1}
    if {a.index_in_array for a in manager.signal_axes} != last:
        return signal.as_signal2D(manager.signal_axes)
    return signal


def _outer(signal: Any) -> list[Axis]:
    """The navigation axes in the order of the array, the innermost last."""
    return [_axis(a) for a in signal.axes_manager.navigation_axes[::-1]]


def _axis(own: Any) -> Axis:
    name = str(own.name)
    scale, offset = getattr(own, "scale", None), getattr(own, "offset", 0.0)
    return axis("" if name == "<undefined>" else name, own.size, scale, offset, own.units)


def _optics(
    signal: Any,
    wavelength: float | None,
    energy: float | None,
    pixel_size: float | None,
    numerical_aperture: float | None,
    refractive_index: float,
    coherence_angle: float,
    spherical_aberration: float,
) -> Optics:
    """The optics from the arguments, and the pixel size of the axes; never a guess."""
    if (wavelength is None) == (energy is None):
        raise InputError(
            "the wavelength is not known, and it is not guessed; give either wavelength=0.65 (um, "
            "of light) or energy=300e3 (eV, of electrons)"
        )
    unit = "um" if energy is None else "A"
    field = [_axis(a) for a in signal.axes_manager.signal_axes[::-1]]
    own = pixel_length(field, unit) if pixel_size is None else None
    pixel_size = own if pixel_size is None else pixel_size
    if pixel_size is None:
        raise InputError(
            f"the pixel size is not known, since the signal axes have no unit of length; give "
            f"pixel_size in {unit}, or set scale and units of signal.axes_manager.signal_axes"
        )
    if energy is None:
        return Optics(
            wavelength, pixel_size, numerical_aperture, refractive_index, coherence_angle,
            spherical_aberration,
        )  # fmt: skip
    if refractive_index != 1:
        raise InputError("electrons travel in vacuum; leave refractive_index out")
    return Optics.electron(
        energy, pixel_size, spherical_aberration, numerical_aperture, coherence_angle
    )


def _planes(
    signal: Any, defocus: Sequence[float] | float | None, unit: str
) -> tuple[int | None, tuple[float, ...]]:
    """The array's axis of planes, or None if all images are at one plane; and the planes."""
    outer = _outer(signal)
    focus = [i for i, a in enumerate(outer) if a.name.lower() in FOCUS_AXES]
    place = focus[-1] if focus else None
    if defocus is None:
        own = None if place is None else signal.axes_manager.navigation_axes[::-1][place]
        factor = None if own is None else LENGTHS.get(spelled(str(own.units)))
        if own is None or factor is None:
            raise InputError(
                "the planes are not known: no navigation axis named z or defocus has a unit of "
                f"length; give defocus=[...] in {unit} for each image"
            )
        return place, tuple(float(z) for z in own.axis * (factor / LENGTHS[unit]))
    planes = tuple(float(z) for z in np.atleast_1d(np.asarray(defocus, np.float64)))
    if place is None and len(planes) > 1:
        if len(outer) != 1:
            raise InputError(
                f"{counted(len(planes), 'plane')} given for a signal with {len(outer)} navigation "
                "axes; name the one that counts planes 'z'"
            )
        place = 0
    if place is not None and outer[place].size != len(planes):
        raise InputError(
            f"{counted(len(planes), 'plane')} given, and the navigation axis "
            f"{outer[place].name!r} has {counted(outer[place].size, 'image')}; give a defocus for "
            "each"
        )
    return place, planes


def _waves(
    images: Any, planes: Sequence[float], optics: Optics, model: Any, refine: bool | None
) -> tuple[np.ndarray, np.ndarray]:
    """Waves, (..., outputs, height, width), and agreements, (...), of images.

    The images are (..., planes, height, width).
    """
    from .focal_series.retrieval import wave_of

    outer = images.shape[:-3]
    found = [
        wave_of(np.moveaxis(stack, 0, -1), planes, optics, model, refine, say=_warn)
        for stack in without_mask(images).reshape(-1, *images.shape[-3:])
    ]
    waves = np.stack(
        [np.stack([c for c in (w.phase, w.amplitude) if c is not None]) for w in found]
    )
    scores = np.array([w.agreement for w in found])
    return waves.astype(np.float32).reshape(*outer, *waves.shape[1:]), scores.reshape(outer)


def _lazy_waves(
    images: Any,
    planes: Sequence[float],
    optics: Optics,
    model: Any,
    refine: bool | None,
    outputs: int,
) -> Any:
    """The same as a dask array of waves, with one measurement in each chunk."""
    from .inference.lazy import Travelling, loaded

    travelling = Travelling(model if hasattr(model, "card") else str(model))

    def block_waves(block: np.ndarray) -> np.ndarray:
        return _waves(block, planes, optics, loaded(travelling), refine)[0]

    outer = images.ndim - 3
    whole = images.rechunk(
        {**dict.fromkeys(range(outer), 1), outer: -1, outer + 1: -1, outer + 2: -1}
    )
    chunks = (*whole.chunks[:outer], (outputs,), *whole.chunks[-2:])
    empty = np.empty((0,) * images.ndim, np.float32)
    return whole.map_blocks(block_waves, dtype=np.float32, chunks=chunks, meta=empty)


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=2)


def _told(model: Any) -> str:
    """A model's name, or its problem."""
    return str(model) if isinstance(model, (str, Path)) else f"a model for {model.card.problem}"


def _answer(
    signal: Any, data: Any, operation: str, facts: dict[str, Any], quantity: str | None = None
) -> Any:
    """A signal like another one, with other data; the metadata record the processing."""
    from .models.saving import versions

    # The only way that keeps class, axes and metadata without a copy of the data.
    found = signal._deepcopy_with_new_data(data)
    before = found.metadata.get_item(RECORD, default=None)
    number = 0 if before is None else len(before)
    step = {"operation": operation, "mcnn_keras_version": versions()["mcnn-keras"], **facts}
    found.metadata.set_item(f"{RECORD}.{number}", step)
    if quantity is not None:
        found.metadata.set_item("Signal.quantity", quantity)
    return found
