"""Heat maps of several variants as one drawing: one scale of colours, one axis of steps, words beside them."""

import math
from collections.abc import Mapping
from html import escape

import numpy as np

from api.report.drawings import NAME_SIZE, NARROW, Axis, cut, lines_of, svg, tick, width_of
from gradient_clinic.maps.colours import NOT_FINITE, SILENT, data_uri, scale_limit
from gradient_clinic.maps.heatmaps import HeatMap, last_step, whole

WIDTH, LEFT, RIGHT = 920, 40.0, 12.0
TALL, LOWEST, BETWEEN, TOP = 110.0, 26.0, 24.0, 22.0
"""Heights: of a map, at least of one, of the name above it, and before the first."""
AXIS, BAR, LINE = 28.0, 260.0, 22.0
"""Of the legend: height of the axis of steps above it, width of the scale at most, height of a line."""


def heat_maps(maps: Mapping[str, HeatMap], width: float = WIDTH, most: float = math.inf) -> str:
    """By name, first layer at the bottom, each as wide as its share of the steps; nothing where no run has a trace.

    ``most``: the height that is there; maps are lower where there are many, but never so low that nothing is seen.
    """
    shown = {name: heat for name, heat in maps.items() if heat.levels.size}
    if not shown:
        return ""
    limit, last = scale_limit([heat.levels for heat in shown.values()]), last_step(shown.values())
    across = Axis(0.0, last + 1.0, LEFT, width - RIGHT)
    legend_height, legend = _legend(limit, width)
    rest = TOP - BETWEEN + AXIS + legend_height
    tall = max(min(TALL, (most - rest) / len(shown) - BETWEEN), LOWEST)
    drawn = [
        _one(name, heat, limit, across, TOP + at * (tall + BETWEEN), tall)
        for at, (name, heat) in enumerate(shown.items())
    ]
    bottom = TOP + len(shown) * (tall + BETWEEN) - BETWEEN
    steps = tick(LEFT, bottom + 15, "step 0") + tick(width - RIGHT, bottom + 15, str(last), "end")
    label = "heat maps of gradients, layer by step: " + ", ".join(shown)
    below = f'<g transform="translate(0 {bottom + AXIS:.1f})">{legend}</g>'
    return svg(width, bottom + AXIS + legend_height, label, "".join(drawn) + steps + below)


def _one(name: str, heat: HeatMap, limit: float, across: Axis, y: float, tall: float) -> str:  # noqa: PLR0913, PLR0917
    """``across``: steps to pixels, from before the first to behind the last."""
    width = max(across(int(heat.steps[-1, 1]) + 1.0) - LEFT, 1.0)
    whole = across.end - across.start
    words = (
        f'<text x="{LEFT}" y="{y - 6:.1f}" class="name">{escape(cut(name, whole, NAME_SIZE))}</text>'
        f"{tick(LEFT - 6, y + 10, 'last', 'end')}{tick(LEFT - 6, y + tall, 'first', 'end')}"
    )
    frame = f'<rect x="{LEFT}" y="{y:.1f}" width="{whole}" height="{tall:.1f}" class="frame"/>'
    image = _image(LEFT, y, width, tall, data_uri(heat.levels[::-1], limit, blank=heat.absent))
    return words + frame + image + _broken(heat, y + tall / 2, width)


def _image(x: float, y: float, width: float, height: float, uri: str) -> str:
    """Stretched, and its pixels kept apart."""
    return (
        f'<image x="{x}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" preserveAspectRatio="none" '
        f'class="pixels" href="{uri}"/>'
    )


def _broken(heat: HeatMap, y: float, width: float) -> str:
    """A ring where the first column is that has a value which is not finite."""
    columns = np.flatnonzero((np.isnan(heat.levels) | np.isposinf(heat.levels)).any(axis=0))
    if heat.absent or not columns.size:
        return ""
    x = LEFT + width * (int(columns[0]) + 0.5) / heat.levels.shape[1]
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" class="broken"/>'


def _legend(limit: float, width: float) -> tuple[float, str]:
    """Its height, and the scale with what the colours are of; below each other where these have no room beside it."""
    share = np.linspace(-1.0, 1.0, 101)
    across = min(BAR, width - LEFT - 2 * RIGHT)
    bar = _image(LEFT, 0.0, across, 12.0, data_uri((np.sign(share) * share**2 * limit)[np.newaxis, :], limit))
    ends = "".join(
        tick(LEFT + across * (at / 4), 26.0, whole(value), "middle")
        for at, value in enumerate((-limit, -limit / 4, 0.0, limit / 4, limit))
    )
    beside = width >= NARROW
    x, y = (LEFT + BAR + 20.0, 10.0) if beside else (0.0, 26.0 + LINE)
    lines = lines_of(WORDS, width - RIGHT - x)
    said = "".join(tick(x, y + (LINE - 6.0) * at, its) for at, its in enumerate(lines))
    keys_at = y + (LINE - 6.0) * (len(lines) - 1) + LINE
    keys, key_x = "", x
    for look, words in KEYS:
        wide = 17.0 + width_of(words)
        if key_x + wide > width:
            key_x, keys_at = x, keys_at + LINE
        keys += _key(key_x, keys_at, look, words)
        key_x += wide + RIGHT
    return keys_at + 8.0, bar + ends + said + keys


WORDS = "ln ratio of a layer's gradient to the last hidden one's, by layer and step"


def _key(x: float, y: float, look: str, words: str) -> str:
    return f'<rect x="{x}" y="{y - 10:.1f}" width="12" height="12" {look}/>{tick(x + 17, y, words)}'


def _fill(colour: tuple[int, int, int]) -> str:
    return f'fill="rgb({",".join(map(str, colour))})" stroke="#8c959f"'


KEYS = (
    (_fill(SILENT), "exactly zero"),
    (_fill(NOT_FINITE), "not finite"),
    ('class="frame"', "nothing recorded"),
)
