"""Runs that a worker trains together, on real PostgreSQL: what is stored of each is what it would leave alone."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text, update

from models import runs
from models.runs import queueing
from models.settings import Settings
from models.storage.database import Database
from models.storage.tables import Experiment, Run
from tests.worker.groups.stored import SPEC, attempts, left, row, submitted
from tests.worker.test_attempt import CUT_EVERY_COPY
from worker import underway
from worker.attempt import Workshop
from worker.groups.pace import Pace

LEASE_S = 60.0


@pytest.fixture
def workshop(database_url: str, tmp_path: Path) -> Iterator[Workshop]:
    settings = Settings(
        database_url=SecretStr(database_url), lease_s=LEASE_S, workers=1, data_dir=tmp_path, checkpoint_s=0.001
    )
    workshop = Workshop.open(settings, gpu=False)
    yield workshop
    workshop.close()


@pytest.fixture(autouse=True)
def _always_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timings on a busy machine decide nothing here."""
    monkeypatch.setattr("worker.groups.pace.WORTH", 0.0)
    monkeypatch.setattr("worker.beside.MOST_TOGETHER", 8)  # all of an experiment here


def assert_left_alike(database: Database, workshop: Workshop, run_ids: list[uuid.UUID], **changes: Any) -> None:
    """As runs that are asked to be trained alone, by a worker of its own."""
    alone = submitted(database, **changes, batching=False)
    for run_id in alone:
        workshop.carry_out(run_id)
    for one, other in zip(run_ids, alone, strict=True):
        assert left(database, one) == left(database, other)
        assert attempts(database, other) == [1]


def test_runs_of_one_structure_are_trained_as_one(database: Database, workshop: Workshop) -> None:
    run_ids = submitted(database)
    workshop.carry_out(run_ids[0])
    assert [row(database, run_id).state for run_id in run_ids] == ["succeeded"] * 6
    assert [attempts(database, run_id) for run_id in run_ids] == [[6]] * 6
    with database.begin() as session:
        assert session.execute(select(Experiment.state)).scalar_one() == "succeeded"
    assert_left_alike(database, workshop, run_ids)


def test_other_structures_wait_for_their_own_turn(database: Database, workshop: Workshop) -> None:
    run_ids = submitted(database, remedies=[{"kind": "batch_norm"}], steps=3)
    workshop.carry_out(run_ids[0])
    states = {run_id: row(database, run_id) for run_id in run_ids}
    assert {its.variant for its in states.values() if its.state == "succeeded"} == {"baseline"}
    assert {its.variant for its in states.values() if its.state == "queued"} == {"batch_norm"}


def test_other_workers_are_left_their_share(database: Database, workshop: Workshop) -> None:
    workshop.settings.__dict__["workers"] = 2
    run_ids = submitted(database, steps=3)
    workshop.carry_out(run_ids[0])
    assert [row(database, run_id).state for run_id in run_ids] == ["succeeded"] * 3 + ["queued"] * 3


def test_where_others_wait_too_a_group_takes_all_that_it_may(database: Database, workshop: Workshop) -> None:
    workshop.settings.__dict__["workers"] = 2
    run_ids = submitted(database, steps=3)
    for _ in range(2):
        submitted(database, steps=3)  # 18 runs for two workers with groups of 8
    workshop.carry_out(run_ids[0])
    assert [row(database, run_id).state for run_id in run_ids] == ["succeeded"] * 6


@pytest.mark.parametrize("changes", [{"max_parallel": 2}, {"priority": 5}])
def test_caps_and_priorities_are_kept(changes: dict[str, Any], database: Database, workshop: Workshop) -> None:
    run_ids = submitted(database, steps=3, **changes)
    if "priority" in changes:
        submitted(database, steps=3, priority=6)
    workshop.carry_out(run_ids[0])
    together = changes.get("max_parallel", 1)
    assert [attempts(database, run_id) for run_id in run_ids[:together]] == [[together]] * together
    assert row(database, run_ids[together]).state == "queued"


def test_one_that_diverges_ends_and_the_others_go_on(database: Database, workshop: Workshop) -> None:
    changes: dict[str, Any] = {
        "optimizer": {"kind": "sgd", "learning_rate": 1000.0, "momentum": 0.9},
        "remedies": [{"kind": "learning_rate", "value": 0.01}],
        "stop_when": {"nonfinite_steps": 3},
    }
    run_ids = submitted(database, **changes)
    workshop.carry_out(run_ids[0])
    assert {row(database, run_id).outcome for run_id in run_ids} == {"diverged", "finished"}
    assert_left_alike(database, workshop, run_ids, **changes)


def test_one_that_fails_says_so_and_the_others_go_on(
    database: Database, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_ids, take = submitted(database), underway.Underway.take

    def fails(way: Any, seen: Any) -> Any:
        if way.claim.lease.run_id == run_ids[1] and getattr(seen, "step", 0) == 7:
            raise ValueError("it breaks")
        return take(way, seen)

    monkeypatch.setattr(underway.Underway, "take", fails)
    workshop.carry_out(run_ids[0])
    monkeypatch.undo()
    broken = row(database, run_ids[1])
    assert broken.state == "failed"
    assert broken.error is not None
    assert "it breaks" in broken.error["detail"]
    others = [run_id for run_id in run_ids if run_id != run_ids[1]]
    assert [row(database, run_id).state for run_id in others] == ["succeeded"] * 5


def test_a_lost_lease_costs_its_own_run_alone(
    database: Database, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_ids, take = submitted(database), underway.Underway.take

    def loses(way: Any, seen: Any) -> Any:
        if way.claim.lease.run_id == run_ids[2] and getattr(seen, "step", 0) == 9:
            with database.begin() as session:
                session.execute(update(Run).where(Run.id == run_ids[2]).values(lease_token=uuid.uuid4()))
            way.watch.end("lost")
        return take(way, seen)

    monkeypatch.setattr(underway.Underway, "take", loses)
    workshop.carry_out(run_ids[0])
    assert [row(database, run_id).state for run_id in run_ids] == ["succeeded"] * 2 + ["running"] + ["succeeded"] * 3


def test_a_write_that_fails_costs_all_of_them_the_attempt_and_no_run(
    database: Database, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_ids = submitted(database)
    with database.begin() as session:
        session.execute(text(CUT_EVERY_COPY))
    with monkeypatch.context() as patch:
        patch.setattr("worker.recorder.FLUSH_S", 0.0)
        workshop.carry_out(run_ids[0])
    with database.begin() as session:
        session.execute(text("DROP TRIGGER cut ON trace_chunk"))
    assert {row(database, run_id).state for run_id in run_ids} == {"running"}
    with database.begin() as session:
        assert queueing.reap_dead(session, workshop.name, max_attempts=5) == 6
    workshop.carry_out(run_ids[0])
    assert_left_alike(database, workshop, run_ids)


def test_a_cancel_stops_all_of_them(database: Database, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    run_ids, take = submitted(database, steps=100_000), underway.Underway.take

    def cancels(way: Any, seen: Any) -> Any:
        if way.claim.lease.run_id == run_ids[0] and getattr(seen, "step", 0) == 9:
            with database.begin() as session:
                runs.cancel(session, way.claim.lease.experiment_id)
        return take(way, seen)

    monkeypatch.setattr(underway.Underway, "take", cancels)
    workshop.carry_out(run_ids[0])
    assert {row(database, run_id).state for run_id in run_ids} == {"cancelled"}


def test_what_is_handed_back_goes_on_from_its_checkpoint_bit_for_bit(
    database: Database, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"steps": 208, "seeds": [0], "remedies": SPEC["remedies"]}
    run_ids, take, ending = submitted(database, **changes), underway.Underway.take, [False]

    def stops(way: Any, seen: Any) -> Any:
        ending[0] = ending[0] or getattr(seen, "step", 0) == 204
        return take(way, seen)

    monkeypatch.setattr(underway.Underway, "take", stops)
    monkeypatch.setattr(underway, "asked_to_stop", lambda: ending[0])
    workshop.carry_out(run_ids[0])
    assert [row(database, run_id).state for run_id in run_ids] == ["queued"] * 2
    assert [row(database, run_id).checkpoint_step for run_id in run_ids] == [200] * 2
    monkeypatch.undo()
    for run_id in run_ids:
        workshop.carry_out(run_id)
    assert attempts(database, run_ids[0]) == [2, 1]
    assert_left_alike(database, workshop, run_ids, **changes)


def test_runs_that_another_slot_is_taking_are_passed_over(database: Database, workshop: Workshop) -> None:
    """Two slots that claim at the same time would each choose the other's run, and both train alone."""
    workshop.settings.__dict__["workers"] = 2
    run_ids = submitted(database)
    with database.begin() as session:
        claim = runs.claim(session, run_ids[0], workshop.name, LEASE_S)
    assert claim is not None
    with database.begin() as another:
        another.execute(select(Run).where(Run.id == run_ids[1]).with_for_update())
        assert [its.lease.run_id for its in workshop.beside.claimed(claim)] == run_ids[2:4]


def test_a_dead_process_gives_back_all_that_it_had(database: Database, workshop: Workshop) -> None:
    run_ids = submitted(database)
    with database.begin() as session:
        claim = runs.claim(session, run_ids[0], workshop.name, LEASE_S)
    assert claim is not None
    assert len(workshop.beside.claimed(claim)) == 5
    with database.begin() as session:
        assert queueing.reap_dead(session, "another", max_attempts=5) == 0
        assert queueing.reap_dead(session, workshop.name, max_attempts=5) == 6
    workshop.carry_out(run_ids[3])
    assert {row(database, run_id).state for run_id in run_ids} == {"succeeded"}
    assert_left_alike(database, workshop, run_ids)


def test_what_is_no_faster_together_is_trained_apart_and_says_so(
    database: Database, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.groups.pace.WORTH", float("inf"))
    run_ids = submitted(database)
    workshop.carry_out(run_ids[0])
    assert [attempts(database, run_id) for run_id in run_ids] == [[1]] * 6
    assert_left_alike(database, workshop, run_ids)
    again = submitted(database)
    workshop.carry_out(again[0])
    assert [row(database, run_id).state for run_id in again] == ["succeeded"] + ["queued"] * 5


def test_the_first_stretches_are_made_in_either_way_and_then_the_faster_one() -> None:
    pace, ways = Pace(), []
    for _ in range(6):
        ways.append(pace.stretch())
        pace.took(1.0 if ways[-1][0] else 2.0, together=ways[-1][0])
    assert ways == [(True, 8), (False, 8)] * 2 + [(True, 93), (False, 3)]
    assert pace.gain == 2.0


def test_what_is_slower_together_goes_on_in_long_stretches_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.groups.pace.WORTH", 1.3)
    pace, ways = Pace(), []
    for _ in range(6):
        ways.append(pace.stretch())
        pace.took(1.0 if ways[-1][0] else 1.2, together=ways[-1][0])
    assert ways[4:] == [(False, 64)] * 2
    assert pace.is_apart
