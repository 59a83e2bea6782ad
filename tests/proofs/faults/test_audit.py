"""The audit itself: each kind of damage, done by hand to one of two like runs, is found and counted."""

import uuid
from collections.abc import Iterator
from random import Random

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from models import runs
from models.plan import expand
from models.settings import Settings
from models.specs.experiment import ExperimentSpec
from models.storage.database import Database
from models.storage.tables import Experiment, Run
from proofs.faults.audit import Findings, Undisturbed, compare, references
from proofs.faults.client import Expected
from proofs.faults.faults import FAULTS, LIGHT, SEVERAL, shuffled_round
from worker.attempt import Workshop

pytestmark = pytest.mark.long

SPEC = ExperimentSpec.model_validate(
    {
        "name": "audit",
        "dataset": {"kind": "digits", "validation_fraction": 0.1},
        "network": {"kind": "mlp", "depth": 2, "width": 4},
        "optimizer": {"kind": "sgd"},
        "batch_size": 800,
        "steps": 3,
        "seeds": [0],
    }
)


@pytest.fixture
def workshop(database_url: str) -> Iterator[Workshop]:
    workshop = Workshop.open(Settings(database_url=SecretStr(database_url)), gpu=False)
    yield workshop
    workshop.close()


def submitted(database: Database) -> uuid.UUID:
    with database.begin() as session:
        return runs.submit(session, SPEC, expand(SPEC), owner="local")


def trained(database: Database, workshop: Workshop) -> uuid.UUID:
    experiment_id = submitted(database)
    with database.begin() as session:
        run_id = session.execute(select(Run.id).where(Run.experiment_id == experiment_id)).scalar_one()
    workshop.carry_out(run_id)
    return run_id


@pytest.fixture
def undisturbed(database: Database, workshop: Workshop) -> Undisturbed:
    trained(database, workshop)
    return references(database)


@pytest.fixture
def second(database: Database, workshop: Workshop, undisturbed: Undisturbed) -> uuid.UUID:
    """A run of the same arm, trained after the reference."""
    run_id = trained(database, workshop)
    assert len(undisturbed.outputs) == 1
    return run_id


def all_stored(database: Database) -> frozenset[uuid.UUID]:
    with database.begin() as session:
        return frozenset(session.execute(select(Experiment.id)).scalars())


def after(database: Database, undisturbed: Undisturbed, damage: str, run_id: uuid.UUID) -> Findings:
    expected = Expected(all_stored(database))
    with database.begin() as session:
        session.execute(text(damage), {"run_id": run_id})
    return compare(database, undisturbed, expected)


def test_two_like_runs_are_identical(database: Database, undisturbed: Undisturbed, second: uuid.UUID) -> None:
    findings = compare(database, undisturbed, Expected(all_stored(database)))
    assert findings.wrong == [], second
    assert findings.right
    assert str(findings) == "lost=0 doubled=0 identical=1/1 hanging=0"


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (
            (
                "UPDATE trace_chunk SET weight_norm[2] = weight_norm[2] * 1.0000002 "
                "WHERE run_id = :run_id AND layer_index = 1"
            ),
            "lost=0 doubled=0 identical=0/1 hanging=0",
        ),
        (
            "DELETE FROM trace_chunk WHERE run_id = :run_id AND layer_index = 2",
            "lost=3 doubled=0 identical=0/1 hanging=0",
        ),
        (
            (
                "INSERT INTO trace_chunk SELECT (jsonb_populate_record(its, '{\"chunk\": 1}')).* "
                "FROM trace_chunk AS its WHERE run_id = :run_id AND layer_index = 1"
            ),
            "lost=0 doubled=3 identical=0/1 hanging=0",
        ),
        (
            "UPDATE curve_chunk SET loss[1] = 'NaN' WHERE run_id = :run_id",
            "lost=0 doubled=0 identical=0/1 hanging=0",
        ),
        (
            "DELETE FROM curve_chunk WHERE run_id = :run_id",
            "lost=3 doubled=0 identical=0/1 hanging=0",
        ),
        (
            (
                "INSERT INTO curve_chunk SELECT (jsonb_populate_record(its, '{\"chunk\": 1}')).* "
                "FROM curve_chunk AS its WHERE run_id = :run_id"
            ),
            "lost=0 doubled=3 identical=0/1 hanging=0",
        ),
        (
            (
                "INSERT INTO epoch_value SELECT run_id, epoch + 10, validation_loss, validation_metric "
                "FROM epoch_value WHERE run_id = :run_id"
            ),
            "lost=0 doubled=0 identical=0/1 hanging=0",
        ),
        (
            "UPDATE run SET summary = jsonb_set(summary, '{verdict,sentence}', '\"fine\"') WHERE id = :run_id",
            "lost=0 doubled=0 identical=0/1 hanging=0",
        ),
        (
            "UPDATE run SET state = 'cancelled' WHERE id = :run_id",
            "lost=0 doubled=0 identical=0/1 hanging=0",
        ),
        (
            "UPDATE run SET state = 'running' WHERE id = :run_id",
            "lost=0 doubled=0 identical=0/1 hanging=1",
        ),
    ],
    ids=[
        "another bit",
        "lost",
        "doubled",
        "another curve",
        "a curve lost",
        "a curve doubled",
        "a validation more",
        "another verdict",
        "cancelled by nobody",
        "hanging",
    ],
)
def test_damage_is_counted(
    database: Database, undisturbed: Undisturbed, second: uuid.UUID, damage: str, expected: str
) -> None:
    findings = after(database, undisturbed, damage, second)
    assert (str(findings), findings.right) == (expected, False)
    assert findings.wrong


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE attempt SET ended_at = NULL WHERE run_id = :run_id", "an attempt without an end"),
        ("UPDATE attempt SET number = 2 WHERE run_id = :run_id", "attempts that are not 1, 2, 3 …"),
        ("UPDATE run SET lease_token = gen_random_uuid() WHERE id = :run_id", "a run that has ended and holds a lease"),
        (
            "DELETE FROM event WHERE kind = 'run' AND data ->> 'run_id' = :run_id AND data ->> 'state' = 'succeeded'",
            "an end of a run that is told more than once, or not, or not last",
        ),
        (
            "DELETE FROM event WHERE kind = 'run' AND data ->> 'run_id' = :run_id AND data ->> 'state' = 'running'",
            "an attempt that is not told",
        ),
        (
            (
                "INSERT INTO event (experiment_id, kind, data) SELECT experiment_id, kind, data FROM event "
                "WHERE kind = 'experiment' AND data ->> 'state' = 'succeeded' "
                "AND experiment_id = (SELECT experiment_id FROM run WHERE id = CAST(:run_id AS uuid))"
            ),
            "an end of an experiment that is told more than once, or not, or not last",
        ),
        (
            "UPDATE experiment SET state = 'running' WHERE id = (SELECT experiment_id FROM run WHERE id = :run_id)",
            "an experiment whose state is not that of its runs",
        ),
        (
            "UPDATE experiment SET comparison = NULL WHERE id = (SELECT experiment_id FROM run WHERE id = :run_id)",
            "a comparison that is missing",
        ),
    ],
)
def test_violations_of_invariants_are_found(
    database: Database, undisturbed: Undisturbed, second: uuid.UUID, damage: str, found: str
) -> None:
    findings = after(database, undisturbed, damage.replace("= :run_id", f"= '{second}'"), second)
    assert not findings.right
    assert any(line.startswith(found) for line in findings.wrong), findings.wrong


def test_a_reference_that_has_changed_counts_against_the_proof(
    database: Database, undisturbed: Undisturbed, second: uuid.UUID
) -> None:
    change = "UPDATE run SET outcome = 'diverged' WHERE id <> :run_id"
    changed = after(database, undisturbed, change, second)
    assert not changed.right
    assert str(changed) == "lost=0 doubled=0 identical=1/2 hanging=0"


def test_experiments_are_those_that_are_expected(
    database: Database, undisturbed: Undisturbed, second: uuid.UUID
) -> None:
    stored, nowhere = all_stored(database), uuid.uuid4()
    assert compare(database, undisturbed, Expected(stored | {nowhere})).lost == 1, second
    assert compare(database, undisturbed, Expected(undisturbed.experiment_ids)).doubled == 1


def test_what_was_deleted_must_be_gone(database: Database, undisturbed: Undisturbed, second: uuid.UUID) -> None:
    stored = all_stored(database)
    deleted = stored - undisturbed.experiment_ids
    findings = compare(database, undisturbed, Expected(stored, deleted=deleted))
    assert "1 rows in experiment of experiments that were deleted" in findings.wrong, second
    with database.begin() as session:
        runs.remove(session, *deleted)
    gone = compare(database, undisturbed, Expected(stored, deleted=deleted))
    assert (gone.wrong, gone.lost) == ([], 0)


def test_what_was_cancelled_is_not_compared_unless_it_succeeded(
    database: Database, undisturbed: Undisturbed, second: uuid.UUID
) -> None:
    experiment_id = submitted(database)
    with database.begin() as session:
        runs.cancel(session, experiment_id)
    expected = Expected(all_stored(database), cancelled=all_stored(database) - undisturbed.experiment_ids)
    findings = compare(database, undisturbed, expected)
    assert str(findings) == "lost=0 doubled=0 identical=1/1 hanging=0", second


def test_every_kind_of_fault_comes_in_every_round() -> None:
    assert set(shuffled_round(Random(7))) == set(FAULTS)
    assert set(FAULTS) >= LIGHT | set(SEVERAL)
