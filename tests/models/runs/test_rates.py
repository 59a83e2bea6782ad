"""Tuning on real PostgreSQL: the trial waits, is released once with the best rate, and ends right in every case."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from sqlalchemy import select

from gradient_clinic.verdict.shapes import RunSummary
from models import runs
from models.runs import comparing, rates
from models.status import Phase, State
from models.storage.database import Database
from models.storage.tables import Experiment, Run
from tests.models.runs.test_runs import LONG_S, claimed, experiment, publish, submit, summary

RATES = [0.1, 0.01, 0.001]
BEST = 0.01


def tuned(database: Database, **changes: Any) -> uuid.UUID:
    return submit(
        database,
        seeds=[0, 1],
        tune={"learning_rate": RATES, "seeds": [7, 8]},
        dataset={"kind": "digits", "validation_fraction": 0.2},
        **changes,
    )


def of_phase(database: Database, phase: Phase) -> list[Run]:
    with database.begin() as session:
        query = select(Run).where(Run.phase == phase).order_by(Run.position)
        return list(session.execute(query).scalars())


def ended(validation_loss: float) -> RunSummary:
    model = summary(1.0)
    return replace(model, facts=replace(model.facts, validation_loss=validation_loss))


def finish(database: Database, row: Run, loss: float | None = None) -> None:
    lease = claimed(database, row.id)
    found = ended(abs((row.learning_rate or 0.0) - BEST) if loss is None else loss)
    with database.begin() as session:
        assert runs.finish(session, lease, found, "cpu", {})


def release(database: Database) -> int:
    with database.begin() as session:
        return rates.release(session)


def test_only_tuning_is_published_at_first_and_nobody_may_claim_the_trial(database: Database) -> None:
    tuned(database)
    trying, trial = of_phase(database, Phase.TUNE), of_phase(database, Phase.TRIAL)
    assert [(one.seed, one.learning_rate) for one in trying] == [(seed, rate) for seed in (7, 8) for rate in RATES]
    assert publish(database) == [one.id for one in trying]
    with database.begin() as session:
        assert runs.claim(session, trial[0].id, "host:1", LONG_S) is None


def test_the_trial_gets_the_best_rate_once_all_are_tried(database: Database) -> None:
    experiment_id = tuned(database)
    *trying, last = of_phase(database, Phase.TUNE)
    for row in trying:
        finish(database, row)
    assert release(database) == 0
    finish(database, last)
    assert release(database) == 2
    assert release(database) == 0
    trial = of_phase(database, Phase.TRIAL)
    assert [(one.learning_rate, one.held) for one in trial] == [(BEST, False)] * 2
    assert publish(database) == [one.id for one in trial]
    with database.begin() as session:
        claim = runs.claim(session, trial[0].id, "host:1", LONG_S)
    assert claim is not None
    assert claim.learning_rate == BEST
    with database.begin() as session:
        assert runs.finish(session, claim.lease, summary(1.0), "cpu", {})
    finish(database, trial[1])
    assert experiment(database, experiment_id).state == State.SUCCEEDED
    with database.begin() as session:
        (baseline,) = comparing.compute(session, experiment_id).variants
    assert (baseline.tuned, baseline.runs["succeeded"]) == ({"learning_rate": BEST}, 2)
    assert baseline.tuning is not None
    assert [its.runs for its in baseline.tuning.tried] == [2, 2, 2]


def test_dispatchers_side_by_side_release_once(database: Database) -> None:
    tuned(database)
    for row in of_phase(database, Phase.TUNE):
        finish(database, row)
    barrier = threading.Barrier(4)

    def race(_: int) -> int:
        barrier.wait()
        return release(database)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(race, range(4))) == 2


def test_a_variant_does_not_wait_for_the_tuning_of_another(database: Database) -> None:
    tuned(database, remedies=[{"kind": "batch_norm"}])
    for row in of_phase(database, Phase.TUNE):
        if row.variant == "batch_norm":
            finish(database, row)
    assert release(database) == 2
    assert {one.variant for one in of_phase(database, Phase.TRIAL) if not one.held} == {"batch_norm"}


def test_where_no_rate_trains_the_trial_fails_with_the_reason_and_a_retry_tries_again(database: Database) -> None:
    experiment_id = tuned(database)
    for row in of_phase(database, Phase.TUNE):
        lease = claimed(database, row.id)
        with database.begin() as session:
            runs.fail(session, lease, {"title": "Out of memory", "detail": "too large"})
    assert release(database) == 0
    trial = of_phase(database, Phase.TRIAL)
    assert {(one.state, one.error and one.error["title"]) for one in trial} == {(State.FAILED, "Tuning failed")}
    assert experiment(database, experiment_id).state == State.FAILED
    with database.begin() as session:
        assert runs.retry(session, experiment_id) == 2 * 3 + 2
    assert publish(database) == [one.id for one in of_phase(database, Phase.TUNE)]
    for row in of_phase(database, Phase.TUNE):
        finish(database, row)
    assert release(database) == 2


def test_cancel_ends_what_is_held_too(database: Database) -> None:
    experiment_id = tuned(database)
    with database.begin() as session:
        assert runs.cancel(session, experiment_id)
    assert experiment(database, experiment_id).state == State.CANCELLED
    assert {one.state for one in of_phase(database, Phase.TRIAL)} == {State.CANCELLED}


def test_a_budget_spent_on_tuning_ends_the_trial(database: Database) -> None:
    experiment_id = tuned(database, budget={"device_seconds": 5.5})
    for row in of_phase(database, Phase.TUNE):
        finish(database, row)
    assert {one.state for one in of_phase(database, Phase.TRIAL)} == {State.CANCELLED}
    assert release(database) == 0
    assert experiment(database, experiment_id).state == State.SUCCEEDED


def test_a_deadline_ends_what_is_held(database: Database) -> None:
    experiment_id = tuned(database, deadline="2001-01-01T00:00:00Z")
    with database.begin() as session:
        runs.expire(session)
    assert experiment(database, experiment_id).state == State.FAILED
    with database.begin() as session:
        assert session.execute(select(Experiment.ended_at)).scalar_one() is not None
