"""Rollups into PostgreSQL: a run's records in buckets, so that a picture costs pixels and no spike is lost.

Sealed chunks are folded in order, each once, so what is stored in the end does not depend on when it was written. A
run's newest records may be missing from its rollups, at most ``RAW_VALUES`` of a signal: readers take them from the
chunks (``models/traces/pictures.py``). Writing the newest part more often would leave dead rows, and show nothing more.
"""

import math
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from psycopg import Connection
from sqlalchemy import delete
from sqlalchemy.orm import Session

from gradient_clinic.signals import CURVES, SIGNALS, CurveName
from models.storage.trace_tables import CurveRollup, TraceRollup
from models.traces.binary import Field, copy_rows
from models.traces.buckets import Array, Buckets, bucket_size, joined

CHUNK_RECORDS = 200
ROLLUP_BUCKETS = 500
PART_BUCKETS = 25
"""Few to a part, as the newest part is written again and again; fewer would cost readers more rows."""
RAW_VALUES = 100_000
"""So many values of a signal are read raw in 50 ms."""
_SIZES_IN_A_CHUNK = (2, 4, 8, 10, 20, 40, 50, 100, 200)
ROLLUP_ARRAYS = ("minimum", "mean", "maximum", "last", "nonfinite")
_PLACE = ("first_step", "stride", "bucket_records", "records")
_TRACE_COLUMNS = ("run_id", "signal", "layer_index", "part", *_PLACE, *ROLLUP_ARRAYS)
_CURVE_COLUMNS = ("run_id", "curve", "part", *_PLACE, *ROLLUP_ARRAYS)


def rollup_size(expected: int) -> int:
    """Records to a rollup bucket: at most 500 buckets a run, and a size that fits chunks of 200 evenly."""
    needed = bucket_size(expected, ROLLUP_BUCKETS)
    if needed <= CHUNK_RECORDS:
        return next(size for size in _SIZES_IN_A_CHUNK if size >= needed)
    return math.ceil(needed / CHUNK_RECORDS) * CHUNK_RECORDS


@dataclass(frozen=True, slots=True)
class Fold:
    """What has been folded: ``chunks`` of the run, and of those only the newest part's buckets are held.

    ``running`` is the bucket that is not full yet, where one takes several chunks; ``stored`` of the chunks are in
    the tables.
    """

    size: int
    chunks: int = 0
    complete: tuple[Buckets, ...] = ()
    running: Buckets | None = None
    stored: int = 0

    @property
    def part_chunks(self) -> int:
        """Chunks to a part: buckets never lie in two of them."""
        return math.ceil(PART_BUCKETS * self.size / CHUNK_RECORDS)

    @property
    def part(self) -> int:
        """The part that the newest folded chunk lies in."""
        return max(0, self.chunks - 1) // self.part_chunks

    def after(self, values: Array) -> "Fold":
        """The fold after one more chunk, (rows, records). A part that was full is let go."""
        full = self.chunks % self.part_chunks == 0
        complete, running = ((), None) if full else (self.complete, self.running)
        newest = Buckets.of(values, min(self.size, CHUNK_RECORDS))
        # A bucket takes several chunks: each joins the running one until that is full.
        if self.size > CHUNK_RECORDS:
            newest = newest if running is None else joined([running, newest]).merged(2)
            if newest.records[0] < self.size:
                return Fold(self.size, self.chunks + 1, complete, newest, self.stored)
        return Fold(self.size, self.chunks + 1, (*complete, newest), None, self.stored)

    def buckets(self) -> Buckets:
        """The buckets of the newest part."""
        return joined([*self.complete, *([] if self.running is None else [self.running])])


@dataclass(slots=True)
class Rollups:
    """Writes the rollups of one run. Memory: one part's buckets, whatever the length of the run.

    The caller's transaction may fail and be tried again: what was folded in it is then folded anew from the state
    before it.
    """

    run_id: uuid.UUID
    layers: int
    stride: int
    expected: int
    told: Sequence[CurveName] = CURVES
    _now: Fold = field(init=False)
    _before: Fold = field(init=False)

    def __post_init__(self) -> None:
        self._now = self._before = Fold(rollup_size(self.expected))

    def write(self, session: Session, chunks: Sequence[tuple[int, Array]], *, ended: bool) -> None:
        """Fold chunks, (number, (rows, records)) in order, rows being every signal of every layer, then the curves.

        They are full ones, but for the last of a run that has ``ended``.
        """
        # A transaction that failed comes again with the same chunks: they are folded once more, from the state before.
        again = bool(chunks) and chunks[0][0] < self._now.chunks
        fold = self._before = self._before if again and chunks[0][0] >= self._before.chunks else self._now
        parts: dict[int, Fold] = {}
        for number, values in chunks:
            if number > fold.chunks:
                message = f"chunk {number} of run {self.run_id} follows chunk {fold.chunks - 1}: records are missing"
                raise ValueError(message)
            if number == fold.chunks:
                fold = fold.after(values)
                parts[fold.part] = fold
        # A part is written when it is full. The newest one would be replaced each second, so it may lack some chunks,
        # which readers take from the raw values; it is written where these grow too many, and at the end of the run.
        most_late = max(1, RAW_VALUES // (CHUNK_RECORDS * max(self.layers, len(CURVES))))
        late = fold.chunks - fold.stored >= most_late or (ended and fold.chunks > fold.stored)
        due = {part: fold for part, fold in parts.items() if fold.chunks % fold.part_chunks == 0}
        if late and fold.chunks:
            due[fold.part] = fold
        if due:
            self._replace(session, due)
            fold = replace(fold, stored=due[max(due)].chunks)
        self._now = fold

    def go_on(self, chunks: int, values_of: Callable[[int], Array]) -> None:
        """Continue after ``chunks`` full chunks that are stored. ``values_of`` reads one of them, (rows, records)."""
        fold = self._now
        newest = max(0, chunks - 1) // fold.part_chunks * fold.part_chunks
        fold = replace(fold, chunks=newest, stored=newest)
        for number in range(newest, chunks):
            fold = fold.after(values_of(number))
        # A full part was written with its last chunk. Of another one the tables may hold less than is folded here.
        full = chunks % fold.part_chunks == 0
        self._now = self._before = replace(fold, stored=chunks if full else newest)

    def _replace(self, session: Session, due: dict[int, Fold]) -> None:
        # COPY knows no conflict: what it replaces has to go first, in the same transaction.
        for table in (TraceRollup, CurveRollup):
            session.execute(delete(table).where(table.run_id == self.run_id, table.part.in_(due)))
        connection = driver(session)
        copy_rows(connection, "trace_rollup", _TRACE_COLUMNS, self._trace_rows(due))
        copy_rows(connection, "curve_rollup", _CURVE_COLUMNS, self._curve_rows(due))

    def _trace_rows(self, due: dict[int, Fold]) -> Iterator[Sequence[Field]]:
        for part, fold in due.items():
            buckets = fold.buckets()
            place = self._place(part, fold, buckets)
            # Folded rows are signals first and curves last; curves have a table of their own, in double precision.
            shaped = [values[: -len(CURVES)].astype(np.float32) for values in buckets.arrays]
            for row in range(len(SIGNALS) * self.layers):
                signal, layer = divmod(row, self.layers)
                yield [self.run_id, SIGNALS[signal], layer + 1, part, *place, *(values[row] for values in shaped)]

    def _curve_rows(self, due: dict[int, Fold]) -> Iterator[Sequence[Field]]:
        for part, fold in due.items():
            buckets = fold.buckets()
            place = self._place(part, fold, buckets)
            for row, curve in enumerate(CURVES, start=len(SIGNALS) * self.layers):
                if curve in self.told:
                    yield [self.run_id, curve, part, *place, *(values[row] for values in buckets.arrays)]

    def _place(self, part: int, fold: Fold, buckets: Buckets) -> tuple[int, int, int, int]:
        first = part * fold.part_chunks * CHUNK_RECORDS
        return first * self.stride, self.stride, fold.size, int(buckets.records.sum())


def driver(session: Session) -> Connection:
    """psycopg's own connection below the session, in the session's transaction."""
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, Connection)  # the only driver this project uses
    return connection
