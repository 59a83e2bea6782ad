"""The contract as machines read it, and the answers held against it."""

import json
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

from api.http.negotiation import OFFERED
from api.views.experiments import Diagnosis, ExperimentPage, ExperimentView, RunDetail, RunPage
from api.views.traces import CurvesView, TraceView
from models.analysis.comparison.compare import Comparison
from models.storage.database import Database
from tests.api.made import problem, run_ids, submit, train_all


@pytest.fixture(scope="module")
def schema(reader: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = reader.get("/openapi.json").json()
    return found


def operations(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(f"{method} {path}", its) for path, methods in schema["paths"].items() for method, its in methods.items()]


def test_every_operation_says_what_it_is_and_has_a_name_of_its_own(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        assert operation["summary"], name
        assert operation["description"], name
    names = [operation["operationId"] for _, operation in operations(schema)]
    assert len(set(names)) == len(names)


def test_every_operation_answers_errors_as_problem_details(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        errors = operation["responses"]["default"]["content"]
        assert list(errors) == ["application/problem+json"], name
        assert "422" not in operation["responses"], name
    assert set(schema["components"]["schemas"]["ProblemDetails"]["required"]) >= {"type", "title", "status", "detail"}


def test_every_operation_under_v1_names_the_key(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        assert ("security" in operation) == ("/v1/" in name), name


def test_every_json_answer_has_a_shape(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        for status, answer in operation["responses"].items():
            shape = answer.get("content", {}).get("application/json", {"schema": {"$ref": ""}})["schema"]
            assert shape, f"{name} {status}"


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(schema))):
        place: Any = schema
        for part in reference.split("/"):
            place = place[part]


def test_no_shape_is_named_after_a_file(schema: dict[str, Any]) -> None:
    """FastAPI does so where two shapes have one name, and a generated client would change with the file's."""
    assert [name for name in schema["components"]["schemas"] if "__" in name] == []


def test_traces_and_curves_name_every_media_type(schema: dict[str, Any]) -> None:
    for path in ("/v1/runs/{run_id}/trace", "/v1/runs/{run_id}/curves"):
        answers = schema["paths"][path]["get"]["responses"]
        assert set(answers["200"]["content"]) == set(OFFERED)
        assert "304" in answers


def test_the_spec_is_shown_with_examples(schema: dict[str, Any]) -> None:
    body = schema["paths"]["/v1/experiments"]["post"]["requestBody"]["content"]["application/json"]
    assert body["examples"]["deep sigmoid"]["value"]["network"]["depth"] == 20


def test_the_pages_for_people_name_every_route_and_load_nothing(reader: TestClient, schema: dict[str, Any]) -> None:
    for address in ("/", "/docs"):
        page = reader.get(address).text
        for path in schema["paths"]:
            assert path in page
        assert "<script" not in page
        links = {"/dashboard/", "/openapi.json", "/openapi-3.0.json", "/openapi-3.2.json", "data:,"}
        assert set(re.findall(r'(?:src|href)="([^"]+)"', page)) == links


def test_every_answer_fits_the_shape_that_the_schema_gives_it(client: TestClient, database: Database) -> None:
    experiment = submit(client, remedies=[{"kind": "batch_norm"}], steps=600)
    run_id = run_ids(database, experiment)[0]
    shapes: dict[str, type] = {
        experiment["links"]["self"]: ExperimentView,
        "/v1/experiments": ExperimentPage,
        experiment["links"]["runs"]: RunPage,
        f"/v1/runs/{run_id}": RunDetail,
        f"/v1/runs/{run_id}/curves": CurvesView,
        f"/v1/runs/{run_id}/trace?signal=weight_norm": TraceView,
        experiment["links"]["comparison"]: Comparison,
    }
    for path, shape in shapes.items():
        TypeAdapter(shape).validate_json(client.get(path).content)
    train_all(database, experiment)
    for path, shape in (shapes | {f"/v1/runs/{run_id}/diagnosis": Diagnosis}).items():
        TypeAdapter(shape).validate_json(client.get(path).content)


def test_errors_of_the_framework_are_problem_details_too(reader: TestClient) -> None:
    assert problem(reader.get("/nowhere"), 404)["instance"] == "/nowhere"
    refused = reader.put("/v1/experiments", json={})
    assert problem(refused, 405)["title"] == "Method Not Allowed"
    assert refused.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert reader.post("/docs").headers["allow"] == "GET, HEAD, OPTIONS"
