"""Who changed what: every change, refused or not, with nothing of what it was about."""

import datetime as dt
import re
import uuid
from typing import Any

from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from sqlalchemy import text
from structlog.testing import capture_logs

from api.http.scopes import asked
from models.owners import audit
from models.storage.database import Database
from tests.api.http.test_scopes import SUBMIT
from tests.api.keyed import ADMIN, bearer, new_key
from tests.api.made import Json, problem, spec


def rows(client: TestClient, **params: str | int) -> list[Json]:
    found: list[Json] = client.get("/v1/audit", params=params, headers=ADMIN).json()["items"]
    return found


def short(row: Json) -> tuple[Any, ...]:
    return row["owner"], row["key_id"], row["action"], row["resource"], row["status"]


def test_each_change_is_there_with_who_asked_and_what_became_of_it(keyed: TestClient) -> None:
    key = new_key(keyed)
    ada, reading = bearer(key["key"]), new_key(keyed, "bob", "read")
    sent = keyed.post("/v1/experiments", json=spec(), headers=ada).json()
    keyed.post("/v1/experiments", json=spec(steps=-1), headers=ada)
    keyed.post(sent["links"]["cancel"], headers=ada)
    keyed.delete(sent["links"]["self"], headers=bearer(reading["key"]))
    keyed.delete(sent["links"]["self"], headers=ADMIN)
    cancel, one = "/v1/experiments/{experiment_id}/cancel", "/v1/experiments/{experiment_id}"
    assert [short(row) for row in rows(keyed)] == [
        ("admin", None, f"DELETE {one}", sent["id"], 204),
        ("bob", reading["id"], f"DELETE {one}", sent["id"], 403),
        ("ada", key["id"], f"POST {cancel}", sent["id"], 202),
        ("ada", key["id"], "POST /v1/experiments", None, 422),
        ("ada", key["id"], "POST /v1/experiments", sent["id"], 202),
        ("admin", None, "POST /v1/keys", reading["id"], 201),
        ("admin", None, "POST /v1/keys", key["id"], 201),
    ]


def test_what_only_looks_or_is_not_let_in_is_not_there(keyed: TestClient) -> None:
    ada = bearer(new_key(keyed)["key"])
    before = len(rows(keyed))
    keyed.get("/v1/experiments", headers=ada)
    keyed.post("/v1/predictions", json={}, headers=ada)
    keyed.post("/v1/experiments/validate", json=spec(), headers=ada)
    keyed.options("/v1/experiments", headers=ada)
    keyed.put("/v1/experiments", json={}, headers=ada)  # no operation: 405
    problem(keyed.post("/v1/experiments", json=spec()), 401)
    assert len(rows(keyed)) == before


def test_every_route_that_changes_is_written_down_but_for_parts(keyed: TestClient) -> None:
    routes = iter_route_contexts(keyed.app.routes)  # type: ignore[attr-defined]  # it is ours
    operations = [asked(route, method) for route in routes for method in route.methods or ()]
    noted = {its.operation for its in operations if its.noted}
    assert SUBMIT - noted == {"PUT /v1/ingest/runs/{run_id}/records/{first}"}
    assert {operation for operation in noted - SUBMIT if not re.search("/v1/(keys|quota)", operation)} == set()


def test_a_row_has_no_words_of_a_client_but_the_owners_name(keyed: TestClient, database: Database) -> None:
    ada = bearer(new_key(keyed)["key"])
    keyed.post("/v1/experiments", json=spec(name="marker", labels={"marker": "marker"}), headers=ada)
    keyed.delete("/v1/datasets/marker", headers=ada)
    keyed.delete("/v1/datasets/marker", params={"owner": "a\u202emarker"}, headers=ADMIN)
    keyed.delete("/v1/datasets/marker", params={"owner": "bob", "marker": "marker"}, headers=ADMIN)
    with database.begin() as session:
        stored = [row for (row,) in session.execute(text("SELECT audit::text FROM audit"))]
    assert len(stored) == 5
    assert "marker" not in "".join(stored)
    assert [row["whose"] for row in rows(keyed)[:3]] == ["bob", None, None]


def test_rows_are_found_by_who_what_and_when_in_pages(keyed: TestClient) -> None:
    keys = [new_key(keyed, owner) for owner in ("ada", "bob")]
    sent = [keyed.post("/v1/experiments", json=spec(), headers=bearer(key["key"])).json() for key in keys]
    by_bob = rows(keyed, owner="bob")
    assert [row["resource"] for row in by_bob] == [sent[1]["id"]]
    assert rows(keyed, key_id=keys[1]["id"]) == rows(keyed, resource=sent[1]["id"]) == by_bob
    assert rows(keyed, owner="nobody") == []
    assert rows(keyed, created_after=by_bob[0]["at"]) == []
    assert len(rows(keyed, created_before=by_bob[0]["at"])) == 3
    first = keyed.get("/v1/audit", params={"page_size": 3}, headers=ADMIN).json()
    rest = keyed.get("/v1/audit", params={"page_token": first["next_page_token"]}, headers=ADMIN).json()
    assert first["items"] + rest["items"] == rows(keyed)
    assert rest["next_page_token"] == ""


def test_a_mistake_of_ours_is_there_too(keyed: TestClient, database: Database) -> None:
    ada = bearer(new_key(keyed)["key"])
    with database.begin() as session:
        session.execute(text("DROP TABLE run CASCADE"))
    problem(keyed.post("/v1/experiments", json=spec(), headers=ada), 500)
    assert rows(keyed, owner="ada")[0]["status"] == 500


def test_a_row_that_cannot_be_written_is_in_the_log(keyed: TestClient, database: Database) -> None:
    ada = bearer(new_key(keyed)["key"])
    with database.begin() as session:
        session.execute(text("DROP TABLE audit"))
    with capture_logs() as said:
        sent = keyed.post("/v1/experiments", json=spec(), headers=ada)
    assert sent.status_code == 202
    (row,) = said
    assert (row["event"], row["owner"]) == ("an audit row could not be written", "ada")
    assert row["resource"] == sent.json()["id"]


def test_old_rows_go(keyed: TestClient, database: Database) -> None:
    for _ in range(2):
        new_key(keyed)
    with database.begin() as session:
        old = {"at": dt.datetime.now(dt.UTC) - dt.timedelta(days=8), "id": uuid.UUID(_oldest(keyed))}
        session.execute(text("UPDATE audit SET at = :at WHERE resource = :id"), old)
        audit.forget_old(session, 9)
    assert len(rows(keyed)) == 2
    with database.begin() as session:
        audit.forget_old(session, 7)
    assert len(rows(keyed)) == 1


def _oldest(client: TestClient) -> str:
    return str(rows(client)[-1]["resource"])


def test_a_clinic_without_keys_writes_nothing_down(client: TestClient, database: Database) -> None:
    assert client.post("/v1/experiments", json=spec()).status_code == 202
    with database.begin() as session:
        assert session.execute(text("SELECT count(*) FROM audit")).scalar_one() == 0
    assert "CLINIC_API_KEY" in problem(client.get("/v1/audit"), 409)["detail"]
