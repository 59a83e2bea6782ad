"""The report of a watch as one self-contained page: no script, nothing from anywhere else, every name escaped.

Its maps are those of the service's report (``gradient_clinic/maps``), whose numbers are summed up over buckets; here a
column of a map is the mean of the records in it, or the last one before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

import numpy as np

from gradient_clinic.maps.colours import scale_limit
from gradient_clinic.maps.heatmaps import HeatMap, figure, last_step, legend
from gradient_clinic.maps.sheet import STYLE, allowed
from gradient_clinic.signals import SignalName
from gradient_clinic.values import Array
from gradient_clinic.verdict.shapes import Evidence
from gradient_clinic.verdict.wording import number
from gradient_clinic.watcher.report import Observed, Report, report_of
from gradient_clinic.watcher.trace import trace_of

POINTS: Final = 200
"""Columns of a map at most."""
MAPS: Final[tuple[tuple[SignalName, str], ...]] = (
    ("activation_gradient_rms", "Gradients: ln of each layer's rms δ over that of the last hidden layer"),
    ("activation_rms", "Signals: ln of each layer's rms h over that of the last hidden layer"),
)
ROWS: Final = "first layer at the bottom. All maps have one scale of colours"


@dataclass(frozen=True, slots=True)
class Map:
    title: str
    heat: HeatMap


def page_of(its: Observed) -> str:
    """HTML, as ``Watch.report("html")`` gives it."""
    report, maps = report_of(its), maps_of(its)
    title = escape(f"{type(its.model).__name__}: {its.conditions}")
    policy = f"default-src 'none'; base-uri 'none'; form-action 'none'; {allowed(STYLE)}"
    parts = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        f'<meta name="viewport" content="width=device-width"><title>{title} – Gradient Clinic</title>',
        f'<link rel=icon href="data:,"><style>{STYLE}</style></head><body><h1>{title}</h1>',
        f"{_answer(report)}{_evidence(report)}{_drawn(maps)}{_layers(its)}</body></html>",
    )
    return "".join(parts)


def maps_of(its: Observed) -> list[Map]:
    """None where no h on a depth axis was measured."""
    records = its.records.kept()
    trace = trace_of(its.rows, records, its.records.largest_update) if records else None
    if trace is None:
        return []
    rows = [index for index, layer in enumerate(trace.layers) if layer.role == "hidden"]
    beside = len(trace.layers) - len(rows)
    caption = f"{len(rows)} hidden layers ({beside} {'row' if beside == 1 else 'rows'} beside the depth axis left out)"
    edges, values = _columns(trace.steps), [(title, trace.signals[name][rows]) for name, title in MAPS]
    return [
        Map(title, HeatMap(_levels(_held(rms, trace.steps, edges)), _spans(edges), caption)) for title, rms in values
    ]


def _columns(steps: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Array:
    """The first step of each column, and the end of the last. The first record lies in the first one."""
    first, end = int(steps[0]), int(steps[-1]) + 1
    return np.linspace(first, end, min(POINTS, end - first) + 1).astype(np.int64).astype(np.float64)


def _spans(edges: Array) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.stack([edges[:-1], edges[1:] - 1.0], axis=1).astype(np.int64)


def _held(rms: Array, steps: np.ndarray[tuple[int, ...], np.dtype[np.int64]], edges: Array) -> Array:
    """(rows, columns)."""
    columns: list[Array] = []
    for first, end in pairwise(edges):
        inside = np.flatnonzero((steps >= first) & (steps < end))
        columns.append(rms[:, inside].mean(axis=1) if inside.size else columns[-1])
    return np.stack(columns, axis=1)


def _levels(rms: Array) -> Array:
    """An exact zero is −∞."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(rms)
        return np.where(rms == 0.0, -np.inf, logs - logs[-1])


def _answer(report: Report) -> str:
    lines = report.text().splitlines()
    return f"<p class=answer>{'<br>'.join(map(escape, lines))}</p>"


def _evidence(report: Report) -> str:
    if report.verdict is None or not report.verdict.evidence:
        return ""
    rows = "".join(map(_row, report.verdict.evidence))
    head = "<tr><th>Signal<th>Layers<th>Steps<th>Statistic<th>Value<th>Threshold</tr>"
    return f"<h2>What it rests on</h2><table class=words>{head}{rows}</table>"


def _row(item: Evidence) -> str:
    steps = "" if item.steps is None else "–".join(map(str, dict.fromkeys(item.steps)))
    texts = (
        item.signal.replace("_", " "),
        _few(item.layers),
        steps,
        item.statistic.replace("_", " "),
        number(item.value),
        number(item.threshold),
    )
    return f"<tr>{''.join(f'<td>{escape(text)}' for text in texts)}</tr>"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{names[0]} … {names[-1]}"


def _drawn(maps: Sequence[Map]) -> str:
    if not maps:
        return ""
    limit, last = scale_limit([its.heat.levels for its in maps]), last_step([its.heat for its in maps])
    figures = "".join(f"<h3>{escape(its.title)}</h3>{figure(its.title, its.heat, limit, last)}" for its in maps)
    return f"<h2>Layer by layer</h2><p class=dim>{ROWS}.<br>{legend(limit)}</p>{figures}"


def _layers(its: Observed) -> str:
    if not its.rows:
        return ""
    rows = "".join(f"<tr><td>{escape(row.name)}<td>{escape(row.described)}</tr>" for row in its.rows)
    return f"<h2>What is watched</h2><table>{rows}</table>"
