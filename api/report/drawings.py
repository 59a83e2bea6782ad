"""Profiles of gradients as inline SVG, from the comparison's own numbers; and what all drawings are made of."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from gradient_clinic.intervals import Estimate
from gradient_clinic.maps.heatmaps import whole
from models.analysis.comparison.parts import ProfileLayer

WIDTH, HEIGHT = 300.0, 150.0
LEFT, BOTTOM = 34.0, 20.0
LIMIT = 3.0
TICK = 10.0
"""So far apart labels of ticks can be read."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Data to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def range_of(profiles: Iterable[Sequence[ProfileLayer]]) -> tuple[int, int]:
    """The axis that all of them share: whole numbers around every measured and predicted r, and ±3 inside."""
    layers = [layer for one in profiles for layer in one]
    measured = [layer.at_start.mean for layer in layers if layer.at_start is not None]
    predicted = [layer.predicted for layer in layers]
    known = [-LIMIT - 0.5, LIMIT + 0.5, *(value for value in [*measured, *predicted] if value is not None)]
    return math.floor(min(known)), math.ceil(max(known))


def profile(layers: Sequence[ProfileLayer], low: float, high: float) -> str:
    """r per layer before training: measured with its interval (points), predicted (line), and the limits ±3.

    Layers are counted by their place among the hidden ones, as the rows of the heat maps are: the plan's index counts
    layers inside branches too.
    """
    if not layers:
        return ""
    x = Axis(1, len(layers), LEFT, WIDTH - 6)
    y = Axis(low, high, HEIGHT - BOTTOM, 6)
    parts = [_band(y, low, high), _line(layers, x, y)]
    parts += [
        _point(x(place), y, layer.at_start, low, high)
        for place, layer in enumerate(layers, start=1)
        if layer.at_start is not None and layer.at_start.mean is not None
    ]
    label = "measured (points, 95 %) and predicted (line) ln ratio to the last hidden layer, by hidden layer"
    places = "hidden layer 1" if len(layers) == 1 else f"hidden layer 1 to {len(layers)}"
    return svg(WIDTH, HEIGHT, label, "".join(parts) + _frame(y, low, high, places))


def _band(y: Axis, low: float, high: float) -> str:
    top, bottom = y(min(LIMIT, high)), y(max(-LIMIT, low))
    return f'<rect x="{LEFT}" y="{top:.1f}" width="{WIDTH - LEFT - 6:.1f}" height="{bottom - top:.1f}" class="band"/>'


def _line(layers: Sequence[ProfileLayer], x: Axis, y: Axis) -> str:
    points = " ".join(
        f"{x(place):.1f},{y(layer.predicted):.1f}"
        for place, layer in enumerate(layers, start=1)
        if layer.predicted is not None
    )
    return f'<polyline points="{points}" class="theory"/>'


def _point(x: float, y: Axis, estimate: Estimate, low: float, high: float) -> str:
    assert estimate.mean is not None  # asked only of estimates that have one
    interval = ""
    if estimate.low is not None and estimate.high is not None:
        top, bottom = y(min(estimate.high, high)), y(max(estimate.low, low))
        interval = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" class="interval"/>'
    return f'{interval}<circle cx="{x:.1f}" cy="{y(estimate.mean):.1f}" r="2.2" class="measured"/>'


def _frame(y: Axis, low: float, high: float, below: str) -> str:
    ticks = [value for value in (low, 0.0, high) if value == 0.0 or abs(y(value) - y(0.0)) > TICK]
    labels = "".join(
        f'<text x="{LEFT - 4}" y="{y(value) + 3:.1f}" class="tick" text-anchor="end">{whole(value)}</text>'
        f'<line x1="{LEFT}" x2="{WIDTH - 6}" y1="{y(value):.1f}" y2="{y(value):.1f}" class="grid"/>'
        for value in dict.fromkeys(ticks)
    )
    return labels + f'<text x="{LEFT}" y="{HEIGHT - 6}" class="tick">{escape(below)}</text>'


def svg(width: float, height: float, label: str, inner: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img" aria-label="{escape(label)}">'
        f"{inner}</svg>"
    )
