"""Traces into PostgreSQL: chunks of records by binary COPY, and rollups beside them. Read by ``reader.py``.

A record is what one recorded step left: a value per signal and layer, and one per curve. Record i of a run is
step ``i · stride``. Chunk k holds records 200·k … 200·k + 199; the newest chunk is open and is replaced as it
grows. Not-a-number and infinities are data and are stored bit for bit.
"""

import itertools
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from sqlalchemy import delete, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from gradient_clinic.signals import CURVES, SIGNALS, CurveName
from models.storage.trace_tables import CurveChunk, EpochValue, TraceChunk
from models.traces.binary import Field, Values, append_values, copy_rows
from models.traces.rollups import CHUNK_RECORDS, ROLLUP_BUCKETS, Rollups, driver

Singles = npt.NDArray[np.float32]
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


@dataclass(slots=True)
class TraceWriter:
    """Writes blocks of one run and keeps its rollups. Writes nothing twice: a chunk that grows is replaced.

    ``expected`` is how many records the whole run will have; it fixes the rollup's bucket size. ``told``: the curves
    that the run has; of others nothing is stored.
    """

    run_id: uuid.UUID
    layers: Sequence[str]
    stride: int
    expected: int
    told: Sequence[CurveName] = CURVES
    _rollups: Rollups | None = field(init=False)

    def __post_init__(self) -> None:
        known = (self.run_id, len(self.layers), self.stride, self.expected, self.told)
        self._rollups = Rollups(*known) if self.expected > ROLLUP_BUCKETS else None

    def go_on(self, records: int, stored: Callable[[int], Block]) -> None:
        """Continue after ``records`` stored records, a multiple of 200. ``stored`` reads one chunk of them."""

        def values_of(chunk: int) -> Doubles:
            block = stored(chunk)
            return _rows(block.signals.astype(np.float32), block.curves)

        if self._rollups is not None:
            self._rollups.go_on(records // CHUNK_RECORDS, values_of)

    def write(self, session: Session, blocks: Sequence[Block], *, ended: bool = False) -> None:
        """Replace the chunks that ``blocks`` hold. The caller has made sure that the run is still its own.

        ``ended``: no more will come, so the rollups take in what is left.
        """
        write_all(session, [(self, blocks)], ended=ended)

    def roll_up(self, session: Session, blocks: Sequence[Block], stored: Sequence[Singles], *, ended: bool) -> None:
        """Fold what was written into the rollups, where the run has some."""
        if self._rollups is not None:
            full = [
                (block.first // CHUNK_RECORDS, _rows(values, block.curves))
                for block, values in zip(blocks, stored, strict=True)
                if ended or block.records == CHUNK_RECORDS
            ]
            self._rollups.write(session, full, ended=ended)

    def grow(self, session: Session, block: Block) -> None:
        """Add records to the open chunk, which has some and is not full with these; nothing of it is read or sent. The
        caller has made sure that the run is still its own, and that ``block`` begins where the chunk ends.
        """
        with np.errstate(over="ignore"):  # as ``write_all``
            signals = block.signals.astype(np.float32)
        connection = driver(session)
        where: dict[str, uuid.UUID | int] = {"run_id": self.run_id, "chunk": block.first // CHUNK_RECORDS}
        if self.layers:
            arrays: dict[str, Values] = dict(zip(SIGNALS, signals.reshape(len(SIGNALS), -1), strict=True))
            append_values(connection, "trace_chunk", arrays, len(self.layers), where)
        told: dict[str, Values] = {
            name: values for name, values in zip(CURVES, block.curves, strict=True) if name in self.told
        }
        append_values(connection, "curve_chunk", told, 1, where)

    def trace_rows(self, blocks: Sequence[Block], stored: Sequence[Singles]) -> Iterator[Sequence[Field]]:
        for block, values in zip(blocks, stored, strict=True):
            for layer, name in enumerate(self.layers):
                arrays = {signal: values[index, layer] for index, signal in enumerate(SIGNALS)}
                # NULL and not NaN: no update was made, which is no broken value.
                ratio = None if block.untrained else arrays.pop("update_ratio")
                columns = [ratio if signal == "update_ratio" else arrays[signal] for signal in SIGNALS]
                yield [self.run_id, layer + 1, block.first // CHUNK_RECORDS, name, *self._place(block), *columns]

    def curve_rows(self, blocks: Sequence[Block]) -> Iterator[Sequence[Field]]:
        for block in blocks:
            # NULL and not NaN: nobody has told this curve.
            curves = [values if name in self.told else None for name, values in zip(CURVES, block.curves, strict=True)]
            yield [self.run_id, block.first // CHUNK_RECORDS, *self._place(block), *curves]

    def _place(self, block: Block) -> tuple[int, int, bool]:
        """(first step, stride, sealed)."""
        return block.first * self.stride, self.stride, block.records == CHUNK_RECORDS


def write_all(session: Session, written: Sequence[tuple[TraceWriter, Sequence[Block]]], *, ended: bool = False) -> None:
    """``TraceWriter.write`` of several runs, in as many statements as for one."""
    # Beyond float32 becomes ±inf, which reads as non-finite: rollups must see what the chunks will hold.
    with np.errstate(over="ignore"):
        stored = [(its, blocks, [block.signals.astype(np.float32) for block in blocks]) for its, blocks in written]
    chunks = [(its.run_id, block.first // CHUNK_RECORDS) for its, blocks in written for block in blocks]
    if chunks:
        # The open chunk was stored before and has grown; COPY cannot replace a row.
        before = [delete(its).where(tuple_(its.run_id, its.chunk).in_(chunks)) for its in (TraceChunk, CurveChunk)]
        session.execute(before[0].add_cte(before[1].cte("curves")))
        connection = driver(session)
        traces = itertools.chain.from_iterable(its.trace_rows(blocks, values) for its, blocks, values in stored)
        curves = itertools.chain.from_iterable(its.curve_rows(blocks) for its, blocks, _ in stored)
        copy_rows(connection, "trace_chunk", _TRACE_COLUMNS, traces)
        copy_rows(connection, "curve_chunk", _CURVE_COLUMNS, curves)
    for its, blocks, values in stored:
        its.roll_up(session, blocks, values, ended=ended)


def _rows(signals: Singles, curves: Doubles) -> Doubles:
    """(signals · layers + curves, records)."""
    return np.concatenate([signals.reshape(-1, signals.shape[-1]), curves])


_TRACE_COLUMNS = ("run_id", "layer_index", "chunk", "layer", "first_step", "stride", "sealed", *SIGNALS)
_CURVE_COLUMNS = ("run_id", "chunk", "first_step", "stride", "sealed", *CURVES)


def write_epoch(session: Session, run_id: uuid.UUID, epoch: int, loss: float, metric: float) -> None:
    """Validation at the end of an epoch."""
    values = {"validation_loss": loss, "validation_metric": metric}
    session.execute(
        insert(EpochValue)
        .values(run_id=run_id, epoch=epoch, **values)
        .on_conflict_do_update(index_elements=["run_id", "epoch"], set_=values)
    )
