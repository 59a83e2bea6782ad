"""The life of a run on real PostgreSQL: guarded writes, one winner, one order of locks."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from sqlalchemy import select, text, update

from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.verdict.run_trace import RunTrace
from gradient_clinic.verdict.shapes import RunFacts, RunSummary
from models import runs
from models.analysis.verdict.summary import summarise
from models.plan import expand
from models.runs import Claim, Lease, comparing, queueing
from models.specs.experiment import ExperimentSpec
from models.status import State
from models.storage.database import Database
from models.storage.tables import Attempt, Experiment, Run
from models.storage.trace_tables import CurveChunk
from models.traces.writer import Block, TraceWriter
from tests.eventually import HANGS_S

LONG_S = 60.0


def spec(**changes: Any) -> ExperimentSpec:
    return ExperimentSpec.model_validate(
        {
            "name": "life",
            "dataset": {"kind": "digits"},
            "network": {"kind": "mlp", "depth": 3, "width": 4},
            "optimizer": {"kind": "sgd"},
            "steps": 10,
            "seeds": [0],
            **changes,
        }
    )


def submit(database: Database, owner: str = "local", **changes: Any) -> uuid.UUID:
    asked = spec(**changes)
    with database.begin() as session:
        return runs.submit(session, asked, expand(asked), owner)


def run_ids(database: Database, experiment_id: uuid.UUID) -> list[uuid.UUID]:
    with database.begin() as session:
        query = select(Run.id).where(Run.experiment_id == experiment_id).order_by(Run.position)
        return list(session.execute(query).scalars())


def claim(database: Database, run_id: uuid.UUID, lease_s: float = LONG_S) -> Claim | None:
    with database.begin() as session:
        return runs.claim(session, run_id, "host:1", lease_s)


def claimed(database: Database, run_id: uuid.UUID, lease_s: float = LONG_S) -> Lease:
    got = claim(database, run_id, lease_s)
    assert got is not None
    return got.lease


def run(database: Database, run_id: uuid.UUID) -> Run:
    with database.begin() as session:
        return session.get_one(Run, run_id)


def experiment(database: Database, experiment_id: uuid.UUID) -> Experiment:
    with database.begin() as session:
        return session.get_one(Experiment, experiment_id)


def reasons(database: Database, run_id: uuid.UUID) -> list[str | None]:
    with database.begin() as session:
        query = select(Attempt.reason).where(Attempt.run_id == run_id).order_by(Attempt.number)
        return list(session.execute(query).scalars())


def test_submitting_writes_every_run_as_queued(database: Database) -> None:
    experiment_id = submit(database, seeds=[3, 5], remedies=[{"kind": "batch_norm"}])
    with database.begin() as session:
        rows = session.execute(select(Run.variant, Run.seed, Run.state).order_by(Run.position)).all()
    assert [tuple(row) for row in rows] == [
        ("baseline", 3, "queued"),
        ("batch_norm", 3, "queued"),
        ("baseline", 5, "queued"),
        ("batch_norm", 5, "queued"),
    ]
    assert experiment(database, experiment_id).spec == spec(seeds=[3, 5], remedies=[{"kind": "batch_norm"}])


def test_of_many_claimers_one_wins(database: Database) -> None:
    (run_id,) = run_ids(database, submit(database))
    barrier = threading.Barrier(8)

    def race(_: int) -> Claim | None:
        barrier.wait()
        return claim(database, run_id)

    with ThreadPoolExecutor(8) as pool:
        won = [one for one in pool.map(race, range(8)) if one is not None]
    assert len(won) == 1
    assert run(database, run_id).attempt == 1


def test_a_claim_starts_the_experiment_and_hands_over_all_that_training_needs(database: Database) -> None:
    experiment_id = submit(database, seeds=[7])
    got = claim(database, run_ids(database, experiment_id)[0])
    assert got is not None
    assert (got.variant, got.seed, got.spec) == ("baseline", 7, spec(seeds=[7]))
    assert experiment(database, experiment_id).state == State.RUNNING


def test_a_claim_waits_for_no_disk_and_the_end_of_a_run_does(database: Database) -> None:
    (run_id,) = run_ids(database, submit(database))
    with database.begin() as session:
        session.execute(text("SET LOCAL synchronous_commit TO on"))  # that of the tests' server is off
        taken = runs.claim(session, run_id, "host:1", LONG_S)
        assert session.execute(text("SHOW synchronous_commit")).scalar_one() == "off"
    assert taken is not None
    with database.begin() as session:
        session.execute(text("SET LOCAL synchronous_commit TO on"))
        assert runs.fail(session, taken.lease, {})
        assert session.execute(text("SHOW synchronous_commit")).scalar_one() == "on"


def test_a_void_lease_can_write_nothing(database: Database) -> None:
    (run_id,) = run_ids(database, submit(database))
    lease = claimed(database, run_id)
    stale = Lease(lease.run_id, lease.experiment_id, uuid.uuid4(), lease.attempt)
    with database.begin() as session:
        assert not runs.beat(session, stale, LONG_S, step=5)
        assert not runs.stop(session, stale)
        assert not runs.fail(session, stale, {"detail": "no"})
        assert not runs.give_back(session, stale, "no")
    assert (run(database, run_id).state, run(database, run_id).step) == (State.RUNNING, 0)


def test_a_lapsed_lease_is_reaped_and_the_next_attempt_begins_anew(database: Database) -> None:
    (run_id,) = run_ids(database, submit(database))
    first = claimed(database, run_id, lease_s=0.0)
    with database.begin() as session:
        TraceWriter(run_id, ("hidden.0",), 1, 1).write(session, [_block()])
    with database.begin() as session:
        assert queueing.reap(session, max_attempts=5) == 1
    assert run(database, run_id).state == State.QUEUED
    second = claimed(database, run_id)
    assert second.attempt == 2
    with database.begin() as session:
        assert session.execute(select(CurveChunk.run_id)).first() is None
        assert not runs.beat(session, first, LONG_S)
    assert reasons(database, run_id) == ["lease lost", None]


def _block() -> Block:
    return Block(0, np.ones((9, 1, 1)), np.ones((9, 1)))


def test_a_live_lease_is_left_alone(database: Database) -> None:
    (run_id,) = run_ids(database, submit(database))
    claimed(database, run_id)
    with database.begin() as session:
        assert queueing.reap(session, max_attempts=5) == 0


def test_two_reapers_act_once(database: Database) -> None:
    experiment_id = submit(database, seeds=list(range(6)))
    for run_id in run_ids(database, experiment_id):
        claimed(database, run_id, lease_s=0.0)

    def reap(_: int) -> int:
        with database.begin() as session:
            return queueing.reap(session, max_attempts=5)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(reap, range(4))) == 6


def test_attempts_are_capped_and_the_reason_is_kept(database: Database) -> None:
    experiment_id = submit(database)
    (run_id,) = run_ids(database, experiment_id)
    for _ in range(2):
        claimed(database, run_id, lease_s=0.0)
        with database.begin() as session:
            queueing.reap(session, max_attempts=2)
    lost = run(database, run_id)
    assert lost.state == State.FAILED
    assert lost.error is not None
    assert "2 attempts" in lost.error["detail"]
    assert experiment(database, experiment_id).state == State.FAILED


def test_a_dead_child_gives_back_only_its_own_run(database: Database) -> None:
    one, other = run_ids(database, submit(database, seeds=[0, 1]))
    claimed(database, one)
    with database.begin() as session:
        runs.claim(session, other, "host:2", LONG_S)
        assert queueing.reap_worker(session, other, "host:1", max_attempts=5) == 0
        assert queueing.reap_worker(session, other, "host:2", max_attempts=5) == 1
    assert (run(database, one).state, run(database, other).state) == (State.RUNNING, State.QUEUED)


def test_cancel_ends_queued_runs_now_and_asks_running_ones(database: Database) -> None:
    experiment_id = submit(database, seeds=[0, 1])
    running, queued = run_ids(database, experiment_id)
    lease = claimed(database, running)
    with database.begin() as session:
        assert runs.cancel(session, experiment_id)
    assert run(database, queued).state == State.CANCELLED
    assert experiment(database, experiment_id).state == State.RUNNING
    with database.begin() as session:
        assert runs.cancel_requested(session, lease)
        assert runs.stop(session, lease)
    assert experiment(database, experiment_id).state == State.CANCELLED
    with database.begin() as session:
        assert not runs.cancel(session, experiment_id)


def test_cancelling_a_queued_experiment_ends_it(database: Database) -> None:
    experiment_id = submit(database)
    with database.begin() as session:
        runs.cancel(session, experiment_id)
    ended = experiment(database, experiment_id)
    assert (ended.state, ended.ended_at is not None) == (State.CANCELLED, True)
    assert claim(database, run_ids(database, experiment_id)[0]) is None


def test_a_reaped_run_of_a_cancelled_experiment_is_cancelled(database: Database) -> None:
    experiment_id = submit(database)
    claimed(database, run_ids(database, experiment_id)[0], lease_s=0.0)
    with database.begin() as session:
        runs.cancel(session, experiment_id)
    with database.begin() as session:
        queueing.reap(session, max_attempts=5)
    assert experiment(database, experiment_id).state == State.CANCELLED


def test_deleting_while_a_run_trains_voids_its_lease(database: Database) -> None:
    experiment_id = submit(database)
    lease = claimed(database, run_ids(database, experiment_id)[0])
    with database.begin() as session:
        runs.remove(session, experiment_id)
    with database.begin() as session:
        assert not runs.beat(session, lease, LONG_S)
        assert runs.cancel_requested(session, lease)


def publish(
    database: Database, window: int = 100, republish_after_s: float = LONG_S, owner_limit: int | None = None
) -> list[uuid.UUID]:
    with database.begin() as session:
        chosen = queueing.take_unpublished(session, window, republish_after_s, owner_limit)
        return [queued.run_id for queued in chosen]


def test_higher_priority_is_published_first(database: Database) -> None:
    low = run_ids(database, submit(database, priority=1))
    high = run_ids(database, submit(database, priority=9))
    assert publish(database) == [*high, *low]


def test_owners_take_turns(database: Database) -> None:
    many = run_ids(database, submit(database, owner="a", seeds=[0, 1, 2]))
    few = run_ids(database, submit(database, owner="b", seeds=[0]))
    assert publish(database) == [many[0], few[0], many[1], many[2]]


def test_what_is_published_is_bounded_and_not_published_twice(database: Database) -> None:
    ids = run_ids(database, submit(database, seeds=[0, 1, 2]))
    assert publish(database, window=2) == ids[:2]
    assert publish(database, window=2) == []
    claimed(database, ids[0])
    assert publish(database, window=2) == ids[2:]


def test_what_nobody_claimed_is_published_again(database: Database) -> None:
    ids = run_ids(database, submit(database))
    assert publish(database) == ids
    assert publish(database) == []
    with database.begin() as session:
        session.execute(update(Run).values(published_at=Run.published_at - runs.seconds(120)))
    assert publish(database) == ids


def test_several_dispatchers_publish_each_run_once(database: Database) -> None:
    ids = run_ids(database, submit(database, seeds=list(range(40))))
    with ThreadPoolExecutor(4) as pool:
        published = [one for batch in pool.map(lambda _: publish(database, window=40), range(8)) for one in batch]
    assert sorted(published) == sorted(ids)


def test_claims_cancels_and_deletes_at_once_do_not_deadlock(database: Database) -> None:
    experiments = [submit(database, seeds=list(range(5))) for _ in range(6)]
    everything = [(one, run_id) for one in experiments for run_id in run_ids(database, one)]

    def work(job: tuple[uuid.UUID, uuid.UUID]) -> None:
        got = claim(database, job[1])
        if got is not None:
            with database.begin() as session:
                runs.give_back(session, got.lease, "again")

    def end(experiment_id: uuid.UUID) -> None:
        with database.begin() as session:
            runs.cancel(session, experiment_id)
        with database.begin() as session:
            runs.remove(session, experiment_id)

    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(work, job) for job in everything] + [pool.submit(end, one) for one in experiments]
        for job in jobs:
            job.result(HANGS_S)
    with database.begin() as session:
        assert session.execute(select(Run.id)).first() is None


def test_not_before_its_time_nothing_is_published(database: Database) -> None:
    ids = run_ids(database, submit(database, not_before="2999-01-01T00:00:00Z"))
    assert publish(database) == []
    with database.begin() as session:
        session.execute(update(Experiment).values(not_before=Experiment.created_at))
    assert publish(database) == ids


def test_of_one_experiment_no_more_than_max_parallel_are_under_way(database: Database) -> None:
    ids = run_ids(database, submit(database, seeds=[0, 1, 2, 3], max_parallel=2))
    assert publish(database) == ids[:2]
    assert publish(database) == []
    lease = claimed(database, ids[0])
    assert publish(database) == []
    with database.begin() as session:
        runs.fail(session, lease, {"detail": "broken"})
    assert publish(database) == ids[2:3]


def raced(database: Database, ids: list[uuid.UUID], owner_limit: int | None = None) -> list[Claim]:
    """What as many workers get that hear of these runs at one moment, as late messages may have it."""
    barrier = threading.Barrier(len(ids))

    def race(run_id: uuid.UUID) -> Claim | None:
        barrier.wait()
        with database.begin() as session:
            return runs.claim(session, run_id, "host:1", LONG_S, owner_limit)

    with ThreadPoolExecutor(len(ids)) as pool:
        return [one for one in pool.map(race, ids) if one is not None]


def test_late_messages_do_not_lift_max_parallel(database: Database) -> None:
    ids = run_ids(database, submit(database, seeds=[0, 1, 2, 3, 4, 5], max_parallel=2))
    won = raced(database, ids)
    assert len(won) == 2
    lost = [run_id for run_id in ids if run_id not in {one.lease.run_id for one in won}]
    assert {(run(database, run_id).state, run(database, run_id).attempt) for run_id in lost} == {(State.QUEUED, 0)}
    assert publish(database) == []
    with database.begin() as session:
        runs.fail(session, won[0].lease, {"detail": "broken"})
    assert publish(database) == lost[:1]


def test_of_one_owner_no_more_runs_than_allowed_are_under_way(database: Database) -> None:
    first = run_ids(database, submit(database, seeds=[0, 1, 2], max_parallel=1))
    second = run_ids(database, submit(database, seeds=[0, 1, 2]))
    others = run_ids(database, submit(database, owner="another", seeds=[0]))
    # What max_parallel holds back takes nobody's place.
    assert set(publish(database, owner_limit=2)) == {first[0], second[0], others[0]}
    assert publish(database, owner_limit=2) == []
    assert len(raced(database, [*first, *second, *others], owner_limit=2)) == 2 + 1


def test_dispatchers_side_by_side_publish_each_run_once_and_no_more_than_the_window(database: Database) -> None:
    ids = run_ids(database, submit(database, seeds=list(range(20))))
    barrier = threading.Barrier(6)

    def dispatch(_: int) -> list[uuid.UUID]:
        barrier.wait()
        return publish(database, window=15)

    with ThreadPoolExecutor(6) as pool:
        chosen = [run_id for some in pool.map(dispatch, range(6)) for run_id in some]
    assert sorted(chosen) == sorted(ids[:15])


def test_runs_for_a_device_that_nobody_has_hold_up_no_others(database: Database) -> None:
    for _ in range(2):
        submit(database, seeds=list(range(10)), device="gpu")
    others = run_ids(database, submit(database, seeds=[0, 1, 2]))
    assert len(publish(database, window=4)) == 4 + 3
    with database.begin() as session:
        session.execute(update(Run).values(published_at=Run.published_at - runs.seconds(LONG_S + 1)))
    again = publish(database, window=4)
    assert set(others) < set(again)
    assert len(again) == 4 + 3


def test_runs_that_have_not_started_by_the_deadline_fail(database: Database) -> None:
    experiment_id = submit(database, seeds=[0, 1], deadline="2999-01-01T00:00:00Z")
    started, waiting = run_ids(database, experiment_id)
    lease = claimed(database, started)
    with database.begin() as session:
        assert runs.expire(session) == 0
        session.execute(update(Experiment).values(start_before=Experiment.created_at))
    with database.begin() as session:
        assert runs.expire(session) == 1
    late = run(database, waiting)
    assert (late.state, late.error and late.error["title"]) == (State.FAILED, "Deadline passed")
    assert experiment(database, experiment_id).state == State.RUNNING
    with database.begin() as session:
        runs.fail(session, lease, {"detail": "broken"})
    assert experiment(database, experiment_id).state == State.FAILED


def test_a_run_whose_deadline_has_passed_is_neither_published_nor_claimed_but_fails(database: Database) -> None:
    """A message may come late, and the dispatcher's sweep later still."""
    experiment_id = submit(database, seeds=[0, 1])
    asked, other = run_ids(database, experiment_id)
    with database.begin() as session:
        session.execute(update(Experiment).values(start_before=Experiment.created_at))
    assert publish(database) == []
    assert claim(database, asked) is None
    late = run(database, asked)
    assert (late.state, late.attempt, late.error and late.error["title"]) == (State.FAILED, 0, "Deadline passed")
    # The others are the sweep's, or fail at a claim of their own.
    assert run(database, other).state == State.QUEUED
    assert claim(database, other) is None
    assert experiment(database, experiment_id).state == State.FAILED


def test_a_spent_budget_cancels_what_has_not_started(database: Database) -> None:
    experiment_id = submit(database, seeds=[0, 1, 2], budget={"device_seconds": 5.0})
    first, second, third = run_ids(database, experiment_id)
    for run_id, spent in ((first, 3.0), (second, 2.5)):
        lease = claimed(database, run_id)
        with database.begin() as session:
            assert runs.finish(session, lease, summary(spent), "cpu", {})
    assert (run(database, third).state, experiment(database, experiment_id).state) == (
        State.CANCELLED,
        State.SUCCEEDED,
    )
    with database.begin() as session:
        notes = comparing.compute(session, experiment_id).notes
    assert "a partial answer, from the 2 of 3 runs that have succeeded" in notes
    assert "missing from baseline: seed 2 cancelled (Budget spent)" in notes


def summary(device_seconds: float) -> RunSummary:
    """A summary as a finished run leaves it, of a network whose gradients are even."""
    asked = spec()
    plan = expand(asked)[0].plan
    ones = np.ones((len(plan.layers), 1))
    trace = RunTrace(
        plan.network.judged,
        np.zeros(1, dtype=np.int64),
        {name: ones if name == "activation_gradient_rms" else 0 * ones for name in SIGNALS},
        {name: np.ones(1) for name in CURVES},
    )
    facts = RunFacts(
        steps_asked=10,
        stopped_by=None,
        outcome="finished",
        chance_level=2.3,
        test_metric=0.5,
        test_loss=1.0,
        conditions=plan.conditions,
        step_seconds=0.001,
        device_seconds=device_seconds,
        peak_memory_bytes=0,
        parameters=1,
        overhead=1.0,
    )
    return summarise(plan, trace, facts)


def test_finishing_stores_the_summary_and_ends_the_experiment(database: Database) -> None:
    experiment_id = submit(database)
    (run_id,) = run_ids(database, experiment_id)
    lease = claimed(database, run_id)
    with database.begin() as session:
        assert runs.finish(session, lease, summary(1.0), "cpu", {"torch": "2"})
        assert not runs.finish(session, lease, summary(1.0), "cpu", {"torch": "2"})
    done = run(database, run_id)
    assert (done.state, done.outcome, done.summary) == (State.SUCCEEDED, "finished", summary(1.0))
    assert experiment(database, experiment_id).state == State.SUCCEEDED


def test_retry_queues_only_what_failed_and_forgives_its_attempts(database: Database) -> None:
    experiment_id = submit(database, seeds=[0, 1])
    good, bad = run_ids(database, experiment_id)
    with database.begin() as session:
        assert runs.retry(session, experiment_id) == 0
    lease = claimed(database, good)
    with database.begin() as session:
        runs.finish(session, lease, summary(1.0), "cpu", {})
    lease = claimed(database, bad)
    with database.begin() as session:
        runs.fail(session, lease, {"detail": "broken"})
    assert experiment(database, experiment_id).state == State.SUCCEEDED
    with database.begin() as session:
        assert runs.retry(session, experiment_id) == 1
    assert experiment(database, experiment_id).state == State.RUNNING
    assert (run(database, good).state, run(database, bad).error) == (State.SUCCEEDED, None)
    claimed(database, bad, lease_s=0.0)
    with database.begin() as session:
        queueing.reap(session, max_attempts=2)
    assert run(database, bad).state == State.QUEUED  # one lost attempt since the retry, not two


def test_more_runs_than_a_statement_has_parameters_can_be_named(database: Database) -> None:
    one = submit(database, seeds=[0, 1])
    first, _ = run_ids(database, one)
    many = [uuid.uuid4() for _ in range(70_000)]
    with database.begin() as session:
        assert session.execute(select(Run.id).where(runs.among([*many, first]))).scalars().all() == [first]
        assert session.execute(select(Run.id).where(runs.among([]))).scalars().all() == []
