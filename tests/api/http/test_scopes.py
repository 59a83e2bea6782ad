"""What each route asks of a key: a table of all routes, so that a new one has to be thought of."""

import re
import uuid
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from api.http.scopes import needed
from models.owners.scopes import Scope, granted
from tests.api.keyed import ADMIN, holder
from tests.api.made import problem

SUBMIT = {
    "POST /v1/experiments",
    "POST /v1/experiments/batch",
    "POST /v1/experiments/{experiment_id}/retry",
    "POST /v1/experiments/{experiment_id}/cancel",
    "POST /v1/experiments/{experiment_id}/judge",
    "DELETE /v1/experiments/{experiment_id}",
    "PUT /v1/datasets/{name}",
    "DELETE /v1/datasets/{name}",
    "POST /v1/webhooks",
    "PATCH /v1/webhooks/{webhook_id}",
    "DELETE /v1/webhooks/{webhook_id}",
    "POST /v1/webhooks/{webhook_id}/ping",
    "POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay",
    "POST /v1/ingest/runs",
    "PUT /v1/ingest/runs/{run_id}/records/{first}",
    "POST /v1/ingest/runs/{run_id}/end",
}
QUESTIONS = {"POST /v1/predictions", "POST /v1/experiments/validate", "POST /v1/comparisons"}
ADMINS = {
    "GET /metrics",
    "GET /v1/keys",
    "POST /v1/keys",
    "GET /v1/keys/{key_id}",
    "DELETE /v1/keys/{key_id}",
    "POST /v1/keys/{key_id}/rotate",
    "PUT /v1/quota",
    "GET /v1/audit",
    "DELETE /v1/quota",
}


def routes(app: FastAPI) -> Iterator[tuple[str, Scope]]:
    for route in iter_route_contexts(app.routes):
        for method in set(route.methods or ()) - {"HEAD"}:
            yield f"{method} {route.path_format}", needed(route, method)


def test_what_looks_asks_for_read_and_what_changes_for_submit(app: FastAPI) -> None:
    found = dict(routes(app))
    assert {route for route, scope in found.items() if scope is Scope.ADMIN} == ADMINS
    assert {route for route, scope in found.items() if scope is Scope.SUBMIT} == SUBMIT
    others = {route for route, scope in found.items() if scope is Scope.READ}
    assert {route for route in others if not route.startswith("GET ")} == QUESTIONS


@pytest.mark.parametrize("scope", Scope)
def test_a_scope_holds_those_before_it(scope: Scope) -> None:
    assert granted([scope]) == set(list(Scope)[: list(Scope).index(scope) + 1])
    assert granted([Scope.READ, scope]) == granted([scope])
    assert granted([]) == set()


def test_a_key_does_what_its_scope_says_and_the_refusal_names_both(keyed: TestClient) -> None:
    """Over all routes: what is beyond the key's scope is a 403, and nothing else is."""
    found = dict(routes(keyed.app))  # type: ignore[arg-type]  # it is ours
    keys = {scope: holder(keyed, "ada", scope) for scope in Scope}
    for scope, headers in keys.items():
        for route, needs in found.items():
            method, path = route.split(" ")
            path = re.sub(r"\{name\}", "nothing", re.sub(r"\{\w+_id\}", str(uuid.UUID(int=0)), path))
            path = path.replace("{first}", "0")
            # A stream has no end of its own.
            response = keyed.request(method, path + ("?wait=0" if path == "/v1/events" else ""), headers=headers)
            if path.startswith("/v1/") or path == "/metrics":
                assert (response.status_code == 403) == (needs not in granted([scope])), (scope, route)
            if response.status_code == 403:
                has = ", ".join(one for one in Scope if one in granted([scope]))
                detail = problem(response, 403)["detail"]
                assert detail == f"this asks for a key with the scope {needs}; this key has {has}"


def test_a_body_is_not_read_for_a_key_that_may_not_send_it(keyed: TestClient) -> None:
    reading = holder(keyed, "ada", "read")
    refused = keyed.put("/v1/datasets/mine", content=b"x" * 1_000_000, headers=reading)
    assert "submit" in problem(refused, 403)["detail"]
    assert keyed.get("/v1/datasets", headers=ADMIN).json()["items"] == []


def test_the_document_says_what_each_operation_asks_for(reader: TestClient, app: FastAPI) -> None:
    paths = reader.get("/openapi.json").json()["paths"]
    for route, scope in routes(app):
        method, path = route.split(" ")
        operation = paths.get(path, {}).get(method.lower(), {})
        assert operation.get("x-scope") == (scope if "security" in operation else None), route
