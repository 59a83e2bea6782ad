"""The heart on real PostgreSQL: it keeps the lease, hears a cancel at once, and notices a lost lease."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import func, select, update

from models import runs
from models.database import Database
from models.plan import expand
from models.runs import Lease
from models.specs.experiment import ExperimentSpec
from models.tables import Run
from worker.heart import Heart

LEASE_S = 0.6


def claimed(database: Database) -> Lease:
    """A lease on the only run there is."""
    spec = ExperimentSpec.model_validate(
        {
            "name": "heart",
            "dataset": {"kind": "digits"},
            "network": {"kind": "mlp", "depth": 2, "width": 4},
            "optimizer": {"kind": "sgd"},
            "steps": 1,
            "seeds": [0],
        }
    )
    with database.begin() as session:
        runs.submit(session, spec, expand(spec), owner="local")
        run_id = session.execute(select(Run.id)).scalar_one()
    with database.begin() as session:
        claim = runs.claim(session, run_id, "host:1", LEASE_S)
    assert claim is not None
    return claim.lease


@pytest.fixture
def heart(database: Database) -> Iterator[Heart]:
    heart = Heart(database, LEASE_S)
    yield heart
    heart.close()


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether it comes to hold in time; returns as soon as it does."""
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        pause.wait(0.01)
    return holds()


def test_the_lease_is_kept_for_as_long_as_the_run_is_watched(database: Database, heart: Heart) -> None:
    lease = claimed(database)

    def left_s() -> float:
        with database.begin() as session:
            left = func.extract("epoch", Run.lease_until - func.clock_timestamp())
            return float(session.execute(select(left).where(Run.id == lease.run_id)).scalar_one())

    with heart.watch(lease) as watch:
        watched_until = time.monotonic() + 2 * LEASE_S
        assert not within(2 * LEASE_S, lambda: left_s() < 0)
        assert time.monotonic() >= watched_until
        assert watch.stop is None
    assert within(3 * LEASE_S, lambda: left_s() < 0)


def test_a_beat_says_how_far_training_is_and_never_goes_back(database: Database, heart: Heart) -> None:
    lease = claimed(database)

    def step() -> int:
        with database.begin() as session:
            return session.execute(select(Run.step).where(Run.id == lease.run_id)).scalar_one()

    with heart.watch(lease) as watch:
        watch.step = 7
        assert within(5.0, lambda: step() == 7)
        with database.begin() as session:
            assert runs.beat(session, lease, LEASE_S, step=5)
        assert step() == 7


def test_a_cancel_is_heard_between_two_beats(database: Database) -> None:
    heart = Heart(database, lease_s=60.0)
    try:
        lease = claimed(database)
        with heart.watch(lease) as watch:
            with database.begin() as session:
                runs.cancel(session, lease.experiment_id)
            assert within(5.0, lambda: watch.stop == "cancelled")
    finally:
        heart.close()


def test_a_cancel_between_claim_and_watch_is_heard_too(database: Database, heart: Heart) -> None:
    lease = claimed(database)
    with database.begin() as session:
        runs.cancel(session, lease.experiment_id)
    with heart.watch(lease) as watch:
        assert within(5.0, lambda: watch.stop == "cancelled")


def test_a_void_lease_is_noticed_at_the_next_beat(database: Database, heart: Heart) -> None:
    lease = claimed(database)
    with database.begin() as session:
        session.execute(update(Run).values(lease_token=uuid.uuid4()))
    with heart.watch(lease) as watch:
        assert within(5.0, lambda: watch.stop == "lost")


def test_another_experiments_cancel_changes_nothing(database: Database, heart: Heart) -> None:
    lease, other = claimed(database), uuid.uuid4()
    with heart.watch(lease) as watch:
        with database.begin() as session:
            session.execute(select(func.pg_notify(runs.CANCEL_CHANNEL, str(other))))
        assert not within(2 * LEASE_S, lambda: watch.stop is not None)


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Every beat waits, as it would for a server that is slow."""
    with database.begin() as session:
        session.execute(select(Run.id).with_for_update())
        yield


def test_training_hears_of_a_lost_lease_while_the_beat_hangs(database: Database, heart: Heart) -> None:
    lease = claimed(database)
    with heart.watch(lease) as watch:
        with locked(database):
            assert within(10.0, lambda: watch.stop == "lost")
        assert watch.stop == "lost"  # the beat that comes through at last changes nothing


def test_a_beat_that_comes_late_and_finds_the_run_still_ours_lets_it_go_on(database: Database) -> None:
    heart = Heart(database, lease_s=3.0)
    try:
        lease = claimed(database)
        with heart.watch(lease) as watch:
            with locked(database):
                assert not within(3.2, lambda: watch.ended)
            assert watch.stop is None
            assert not within(1.0, lambda: watch.stop is not None)
    finally:
        heart.close()
