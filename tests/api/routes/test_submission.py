"""Submitting once per key, many at once, and failed runs again."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Connection, event, func, select, text, update

from models import runs
from models.runs.idempotency import Once
from models.storage.database import Database
from models.storage.tables import Experiment, Run
from tests.api.made import problem
from tests.statements import sent_to

SPEC: dict[str, Any] = {
    "name": "once",
    "dataset": {"kind": "digits"},
    "network": {"kind": "mlp", "depth": 2, "width": 4},
    "optimizer": {"kind": "sgd"},
    "steps": 1,
    "seeds": [0],
}


@pytest.fixture
def failing_item(database: Database) -> dict[str, Any]:
    """One that the database refuses for a reason of its own."""
    with database.begin() as session:
        session.execute(text("ALTER TABLE experiment ADD CONSTRAINT ck_no_boom CHECK (name <> 'boom')"))
    return SPEC | {"name": "boom"}


@contextmanager
def cut_at(client: TestClient, statement: str, times: int) -> Iterator[None]:
    """The connection is ended by the server as the app sends such a statement for the so-manyth time."""
    engine = cast("FastAPI", client.app).state.database.engine
    seen = 0

    def cut(connection: Connection, _: object, sent: str, *__: object) -> None:
        nonlocal seen
        seen += sent.startswith(statement)
        if sent.startswith(statement) and seen == times:
            own = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
            with engine.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:own, 10000)"), {"own": own})

    event.listen(engine, "before_cursor_execute", cut)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", cut)


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


def test_an_item_at_which_the_service_trips_is_a_500_of_its_own(
    client: TestClient, database: Database, failing_item: dict[str, Any]
) -> None:
    answer = client.post("/v1/experiments/batch", json={"items": [SPEC, failing_item, SPEC]})
    assert answer.status_code == 207
    items = answer.json()["items"]
    assert [item["status"] for item in items] == [202, 500, 202]
    assert (items[1]["experiment"], items[1]["error"]["status"]) == (None, 500)
    assert stored(database) == 2
    for item in (items[0], items[2]):
        assert client.get(item["experiment"]["links"]["self"]).status_code == 200


@pytest.mark.parametrize(
    "bad",
    [5, None, [], "spec", {}, SPEC | {"name": "two\nlines"}, SPEC | {"name": "\ud800"},
     SPEC | {"deadline": "2001-01-01T00:00:00Z"}, SPEC | {"dataset": {"kind": "uploaded", "name": "nowhere"}}],
)  # fmt: skip
def test_whatever_an_item_is_it_has_a_status_and_the_others_are_stored(
    client: TestClient, database: Database, bad: Any
) -> None:
    body = json.dumps({"items": [SPEC, bad, SPEC]})
    answer = client.post("/v1/experiments/batch", content=body, headers={"Content-Type": "application/json"})
    assert [item["status"] for item in answer.json()["items"]] == [202, 422, 202]
    assert answer.json()["items"][1]["error"]["errors"]
    assert stored(database) == 2


def test_a_key_of_a_batch_gives_the_same_answer_and_stores_nothing_more(client: TestClient, database: Database) -> None:
    headers = {"Idempotency-Key": "sweep-1"}
    first, again = (
        client.post("/v1/experiments/batch", json={"items": [SPEC, {}, SPEC]}, headers=headers) for _ in range(2)
    )
    assert (first.status_code, again.status_code) == (207, 207)
    assert first.json() == again.json()
    assert stored(database) == 2
    other = client.post("/v1/experiments/batch", json={"items": [SPEC]}, headers=headers)
    assert problem(other, 422)["errors"][0]["field"] == "Idempotency-Key"
    assert client.post("/v1/experiments", json=SPEC, headers=headers).status_code == 422
    assert stored(database) == 2


@pytest.mark.parametrize("odd", ["\x00", "\ud800", "a\u2028b", "🙂"])
def test_an_answer_that_quotes_any_text_is_kept_under_its_key(client: TestClient, database: Database, odd: str) -> None:
    headers = {"Idempotency-Key": "odd", "Content-Type": "application/json"}
    body = json.dumps({"items": [SPEC, {odd: odd}, {**SPEC, "name": odd}]})
    first, again = (client.post("/v1/experiments/batch", content=body, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (207, 207)
    assert first.content == again.content
    assert stored(database) == sum(item["status"] == 202 for item in first.json()["items"])


def test_a_batch_whose_key_is_in_flight_is_a_409(client: TestClient, database: Database) -> None:
    with database.begin() as session:
        Once.of("local", "k", b"").answer(session, dict)
        refused = client.post("/v1/experiments/batch", json={"items": [SPEC]}, headers={"Idempotency-Key": "k"})
    assert problem(refused, 409)
    assert refused.headers["Retry-After"] == "1"
    assert stored(database) == 0


def test_a_batch_that_dies_halfway_has_stored_nothing_and_can_be_asked_again(
    client: TestClient, database: Database
) -> None:
    """The experiments are stored by then; ending the connection is what the death of the server does."""
    headers = {"Idempotency-Key": "k"}
    with cut_at(client, "INSERT INTO run", 1):
        died = client.post("/v1/experiments/batch", json={"items": [SPEC] * 3}, headers=headers)
    assert problem(died, 503)
    assert stored(database) == 0
    answer = client.post("/v1/experiments/batch", json={"items": [SPEC] * 3}, headers=headers)
    assert [item["status"] for item in answer.json()["items"]] == [202] * 3
    assert stored(database) == 3


def statements(client: TestClient, path: str, body: dict[str, Any]) -> int:
    """How many are sent for this request."""
    with sent_to(cast("FastAPI", client.app).state.database) as sent:
        assert client.post(path, json=body).status_code == 207
    return len(sent)


def test_a_thousand_items_are_taken_in_as_many_statements_as_two(client: TestClient, database: Database) -> None:
    def items(count: int) -> dict[str, Any]:
        return {"items": [SPEC | {"idempotency_key": f"{count} {index}".replace(" ", "-")} for index in range(count)]}

    assert statements(client, "/v1/experiments/batch", items(1_000)) == statements(
        client, "/v1/experiments/batch", items(2)
    )
    assert stored(database) == 1_002


def test_what_an_item_answers_is_what_is_stored(client: TestClient) -> None:
    spec = SPEC | {
        "remedies": [{"kind": "l2"}],
        "seeds": [0, 3],
        "labels": {"a": "b"},
        "end_before": "2999-01-01T00:00:00Z",
    }
    for item in client.post("/v1/experiments/batch", json={"items": [SPEC, spec]}).json()["items"]:
        assert item["experiment"] == client.get(item["experiment"]["links"]["self"]).json()
    alone = client.post("/v1/experiments", json=spec).json()
    assert alone == client.get(alone["links"]["self"]).json()


def test_each_item_may_have_a_key(client: TestClient, database: Database) -> None:
    def send(*items: Any) -> list[dict[str, Any]]:
        answered: list[dict[str, Any]] = client.post("/v1/experiments/batch", json={"items": items}).json()["items"]
        return answered

    keyed = [SPEC | {"idempotency_key": "a"}, SPEC | {"idempotency_key": "b"}]
    first = send(*keyed)
    # In another batch, beside others, and one of them with another spec.
    again = send(SPEC, keyed[1], keyed[0] | {"name": "other"}, SPEC | {"idempotency_key": "c"})
    assert [item["status"] for item in first + again] == [202, 202, 202, 202, 422, 202]
    assert again[1] == first[1]
    assert again[2]["error"]["errors"][0]["field"] == "idempotency_key"
    assert stored(database) == 4
    # By itself the same spec has the same key.
    alone = client.post("/v1/experiments", json=SPEC, headers={"Idempotency-Key": "a"})
    assert alone.json() == first[0]["experiment"]
    client.delete(alone.json()["links"]["self"])
    assert [item["status"] for item in send(*keyed)] == [410, 202]
    twice = send(keyed[1], keyed[1], SPEC | {"idempotency_key": "no space"})
    assert [item["status"] for item in twice] == [202, 422, 422]
    assert [item["error"]["errors"][0]["field"] for item in twice[1:]] == ["idempotency_key"] * 2


def test_an_item_whose_key_is_in_flight_is_a_409_and_the_others_are_stored(
    client: TestClient, database: Database
) -> None:
    with database.begin() as session:
        Once.of("local", "k", b"").answer(session, dict)
        items = [SPEC, SPEC | {"idempotency_key": "k"}]
        answer = client.post("/v1/experiments/batch", json={"items": items}).json()["items"]
    assert [item["status"] for item in answer] == [202, 409]
    assert stored(database) == 1


def test_a_key_whose_experiment_was_deleted_says_so(client: TestClient, database: Database) -> None:
    headers = {"Idempotency-Key": "k"}
    made = client.post("/v1/experiments", json=SPEC, headers=headers).json()
    client.delete(made["links"]["self"])
    refused = problem(client.post("/v1/experiments", json=SPEC, headers=headers), 410)
    assert made["id"] in refused["detail"]
    assert "was deleted" in refused["detail"]
    assert stored(database) == 0


def test_an_item_whose_experiment_was_deleted_says_so_and_the_others_are_as_they_were(
    client: TestClient, database: Database
) -> None:
    def send() -> list[dict[str, Any]]:
        headers = {"Idempotency-Key": "k"}
        answer = client.post("/v1/experiments/batch", json={"items": [SPEC, SPEC]}, headers=headers)
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    kept, deleted = send()
    client.delete(deleted["experiment"]["links"]["self"])
    again = send()
    assert again[0] == kept
    assert (again[1]["status"], again[1]["experiment"]) == (410, None)
    assert deleted["experiment"]["id"] in again[1]["error"]["detail"]
    assert stored(database) == 1


def test_a_deadline_in_the_past_is_refused_wherever_a_spec_comes_in(client: TestClient, database: Database) -> None:
    for field in ("start_before", "deadline", "end_before"):
        late = SPEC | {field: "2001-01-01T00:00:00Z"}
        for path in ("/v1/experiments", "/v1/experiments/validate"):
            error = problem(client.post(path, json=late), 422)["errors"][0]
            assert (error["field"], error["value"]) == (field, "2001-01-01T00:00:00+00:00")
            assert error["allowed"].startswith("after 20")
    assert stored(database) == 0


@pytest.mark.parametrize("field", ["start_before", "end_before"])
def test_what_failed_at_its_deadline_cannot_be_retried(client: TestClient, database: Database, field: str) -> None:
    links = client.post("/v1/experiments", json=SPEC).json()["links"]
    with database.begin() as session:
        session.execute(update(Experiment).values({field: Experiment.created_at}))
        runs.expire(session)
    assert f"{field} has passed" in problem(client.post(f"{links['self']}/retry"), 409)["detail"]


def test_a_deadline_is_another_name_of_the_latest_start_and_can_be_sent_again(
    client: TestClient, database: Database
) -> None:
    moment = "2999-01-01T00:00:00Z"
    both = problem(client.post("/v1/experiments", json=SPEC | {"deadline": moment, "start_before": moment}), 422)
    assert (both["errors"][0]["field"], both["errors"][0]["allowed"]) == ("deadline", "one of the two")
    for field in ("start_before", "deadline"):
        shown = client.post("/v1/experiments", json=SPEC | {field: moment}).json()["spec"]
        assert [name for name in ("start_before", "deadline") if shown[name] is not None] == [field]
        assert client.post("/v1/experiments", json=shown).json()["spec"] == shown
    with database.begin() as session:
        assert len(set(session.execute(select(Experiment.start_before)).scalars())) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"not_before": "2999-01-02T00:00:00Z", "end_before": "2999-01-01T00:00:00Z"}, "end_before"),
        ({"start_before": "2999-01-02T00:00:00Z", "end_before": "2999-01-01T00:00:00Z"}, "end_before"),
        ({"not_before": "2999-01-02T00:00:00Z", "start_before": "2999-01-01T00:00:00Z"}, "start_before"),
    ],
)
def test_limits_that_contradict_are_refused(client: TestClient, changes: dict[str, str], field: str) -> None:
    error = problem(client.post("/v1/experiments", json=SPEC | changes), 422)["errors"][0]
    assert error["field"] == field
    assert "2999-01-02" in error["allowed"]


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
