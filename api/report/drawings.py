"""Profiles of gradients as inline SVG, from the comparison's own numbers; and what all drawings are made of."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from gradient_clinic.intervals import Estimate
from gradient_clinic.maps.heatmaps import whole
from models.analysis.comparison.parts import ProfileLayer

WIDTH, HEIGHT = 300, 150.0
LEFT, RIGHT, BOTTOM = 40.0, 6.0, 22.0
LIMIT = 3.0
TICK = 12.0
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


def profile(layers: Sequence[ProfileLayer], low: float, high: float, width: float = WIDTH) -> str:
    """r per layer before training: measured with its interval (points), predicted (line), and the limits ±3.

    Layers are counted by their place among the hidden ones, as the rows of the heat maps are: the plan's index counts
    layers inside branches too.
    """
    if not layers:
        return ""
    x = Axis(1, len(layers), LEFT, width - RIGHT)
    y = Axis(low, high, HEIGHT - BOTTOM, 6)
    marks = [_line(layers, x, y)]
    marks += [
        _point(x(place), y, layer.at_start, low, high)
        for place, layer in enumerate(layers, start=1)
        if layer.at_start is not None and layer.at_start.mean is not None
    ]
    label = "measured (points, 95 %) and predicted (line) ln ratio to the last hidden layer, by hidden layer"
    places = "hidden layer 1" if len(layers) == 1 else f"hidden layer 1 to {len(layers)}"
    return svg(width, HEIGHT, label, _band(x, y) + _frame(x, y, places) + "".join(marks))


def _band(x: Axis, y: Axis) -> str:
    top, bottom = y(min(LIMIT, y.high)), y(max(-LIMIT, y.low))
    size = f'width="{x.end - x.start:.1f}" height="{bottom - top:.1f}"'
    return f'<rect x="{x.start}" y="{top:.1f}" {size} class="band"/>'


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


def _frame(x: Axis, y: Axis, below: str) -> str:
    ticks = [value for value in (y.low, 0.0, y.high) if value == 0.0 or abs(y(value) - y(0.0)) > TICK]
    labels = "".join(
        f'<text x="{x.start - 4}" y="{y(value) + 4:.1f}" class="tick" text-anchor="end">{whole(value)}</text>'
        f'<line x1="{x.start}" x2="{x.end}" y1="{y(value):.1f}" y2="{y(value):.1f}" class="grid"/>'
        for value in dict.fromkeys(ticks)
    )
    return labels + f'<text x="{x.start}" y="{HEIGHT - 6}" class="tick">{escape(below)}</text>'


TICK_SIZE, NAME_SIZE = 12.0, 14.0
"""Of letters, as the style sheets have them: pixels at any width of a drawing."""
LETTER = 0.65
"""A letter's width at most, as a share of its size, in DejaVu Sans, which is wider than most; of thin and wide ones:"""
WIDTHS = dict.fromkeys(" .,:;|!'()[]/\\ijlfrt", 0.4) | dict.fromkeys("mwMW−+%@=…", 0.98)
NARROW = 760.0
"""Below this what stands beside each other in wider drawings stands below each other."""


def width_of(text: str, size: float = TICK_SIZE) -> float:
    """Those that Latin has not may be as wide as they are high."""
    return size * sum(WIDTHS.get(letter, LETTER if letter < "\u2e80" else 1.0) for letter in text)


def cut(text: str, room: float, size: float = TICK_SIZE) -> str:
    """Its beginning, as much as has room."""
    if width_of(text, size) <= room:
        return text
    while text and width_of(f"{text}…", size) > room:
        text = text[:-1]
    return f"{text}…"


def lines_of(text: str, room: float) -> list[str]:
    """Broken between words, for letters of ticks."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".lstrip()
        if width_of(longer) <= room or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def tick(x: float, y: float, words: str, anchor: str = "start") -> str:
    aligned = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" class="tick"{aligned}>{escape(words)}</text>'


def svg(width: float, height: float, label: str, inner: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img" aria-label="{escape(label)}">'
        f"{inner}</svg>"
    )
