"""Submitting once per key, many at once, and failed runs again."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import func, select, update

from models.database import Database
from models.tables import Experiment, Run

SPEC: dict[str, Any] = {
    "name": "once",
    "dataset": {"kind": "digits"},
    "network": {"kind": "mlp", "depth": 2, "width": 4},
    "optimizer": {"kind": "sgd"},
    "steps": 1,
    "seeds": [0],
}


def stored(database: Database) -> int:
    with database.begin() as session:
        return session.execute(select(func.count()).select_from(Experiment)).scalar_one()


def test_one_key_and_one_spec_give_one_experiment_and_the_same_answer(client: TestClient, database: Database) -> None:
    headers = {"Idempotency-Key": "night-42"}
    first = client.post("/v1/experiments", json=SPEC, headers=headers)
    again = client.post("/v1/experiments", json=SPEC, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert first.headers["Location"] == again.headers["Location"]
    assert stored(database) == 1


def test_without_a_key_every_request_is_an_experiment(client: TestClient, database: Database) -> None:
    for _ in range(2):
        client.post("/v1/experiments", json=SPEC)
    assert stored(database) == 2


def test_another_spec_under_a_used_key_is_a_422_and_stores_nothing(client: TestClient, database: Database) -> None:
    headers = {"Idempotency-Key": "k"}
    client.post("/v1/experiments", json=SPEC, headers=headers)
    other = client.post("/v1/experiments", json=SPEC | {"name": "other"}, headers=headers)
    assert other.status_code == 422
    assert other.json()["errors"][0]["field"] == "Idempotency-Key"
    assert stored(database) == 1


def test_a_refused_spec_leaves_its_key_free(client: TestClient) -> None:
    headers = {"Idempotency-Key": "k"}
    assert client.post("/v1/experiments", json=SPEC | {"batch_size": 5000}, headers=headers).status_code == 422
    assert client.post("/v1/experiments", json=SPEC, headers=headers).status_code == 202


def test_32_submitters_of_one_key_make_one_experiment(client: TestClient, database: Database) -> None:
    def submit(_: int) -> int:
        return client.post("/v1/experiments", json=SPEC, headers={"Idempotency-Key": "k"}).status_code

    with ThreadPoolExecutor(32) as pool:
        statuses = list(pool.map(submit, range(32)))
    assert set(statuses) <= {202, 409}
    assert 202 in statuses
    assert stored(database) == 1


def test_a_batch_answers_item_by_item(client: TestClient, database: Database) -> None:
    items = [SPEC, SPEC | {"steps": -1}, SPEC | {"remedies": [{"kind": "l2", "strength": "much"}]}, {"name": "bare"}]
    answer = client.post("/v1/experiments/batch", json={"items": items})
    assert answer.status_code == 207
    good, *bad = answer.json()["items"]
    assert (good["status"], good["experiment"]["state"], good["error"]) == (202, "queued", None)
    assert [item["status"] for item in bad] == [422] * 3
    assert [item["error"]["errors"][0]["field"] for item in bad] == ["steps", "remedies[0].strength", "dataset"]
    assert stored(database) == 1


def test_a_batch_has_its_limits(client: TestClient) -> None:
    sizes: list[list[dict[str, Any]]] = [[], [{}] * 1_001]
    for items in sizes:
        assert client.post("/v1/experiments/batch", json={"items": items}).status_code == 422


def test_retry_queues_failed_runs_and_says_when_there_are_none(client: TestClient, database: Database) -> None:
    links = client.post("/v1/experiments", json=SPEC).json()["links"]
    assert client.post(f"{links['self']}/retry").status_code == 409
    with database.begin() as session:
        session.execute(update(Run).values(state="failed", error={"detail": "broken"}))
        session.execute(update(Experiment).values(state="failed"))
    answer = client.post(f"{links['self']}/retry")
    assert (answer.status_code, answer.json()["runs"]["queued"]) == (202, 1)
    assert client.post("/v1/experiments/00000000-0000-7000-8000-000000000000/retry").status_code == 404
