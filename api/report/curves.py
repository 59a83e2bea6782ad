"""A curve of several variants as a drawing: mean over seeds, and the band from the lowest to the highest value."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from api.report.drawings import Axis, svg
from api.report.palette import Place, places
from api.report.ticks import decades, round_ticks, tick_words
from gradient_clinic.values import Array
from gradient_clinic.verdict.wording import number
from models.traces.pictures import Picture

WIDTH, HEIGHT = 920.0, 340.0
LEFT, RIGHT, TOP, BOTTOM = 66.0, 190.0, 26.0, 28.0
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


def curves(pictures: Mapping[str, Sequence[Picture]], title: str) -> str:
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
    field, at = _field(steps, finite), places(bands)
    drawn = [_line(band, steps, field, at[name]) for name, band in bands.items()]
    names = [_named(name, at[name], row) for row, name in enumerate(bands)]
    head = f'<text x="{LEFT}" y="14" class="name">{escape(title)}</text>'
    return svg(WIDTH, HEIGHT, f"{title} by step", head + _frame(field) + "".join(drawn + names))


def _field(steps: Array, finite: Array) -> Field:
    low, high = float(finite.min()), float(finite.max())
    logs = low > 0.0 and high / low > FAR_APART
    if logs:
        low, high = math.log10(low), math.log10(high)
    x = Axis(float(steps[0]), max(float(steps[-1]), 1.0), LEFT, WIDTH - RIGHT)
    return Field(x, Axis(low, high, HEIGHT - BOTTOM, TOP), logs)


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


def _named(name: str, place: Place, row: int) -> str:
    x, y = WIDTH - RIGHT + 12, TOP + 10 + 18 * row
    dash = f' stroke-dasharray="{place.dash}"' if place.dash else ""
    mark = f'<line x1="{x}" x2="{x + 18}" y1="{y - 4}" y2="{y - 4}" class="line{place.slot}" stroke-width="3"{dash}/>'
    return f'{mark}<text x="{x + 24}" y="{y}" class="tick">{escape(name[:26])}</text>'


def _frame(field: Field) -> str:
    x, y = field.x, field.y
    values = decades(y.low, y.high) if field.logs else round_ticks(y.low, y.high)
    words = [number(10.0**value, 1) for value in values] if field.logs else tick_words(values)
    rows = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" class="grid"/>'
        f'<text x="{LEFT - 6}" y="{y(value) + 3:.1f}" class="tick" text-anchor="end">{shown}</text>'
        for value, shown in zip(values, words, strict=True)
    )
    ends = "".join(
        f'<text x="{x(value):.1f}" y="{HEIGHT - 8}" class="tick" text-anchor="{anchor}">{words}</text>'
        for value, anchor, words in ((x.low, "start", f"step {x.low:.0f}"), (x.high, "end", f"{x.high:.0f}"))
    )
    return rows + ends
