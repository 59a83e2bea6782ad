"""The proof's own eyes: each kind of damage, done by hand to one of two like runs, is seen and counted."""

import uuid
from collections.abc import Iterator
from itertools import islice
from random import Random

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from chaos.audit import Findings, Undisturbed, compare, references
from chaos.faults import FAULTS, dealt
from models import runs
from models.database import Database
from models.plan import expand
from models.settings import Settings
from models.specs.experiment import ExperimentSpec
from models.tables import Run
from worker.attempt import Workshop

SPEC = ExperimentSpec.model_validate(
    {
        "name": "audit",
        "dataset": {"kind": "digits"},
        "network": {"kind": "mlp", "depth": 2, "width": 4},
        "optimizer": {"kind": "sgd"},
        "steps": 3,
        "seeds": [0],
    }
)


@pytest.fixture
def workshop(database_url: str) -> Iterator[Workshop]:
    workshop = Workshop.open(Settings(database_url=SecretStr(database_url)), gpu=False)
    yield workshop
    workshop.close()


def trained(database: Database, workshop: Workshop) -> uuid.UUID:
    with database.begin() as session:
        experiment_id = runs.submit(session, SPEC, expand(SPEC), owner="local")
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
    assert run_id not in undisturbed.run_ids
    return run_id


def after(database: Database, undisturbed: Undisturbed, damage: str, run_id: uuid.UUID) -> Findings:
    with database.begin() as session:
        session.execute(text(damage), {"run_id": run_id})
    return compare(database, undisturbed, submitted=2)


def test_two_like_runs_are_identical(database: Database, undisturbed: Undisturbed, second: uuid.UUID) -> None:
    findings = compare(database, undisturbed, submitted=2)
    assert findings.right, second
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
            "UPDATE run SET state = 'running' WHERE id = :run_id",
            "lost=0 doubled=0 identical=0/1 hanging=1",
        ),
    ],
    ids=["another bit", "lost", "doubled", "another curve", "hanging"],
)
def test_damage_is_counted(
    database: Database, undisturbed: Undisturbed, second: uuid.UUID, damage: str, expected: str
) -> None:
    findings = after(database, undisturbed, damage, second)
    assert (str(findings), findings.right) == (expected, False)
    assert findings.different


def test_a_reference_that_has_changed_counts_against_the_proof(
    database: Database, undisturbed: Undisturbed, second: uuid.UUID
) -> None:
    (reference,) = undisturbed.run_ids
    changed = after(database, undisturbed, "UPDATE run SET outcome = 'diverged' WHERE id = :run_id", reference)
    assert not changed.right, second
    assert str(changed) == "lost=0 doubled=0 identical=1/2 hanging=0"


def test_an_experiment_that_was_submitted_and_is_not_there_is_lost(
    database: Database, undisturbed: Undisturbed, second: uuid.UUID
) -> None:
    assert compare(database, undisturbed, submitted=3).lost == 1, second


def test_every_kind_of_fault_comes_in_every_round() -> None:
    assert set(islice(dealt(Random(7)), 2 * len(FAULTS))) == set(FAULTS)
