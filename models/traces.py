"""Traces in PostgreSQL: written in chunks by binary COPY, read by window. One side writes, the other reads.

A record is what one recorded step left: a value per signal and layer, and one per curve. Record i of a run is
step ``i · stride``. Chunk k holds records 200·k … 200·k + 199; the newest chunk is open and is replaced as it
grows. Not-a-number and infinities are data and return bit for bit.
"""

import math
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from psycopg import Connection
from sqlalchemy import Select, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.analysis.trace import RunTrace
from models.copying import Field, array_values, copy_rows
from models.plan import Plan
from models.signals import CURVES, SIGNALS, CurveName, SignalName
from models.tables import CurveChunk, EpochValue, TraceChunk, TraceRollup
from models.thinning import Buckets, bucket_size, joined

CHUNK_RECORDS = 200
ROLLUP_BUCKETS = 500
PART_BUCKETS = 100
_SIZES_IN_A_CHUNK = (2, 4, 8, 10, 20, 40, 50, 100, 200)

Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive records of a run, beginning at record ``first`` (a multiple of 200 in what is written).

    ``signals``: (signals, layers, records), names in ``SIGNALS`` order; ``curves``: (curves, records).
    ``untrained``: no update followed, so there is no update ratio.
    """

    first: int
    signals: Doubles
    curves: Doubles
    untrained: bool = False

    @property
    def records(self) -> int:
        return int(self.curves.shape[-1])


def rollup_size(expected: int) -> int:
    """Records to a rollup bucket: at most 500 buckets a run, and a size that fits chunks of 200 evenly."""
    needed = bucket_size(expected, ROLLUP_BUCKETS)
    if needed <= CHUNK_RECORDS:
        return next(size for size in _SIZES_IN_A_CHUNK if size >= needed)
    return math.ceil(needed / CHUNK_RECORDS) * CHUNK_RECORDS


@dataclass(slots=True)
class TraceWriter:
    """Writes blocks of one run and keeps its rollups. Writes nothing twice: a chunk that grows is replaced.

    ``expected`` is how many records the whole run will have; it fixes the rollup's bucket size.
    """

    run_id: uuid.UUID
    layers: Sequence[str]
    stride: int
    expected: int
    _fine: dict[int, Buckets] = field(default_factory=dict)

    def write(self, session: Session, blocks: Sequence[Block]) -> None:
        """Replace the chunks that ``blocks`` hold. The caller has made sure that the run is still its own."""
        chunks = [block.first // CHUNK_RECORDS for block in blocks]
        for table in (TraceChunk, CurveChunk):
            session.execute(delete(table).where(table.run_id == self.run_id, table.chunk.in_(chunks)))
        connection = _driver(session)
        copy_rows(connection, "trace_chunk", _TRACE_COLUMNS, self._trace_rows(blocks))
        copy_rows(connection, "curve_chunk", _CURVE_COLUMNS, self._curve_rows(blocks))
        if self.expected > ROLLUP_BUCKETS:
            self._write_rollups(session, blocks)

    def _trace_rows(self, blocks: Sequence[Block]) -> Iterator[Sequence[Field]]:
        for block in blocks:
            with np.errstate(over="ignore"):  # beyond float32 becomes ±inf, which reads as non-finite
                values = block.signals.astype(np.float32)
            for layer, name in enumerate(self.layers):
                arrays = {signal: values[index, layer] for index, signal in enumerate(SIGNALS)}
                ratio = None if block.untrained else arrays.pop("update_ratio")
                columns = [ratio if signal == "update_ratio" else arrays[signal] for signal in SIGNALS]
                yield [self.run_id, layer + 1, block.first // CHUNK_RECORDS, name, *self._place(block), *columns]

    def _curve_rows(self, blocks: Sequence[Block]) -> Iterator[Sequence[Field]]:
        for block in blocks:
            yield [self.run_id, block.first // CHUNK_RECORDS, *self._place(block), *block.curves]

    def _place(self, block: Block) -> tuple[int, int, bool]:
        """(first step, stride, sealed)."""
        return block.first * self.stride, self.stride, block.records == CHUNK_RECORDS

    def _write_rollups(self, session: Session, blocks: Sequence[Block]) -> None:
        """Replace the parts that the blocks touch; chunks of parts that are full are kept no longer."""
        size = rollup_size(self.expected)
        per_part = PART_BUCKETS * size // CHUNK_RECORDS
        for block in blocks:
            self._fine[block.first // CHUNK_RECORDS] = Buckets.of(block.signals, min(size, CHUNK_RECORDS))
        parts = sorted({chunk // per_part for chunk in self._fine})
        session.execute(delete(TraceRollup).where(TraceRollup.run_id == self.run_id, TraceRollup.part.in_(parts)))
        copy_rows(_driver(session), "trace_rollup", _ROLLUP_COLUMNS, self._rollup_rows(parts, per_part, size))
        newest = max(self._fine)
        for chunk in [chunk for chunk in self._fine if chunk // per_part < newest // per_part]:
            del self._fine[chunk]

    def _rollup_rows(self, parts: Sequence[int], per_part: int, size: int) -> Iterator[Sequence[Field]]:
        for part in parts:
            fine = joined([its for chunk, its in sorted(self._fine.items()) if chunk // per_part == part])
            buckets = fine.merged(max(1, size // CHUNK_RECORDS))
            place = (part * PART_BUCKETS * size * self.stride, self.stride, size, int(fine.records.sum()))
            for index, signal in enumerate(SIGNALS):
                for layer in range(len(self.layers)):
                    arrays = [its[index, layer].astype(np.float32) for its in buckets.arrays]
                    yield [self.run_id, signal, layer + 1, part, *place, *arrays]


def _driver(session: Session) -> Connection:
    """psycopg's own connection below the session, in the session's transaction."""
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, Connection)  # noqa: S101 -- the only driver this project uses
    return connection


_TRACE_COLUMNS = ("run_id", "layer_index", "chunk", "layer", "first_step", "stride", "sealed", *SIGNALS)
_ROLLUP_ARRAYS = ("minimum", "mean", "maximum", "last", "nonfinite")
_ROLLUP_COLUMNS = (
    "run_id",
    "signal",
    "layer_index",
    "part",
    "first_step",
    "stride",
    "bucket_records",
    "records",
    *_ROLLUP_ARRAYS,
)
_CURVE_COLUMNS = ("run_id", "chunk", "first_step", "stride", "sealed", *CURVES)


# --- reading ----------------------------------------------------------------------------------------------------


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


def recorded(session: Session, run_id: uuid.UUID) -> int:
    """How many records of the run are stored."""
    newest = session.execute(
        select(CurveChunk.chunk, func.cardinality(CurveChunk.loss))
        .where(CurveChunk.run_id == run_id)
        .order_by(CurveChunk.chunk.desc())
        .limit(1)
    ).one_or_none()
    return 0 if newest is None else newest[0] * CHUNK_RECORDS + newest[1]


def read_signal(
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
            *(func.array_send(getattr(TraceRollup, name)) for name in _ROLLUP_ARRAYS),
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
    broken = (
        "EXISTS (SELECT FROM unnest(nonfinite_count, activation_rms) AS record(count, h) "
        "WHERE record.count <> 0 OR record.h IN ('NaN', 'Infinity'))"
    )
    return session.execute(
        select(func.min(TraceChunk.first_step)).where(TraceChunk.run_id == run_id, text(broken))
    ).scalar_one()


def read_run(
    session: Session, run_id: uuid.UUID, plan: Plan, first: int = 0, last: int | None = None
) -> RunTrace:
    """The trace of a run as the analysis reads it: of all steps, or of ``first`` … ``last``."""
    layers = [layer.index for layer in plan.layers]
    end = plan.steps if last is None else last
    signals = {name: read_signal(session, run_id, name, layers, first, end) for name in SIGNALS}
    curves = read_curves(session, run_id, CURVES, first, end)
    return RunTrace(
        layers=plan.layers,
        steps=curves.steps,
        signals={name: window.values for name, window in signals.items()},
        curves=dict(zip(CURVES, curves.values, strict=True)),
    )


# --- epochs -----------------------------------------------------------------------------------------------------


def write_epoch(session: Session, run_id: uuid.UUID, epoch: int, loss: float, metric: float) -> None:
    """Validation at the end of an epoch."""
    values = {"validation_loss": loss, "validation_metric": metric}
    session.execute(
        insert(EpochValue)
        .values(run_id=run_id, epoch=epoch, **values)
        .on_conflict_do_update(index_elements=["run_id", "epoch"], set_=values)
    )


def read_epochs(session: Session, run_id: uuid.UUID) -> list[tuple[float, float]]:
    """(validation loss, validation metric) per epoch."""
    rows = session.execute(
        select(EpochValue.validation_loss, EpochValue.validation_metric)
        .where(EpochValue.run_id == run_id)
        .order_by(EpochValue.epoch)
    )
    return [(row.validation_loss, row.validation_metric) for row in rows]
