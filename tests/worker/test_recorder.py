"""The recorder on real PostgreSQL, slow and blocked: training waits, memory is bounded, nothing is lost or doubled."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from psycopg.errors import CheckViolation
from sqlalchemy import func, select, text, update

from gradient_clinic.probe.probe import StepRecord
from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.values import Array
from models import runs
from models.plan import Plan
from models.runs import Lease, queueing
from models.storage.database import Database
from models.storage.tables import Event, Experiment, Run
from models.storage.trace_tables import CurveChunk, CurveRollup, TraceChunk, TraceRollup
from models.traces.reader import read_curves, read_signal
from models.traces.rollups import CHUNK_RECORDS
from tests.eventually import eventually, stays
from tests.models.stored import new_run, some_values
from worker.heart import Heart
from worker.recorder import MAX_PENDING, LeaseLostError, Recorder

RECORDS = 9_000
LAYERS = 3
LONG_S = 60.0


class Trial:
    """A claimed run, what there is to record of it, and its recorder; the recording goes on in a thread."""

    def __init__(self, database: Database, lease_s: float) -> None:
        self.database = database
        run_id, self.plan = new_run(database, steps=RECORDS)
        with database.begin() as session:
            claim = runs.claim(session, run_id, "host:1", lease_s)
        assert claim is not None
        self.lease: Lease = claim.lease
        self.signals, self.curves = some_values(LAYERS, RECORDS, seed=0)
        self.recorder = Recorder(database, self.lease, lease_s, self.plan)
        self.added = 0
        self.lost = False
        self.thread = threading.Thread(target=self._record)

    def _record(self) -> None:
        try:
            for record in records(self.plan, self.signals, self.curves):
                self.recorder.add(record)
                self.added += 1
            with self.database.begin() as session:
                self.recorder.write(session, RECORDS - 1, ended=True)
        except LeaseLostError:
            self.lost = True

    @property
    def pending(self) -> int:
        return sum(block.records for block in self.recorder._sealed) + len(self.recorder._open)  # noqa: SLF001 -- what is bounded


def records(plan: Plan, signals: Array, curves: Array) -> Iterator[StepRecord]:
    for step in range(curves.shape[1]):
        values: dict[str, Any] = {name: signals[row, :, step] for row, name in enumerate(SIGNALS)}
        values |= {name: float(curves[row, step]) for row, name in enumerate(CURVES)}
        yield StepRecord(step=step, layers=plan.network.rows, **values)


@contextmanager
def blocked(database: Database) -> Iterator[None]:
    """Nobody can write traces meanwhile."""
    with database.begin() as session:
        session.execute(text("LOCK TABLE trace_chunk IN ACCESS EXCLUSIVE MODE"))
        yield


def waits(database: Database) -> bool:
    """Whether a flush stands before the lock."""
    with database.begin() as session:
        query = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'trace_chunk'::regclass")
        return bool(session.execute(query).scalar_one())


def somebody_waits(database: Database) -> bool:
    waiting = text("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
    with database.begin() as session:
        return session.execute(waiting).first() is not None


def assert_all_is_there_once(trial: Trial) -> None:
    with trial.database.begin() as session:
        for row, name in enumerate(SIGNALS):
            window = read_signal(session, trial.lease.run_id, name, range(1, LAYERS + 1), 0, RECORDS)
            np.testing.assert_array_equal(window.values, trial.signals[row])
        curves = read_curves(session, trial.lease.run_id, CURVES, 0, RECORDS)
        np.testing.assert_array_equal(curves.values, trial.curves)
        rows = session.execute(select(func.count()).select_from(TraceChunk)).scalar_one()
        assert rows == LAYERS * RECORDS // CHUNK_RECORDS
        assert session.execute(select(func.count()).select_from(CurveChunk)).scalar_one() == RECORDS // CHUNK_RECORDS


def test_training_waits_for_a_blocked_database_and_then_all_is_written_once(database: Database) -> None:
    trial = Trial(database, LONG_S)
    with blocked(database):
        trial.thread.start()
        assert eventually(lambda: waits(database))
        added = trial.added
        assert stays(lambda: trial.added == added, for_s=1.0)
        assert trial.pending <= MAX_PENDING * CHUNK_RECORDS
    trial.thread.join()
    assert (trial.added, trial.pending, trial.lost) == (RECORDS, 0, False)
    assert_all_is_there_once(trial)


def test_a_slow_database_slows_training_and_nothing_else(database: Database) -> None:
    with database.begin() as session:
        session.execute(
            text(
                "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$; "
                "CREATE TRIGGER slow BEFORE INSERT ON trace_chunk FOR EACH STATEMENT EXECUTE FUNCTION slow();"
            )
        )
    trial = Trial(database, LONG_S)
    trial.thread.start()
    most = 0
    while trial.thread.is_alive():
        most = max(most, trial.pending)
        trial.thread.join(0.001)
    trial.thread.join()
    # A look between two lines of the recorder counts the chunk that is being sealed twice.
    assert 0 < most <= (MAX_PENDING + 1) * CHUNK_RECORDS
    assert_all_is_there_once(trial)


def test_a_write_that_takes_longer_than_the_lease_keeps_it(database: Database) -> None:
    lease_s = 2.0
    trial = Trial(database, lease_s)
    heart = Heart(database, lease_s)
    try:
        with heart.watch(trial.lease) as watch:
            with blocked(database):
                trial.thread.start()
                assert eventually(lambda: waits(database))
                assert stays(lambda: reap(database) == 0, for_s=1.2 * lease_s)
            # From here on the write goes through; whoever looks now finds a lease that is good again.
            while trial.thread.is_alive():
                assert reap(database) == 0
            assert watch.stop is None
    finally:
        trial.thread.join()
        heart.close()
    assert not trial.lost
    assert_all_is_there_once(trial)


def test_a_lease_is_good_when_a_write_that_took_longer_ends(database: Database) -> None:
    """Without the heart, which waits behind the write: nobody may find the lease lapsed before its turn comes."""
    lease_s = 2.0
    trial = Trial(database, lease_s)
    trial.recorder.add(next(records(trial.plan, trial.signals, trial.curves)))
    writing = threading.Thread(target=trial.recorder.flush, args=(0,))
    with blocked(database):
        writing.start()
        assert eventually(lambda: waits(database))
        assert stays(lambda: reap(database) == 0, for_s=lease_s)
    writing.join()
    with database.begin() as session:
        good = select(Run.lease_until > func.clock_timestamp()).where(Run.id == trial.lease.run_id)
        assert session.execute(good).scalar_one()


def reap(database: Database) -> int:
    with database.begin() as session:
        return queueing.reap(session, max_attempts=5)


def test_a_lease_that_another_has_taken_meanwhile_stops_the_recording(database: Database) -> None:
    trial = Trial(database, LONG_S)
    with database.begin() as session:
        session.execute(update(Run).values(lease_token=uuid.uuid4()))
    trial.thread.start()
    trial.thread.join()
    assert trial.lost
    with database.begin() as session:
        assert session.execute(select(func.count()).select_from(TraceChunk)).scalar_one() == 0
    assert told_losses(database) == []


def told_losses(database: Database) -> list[tuple[int, float | None]]:
    """Steps done and loss of every progress event there is."""
    with database.begin() as session:
        found = session.execute(select(Event.data).where(Event.kind == "progress")).scalars()
        return [(data["step"], data["loss"]) for data in found]


def test_each_flush_tells_how_far_the_run_is_and_its_newest_loss(database: Database) -> None:
    trial = Trial(database, LONG_S)
    losses = [None if not np.isfinite(loss) else float(loss) for loss in trial.curves[CURVES.index("loss")]]
    for record in records(trial.plan, trial.signals[..., :450], trial.curves[:, :450]):
        trial.recorder.add(record)
        if record.step in {1, 199, 200, 449}:
            trial.recorder.flush(record.step)
            assert told_losses(database) == [(record.step + 1, losses[record.step])]


def test_a_flush_locks_its_run_before_the_experiment(database: Database) -> None:
    """Else it would wait for ever for somebody who has the run and wants the experiment."""
    trial = Trial(database, LONG_S)
    trial.recorder.add(next(records(trial.plan, trial.signals, trial.curves)))
    flushing = threading.Thread(target=trial.recorder.flush, args=(0,))
    with database.begin() as session:
        session.execute(select(Run.id).with_for_update())
        flushing.start()
        assert eventually(lambda: somebody_waits(database))
        session.execute(select(Experiment.id).with_for_update(nowait=True))
    flushing.join()
    assert len(told_losses(database)) == 1


def test_a_flush_that_is_rolled_back_tells_nothing(database: Database) -> None:
    trial = Trial(database, LONG_S)
    trial.recorder.add(next(records(trial.plan, trial.signals, trial.curves)))
    with database.begin() as session:
        session.execute(text("ALTER TABLE curve_chunk ADD CONSTRAINT never CHECK (false)"))
    with pytest.raises(CheckViolation):
        trial.recorder.flush(0)
    assert told_losses(database) == []


@pytest.mark.parametrize("flush_at", [[1], [200], [199, 200, 201, 400], list(range(50, 4_000, 450))])
def test_records_are_one_trace_however_often_they_are_flushed(database: Database, flush_at: list[int]) -> None:
    trial = Trial(database, LONG_S)
    for record in records(trial.plan, trial.signals, trial.curves):
        trial.recorder.add(record)
        if record.step + 1 in flush_at:
            trial.recorder.flush(record.step)
    with database.begin() as session:
        trial.recorder.write(session, RECORDS - 1, ended=True)
    assert_all_is_there_once(trial)


def test_a_recorder_that_begins_behind_what_is_stored_leaves_the_same_rollups(database: Database) -> None:
    """In the middle of a part of three chunks, of which two are stored already."""
    whole, cut = Trial(database, LONG_S), Trial(database, LONG_S)
    whole.thread.start()
    whole.thread.join()
    every_record = list(records(cut.plan, cut.signals, cut.curves))
    for record in every_record[:1_600]:
        cut.recorder.add(record)
    cut.recorder.flush(1_599)
    cut.recorder = Recorder(database, cut.lease, LONG_S, cut.plan, first_step=1_600)
    for record in every_record[1_600:]:
        cut.recorder.add(record)
    with database.begin() as session:
        cut.recorder.write(session, RECORDS - 1, ended=True)
    assert rollups(database, cut.lease.run_id) == rollups(database, whole.lease.run_id)


def rollups(database: Database, run_id: uuid.UUID) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    with database.begin() as session:
        for table in (TraceRollup, CurveRollup):
            columns = [column for column in table.__table__.columns if column.name != "run_id"]
            query = select(*columns).where(table.run_id == run_id).order_by(*table.__table__.primary_key)
            found += [tuple(map(str, row)) for row in session.execute(query)]
    assert found
    return found
