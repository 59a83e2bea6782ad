"""The heart on real PostgreSQL: it keeps the lease, hears a cancel at once, and notices a lost lease."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import InstrumentedAttribute

from models import runs
from models.plan import expand
from models.runs import Lease
from models.specs.experiment import ExperimentSpec
from models.storage.database import Database
from models.storage.tables import Run
from tests.eventually import eventually, stays
from worker.heart import Heart

LEASE_S = 3.0
"""A beat a second; so late as to let it lapse comes none on a busy machine either."""
SHORT_S = 0.6
"""Where it is to lapse."""


def claimed(database: Database, lease_s: float = LEASE_S) -> Lease:
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
        claim = runs.claim(session, run_id, "host:1", lease_s)
    assert claim is not None
    return claim.lease


@pytest.fixture
def heart(database: Database) -> Iterator[Heart]:
    heart = Heart(database, LEASE_S)
    yield heart
    heart.close()


def test_the_lease_is_kept_for_as_long_as_the_run_is_watched(database: Database, heart: Heart) -> None:
    lease = claimed(database)

    def asked(what: ColumnElement[Any] | InstrumentedAttribute[Any]) -> Any:
        with database.begin() as session:
            return session.execute(select(what).where(Run.id == lease.run_id)).scalar_one()

    claimed_until = asked(Run.lease_until)
    with heart.watch(lease) as watch:
        assert eventually(lambda: asked(func.clock_timestamp()) > claimed_until)
        assert asked(Run.lease_until) > claimed_until
        assert watch.stop is None
    assert eventually(lambda: asked(Run.lease_until < func.clock_timestamp()))


def test_a_beat_says_how_far_training_is_and_never_goes_back(database: Database, heart: Heart) -> None:
    lease = claimed(database)

    def step() -> int:
        with database.begin() as session:
            return session.execute(select(Run.step).where(Run.id == lease.run_id)).scalar_one()

    with heart.watch(lease) as watch:
        watch.step = 7
        assert eventually(lambda: step() == 7)
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
            assert eventually(lambda: watch.stop == "cancelled")
    finally:
        heart.close()


def test_a_cancel_between_claim_and_watch_is_heard_too(database: Database, heart: Heart) -> None:
    lease = claimed(database)
    with database.begin() as session:
        runs.cancel(session, lease.experiment_id)
    with heart.watch(lease) as watch:
        assert eventually(lambda: watch.stop == "cancelled")


def test_a_void_lease_is_noticed_at_the_next_beat(database: Database, heart: Heart) -> None:
    lease = claimed(database)
    with database.begin() as session:
        session.execute(update(Run).values(lease_token=uuid.uuid4()))
    with heart.watch(lease) as watch:
        assert eventually(lambda: watch.stop == "lost")


def test_another_experiments_cancel_changes_nothing(database: Database, heart: Heart) -> None:
    lease, other = claimed(database), uuid.uuid4()
    with heart.watch(lease) as watch:
        with database.begin() as session:
            session.execute(select(func.pg_notify(runs.CANCEL_CHANNEL, str(other))))
        assert stays(lambda: watch.stop is None, for_s=1.0)


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Every beat waits, as it would for a server that is slow."""
    with database.begin() as session:
        session.execute(select(Run.id).with_for_update())
        yield


def test_training_hears_of_a_lost_lease_while_the_beat_hangs(database: Database) -> None:
    heart = Heart(database, SHORT_S)
    try:
        lease = claimed(database, SHORT_S)
        with heart.watch(lease) as watch:
            with locked(database):
                assert eventually(lambda: watch.stop == "lost")
            assert watch.stop == "lost"  # the beat that comes through at last changes nothing
    finally:
        heart.close()


def test_a_beat_that_comes_late_and_finds_the_run_still_ours_lets_it_go_on(database: Database) -> None:
    heart = Heart(database, lease_s=3.0)
    try:
        lease = claimed(database)
        with heart.watch(lease) as watch:
            with locked(database):
                assert stays(lambda: not watch.ended, for_s=3.2)
            assert watch.stop is None
            assert stays(lambda: watch.stop is None, for_s=1.0)
    finally:
        heart.close()
