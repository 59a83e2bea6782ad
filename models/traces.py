"""Traces out of PostgreSQL, by window: raw, in buckets, or from rollups. Written by ``models/recording.py``."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session

from models.analysis.trace import RunTrace
from models.copying import array_values
from models.plan import Plan
from models.recording import CHUNK_RECORDS, ROLLUP_ARRAYS
from models.signals import CURVES, SIGNALS, CurveName, SignalName
from models.tables import CurveChunk, EpochValue, TraceChunk, TraceRollup
from models.thinning import Buckets, bucket_size, joined

Doubles = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Window:
    """Values of a stretch of records, raw. ``values``: (rows, records), a row per layer or per curve."""

    steps: Steps
    values: Doubles


@dataclass(frozen=True, slots=True)
class Picture:
    """A stretch of records in buckets; ``steps`` is (buckets, 2): the first and last step of each."""

    steps: Steps
    buckets: Buckets
    raw: bool


def read_signal(  # noqa: PLR0913, PLR0917 -- a window has these sides
    session: Session, run_id: uuid.UUID, signal: SignalName, layers: Sequence[int], first: int, last: int
) -> Window:
    """The raw values of one signal in steps ``first`` … ``last`` (both included), layers by index from 1."""
    column = getattr(TraceChunk, signal)
    rows = session.execute(
        _overlapping(TraceChunk, run_id, first, last)
        .add_columns(TraceChunk.layer_index, func.array_send(column), func.cardinality(TraceChunk.weight_norm))
        .where(TraceChunk.layer_index.in_(layers))
        .order_by(TraceChunk.layer_index, TraceChunk.chunk)
    ).all()
    by_layer: dict[int, list[Doubles]] = {layer: [] for layer in layers}
    steps: dict[int, Steps] = {}
    for begin, stride, layer, sent, length in rows:
        steps[begin] = begin + stride * np.arange(length, dtype=np.int64)
        by_layer[layer].append(np.full(length, np.nan) if sent is None else array_values(sent, np.float32))
    return _clip(steps, [np.concatenate(its) if its else np.empty(0) for its in by_layer.values()], first, last)


def read_curves(session: Session, run_id: uuid.UUID, curves: Sequence[CurveName], first: int, last: int) -> Window:
    """The raw values of some curves in steps ``first`` … ``last``, a row per curve."""
    rows = session.execute(
        _overlapping(CurveChunk, run_id, first, last)
        .add_columns(*(func.array_send(getattr(CurveChunk, curve)) for curve in curves))
        .order_by(CurveChunk.chunk)
    ).all()
    steps: dict[int, Steps] = {}
    parts: list[list[Doubles]] = [[] for _ in curves]
    for begin, stride, *sent in rows:
        values = [array_values(one, np.float64) for one in sent]
        steps[begin] = begin + stride * np.arange(len(values[0]), dtype=np.int64)
        for part, its in zip(parts, values, strict=True):
            part.append(its)
    return _clip(steps, [np.concatenate(part) if part else np.empty(0) for part in parts], first, last)


def _overlapping(
    table: type[TraceChunk] | type[CurveChunk], run_id: uuid.UUID, first: int, last: int
) -> Select[int, int]:
    reach = table.first_step + (CHUNK_RECORDS - 1) * table.stride
    return select(table.first_step, table.stride).where(
        table.run_id == run_id, table.first_step <= last, reach >= first
    )


def _clip(steps: dict[int, Steps], values: Sequence[Doubles], first: int, last: int) -> Window:
    joined_steps = np.concatenate([steps[begin] for begin in sorted(steps)]) if steps else np.empty(0, dtype=np.int64)
    inside = (joined_steps >= first) & (joined_steps <= last)
    matrix = np.stack(values) if values else np.empty((0, 0))
    return Window(joined_steps[inside], matrix[:, inside])


def picture(window: Window, points: int) -> Picture:
    """At most ``points`` buckets of a raw window; every extreme and every non-finite value is kept."""
    size = bucket_size(len(window.steps), points)
    return Picture(_ranges(window.steps, size), Buckets.of(window.values, size), raw=size == 1)


def _ranges(steps: Steps, size: int) -> Steps:
    starts = np.arange(0, len(steps), size)
    ends = np.minimum(starts + size, len(steps)) - 1
    return np.stack([steps[starts], steps[ends]], axis=1)


def read_rollup(
    session: Session, run_id: uuid.UUID, signal: SignalName, layers: Sequence[int], points: int
) -> Picture | None:
    """The whole run in at most ``points`` buckets, from stored ones; None where the run is too short to have any."""
    rows = session.execute(
        select(
            TraceRollup.layer_index,
            TraceRollup.stride,
            TraceRollup.bucket_records,
            TraceRollup.records,
            *(func.array_send(getattr(TraceRollup, name)) for name in ROLLUP_ARRAYS),
        )
        .where(TraceRollup.run_id == run_id, TraceRollup.signal == signal, TraceRollup.layer_index.in_(layers))
        .order_by(TraceRollup.layer_index, TraceRollup.part)
    ).all()
    if not rows:
        return None
    stride, size = rows[0].stride, rows[0].bucket_records
    by_layer: dict[int, list[Buckets]] = {layer: [] for layer in layers}
    for layer, _, _, records, *sent in rows:
        arrays = [array_values(one, np.float32) for one in sent]
        filled = np.minimum(size, records - size * np.arange(len(arrays[0])))
        by_layer[layer].append(Buckets.from_arrays(arrays, filled.astype(np.float64)))
    whole = [joined(parts) for parts in by_layer.values()]
    stacked = [np.stack(its) for its in zip(*(one.arrays for one in whole), strict=True)]
    buckets = Buckets.from_arrays(stacked, whole[0].records)
    group = bucket_size(len(buckets.records), points)
    steps = stride * np.arange(int(buckets.records.sum()), dtype=np.int64)
    return Picture(_ranges(steps, size * group), buckets.merged(group), raw=False)


def first_broken_chunk(session: Session, run_id: uuid.UUID) -> int | None:
    """The first step of the earliest chunk that holds a non-finite count or h; None where all is finite."""
    # Where there are rollups they know it without millions of values being looked at.
    rolled = session.execute(
        select(func.count(), func.min(TraceRollup.first_step).filter(text(_BROKEN_BUCKET))).where(
            TraceRollup.run_id == run_id, TraceRollup.signal.in_(["nonfinite_count", "activation_rms"])
        )
    ).one()
    broken_part: int | None = rolled[1]
    if rolled[0] and broken_part is None:
        return None
    return session.execute(
        select(func.min(TraceChunk.first_step)).where(
            TraceChunk.run_id == run_id, TraceChunk.first_step >= (broken_part or 0), text(_BROKEN_CHUNK)
        )
    ).scalar_one()


_BROKEN_CHUNK = "(0 <> ANY (nonfinite_count) OR 'NaN' = ANY (activation_rms) OR 'Infinity' = ANY (activation_rms))"
_BROKEN_BUCKET = "(0 <> ANY (nonfinite) OR (signal = 'nonfinite_count' AND 0 <> ANY (maximum)))"


def read_run(session: Session, run_id: uuid.UUID, plan: Plan, first: int = 0, last: int | None = None) -> RunTrace:
    """The trace of a run as the analysis reads it: of all steps, or of ``first`` … ``last``."""
    layers = [layer.index for layer in plan.layers]
    end = plan.steps if last is None else last
    signals = {name: read_signal(session, run_id, name, layers, first, end) for name in SIGNALS}
    curves = read_curves(session, run_id, CURVES, first, end)
    time = plan.network.time
    states = [len(layers) + 1 + row for row in range(len(time))]
    of_states = read_signal(session, run_id, "activation_gradient_rms", states, first, end) if time else None
    return RunTrace(
        layers=plan.layers,
        steps=curves.steps,
        signals={name: window.values for name, window in signals.items()},
        curves=dict(zip(CURVES, curves.values, strict=True)),
        time=time,
        state_gradient_rms=np.zeros((0, len(curves.steps))) if of_states is None else of_states.values,
    )


def read_epochs(session: Session, run_id: uuid.UUID) -> list[tuple[float, float]]:
    """(validation loss, validation metric) per epoch."""
    rows = session.execute(
        select(EpochValue.validation_loss, EpochValue.validation_metric)
        .where(EpochValue.run_id == run_id)
        .order_by(EpochValue.epoch)
    )
    return [(row.validation_loss, row.validation_metric) for row in rows]
