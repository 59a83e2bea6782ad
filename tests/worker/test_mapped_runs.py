"""Runs that a worker with a GPU trains as one network, on real PostgreSQL and CPU tensors: who is in a group, and what
is left of each.
"""

import dataclasses
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import update

from models import runs
from models.runs import grouping
from models.settings import Settings
from models.storage.database import Database
from models.storage.tables import Experiment, Run
from tests.worker.groups.stored import attempts, left, row, submitted
from worker import beside_on_device, underway
from worker.attempt import Workshop
from worker.beside_on_device import AllDue, BesideOnDevice
from worker.groups.mapped import MappedStep
from worker.groups.trial import Trial

CHANGES: dict[str, Any] = {
    "network": {"kind": "mlp", "hidden": [16] * 3},
    "optimizer": {"kind": "sgd", "learning_rate": 0.05},
    "steps": 20,
    "remedies": [{"kind": "clip_norm", "max_norm": 0.5}, {"kind": "orthogonal_init"}],
}
"""Three variants of two structures: the baseline and the initialisation differ in numbers alone."""
WORTH_IT, NOT_WORTH_IT = Trial(gain=3.0, room=8.0), Trial(gain=1.1, room=8.0)


def opened(database_url: str, folder: Path) -> Workshop:
    """A worker's, on the CPU, that trains runs as one with a GPU does."""
    settings = Settings(
        database_url=SecretStr(database_url), lease_s=60.0, workers=1, data_dir=folder, checkpoint_s=0.001
    )
    workshop = Workshop.open(settings, gpu=False)
    beside = BesideOnDevice(settings, workshop.database, workshop.device, workshop.name, shelf=workshop.shelf)
    return dataclasses.replace(workshop, beside=beside)


@pytest.fixture
def workshop(database_url: str, tmp_path: Path) -> Iterator[Workshop]:
    workshop = opened(database_url, tmp_path)
    yield workshop
    workshop.close()


@pytest.fixture(autouse=True)
def trials(monkeypatch: pytest.MonkeyPatch) -> list[Trial]:
    """What the next trials find; the last one again and again. Timings on a busy machine decide nothing here."""
    found = [WORTH_IT]
    monkeypatch.setattr(beside_on_device, "tried", lambda *_: found.pop(0) if len(found) > 1 else found[0])
    return found


def are_mapped(database: Database, run_id: uuid.UUID) -> bool | None:
    with database.begin() as session:
        return grouping.are_mapped(session, session.get_one(Run, run_id).experiment_id)


def carry_out_all(workshop: Workshop, run_ids: list[uuid.UUID]) -> None:
    for run_id in run_ids:
        workshop.carry_out(run_id)


def test_runs_of_one_structure_are_trained_as_one(database: Database, workshop: Workshop) -> None:
    run_ids = submitted(database, **CHANGES)
    carry_out_all(workshop, run_ids)
    rows = [row(database, run_id) for run_id in run_ids]
    assert {its.state for its in rows} == {"succeeded"}
    told = {its.variant: attempts(database, its.id) for its in rows}
    assert told == {"baseline": [6], "orthogonal_init": [6], "clip_norm": [3]}
    assert are_mapped(database, run_ids[0])


def test_one_that_is_left_over_is_mapped_as_well(
    database: Database, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comparison pairs no run that was trained in one way with one that was in another."""
    made: list[int] = []

    def counting(trainers: list[Any]) -> Any:
        made.append(len(trainers))
        return MappedStep(trainers)

    counting.FEWEST = 1  # type: ignore[attr-defined]
    monkeypatch.setattr(BesideOnDevice, "joining", staticmethod(counting))
    run_ids = submitted(database, **{**CHANGES, "seeds": [0], "remedies": CHANGES["remedies"][:1]})
    carry_out_all(workshop, run_ids)
    assert made == [1, 1]
    assert [attempts(database, run_id) for run_id in run_ids] == [[1], [1]]


@pytest.mark.parametrize(
    "changes",
    [
        {"remedies": [{"kind": "ema_clip"}]},  # one variant that cannot be
        {"network": {"kind": "mlp", "hidden": [16], "dropout": 0.1}},
        {"batching": False},
    ],
)
def test_all_of_an_experiment_are_trained_alone_where_one_has_to_be(
    changes: dict[str, Any], database: Database, workshop: Workshop
) -> None:
    run_ids = submitted(database, **{**CHANGES, **changes, "steps": 3})
    carry_out_all(workshop, run_ids)
    assert {row(database, run_id).state for run_id in run_ids} == {"succeeded"}
    assert {tuple(attempts(database, run_id)) for run_id in run_ids} == {(1,)}
    assert not are_mapped(database, run_ids[0])


def test_who_comes_first_decides_for_all(
    database: Database, database_url: str, tmp_path: Path, workshop: Workshop, trials: list[Trial]
) -> None:
    trials[:] = [NOT_WORTH_IT, WORTH_IT]
    run_ids = submitted(database, **{**CHANGES, "steps": 3})
    workshop.carry_out(run_ids[0])
    other = opened(database_url, tmp_path)
    try:
        carry_out_all(other, run_ids)
    finally:
        other.close()
    assert {tuple(attempts(database, run_id)) for run_id in run_ids} == {(1,)}
    assert are_mapped(database, run_ids[0]) is False


def test_no_more_are_in_a_group_than_the_device_has_room_for(
    database: Database, workshop: Workshop, trials: list[Trial]
) -> None:
    trials[:] = [Trial(gain=3.0, room=2.9)]
    run_ids = submitted(database, **{**CHANGES, "steps": 3, "remedies": []})
    carry_out_all(workshop, run_ids)
    assert [attempts(database, run_id) for run_id in run_ids] == [[2], [2], [1]]


def test_what_cannot_be_tried_is_trained_alone(
    database: Database, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> Trial:
        raise RuntimeError("no memory")

    monkeypatch.setattr(beside_on_device, "tried", fails)
    run_ids = submitted(database, **{**CHANGES, "steps": 3})
    carry_out_all(workshop, run_ids)
    assert {row(database, run_id).state for run_id in run_ids} == {"succeeded"}
    assert are_mapped(database, run_ids[0]) is False


# --- going on ---------------------------------------------------------------------------------------------------------

LONG = {**CHANGES, "steps": 208, "remedies": []}


def stopped_at(
    step: int, database: Database, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, **changes: Any
) -> list[uuid.UUID]:
    """Runs whose worker is asked to end once it has made this step."""
    run_ids, take, ending = submitted(database, **{**LONG, **changes}), underway.Underway.take, [False]

    def stops(way: Any, seen: Any) -> Any:
        ending[0] = ending[0] or getattr(seen, "step", 0) == step
        return take(way, seen)

    with monkeypatch.context() as patched:
        patched.setattr(underway.Underway, "take", stops)
        patched.setattr(underway, "asked_to_stop", lambda: ending[0])
        workshop.carry_out(run_ids[0])
    assert {row(database, run_id).state for run_id in run_ids} == {"queued"}
    return run_ids


def test_a_group_goes_on_as_it_was_bit_for_bit(
    database: Database, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_ids = stopped_at(204, database, workshop, monkeypatch)
    assert [row(database, run_id).checkpoint_step for run_id in run_ids] == [200] * 3
    carry_out_all(workshop, run_ids[:1])
    assert [attempts(database, run_id) for run_id in run_ids] == [[3, 3]] * 3
    whole = submitted(database, **LONG)
    carry_out_all(workshop, whole)
    for one, other in zip(run_ids, whole, strict=True):
        assert left(database, one) == left(database, other)


def test_one_whose_checkpoint_is_gone_begins_anew_and_the_others_go_on(
    database: Database, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_ids = stopped_at(204, database, workshop, monkeypatch)
    path = row(database, run_ids[1]).checkpoint_path
    assert path is not None
    workshop.files.remove(path)
    carry_out_all(workshop, run_ids[:1])
    assert {row(database, run_id).state for run_id in run_ids} == {"succeeded"}
    whole = submitted(database, **LONG)
    carry_out_all(workshop, whole)
    steps = [len(left(database, one)) for one in run_ids]
    assert steps == [len(left(database, one)) for one in whole]


def test_runs_are_kept_before_the_same_step() -> None:
    class Keeps:
        def __init__(self, answers: list[bool]) -> None:
            self._answers = iter(answers)

        def due(self, _step: int) -> bool:
            return next(self._answers)

    early, late = Keeps([False, True]), Keeps([False, False])
    due: Callable[[int], bool] = AllDue([early, late])  # type: ignore[list-item]
    assert [due(200), due(200)] == [False, False]
    assert [due(400), due(400)] == [True, True]


def test_a_cancel_stops_all_of_them(database: Database, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    run_ids, take = submitted(database, **{**LONG, "steps": 100_000}), underway.Underway.take

    def cancels(way: Any, seen: Any) -> Any:
        if way.claim.lease.run_id == run_ids[0] and getattr(seen, "step", 0) == 9:
            with database.begin() as session:
                runs.cancel(session, way.claim.lease.experiment_id)
        return take(way, seen)

    monkeypatch.setattr(underway.Underway, "take", cancels)
    workshop.carry_out(run_ids[0])
    assert {row(database, run_id).state for run_id in run_ids} == {"cancelled"}


def test_a_decision_stands(database: Database) -> None:
    run_id, *_ = submitted(database, **CHANGES)
    experiment_id = row(database, run_id).experiment_id
    with database.begin() as session:
        assert grouping.are_mapped(session, experiment_id) is None
        assert grouping.decide(session, experiment_id, mapped=True)
        assert grouping.decide(session, experiment_id, mapped=False)
        session.execute(update(Experiment).where(Experiment.id == experiment_id).values(mapped=None))
        assert not grouping.decide(session, experiment_id, mapped=False)
