"""A curve of several variants as a drawing: mean over seeds, and the band from the lowest to the highest value."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from api.report.drawings import NARROW, Axis, cut, svg, tick, width_of
from api.report.palette import Place, places
from api.report.ticks import decades, power_words, round_ticks, tick_words
from gradient_clinic.values import Array
from models.traces.pictures import Picture

WIDTH = 920
HEIGHT, LOWER = 340.0, 240.0
"""Of a wide drawing, and of the plot of a narrow one, whose names stand below it."""
LEFT, RIGHT, TOP, BOTTOM = 66.0, 16.0, 26.0, 28.0
MARK, LINE = 24.0, 18.0
"""Before a name, and from one to the next."""
FAR_APART = 1_000.0
"""So many times as large, values are drawn by their logarithm."""


@dataclass(frozen=True, slots=True)
class Band:
    """Over common steps; NaN where no run has a finite value."""

    mean: Array
    low: Array
    high: Array


@dataclass(frozen=True, slots=True)
class Field:
    """Steps and values to pixels; ``y`` is of logarithms to base 10 where ``logs``."""

    x: Axis
    y: Axis
    logs: bool

    def points(self, steps: Array, values: Array) -> list[str]:
        scaled = np.log10(values) if self.logs else values
        return [f"{self.x(float(step)):.1f},{self.y(float(one)):.1f}" for step, one in zip(steps, scaled, strict=True)]


def curves(pictures: Mapping[str, Sequence[Picture]], title: str, width: float = WIDTH) -> str:
    """``pictures``: by variant, of each of its runs, of one curve. Nothing where nothing finite is recorded."""
    recorded = {name: [one for one in each if len(one.steps)] for name, each in pictures.items()}
    steps = common_steps(one for each in recorded.values() for one in each)[:, 0].astype(np.float64)
    if not steps.size:
        return ""
    bands = {name: over_seeds(each, steps) for name, each in recorded.items() if each}
    values = np.concatenate([part for band in bands.values() for part in (band.low, band.high)])
    finite = values[np.isfinite(values)]
    if not finite.size:
        return ""
    at = places(bands)
    height, right, names = _names(at, width)
    field = _field(steps, finite, width - right, LOWER if width < NARROW else height)
    drawn = [_line(band, steps, field, at[name]) for name, band in bands.items()]
    head = f'<text x="{LEFT}" y="14" class="name">{escape(title)}</text>'
    return svg(width, height, f"{title} by step", head + _frame(field) + "".join(drawn) + names)


def _names(at: Mapping[str, Place], width: float) -> tuple[float, float, str]:
    """The drawing's height, what is kept free right of the plot, and the names: there, or in rows below."""
    longest = MARK + max(width_of(name) for name in at)
    if width >= NARROW:
        right = min(longest + 2 * RIGHT, width / 3.0)
        x = width - right + RIGHT
        room = right - RIGHT - MARK
        drawn = [_named(cut(name, room), its, x, TOP + 10 + LINE * row) for row, (name, its) in enumerate(at.items())]
        return max(HEIGHT, TOP + LINE * len(at) + BOTTOM), right, "".join(drawn)
    columns = max(int(width / (longest + RIGHT)), 1)
    drawn = [
        _named(cut(name, width - MARK), its, row % columns * width / columns, LOWER + LINE * (row // columns + 1))
        for row, (name, its) in enumerate(at.items())
    ]
    return LOWER + LINE * math.ceil(len(at) / columns) + RIGHT, RIGHT, "".join(drawn)


def _field(steps: Array, finite: Array, right: float, height: float) -> Field:
    low, high = float(finite.min()), float(finite.max())
    logs = low > 0.0 and high / low > FAR_APART
    if logs:
        low, high = math.log10(low), math.log10(high)
    x = Axis(float(steps[0]), max(float(steps[-1]), 1.0), LEFT, right)
    return Field(x, Axis(low, high, height - BOTTOM, TOP), logs)


def common_steps(pictures: Iterable[Picture]) -> npt.NDArray[np.int64]:
    """(buckets, 2): the first and last step of each bucket of the run that went furthest."""
    recorded = [one.steps for one in pictures if len(one.steps)]
    return max(recorded, key=lambda steps: int(steps[-1, 1]), default=np.empty((0, 2), dtype=np.int64))


def over_seeds(runs: Sequence[Picture], steps: Array) -> Band:
    """The runs' buckets gathered at ``steps``, of which each reaches to the next: no extreme is lost."""
    count, total = np.zeros(len(steps)), np.zeros(len(steps))
    low, high = np.full(len(steps), np.inf), np.full(len(steps), -np.inf)
    for one in runs:
        cell = np.searchsorted(steps, one.steps[:, 0], side="right") - 1
        mean, least, most = (array[0] for array in (one.buckets.mean, one.buckets.minimum, one.buckets.maximum))
        known = np.isfinite(mean)
        np.add.at(count, cell[known], 1.0)
        np.add.at(total, cell[known], mean[known])
        np.minimum.at(low, cell[known], least[known])
        np.maximum.at(high, cell[known], most[known])
    there = count > 0
    mean = np.divide(total, count, out=np.full(len(steps), np.nan), where=there)
    return Band(mean, np.where(there, low, np.nan), np.where(there, high, np.nan))


def _line(band: Band, steps: Array, field: Field, place: Place) -> str:
    there = np.isfinite(band.mean)
    high, low, mean = (field.points(steps[there], part[there]) for part in (band.high, band.low, band.mean))
    dash = f' stroke-dasharray="{place.dash}"' if place.dash else ""
    if len(mean) == 1:
        # A line of one point is nothing to be seen: a run that broke at its start.
        x, y = mean[0].split(",")
        return f'<circle cx="{x}" cy="{y}" r="3" class="fill{place.slot}"/>'
    return (
        f'<polygon points="{" ".join(high + low[::-1])}" class="fill{place.slot}" fill-opacity="0.16"/>'
        f'<polyline points="{" ".join(mean)}" class="line{place.slot}" fill="none" stroke-width="1.8"{dash}/>'
    )


def _named(name: str, place: Place, x: float, y: float) -> str:
    dash = f' stroke-dasharray="{place.dash}"' if place.dash else ""
    ends = f'x1="{x:.1f}" x2="{x + 18:.1f}" y1="{y - 4:.1f}" y2="{y - 4:.1f}"'
    return f'<line {ends} class="line{place.slot}" stroke-width="3"{dash}/>{tick(x + MARK, y, name)}'


def _frame(field: Field) -> str:
    x, y = field.x, field.y
    values = decades(y.low, y.high) if field.logs else round_ticks(y.low, y.high)
    words = power_words(values) if field.logs else tick_words(values)
    rows = "".join(
        f'<line x1="{x.start}" x2="{x.end:.1f}" y1="{y(value):.1f}" y2="{y(value):.1f}" class="grid"/>'
        f"{tick(x.start - 6, y(value) + 4, shown, 'end')}"
        for value, shown in zip(values, words, strict=True)
    )
    return rows + tick(x.start, y.start + 18, f"step {x.low:.0f}") + tick(x.end, y.start + 18, f"{x.high:.0f}", "end")
