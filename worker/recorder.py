"""Gathers step records into chunks and writes them, fenced by the lease, while the run goes on.

Memory is bounded: at most the open chunk and what was sealed since the last write is held. ``add`` returns when a
write that is due has been made: where PostgreSQL is slow, training waits.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from sqlalchemy.orm import Session

from gradient_clinic.probe.probe import StepRecord
from gradient_clinic.signals import CURVES, SIGNALS
from models import runs
from models.plan import Plan
from models.runs import Beat, Checkpoint, Lease, events
from models.storage.database import Database
from models.traces.reader import read_block
from models.traces.rollups import CHUNK_RECORDS
from models.traces.writer import Block, Doubles, TraceWriter, write_all, write_epoch
from worker.results import EpochResult

FLUSH_S = 1.0
"""A live view lags behind by this and the time of a write (promise: 2 s)."""
MAX_PENDING = 20


class LeaseLostError(Exception):
    """Another worker has the run: stop, and write nothing."""


@dataclass(slots=True, eq=False)
class Recorder:
    """``add`` every record; it writes once a second. ``write`` writes what is left in the caller's transaction.

    ``loss`` is the newest one.
    """

    database: Database
    lease: Lease
    lease_s: float
    plan: Plan
    first_step: int = 0
    """Where the attempt begins: a multiple of 200 records, all before it being stored."""
    rows: Sequence[str] | None = None
    """What there is a row for, where that is more than ``plan`` knows."""
    chance_level: float | None = None
    """Of the loss, to be noted with the first write."""
    loss: float = math.nan
    broken: Exception | None = None
    """Why no record can be kept any more: a write that was made for several runs has failed."""
    beside: "Recorders | None" = None
    writer: TraceWriter = field(init=False)
    _open: list[StepRecord] = field(default_factory=list)
    _open_first: int = field(init=False)
    _sealed: list[Block] = field(default_factory=list)
    _epochs: list[EpochResult] = field(default_factory=list)
    _flushed_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        names = self.plan.network.rows if self.rows is None else self.rows
        stride = self.plan.experiment.trace.every
        self.writer = TraceWriter(self.lease.run_id, names, stride, self.plan.recorded_steps)
        self._open_first = self.first_step // stride
        # No checkpoint holds the fold of the rollups: the raw chunks of their newest part give it back bit for bit.
        if self._open_first:
            with self.database.begin() as session:
                stored = partial(read_block, session, self.lease.run_id, layers=len(names), stride=stride)
                self.writer.go_on(self._open_first, stored)

    def add(self, record: StepRecord) -> None:
        """Keep a record; LeaseLostError where a write finds the lease void."""
        self._check()
        self._open.append(record)
        self.loss = record.loss
        if len(self._open) == CHUNK_RECORDS:
            self._sealed.append(self._block())
            self._open_first += CHUNK_RECORDS
            self._open.clear()
        # Fast steps fill chunks sooner than a second goes by: the second bound is on memory.
        if time.monotonic() - self._flushed_at >= FLUSH_S or len(self._sealed) >= MAX_PENDING:
            if self.beside is None:
                self.flush(record.step)
            else:
                self.beside.flush()

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken

    def add_epoch(self, result: EpochResult) -> None:
        self._epochs.append(result)

    def flush(self, step: int, checkpoint: Checkpoint | None = None) -> None:
        """Make sure that the run is still ours and write, in a transaction of its own. Say how far the run is, and with
        a ``checkpoint`` from where it can go on.
        """
        with self.database.begin() as session:
            self.write(session, step)
            if checkpoint is not None and not runs.keep_checkpoint(session, self.lease, checkpoint):
                raise LeaseLostError
        # Apart from the trace, which waits for the disk: telling locks the experiment, for which its other runs wait.
        with self.database.begin() as session:
            events.outlives_no_crash(session)
            events.tell_progress(session, self.lease.experiment_id, self.lease.run_id, self.loss)

    def write(self, session: Session, step: int, *, ended: bool = False) -> None:
        """Beat and write in the caller's transaction. LeaseLostError, and nothing written, where the lease is void.

        ``ended``: these are the run's last records.
        """
        self._check()
        began = time.monotonic()
        # First: the beat locks the run's row, so nobody can take the run before these writes are committed.
        if not runs.beat(session, self.lease, self.lease_s, step + 1, self.chance_level):
            raise LeaseLostError
        write_all(session, [(self.writer, self.unwritten())], ended=ended)
        self.write_beside(session)
        if time.monotonic() - began > self.lease_s / 3:
            # The heart waits for the row that this transaction holds, so nobody else has lengthened the lease.
            runs.beat(session, self.lease, self.lease_s)

    def said(self) -> Beat:
        """How far the newest record says that the run is."""
        step = self._open[-1].step + 1 if self._open else self._open_first * self.plan.experiment.trace.every
        return Beat(self.lease, step, self.chance_level)

    def unwritten(self) -> list[Block]:
        # The open chunk is written along, and replaced by the next write: a live view is not to wait for 200 records.
        return [*self._sealed, self._block()] if self._open else self._sealed

    def write_beside(self, session: Session) -> None:
        """What is no trace; after the trace has been written."""
        for epoch in self._epochs:
            write_epoch(session, self.lease.run_id, epoch.epoch, epoch.loss, epoch.metric)
        # Forgotten before the commit: where that fails the attempt ends, and another one makes these steps again.
        self._sealed, self._epochs, self.chance_level = [], [], None
        self._flushed_at = time.monotonic()

    def _block(self) -> Block:
        signals = np.array([[getattr(record, name) for name in SIGNALS] for record in self._open])
        if self.plan.network.time:
            signals = np.concatenate([signals, np.array([_of_states(record) for record in self._open])], axis=2)
        curves = np.array([[getattr(record, name) for name in CURVES] for record in self._open])
        # (records, signals, layers) turns into (signals, layers, records): a stored chunk is one layer over time.
        untrained = self.plan.steps == 0
        return Block(self._open_first, np.ascontiguousarray(signals.transpose(1, 2, 0)), curves.T, untrained)


class Recorders:
    """Those of runs that are trained together write in one transaction: what one waits for, all wait for once."""

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self._recorders = list(recorders)
        for recorder in recorders:
            recorder.beside = self

    def leave(self, recorder: Recorder) -> None:
        """It writes what is left by itself."""
        if recorder in self._recorders:
            self._recorders.remove(recorder)
            recorder.beside = None

    def flush(self) -> None:
        """``Recorder.flush`` of all. A run whose lease is void hears of it with its next record."""
        try:
            held = self._write()
            with self._recorders[0].database.begin() as session:
                events.outlives_no_crash(session)
                for its in held:
                    events.tell_progress(session, its.lease.experiment_id, its.lease.run_id, its.loss)
        except Exception as error:
            # Nobody knows what of these records is stored.
            for its in self._recorders:
                its.broken = error
            raise

    def _write(self) -> list[Recorder]:
        began, first = time.monotonic(), self._recorders[0]
        with first.database.begin() as session:
            ours = runs.beat_all(session, [its.said() for its in self._recorders], first.lease_s)
            held = [its for its in self._recorders if its.lease.run_id in ours]
            for its in self._recorders:
                if its not in held:
                    its.broken = LeaseLostError()
            write_all(session, [(its.writer, its.unwritten()) for its in held])
            for its in held:
                its.write_beside(session)
            if time.monotonic() - began > first.lease_s / 3:
                runs.beat_all(session, [its.said() for its in held], first.lease_s)
        return held


def _of_states(record: StepRecord) -> Doubles:
    """(signals, states): a state has two of the signals; of those that weights and activations have it shows 0."""
    rows = np.zeros((len(SIGNALS), len(record.times)))
    # A state that no case of the batch reaches back to is no non-finite value, but has no gradient either.
    rows[SIGNALS.index("activation_rms")] = np.where(np.isnan(record.state_rms), 0.0, record.state_rms)
    rows[SIGNALS.index("activation_gradient_rms")] = record.state_gradient_rms
    return rows
