"""Pictures of traces: any stretch of a run in a bounded number of buckets, each with its extremes.

A stretch of few values is read raw. A longer one takes the rollup buckets that lie wholly inside it, and raw values
at its two ends, so that it costs the picture and not the history. Where retention has dropped the raw values, the
stretch is widened to the borders of its buckets, and the picture's ``steps`` say so.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from sqlalchemy import ColumnElement, ColumnExpressionArgument, case, func, select
from sqlalchemy.orm import Session

from gradient_clinic.signals import CurveName, SignalName
from models.storage.trace_tables import CurveRollup, TraceRollup
from models.traces.binary import array_values
from models.traces.buckets import Buckets, bucket_size, joined
from models.traces.reader import Extent, Steps, Window, extent, read_curve_of_each, read_curves, read_signal
from models.traces.rollups import RAW_VALUES, ROLLUP_ARRAYS


@dataclass(frozen=True, slots=True)
class Picture:
    """A stretch of records in buckets; ``steps`` is (buckets, 2): the first and last step of each."""

    steps: Steps
    buckets: Buckets
    raw: bool


@dataclass(frozen=True, slots=True)
class Rolled:
    """What a run's rollups hold: its first ``records`` records, in buckets of ``size``."""

    stride: int
    size: int
    records: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive buckets; ``starts`` has the number of each one's first record."""

    starts: Steps
    buckets: Buckets


# --- what pictures are drawn of ----------------------------------------------------------------------------------


class Source(Protocol):
    """Rows of values: the layers of a signal, or curves."""

    @property
    def session(self) -> Session: ...

    @property
    def run_id(self) -> uuid.UUID: ...

    @property
    def rows(self) -> int: ...

    def raw(self, first: int, last: int) -> Window:
        """The values of steps ``first`` … ``last``."""

    def rolled(self) -> Rolled | None: ...

    def stored(self, first: int, last: int) -> Piece:
        """The buckets of all parts of the rollups that reach into steps ``first`` … ``last``."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of some layers, by index from 1 and in order."""

    session: Session
    run_id: uuid.UUID
    name: SignalName
    layers: Sequence[int]

    @property
    def rows(self) -> int:
        return len(self.layers)

    def raw(self, first: int, last: int) -> Window:
        return read_signal(self.session, self.run_id, self.name, self.layers, first, last)

    def rolled(self) -> Rolled | None:
        if not self.layers:
            return None
        row = (TraceRollup.signal == self.name) & (TraceRollup.layer_index == self.layers[0])
        return _rolled(self, TraceRollup, row)

    def stored(self, first: int, last: int) -> Piece:
        these = (TraceRollup.signal == self.name) & TraceRollup.layer_index.in_(self.layers)
        return _stored(self, TraceRollup, these, TraceRollup.layer_index, first, last)


@dataclass(frozen=True, slots=True)
class Curves:
    """Some curves of a run."""

    session: Session
    run_id: uuid.UUID
    names: Sequence[CurveName]

    @property
    def rows(self) -> int:
        return len(self.names)

    def raw(self, first: int, last: int) -> Window:
        return read_curves(self.session, self.run_id, self.names, first, last)

    def rolled(self) -> Rolled | None:
        return _rolled(self, CurveRollup, CurveRollup.curve == self.names[0])

    def stored(self, first: int, last: int) -> Piece:
        order = case({name: at for at, name in enumerate(self.names)}, value=CurveRollup.curve)
        return _stored(self, CurveRollup, CurveRollup.curve.in_(self.names), order, first, last)


_Table = type[TraceRollup] | type[CurveRollup]


def _rolled(source: Source, table: _Table, row: ColumnElement[bool]) -> Rolled | None:
    stored = source.session.execute(
        select(table.stride, table.bucket_records, func.sum(table.records))
        .where(table.run_id == source.run_id, row)
        .group_by(table.stride, table.bucket_records)
    ).one_or_none()
    return None if stored is None else Rolled(*stored)


def _stored(  # noqa: PLR0913, PLR0917 -- a window of a table has these sides
    source: Source,
    table: _Table,
    these: ColumnElement[bool],
    order: ColumnExpressionArgument[int],
    first: int,
    last: int,
) -> Piece:
    rows = source.session.execute(
        select(
            table.first_step // table.stride,
            table.bucket_records,
            table.records,
            *(func.array_send(getattr(table, name)) for name in ROLLUP_ARRAYS),
        )
        .where(
            table.run_id == source.run_id,
            these,
            table.first_step <= last,
            table.first_step + table.records * table.stride > first,
        )
        .order_by(order, table.part)
    ).all()
    # All layers have the same parts, so the rows of the first one say where buckets lie.
    parts = [_offsets(*row[:3]) for row in rows[: len(rows) // source.rows]]
    starts, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
    # Signals are stored in single precision, curves in double.
    dtype = np.float32 if table is TraceRollup else np.float64
    arrays = [array_values([row[at] for row in rows], dtype).reshape(source.rows, -1) for at in range(3, 8)]
    return Piece(starts, Buckets.from_arrays(arrays, counts.astype(np.float64)))


def _offsets(begin: int, size: int, records: int) -> tuple[Steps, Steps]:
    """For each bucket of a part: the number of its first record, and how many records it has."""
    starts = np.arange(0, records, size, dtype=np.int64)
    return begin + starts, np.minimum(size, records - starts)


# --- pictures ----------------------------------------------------------------------------------------------------


def draw(source: Source, first: int, last: int, points: int, *, kept: bool = True) -> Picture:
    """Steps ``first`` … ``last`` in at most ``points`` buckets. ``kept``: retention has not dropped raw values.

    The session has to see one moment: a run goes on while it is drawn.
    """
    rolled = source.rolled()
    there = extent(source.session, source.run_id)
    # Retention deletes from the newest chunk back, and the rollups then reach further than what is left.
    if rolled is not None and rolled.records > there.records:
        there = Extent(rolled.stride, rolled.records)
    begin, end = there.between(first, last)
    few = (end - begin) * source.rows <= RAW_VALUES
    if rolled is None or begin == end or (kept and few and bucket_size(end - begin, points) < rolled.size):
        return picture(source.raw(first, last), points)
    low, high = _inside(rolled, begin, end, kept=kept)
    # Where raw values are gone the stretch grows to the borders of its buckets.
    begin = min(begin, low)
    width = bucket_size(max(end, high) - begin, points)
    return _assembled(list(_pieces(source, there.stride, (begin, low, high, end), width)), width, there.stride)


def draw_short(  # noqa: PLR0913, PLR0917 -- a window has these sides
    session: Session, run_ids: Sequence[uuid.UUID], curve: CurveName, first: int, last: int, points: int
) -> dict[uuid.UUID, Picture]:
    """What ``draw`` gives of a curve of each of those runs that have no rollups, so are short: by two statements,
    however many they are.
    """
    rolled = select(CurveRollup.run_id).where(CurveRollup.run_id.in_(run_ids), CurveRollup.curve == curve)
    long = set(session.execute(rolled.distinct()).scalars())
    short = [run_id for run_id in run_ids if run_id not in long]
    windows = read_curve_of_each(session, short, curve, first, last)
    return {run_id: picture(window, points) for run_id, window in windows.items()}


def _inside(rolled: Rolled, begin: int, end: int, *, kept: bool) -> tuple[int, int]:
    """The records whose buckets lie wholly between, or where the raw values are gone those that reach into it."""
    size = rolled.size
    if kept:
        low = max(begin, min(-(-begin // size) * size, rolled.records))
        high = rolled.records if end >= rolled.records else end // size * size
    else:
        low = begin // size * size if begin < rolled.records else begin
        high = min(-(-end // size) * size, rolled.records)
    return low, max(low, high)


def _pieces(source: Source, stride: int, cuts: tuple[int, int, int, int], width: int) -> Iterator[Piece]:
    """Raw, stored, raw, between four record numbers; raw values are bucketed at once, as they are many."""
    begin, low, high, end = cuts
    if begin < low:
        yield _of_raw(source, stride, (begin, min(low, end)), begin, width)
    if low < high:
        piece = source.stored(low * stride, (high - 1) * stride)
        # A part may reach beyond the stretch; buckets outside are the raw pieces' share.
        inside = (piece.starts >= low) & (piece.starts < high)
        kept = Buckets.from_arrays(
            [values[:, inside] for values in piece.buckets.arrays], piece.buckets.records[inside]
        )
        yield Piece(piece.starts[inside], kept)
    if high < end and low < end:
        yield _of_raw(source, stride, (high, end), begin, width)


def _of_raw(source: Source, stride: int, records: tuple[int, int], origin: int, width: int) -> Piece:
    first, end = records
    window = source.raw(first * stride, (end - 1) * stride)
    numbers = window.steps // stride
    starts = _group_starts(numbers, origin, width)
    return Piece(numbers[starts], Buckets.beginning_at(window.values, starts))


def _group_starts(numbers: Steps, origin: int, width: int) -> Steps:
    """Where the groups of ``width`` records from ``origin`` on begin; what begins in a group belongs to it whole."""
    # One grid for all pieces: buckets of raw and of stored values then meet without a seam.
    groups = (numbers - origin) // width
    return np.flatnonzero(np.diff(groups, prepend=-1))


def _assembled(pieces: Sequence[Piece], width: int, stride: int) -> Picture:
    numbers = np.concatenate([piece.starts for piece in pieces])
    buckets = joined([piece.buckets for piece in pieces])
    end = int(numbers[-1] + buckets.records[-1])
    starts = _group_starts(numbers, int(numbers[0]), width)
    borders = np.append(numbers[starts], end)
    steps = np.stack([borders[:-1], borders[1:] - 1], axis=1) * stride
    merged = buckets.merged_at(starts)
    return Picture(steps, merged, raw=bool((merged.records == 1).all()))


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
    """What the rollups hold in at most ``points`` buckets; None where the run is too short to have any."""
    source = Signal(session, run_id, signal, layers)
    rolled = source.rolled()
    if rolled is None:
        return None
    buckets = source.stored(0, rolled.records * rolled.stride).buckets
    group = bucket_size(len(buckets.records), points)
    steps = rolled.stride * np.arange(rolled.records, dtype=np.int64)
    return Picture(_ranges(steps, rolled.size * group), buckets.merged(group), raw=False)
