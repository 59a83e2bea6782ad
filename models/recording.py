"""Traces into PostgreSQL: chunks of records by binary COPY, and rollups beside them. Read by ``models/traces.py``.

A record is what one recorded step left: a value per signal and layer, and one per curve. Record i of a run is
step ``i · stride``. Chunk k holds records 200·k … 200·k + 199; the newest chunk is open and is replaced as it
grows. Not-a-number and infinities are data and are stored bit for bit.
"""

import math
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from psycopg import Connection
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.copying import Field, copy_rows
from models.signals import CURVES, SIGNALS
from models.tables import CurveChunk, EpochValue, TraceChunk, TraceRollup
from models.thinning import Buckets, bucket_size, joined

CHUNK_RECORDS = 200
ROLLUP_BUCKETS = 500
PART_BUCKETS = 100
_SIZES_IN_A_CHUNK = (2, 4, 8, 10, 20, 40, 50, 100, 200)

Doubles = npt.NDArray[np.float64]


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
ROLLUP_ARRAYS = ("minimum", "mean", "maximum", "last", "nonfinite")
_ROLLUP_COLUMNS = (
    "run_id",
    "signal",
    "layer_index",
    "part",
    "first_step",
    "stride",
    "bucket_records",
    "records",
    *ROLLUP_ARRAYS,
)
_CURVE_COLUMNS = ("run_id", "chunk", "first_step", "stride", "sealed", *CURVES)


def write_epoch(session: Session, run_id: uuid.UUID, epoch: int, loss: float, metric: float) -> None:
    """Validation at the end of an epoch."""
    values = {"validation_loss": loss, "validation_metric": metric}
    session.execute(
        insert(EpochValue)
        .values(run_id=run_id, epoch=epoch, **values)
        .on_conflict_do_update(index_elements=["run_id", "epoch"], set_=values)
    )
