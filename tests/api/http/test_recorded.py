"""Examples of the OpenAPI document: every schema has one, and it is what the schema says."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator, FormatChecker

from api.http.recorded import PATH
from api.http.schema import UNIONS
from models.specs.base import Spec
from proofs.examples.specs import every_kind

Json = dict[str, Any]
AGAIN = "record them anew: make examples"


@pytest.fixture(scope="module")
def document(reader: TestClient) -> Json:
    found: Json = reader.get("/openapi.json").json()
    return found


def test_every_schema_has_an_example(document: Json) -> None:
    assert [name for name, its in document["components"]["schemas"].items() if not its.get("examples")] == [], AGAIN


def test_every_example_is_of_its_schema(document: Json) -> None:
    wrong = {
        name: error.message
        for name, schema in document["components"]["schemas"].items()
        for value in schema.get("examples", ())
        for error in Draft202012Validator(
            {"$ref": f"#/components/schemas/{name}", "components": document["components"]},
            format_checker=FormatChecker(),
        ).iter_errors(value)
    }
    assert wrong == {}, AGAIN


def test_an_example_of_a_spec_is_taken_by_the_service(document: Json) -> None:
    """Its schema does not say all that has to hold."""
    schemas = document["components"]["schemas"]
    models: dict[str, type[Spec]] = {model.__name__: model for kinds in UNIONS.values() for model in kinds.values()}
    assert {name for name, _ in every_kind()} == set(models)
    for name, model in models.items():
        model.model_validate(schemas[name]["examples"][0])


def test_the_older_document_shows_them_in_its_own_way(reader: TestClient, document: Json) -> None:
    newer, older = document["components"]["schemas"], reader.get("/openapi-3.0.json").json()["components"]["schemas"]
    assert {name: its.get("example") for name, its in older.items()} == {
        name: its["examples"][0] for name, its in newer.items()
    }
    assert not any("examples" in its for its in older.values())


def test_no_example_has_a_secret() -> None:
    """A scanner would take one for somebody's."""
    assert "gc_…" in PATH.read_text()
    assert "whsec_…" in PATH.read_text()
