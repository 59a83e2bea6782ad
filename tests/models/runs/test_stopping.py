"""The latest end of an experiment: what has not ended by then is stopped, with its reason and what it has recorded."""

import uuid

from sqlalchemy import func, select, update

from models import runs
from models.runs import queueing
from models.status import State
from models.storage.database import Database
from models.storage.tables import Attempt, Event, Experiment, Run
from tests.models.runs.test_runs import claim, claimed, experiment, run, run_ids, submit

WHY = "the experiment's end_before passed before the run ended"


def overdue(database: Database, experiment_id: uuid.UUID) -> None:
    with database.begin() as session:
        over = update(Experiment).where(Experiment.id == experiment_id).values(end_before=func.clock_timestamp())
        session.execute(over)


def end_overdue(database: Database) -> int:
    with database.begin() as session:
        return runs.end_overdue(session)


def ends(database: Database, experiment_id: uuid.UUID) -> list[tuple[str, str | None]]:
    """(state, title of the error) of each run."""
    found = [run(database, run_id) for run_id in run_ids(database, experiment_id)]
    return [(row.state, None if row.error is None else row.error["title"]) for row in found]


def test_at_the_latest_end_what_waits_and_what_is_trained_is_stopped_with_the_reason(database: Database) -> None:
    experiment_id, other = (submit(database, seeds=[0, 1, 2], end_before="2999-01-01T00:00:00Z") for _ in range(2))
    ended, trained, _ = run_ids(database, experiment_id)
    with database.begin() as session:
        session.execute(update(Run).where(Run.id == ended).values(state=State.SUCCEEDED, outcome="finished"))
    lease = claimed(database, trained)
    assert end_overdue(database) == 0
    overdue(database, experiment_id)
    assert end_overdue(database) == 1
    assert end_overdue(database) == 0
    assert ends(database, experiment_id) == [("succeeded", None), ("running", None), ("cancelled", "End passed")]
    with database.begin() as session:
        assert runs.cancel_requested(session, lease)
        assert runs.stop(session, lease)
        told = select(Event.data["reason"].astext).where(Event.experiment_id == experiment_id, Event.kind == "run")
        assert list(session.execute(told.order_by(Event.id)).scalars())[-2:] == [WHY, WHY]
        assert session.execute(select(Attempt.reason).where(Attempt.run_id == trained)).scalar_one() == WHY
    assert ends(database, experiment_id)[1] == ("cancelled", "End passed")
    assert experiment(database, experiment_id).state == State.CANCELLED
    assert experiment(database, other).state == State.QUEUED


def test_beyond_the_latest_end_nothing_is_published_and_a_claim_ends_it_all(database: Database) -> None:
    """A message may come late, and the dispatcher's sweep later still."""
    experiment_id = submit(database, seeds=[0, 1])
    overdue(database, experiment_id)
    with database.begin() as session:
        assert queueing.take_unpublished(session, 16, 60.0) == []
    assert claim(database, run_ids(database, experiment_id)[1]) is None
    assert ends(database, experiment_id) == [("cancelled", "End passed")] * 2
    assert experiment(database, experiment_id).state == State.CANCELLED


def test_a_cancel_before_the_latest_end_is_a_cancel(database: Database) -> None:
    experiment_id = submit(database, seeds=[0, 1])
    lease = claimed(database, run_ids(database, experiment_id)[0])
    with database.begin() as session:
        assert runs.cancel(session, experiment_id)
    overdue(database, experiment_id)
    assert end_overdue(database) == 0
    with database.begin() as session:
        assert runs.stop(session, lease)
        assert session.execute(select(Attempt.reason)).scalar_one() == "cancelled"
    assert ends(database, experiment_id) == [("cancelled", None)] * 2


def test_what_has_ended_by_then_stays_as_it_is(database: Database) -> None:
    experiment_id = submit(database, seeds=[0])
    lease = claimed(database, run_ids(database, experiment_id)[0])
    with database.begin() as session:
        assert runs.fail(session, lease, {"title": "Run failed", "detail": "broken"})
    overdue(database, experiment_id)
    assert end_overdue(database) == 0
    assert ends(database, experiment_id) == [("failed", "Run failed")]
