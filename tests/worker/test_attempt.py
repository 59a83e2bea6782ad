"""One attempt on real PostgreSQL: what ends it, and what it then says of its run."""

import uuid
from collections.abc import Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text
from structlog.testing import capture_logs

from gradient_clinic.signals import CURVES
from models import runs
from models.plan import expand
from models.runs import queueing
from models.settings import Settings
from models.specs.experiment import ExperimentSpec
from models.storage.database import Database
from models.storage.tables import Run
from models.traces.reader import read_curves
from tests.away import away
from tests.eventually import HANGS_S, eventually, stays
from tests.statements import sent_to
from worker import attempt
from worker.attempt import AWAY_S, Workshop

LEASE_S = 60.0
# The server ends the connection in the middle of a COPY, as a restart of the server does.
CUT_EVERY_COPY = """
CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
CREATE TRIGGER cut BEFORE INSERT ON trace_chunk FOR EACH STATEMENT EXECUTE FUNCTION cut();
"""


@pytest.fixture
def workshop(database_url: str) -> Iterator[Workshop]:
    workshop = Workshop.open(Settings(database_url=SecretStr(database_url), lease_s=LEASE_S), gpu=False)
    yield workshop
    workshop.close()


def submitted(database: Database, **changes: Any) -> uuid.UUID:
    """The first of its runs."""
    asked = {
        "name": "attempt",
        "dataset": {"kind": "digits"},
        "network": {"kind": "mlp", "depth": 2, "width": 4},
        "optimizer": {"kind": "sgd"},
        "steps": 3,
        "seeds": [0],
        **changes,
    }
    spec = ExperimentSpec.model_validate(asked)
    with database.begin() as session:
        runs.submit(session, spec, expand(spec), owner="local")
        return session.execute(select(Run.id).order_by(Run.position).limit(1)).scalar_one()


def events_of(logged: list[MutableMapping[str, Any]]) -> list[str]:
    return [line["event"] for line in logged]


def state(database: Database, run_id: uuid.UUID) -> str:
    with database.begin() as session:
        return session.get_one(Run, run_id).state


def test_a_connection_cut_while_traces_are_written_costs_the_attempt_and_not_the_run(
    database: Database, workshop: Workshop
) -> None:
    run_id = submitted(database)
    with database.begin() as session:
        session.execute(text(CUT_EVERY_COPY))
    workshop.carry_out(run_id)
    assert state(database, run_id) == "running"  # until its lease lapses, or sooner:
    with database.begin() as session:
        session.execute(text("DROP TRIGGER cut ON trace_chunk"))
        assert queueing.reap_worker(session, run_id, workshop.name, max_attempts=5) == 1
    workshop.carry_out(run_id)
    assert state(database, run_id) == "succeeded"


def test_a_short_run_takes_twenty_statements_and_no_savepoint_where_nothing_is_capped(
    database: Database, workshop: Workshop
) -> None:
    """Thousands of tiny runs wait for them: 41 they were, and each is a way to the server and back."""
    run_id = submitted(database, seeds=[0, 1])
    with sent_to(workshop.database) as first:
        workshop.carry_out(run_id)
    assert state(database, run_id) == "succeeded"
    assert len(first) <= 20
    assert not [one for one in first if "SAVEPOINT" in one.statement]


def test_a_slot_that_reaches_no_database_waits_with_the_one_message_that_it_has(
    database: Database, workshop: Workshop, postgres_server: str
) -> None:
    run_id = submitted(database)
    with ThreadPoolExecutor() as pool, away(database, postgres_server), capture_logs() as logged:
        carried_out = pool.submit(workshop.carry_out, run_id)
        assert eventually(lambda: "the database is away; this slot waits for it" in events_of(logged))
        assert stays(lambda: not carried_out.done(), for_s=2 * AWAY_S)
        assert events_of(logged).count("the database is away; this slot waits for it") == 1
    carried_out.result(HANGS_S)
    assert state(database, run_id) == "succeeded"


def test_a_slot_that_waits_for_its_database_can_be_shut_down(
    database: Database, workshop: Workshop, postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = submitted(database)
    asked = iter([False, True])
    monkeypatch.setattr(attempt, "asked_to_stop", lambda: next(asked))
    with away(database, postgres_server):
        workshop.carry_out(run_id)
    assert state(database, run_id) == "queued"


def test_a_later_attempt_records_as_often_as_the_first_one_found_right(database: Database, workshop: Workshop) -> None:
    run_id = submitted(database, trace={"budget": 0.0001})
    with database.begin() as session:
        first = runs.claim(session, run_id, workshop.name, LEASE_S)
        assert first is not None
        assert first.trace_every is None
        assert runs.keep_cadence(session, first.lease, 2)
        runs.give_back(session, first.lease, "lease lost")
        assert not runs.keep_cadence(session, first.lease, 7)  # the lease is void
    workshop.carry_out(run_id)
    with database.begin() as session:
        assert session.get_one(Run, run_id).trace_every == 2
        assert read_curves(session, run_id, CURVES, 0, 100).steps.tolist() == [0, 2]


def test_the_first_attempt_stores_the_cadence_that_it_found(database: Database, workshop: Workshop) -> None:
    run_id = submitted(database, trace={"budget": 10.0})
    workshop.carry_out(run_id)
    with database.begin() as session:
        assert session.get_one(Run, run_id).trace_every == 1
