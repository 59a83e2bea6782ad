"""What holds at every address: methods, HEAD, parameters, bodies that are not packed. Over all routes there are."""

import gzip
import json
import re
import uuid
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient

from models.storage.database import Database
from tests.api.made import Json, problem, run_ids, spec, submit, train_all

EVERY_METHOD = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE")


@pytest.fixture(scope="module")
def paths(reader: TestClient) -> dict[str, set[str]]:
    """Of every path template the methods that have an operation; and those that no schema tells of."""
    told: Json = reader.get("/openapi.json").json()["paths"]
    documented = {path: {method.upper() for method in methods} for path, methods in told.items()}
    return documented | {
        path: {"GET"} for path in ("/", "/docs", "/openapi.json", "/openapi-3.0.json", "/openapi-3.2.json")
    }


def filled(template: str) -> str:
    """With names of nothing that there is."""
    return re.sub(r"\{name\}", "nothing", re.sub(r"\{\w+_id\}", str(uuid.UUID(int=0)), template))


def allowed(methods: set[str]) -> str:
    return ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))


def test_options_and_405_name_every_method_of_an_address_and_no_other(
    reader: TestClient, paths: dict[str, set[str]]
) -> None:
    for template, methods in paths.items():
        path = filled(template)
        options = reader.options(path)
        assert (options.status_code, options.headers["allow"], options.content) == (204, allowed(methods), b""), path
        for method in set(EVERY_METHOD) - set(allowed(methods).split(", ")):
            refused = reader.request(method, path)
            assert (refused.status_code, refused.headers["allow"]) == (405, allowed(methods)), (method, path)
    assert reader.options("/nowhere").status_code == 404


def test_a_slash_at_the_end_leads_nowhere(reader: TestClient, paths: dict[str, set[str]]) -> None:
    for template, methods in paths.items():
        if template != "/":
            for method in methods:
                answer = reader.request(method, filled(template) + "/", follow_redirects=False)
                assert (answer.status_code, "location" in answer.headers) == (404, False), (method, template)
    page = reader.get("/dashboard", follow_redirects=False)
    assert (page.status_code, page.headers["location"]) == (308, "/dashboard/")


def test_a_literal_address_is_none_of_an_experiment(reader: TestClient) -> None:
    for path in ("/v1/experiments/validate", "/v1/experiments/batch"):
        for method in ("GET", "DELETE"):
            assert reader.request(method, path).headers["allow"] == "OPTIONS, POST"


def test_head_answers_what_get_does_without_a_body(client: TestClient, database: Database) -> None:
    experiment = submit(client)
    run_id = run_ids(database, experiment)[0]
    train_all(database, experiment)
    self, run = experiment["links"]["self"], f"/v1/runs/{run_id}"
    for path in (
        "/", "/docs", "/openapi.json", "/openapi-3.0.json", "/openapi-3.2.json", "/healthz", "/readyz",
        "/v1/experiments", self,
        f"{self}/runs", f"{self}/comparison", f"{self}/report", run, f"{run}/diagnosis", f"{run}/early",
        f"{run}/curves", f"{run}/trace?signal=weight_norm", "/v1/datasets", "/v1/datasets/nothing",
        "/v1/catalogue/remedies", "/v1/catalogue/nothing", f"{run}/trace", "/v1/experiments?colour=red",
    ):  # fmt: skip
        get, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (get.status_code, b""), path
        assert dict(head.headers) == dict(get.headers), path


@pytest.mark.parametrize("accept", ["text/csv", "application/vnd.apache.parquet"])
def test_head_of_a_stream_is_answered_at_once(client: TestClient, database: Database, accept: str) -> None:
    experiment = submit(client)
    run_id = run_ids(database, experiment)[0]
    events = client.head(f"{experiment['links']['self']}/events")
    assert (events.status_code, events.content) == (200, b"")
    assert events.headers["content-type"].startswith("text/event-stream")
    table = client.head(f"/v1/runs/{run_id}/curves", headers={"Accept": accept})
    assert (table.status_code, table.content) == (200, b"")
    assert table.headers["content-type"].startswith(accept)


def test_head_leaves_a_real_connection_fit_for_the_next_request(address: str) -> None:
    with httpx2.Client(base_url=address) as client:
        experiment = client.post("/v1/experiments", json=spec()).json()
        for path in ("/v1/experiments", f"{experiment['links']['self']}/events", experiment["links"]["self"]):
            assert client.head(path).status_code == 200
            assert client.get("/healthz").json() == {"status": "alive"}


def test_an_unknown_parameter_is_named_with_those_there_are(reader: TestClient, paths: dict[str, set[str]]) -> None:
    for template, methods in paths.items():
        for method in methods:
            refused = reader.request(method, f"{filled(template)}?colour=red")
            error = problem(refused, 422)["errors"][0]
            assert (error["field"], error["value"]) == ("colour", "red"), (method, template)
    error = problem(reader.get("/v1/datasets?page=2"), 422)["errors"][0]
    assert error["allowed"] == ["owner", "page_size", "page_token"]
    assert "owner, page_size, page_token" in error["message"]


def test_a_parameter_given_twice_is_refused_where_one_value_is_taken(reader: TestClient) -> None:
    error = problem(reader.get("/v1/experiments?state=queued&state=failed"), 422)["errors"][0]
    assert (error["field"], error["allowed"]) == ("state", "once")
    assert reader.get("/v1/experiments?label=a:b&label=c:d").status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "GZIP", "x"])
def test_a_packed_body_is_a_415_that_says_what_is_taken(reader: TestClient, encoding: str) -> None:
    body = gzip.compress(json.dumps(spec()).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    asked: list[tuple[str, str]] = [
        ("POST", "/v1/experiments"), ("POST", "/v1/experiments/batch"), ("POST", "/v1/predictions"),
        ("PUT", "/v1/datasets/mine"),
    ]  # fmt: skip
    for method, path in asked:
        refused = reader.request(method, path, content=body, headers=headers)
        assert problem(refused, 415)["errors"][0]["field"] == "Content-Encoding"
        assert refused.headers["accept-encoding"] == "identity"


def test_a_body_that_is_said_to_be_as_it_is_is_taken(reader: TestClient) -> None:
    sent: Any = {"json": spec(), "headers": {"Content-Encoding": "identity"}}
    assert reader.post("/v1/experiments/validate", **sent).status_code == 200
