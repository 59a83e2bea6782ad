"""What is told of an experiment: every change of state once, in the order of commits, and nothing that was undone."""

import datetime as dt
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from models import runs
from models.runs import Lease, events, queueing
from models.runs.events import Told
from models.storage.database import Database
from models.storage.tables import Event, Experiment, Run
from tests.eventually import HANGS_S, eventually
from tests.models.runs.test_runs import LONG_S, claim, claimed, run_ids, submit, summary

Act = Callable[[Session], Any]


def told(database: Database, experiment_id: uuid.UUID) -> list[Told]:
    with database.begin() as session:
        found = events.news(session, experiment_id, 0, 1_000)
    assert found is not None
    return found.events


def lines(database: Database, experiment_id: uuid.UUID, after: int = 0) -> list[str]:
    """An event a line: runs by their seed."""
    return [line(one) for one in told(database, experiment_id)[after:]]


def line(one: Told) -> str:
    data = one.data
    match one.kind:
        case "experiment":
            counts = ", ".join(f"{count} {state}" for state, count in sorted(data["runs"].items()) if count)
            return f"{data['state']}: {counts}"
        case "run":
            reason = f" ({data['reason']})" if data["reason"] else ""
            return f"run {data['seed']} {data['state']}{reason}"
        case _:
            return f"run {data['seed']} step {data['step']} loss {data['loss']}"


def act(database: Database, what: Act) -> None:
    with database.begin() as session:
        assert what(session)


def test_every_edge_of_a_run_is_told(database: Database) -> None:
    one = submit(database, seeds=[0])
    (run_id,) = run_ids(database, one)
    act(database, lambda session: runs.give_back(session, claimed(database, run_id), "handed back"))
    claimed(database, run_id, lease_s=0.0)
    act(database, lambda session: queueing.reap(session, max_attempts=5))
    claimed(database, run_id)
    act(database, lambda session: queueing.reap_worker(session, run_id, "host:1", max_attempts=5))
    claimed(database, run_id, lease_s=0.0)
    act(database, lambda session: queueing.reap(session, max_attempts=2))
    act(database, lambda session: runs.retry(session, one))
    lease = claimed(database, run_id)
    act(database, lambda session: runs.beat(session, lease, LONG_S, step=3))
    act(database, lambda session: runs.finish(session, lease, summary(1.0), "cpu", {}, 0.5))
    runs_told = [text for text in lines(database, one) if text.startswith("run ")]
    lost = "lease lost in the last of 4 attempts; no more are made"
    assert runs_told == [
        "run 0 queued", "run 0 running", "run 0 queued (handed back)",
        "run 0 running", "run 0 queued (lease lost)",
        "run 0 running", "run 0 queued (worker process died)",
        "run 0 running", f"run 0 failed ({lost})", "run 0 queued (retried)",
        "run 0 running", "run 0 step 10 loss 0.5", "run 0 succeeded",
    ]  # fmt: skip
    # Counts within one state: the newest. "running" after the retry is a change, so it is kept.
    assert [text for text in lines(database, one) if not text.startswith("run ")] == [
        "queued: 1 queued", "running: 1 running", "failed: 1 failed", "running: 1 queued",
        "running: 1 running", "succeeded: 1 succeeded",
    ]  # fmt: skip


def test_a_cancel_tells_of_what_waited_and_of_what_ran(database: Database) -> None:
    one = submit(database, seeds=[0, 1])
    lease = claimed(database, run_ids(database, one)[0])
    before = len(told(database, one))
    act(database, lambda session: runs.cancel(session, one))
    act(database, lambda session: runs.stop(session, lease))
    assert lines(database, one, before) == [
        "run 1 cancelled (cancelled before it started)", "running: 1 cancelled, 1 running",
        "run 0 cancelled (cancelled)", "cancelled: 2 cancelled",
    ]  # fmt: skip


def test_a_deadline_tells_of_the_runs_that_it_fails(database: Database) -> None:
    one = submit(database, seeds=[0, 1], deadline="2999-01-01T00:00:00Z")
    before = len(told(database, one))
    with database.begin() as session:
        session.execute(update(Experiment).values(start_before=Experiment.created_at))
    act(database, runs.expire)
    reason = "(the experiment's deadline passed before the run started)"
    assert lines(database, one, before) == [f"run 0 failed {reason}", f"run 1 failed {reason}", "failed: 2 failed"]


def test_a_spent_budget_tells_of_the_runs_that_it_cancels(database: Database) -> None:
    one = submit(database, seeds=[0, 1, 2], budget={"device_seconds": 5.0})
    lease = claimed(database, run_ids(database, one)[0])
    before = len(told(database, one))
    act(database, lambda session: runs.finish(session, lease, summary(6.0), "cpu", {}))
    reason = "(the experiment's device_seconds were spent before it started)"
    assert lines(database, one, before) == [
        "run 0 succeeded", f"run 1 cancelled {reason}", f"run 2 cancelled {reason}",
        "succeeded: 2 cancelled, 1 succeeded",
    ]  # fmt: skip


def test_what_is_undone_is_not_told(database: Database) -> None:
    one = submit(database)
    before = told(database, one)

    def undone(session: Session) -> None:
        runs.claim(session, run_ids(database, one)[0], "host:1", LONG_S)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        act(database, undone)
    assert told(database, one) == before


def test_a_void_lease_tells_nothing(database: Database) -> None:
    one = submit(database)
    lease = claimed(database, run_ids(database, one)[0])
    before = told(database, one)
    stale = runs.Lease(lease.run_id, one, uuid.uuid4(), lease.attempt)
    with database.begin() as session:
        assert not runs.stop(session, stale)
        assert not runs.finish(session, stale, summary(1.0), "cpu", {}, 0.5)
    assert told(database, one) == before


def told_as_it_stands(session: Session, experiment_id: uuid.UUID, run_id: uuid.UUID) -> None:
    events.tell_runs(session, experiment_id, [run_id])
    runs.settle(session, experiment_id)


TELLING: dict[str, Callable[[Session, uuid.UUID, uuid.UUID], None]] = {
    "runs": lambda session, one, run_id: events.tell_runs(session, one, [run_id]),
    "progress": lambda session, one, run_id: events.tell_progress(session, one, run_id, 1.0),
    "experiment": told_as_it_stands,
}


@pytest.mark.parametrize("second", TELLING)
@pytest.mark.parametrize("first", TELLING)
def test_who_tells_later_commits_later(database: Database, first: str, second: str) -> None:
    """Else a reader could see the larger number first, go on after it, and never see the smaller one."""
    one = submit(database, seeds=[0, 1])
    mine, others = run_ids(database, one)
    claimed(database, mine)
    claimed(database, others)

    def tell_too() -> None:
        with database.begin() as session:
            TELLING[second](session, one, others)

    with ThreadPoolExecutor(1) as pool, database.begin() as session:
        TELLING[first](session, one, mine)
        number = events.last_number(session, one)
        # What is told of another experiment waits for nobody.
        submit(database)
        late = pool.submit(tell_too)
        assert waits_for_a_lock(database)
        session.commit()
        late.result(HANGS_S)
    with database.begin() as session:
        assert events.last_number(session, one) > number


def waits_for_a_lock(database: Database) -> bool:
    waiting = text(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )

    def somebody_waits() -> bool:
        with database.begin() as session:
            return bool(session.execute(waiting).scalar_one())

    return eventually(somebody_waits)


def test_writers_of_one_experiment_do_not_deadlock(database: Database) -> None:
    """Runs end and spend the budget, which stops those that others claim or give back at the same moment."""
    one = submit(database, seeds=list(range(64)), budget={"device_seconds": 20.0})

    def work(run_id: uuid.UUID) -> None:
        for ends in (False, True):
            got = claim(database, run_id)
            if got is None:  # the budget was spent
                return
            with database.begin() as session:
                runs.beat(session, got.lease, LONG_S, step=1)
                events.tell_progress(session, one, run_id, 1.0)
            with database.begin() as session:
                if ends:
                    runs.finish(session, got.lease, done, "cpu", {}, 1.0)
                else:
                    runs.give_back(session, got.lease, "again")

    done = summary(1.0)
    with ThreadPoolExecutor(12) as pool:
        for job in [pool.submit(work, run_id) for run_id in run_ids(database, one)]:
            job.result(HANGS_S)
    newest = [its.data for its in told(database, one) if its.kind == "experiment"][-1]
    assert newest["state"] == "succeeded"
    assert (newest["runs"]["succeeded"] >= 20, newest["runs"]["cancelled"] > 0) == (True, True)
    assert sum(newest["runs"].values()) == 64


def heard_of(database: Database, experiment_id: uuid.UUID, act: Callable[[], None]) -> int:
    """How often those who wait for the experiment are woken by what ``act`` commits."""
    with database.listening(runs.CHANGED_CHANNEL) as connection:
        act()
        return sum(notice.payload.split(" ")[0] == str(experiment_id) for notice in connection.notifies(timeout=0.2))


def test_progress_wakes_its_readers_once_a_second_and_a_trace_never(database: Database) -> None:
    """A NOTIFY takes a lock of the whole server at its commit, for which the commits of all workers would wait."""
    one = submit(database, seeds=[0, 1, 2, 3])
    leases = [claimed(database, run_id) for run_id in run_ids(database, one)]

    def write() -> None:
        for lease in leases:
            with database.begin() as session:
                assert runs.beat(session, lease, LONG_S, step=1)

    def tell() -> None:
        for lease in leases:
            with database.begin() as session:
                events.tell_progress(session, one, lease.run_id, 1.0)

    def age() -> None:
        """As if a second had passed since the newest event."""
        with database.begin() as session:
            session.execute(update(Event).values(at=Event.at - dt.timedelta(seconds=1)))

    assert heard_of(database, one, write) == 0
    age()
    assert heard_of(database, one, tell) in {1, 2}  # two where a second begins in between
    age()
    assert heard_of(database, one, tell) in {1, 2}
    told_of = {its.data["run_id"] for its in told(database, one) if its.kind == "progress"}
    assert told_of == {str(lease.run_id) for lease in leases}


def test_a_run_that_has_ended_is_not_told_to_go_on(database: Database) -> None:
    one = submit(database, seeds=[0])
    (run_id,) = run_ids(database, one)
    act(database, lambda session: runs.finish(session, claimed(database, run_id), summary(1.0), "cpu", {}, 0.5))
    before = told(database, one)
    with database.begin() as session:
        events.tell_progress(session, one, run_id, 1.0)
    assert told(database, one) == before


def test_the_numbers_of_an_experiment_go_with_it(database: Database) -> None:
    one = submit(database)
    with database.begin() as session:
        runs.remove(session, one)
    with database.begin() as session:
        assert events.news(session, one, 0, 10) is None
        assert session.execute(select(Event.id)).first() is None


def _cancels(session: Session, experiment_id: uuid.UUID, _: Lease) -> None:
    runs.cancel(session, experiment_id)


def _ends_and_spends(session: Session, _: uuid.UUID, lease: Lease) -> None:
    runs.finish(session, lease, summary(1.0), "cpu", {}, 1.0)


def _deletes(session: Session, experiment_id: uuid.UUID, _: Lease) -> None:
    runs.remove(session, experiment_id)


def _expires(session: Session, *_: object) -> None:
    runs.expire(session)


@pytest.mark.parametrize("writer", [_cancels, _ends_and_spends, _deletes, _expires])
def test_writers_of_several_runs_lock_them_in_the_order_of_their_ids(
    database: Database, writer: Callable[[Session, uuid.UUID, Lease], None]
) -> None:
    """The first run is another's: whoever waits for it holds none behind it. Its row was written again, so that it lies
    behind the others, and is come to last by a plan that reads the table as it lies.
    """
    one = submit(database, seeds=list(range(6)), budget={"device_seconds": 0.5})
    first, *others, own = run_ids(database, one)
    act(database, lambda session: runs.give_back(session, claimed(database, first), "again"))
    lease = claimed(database, own)
    with database.begin() as session:
        session.execute(update(Experiment).values(start_before=Experiment.created_at))

    def write() -> None:
        with database.begin() as session:
            for path in ("indexscan", "bitmapscan"):
                session.execute(text(f"SET LOCAL enable_{path} = off"))
            writer(session, one, lease)

    with ThreadPoolExecutor(1) as pool, database.begin() as session:
        session.execute(select(Run.id).where(Run.id == first).with_for_update())
        writing = pool.submit(write)
        assert waits_for_a_lock(database)
        with database.begin() as another:
            free = another.execute(select(Run.id).where(Run.id.in_(others)).with_for_update(skip_locked=True)).all()
        session.commit()
        writing.result(HANGS_S)
    assert len(free) == len(others)
