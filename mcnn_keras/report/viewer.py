"""A view as HTML: its layers over one another, the controls, and a colour bar for each layer."""

from __future__ import annotations

from collections.abc import Sequence

from .layers import BLUE, MISSING, PIXELS, RED, WHITE, Layer, View, numerals
from .page import data_uri, escaped, facts_of, listed

GREY = "linear-gradient(to right, #000, #fff)"
DIVERGING = "linear-gradient(to right, {}, {}, {})".format(
    *(f"rgb{colour}" for colour in (BLUE, WHITE, RED))
)
HELP = (
    "Each image shows two layers, left and right of a line. Drag the line, or use the slider "
    "below. Zoom with the buttons, with two fingers, or with Ctrl and the wheel; all layers move "
    "together, and dragging then moves the image. With the image in focus, the keys + - 0 zoom and "
    "the arrow keys move. Without another remark, black and white (or blue and red) stand for the "
    "percentiles 0.2 and 99.8 of what is shown."
)


def views_of(views: Sequence[View], pixels: float = PIXELS) -> str:
    """All views of a page, in at most that many pixels together."""
    if not views:
        return ""
    shown = [show(view.within(pixels / len(views)), i) for i, view in enumerate(views, 1)]
    alone = " alone" if len(shown) == 1 else ""
    body = "\n".join(shown)
    return f'<p class="quiet" id="help">{HELP}</p>\n<div class="views{alone}">\n{body}\n</div>'


def show(view: View, number: int) -> str:
    """One view.

    Parameters
    ----------
    view : View
    number : int
        Different for each view of a page.
    """
    height, width = view.layers[0].array.shape[:2]
    place = f"view-{number}"
    images = "\n".join(
        f'<img alt="{_told(layer, view)}" data-title="{escaped(layer.title)}" '
        f'src="{data_uri(layer.png())}">'
        for layer in view.layers
    )
    wide, bar = "", ""
    if view.pixel:
        unit = escaped(view.pixel_unit)
        wide = f' data-width="{view.pixel * width:.9g}" data-unit="{unit}"'
        bar = '<div class="bar"><span></span><i></i></div>'
    two = len(view.layers) > 1
    over = '<div class="line"></div>\n<div class="tag"></div>\n<div class="tag right"></div>\n'
    legends = "\n".join(_legend(layer) for layer in view.layers)
    return f"""<article class="view" aria-labelledby="{place}"{wide}>
<h3 id="{place}">{escaped(view.name)}</h3>
{listed(view.warnings, f"Warnings of {view.name}", warning=True)}
<div class="stage" tabindex="0" role="group" aria-label="Layers of {escaped(view.name)}"
aria-describedby="help" style="--shape: {width / height:.5g}">
<div class="pan">
{images}
</div>
{over * two}{bar}
</div>
<div class="controls">
{_choices(view, place) * two}<div class="buttons across" role="group" aria-label="Zoom">
<button type="button" value="out" aria-label="Zoom out">&minus;</button>
<button type="button" value="in" aria-label="Zoom in">+</button>
<button type="button" value="all">Whole image</button>
<output aria-label="Zoom factor"></output></div>
</div>
<div class="legends">
{legends}
</div>
{facts_of(view.facts)}
</article>"""


def _choices(view: View, place: str) -> str:
    """Which layers are left and right, and the slider between them."""
    parts = []
    for side, chosen in (("Left", 0), ("Right", 1)):
        options = "".join(
            f'<option value="{i}"{" selected" * (i == chosen)}>{escaped(layer.title)}</option>'
            for i, layer in enumerate(view.layers)
        )
        parts.append(f'<label for="{place}-{side}">{side}<select id="{place}-{side}">{options}'
                     "</select></label>\n")  # fmt: skip
    return (
        f'<label class="across" for="{place}-line">Line between left and right'
        f'<input id="{place}-line" type="range" min="0" max="100" step="0.5" value="50"></label>\n'
        + "".join(parts)
    )


def _legend(layer: Layer) -> str:
    """The title of a layer, its colour bar with limits and unit, and its note."""
    parts = [f"<b>{escaped(layer.title)}</b>"]
    if not layer.colour:
        low, high = numerals(*layer.limits)
        ramp = DIVERGING if layer.diverging else GREY
        unit = escaped(layer.unit)
        parts.append(
            f'<div class="ramp" style="background: {ramp}"></div>'
            f'<div class="ends"><span>{low}</span><span>{unit}</span><span>{high}</span></div>'
        )
    missing = _missing(layer)
    if missing:
        colour = "rgb({}, {}, {})".format(*MISSING)
        parts.append(
            f'<div class="note"><span style="color: {colour}; background: #000">&#9632;</span> '
            f"no value ({missing})</div>"
        )
    if layer.note:
        parts.append(f'<div class="note">{escaped(layer.note)}</div>')
    return f'<div class="legend">{"".join(parts)}</div>'


def _missing(layer: Layer) -> str:
    """The share of pixels without a value, in words; "" if all have one."""
    import numpy as np

    lost = ~np.isfinite(layer.array)
    lost = lost.any(-1) if layer.colour else lost
    if not lost.any():
        return ""
    return f"{max(100 * float(lost.mean()), 0.01):.2g} % of the pixels"


def _told(layer: Layer, view: View) -> str:
    """What stands for the picture where it cannot be seen."""
    height, width = layer.array.shape[:2]
    told = f"{layer.title} of {view.name}, {width} x {height} pixels"
    if not layer.colour:
        low, high = numerals(*layer.limits)
        ends = ("blue", "red") if layer.diverging else ("black", "white")
        told += f", {ends[0]} {low} to {ends[1]} {high} {layer.unit}".rstrip()
    return escaped(told)
