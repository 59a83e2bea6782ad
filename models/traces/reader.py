"""Raw traces out of PostgreSQL, value by value. Written by ``writer.py``; as pictures: ``pictures.py``.

All reads are by number of chunk, which the key holds: a window of a long run costs its own chunks and no others.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import BigInteger, ColumnElement, Integer, RowMapping, Select, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session, aliased

from gradient_clinic.signals import CURVES, SIGNALS, CurveName, SignalName
from gradient_clinic.verdict.run_trace import RunTrace
from models.plan.watched import Recorded
from models.storage.trace_tables import CurveChunk, EpochValue, TraceChunk
from models.traces.binary import array_values
from models.traces.rollups import CHUNK_RECORDS
from models.traces.writer import Block

Doubles = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Window:
    """Values of a stretch of records, raw. ``values``: (…, rows, records), a row per layer or per curve."""

    steps: Steps
    values: Doubles


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is stored of a run: record i is step ``i · stride``, and records 0 … ``records`` − 1 were written."""

    stride: int
    records: int

    @property
    def last_step(self) -> int:
        return (self.records - 1) * self.stride

    def between(self, first: int, last: int) -> tuple[int, int]:
        """The records begin … end − 1 in steps ``first`` … ``last``, both included."""
        begin = -(-max(first, 0) // self.stride)
        return begin, max(begin, min(last // self.stride + 1, self.records))


_NEWEST = (
    select(CurveChunk.first_step, CurveChunk.stride, func.cardinality(CurveChunk.loss))
    .where(CurveChunk.run_id == bindparam("run_id"))
    .order_by(CurveChunk.chunk.desc())
    .limit(1)
)


def extent(session: Session, run_id: uuid.UUID) -> Extent:
    """The extent of what the chunks hold now."""
    # The newest chunk alone tells: all before it are full.
    newest = session.execute(_NEWEST, {"run_id": run_id}).one_or_none()
    if newest is None:
        return Extent(1, 0)
    first, stride, length = newest
    return Extent(stride, first // stride + length)


def read_signals(  # noqa: PLR0913, PLR0917 -- a window has these sides
    session: Session, run_id: uuid.UUID, signals: Sequence[SignalName], layers: Sequence[int], first: int, last: int
) -> Window:
    """The raw values of some signals in steps ``first`` … ``last`` (both included), layers by index from 1.

    ``values`` is (signals, layers, records).
    """
    if not layers:  # a log has curves alone, and they say which records there are
        steps = read_curves(session, run_id, ["loss"], first, last).steps
        return Window(steps, np.empty((len(signals), 0, len(steps))))
    asked = {"run_id": run_id, "first": first, "last": last, "layers": list(layers)}
    found = session.execute(_signals(tuple(signals)), asked).mappings().all()
    # The chunks of all layers are written together, so those of one say which records there are.
    of_a_layer = [row for row in found if row["layer_index"] == found[0]["layer_index"]]
    values = np.empty((len(signals), len(layers), sum(row["length"] for row in of_a_layer)))
    for place, name in zip(values, signals, strict=True):
        # An untrained network has no update, which is null for all of its one record.
        sent = [row[name] for row in found]
        place[...] = np.nan if None in sent else array_values(sent, np.float32).reshape(place.shape)
    return _clip(_steps_of(of_a_layer), values, first, last)


def read_signal(  # noqa: PLR0913, PLR0917 -- a window has these sides
    session: Session, run_id: uuid.UUID, signal: SignalName, layers: Sequence[int], first: int, last: int
) -> Window:
    """The raw values of one signal in steps ``first`` … ``last``, a row per layer."""
    window = read_signals(session, run_id, [signal], layers, first, last)
    return Window(window.steps, window.values[0])


def read_curves(session: Session, run_id: uuid.UUID, curves: Sequence[CurveName], first: int, last: int) -> Window:
    """The raw values of some curves in steps ``first`` … ``last``, a row per curve; NaN for one that was not told."""
    asked = {"run_id": run_id, "first": first, "last": last}
    return _curve_window(session.execute(_curves(tuple(curves)), asked).mappings().all(), curves, first, last)


def read_curve_of_each(
    session: Session, run_ids: Sequence[uuid.UUID], curve: CurveName, first: int, last: int
) -> dict[uuid.UUID, Window]:
    """The same of one curve of many short runs, by one statement that reads them whole."""
    query = _curve_chunks([curve]).where(CurveChunk.run_id.in_(run_ids)).order_by(CurveChunk.run_id, CurveChunk.chunk)
    found: dict[uuid.UUID, list[RowMapping]] = {run_id: [] for run_id in run_ids}
    for row in session.execute(query.add_columns(CurveChunk.run_id)).mappings():
        found[row["run_id"]].append(row)
    return {run_id: _curve_window(rows, [curve], first, last) for run_id, rows in found.items()}


def _curve_chunks(curves: Sequence[CurveName]) -> Select[Any]:
    return select(
        CurveChunk.first_step,
        CurveChunk.stride,
        func.cardinality(CurveChunk.loss).label("length"),
        *(func.array_send(getattr(CurveChunk, curve)).label(curve) for curve in curves),
    )


def _curve_window(found: Sequence[RowMapping], curves: Sequence[CurveName], first: int, last: int) -> Window:
    values = np.stack([_curve([row[curve] for row in found], [row["length"] for row in found]) for curve in curves])
    return _clip(_steps_of(found), values, first, last)


def _curve(sent: Sequence[bytes | None], lengths: Sequence[int]) -> Doubles:
    """Of a run all of whose chunks have the curve, or none."""
    told = [array for array in sent if array is not None]
    return array_values(told, np.float64) if len(told) == len(sent) else np.full(sum(lengths), np.nan)


def read_block(session: Session, run_id: uuid.UUID, chunk: int, layers: int, stride: int) -> Block:
    """A full chunk as it was written, of a run of so many layers."""
    first = chunk * CHUNK_RECORDS
    steps = first * stride, (first + CHUNK_RECORDS - 1) * stride
    signals = read_signals(session, run_id, SIGNALS, range(1, layers + 1), *steps)
    return Block(first, signals.values, read_curves(session, run_id, CURVES, *steps).values)


# Statements of as many columns take longer to be put together than to be answered, so each is kept.
@cache
def _signals(signals: tuple[SignalName, ...]) -> Select[Any]:
    return (
        select(
            TraceChunk.first_step,
            TraceChunk.stride,
            TraceChunk.layer_index,
            func.cardinality(TraceChunk.weight_norm).label("length"),
            *(func.array_send(getattr(TraceChunk, name)).label(name) for name in signals),
        )
        .where(TraceChunk.layer_index == any_(bindparam("layers", type_=ARRAY(Integer))), *_within(TraceChunk))
        .order_by(TraceChunk.layer_index, TraceChunk.chunk)
    )


@cache
def _curves(curves: tuple[CurveName, ...]) -> Select[Any]:
    return _curve_chunks(curves).where(*_within(CurveChunk)).order_by(CurveChunk.chunk)


def _within(table: type[TraceChunk] | type[CurveChunk]) -> Iterator[ColumnElement[bool]]:
    """The chunks of a run that may hold steps ``first`` … ``last``, by their numbers: steps are in no index."""
    yield table.run_id == bindparam("run_id")
    # Every chunk but the last has 200 records, so the step alone gives the number of its chunk.
    some = aliased(CurveChunk)
    stride = select(some.stride).where(some.run_id == bindparam("run_id")).limit(1).scalar_subquery()
    first, last = (bindparam(name, type_=BigInteger) // stride // CHUNK_RECORDS for name in ("first", "last"))
    yield table.chunk.between(first, last)


def _steps_of(found: Sequence[RowMapping]) -> Steps:
    starts = [row["first_step"] + row["stride"] * np.arange(row["length"], dtype=np.int64) for row in found]
    return np.concatenate(starts) if starts else np.empty(0, dtype=np.int64)


def _clip(steps: Steps, values: Doubles, first: int, last: int) -> Window:
    begin, end = np.searchsorted(steps, first), np.searchsorted(steps, last, side="right")
    return Window(steps[begin:end], values[..., begin:end])


def read_run(session: Session, run_id: uuid.UUID, plan: Recorded, first: int = 0, last: int | None = None) -> RunTrace:
    """The trace of a run as the analysis reads it: of all steps, or of ``first`` … ``last``."""
    layers = [layer.index for layer in plan.layers]
    end = plan.steps if last is None else last
    signals = read_signals(session, run_id, SIGNALS, layers, first, end).values
    curves = read_curves(session, run_id, CURVES, first, end)
    return RunTrace(
        layers=plan.network.judged,
        steps=curves.steps,
        signals=dict(zip(SIGNALS, signals, strict=True)),
        curves=dict(zip(CURVES, curves.values, strict=True)),
        time=plan.network.time,
        state_gradient_rms=read_states(session, run_id, plan, first, end),
    )


def read_states(session: Session, run_id: uuid.UUID, plan: Recorded, first: int, last: int) -> Doubles:
    """(recorded states, records): rms ∂L/∂state of the recurrent layers; no rows where there are none."""
    states = [len(plan.layers) + 1 + row for row in range(len(plan.network.time))]
    if not states:
        return np.zeros((0, 0))
    return read_signal(session, run_id, "activation_gradient_rms", states, first, last).values


class Validated(NamedTuple):
    """Validation at the end of an epoch. ``step``: None but in a log; ``loss``, ``metric``: None where it has none."""

    loss: float | None
    metric: float | None
    step: int | None = None


def read_epochs(session: Session, run_id: uuid.UUID) -> list[Validated]:
    """In order."""
    rows = session.execute(
        select(EpochValue.validation_loss, EpochValue.validation_metric, EpochValue.step)
        .where(EpochValue.run_id == run_id)
        .order_by(EpochValue.epoch)
    )
    return [Validated(*row) for row in rows]
