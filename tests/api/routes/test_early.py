"""The early reading over HTTP: of a run that goes on, of one that has ended, and of what cannot be read."""

import uuid

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from gradient_clinic.verdict.early import EARLY_RULES
from models import runs
from models.storage.database import Database
from models.storage.tables import Run
from tests.api.made import claim, problem, run_ids, submit, train_all, values, write

CHANCE = 2.3


@pytest.fixture
def early(client: TestClient, database: Database) -> str:
    """The address of the early reading of a run that goes on, with G far below the cut at its start."""
    experiment = submit(client, seeds=[0], steps=40, network={"kind": "mlp", "depth": 8, "width": 8})
    (run_id,) = run_ids(database, experiment)
    lease, plan = claim(database, run_id)
    signals = values(plan, -2.0)
    write(database, lease, plan, signals[..., :20])
    with database.begin() as session:
        runs.beat(session, lease, 600.0, chance_level=CHANCE)
    return f"/v1/runs/{run_id}/early"


def test_a_run_that_goes_on_is_read_by_its_first_steps(client: TestClient, early: str) -> None:
    reading = client.get(early).json()
    assert (reading["step"], reading["rules"]) == (19, EARLY_RULES)
    assert reading["kind"] == "vanishing"
    assert reading["evidence"][0]["signal"] == "activation_gradient_rms"
    assert client.get(early, params={"step": 5}).json()["step"] == 5


def test_the_run_says_where_it_is_read(client: TestClient, early: str) -> None:
    assert client.get(early.removesuffix("/early")).json()["links"]["early"] == early


def test_after_the_end_it_reads_the_same_steps(client: TestClient, database: Database) -> None:
    experiment = submit(client, seeds=[0])
    train_all(database, experiment)
    (run_id,) = run_ids(database, experiment)
    assert client.get(f"/v1/runs/{run_id}/early").json()["step"] == 3


def test_what_cannot_be_read_is_a_conflict(client: TestClient, database: Database, early: str) -> None:
    waiting = run_ids(database, submit(client, seeds=[0]))[0]
    assert "the run is queued" in problem(client.get(f"/v1/runs/{waiting}/early"), 409)["detail"]
    problem(client.get(f"/v1/runs/{uuid.uuid4()}/early"), 404)
    problem(client.get(early, params={"step": 1_001}), 422)
    with database.begin() as session:
        session.execute(update(Run).values(chance_level=None))
    problem(client.get(early), 409)


def test_a_run_of_which_only_some_steps_are_recorded_is_not_read(client: TestClient, database: Database) -> None:
    experiment = submit(client, seeds=[0], steps=8, trace={"every": 2})
    train_all(database, experiment)
    (run_id,) = run_ids(database, experiment)
    assert "one step in 2" in problem(client.get(f"/v1/runs/{run_id}/early"), 409)["detail"]
