"""The OpenAPI document as code generators need it. Each test names what a generator stumbled over."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.http.document import for_generators
from api.http.openapi30 import as_30
from local import document as published

Json = dict[str, Any]
UNIONS = (
    "DatasetSpec", "InitSpec", "ItemSpec", "NetworkSpec", "NormalizationSpec", "OptimizerSpec", "RemedySpec",
    "ScheduleSpec", "SkipSpec",
)  # fmt: skip


@pytest.fixture(scope="module")
def document(reader: TestClient) -> Json:
    found: Json = reader.get("/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def schemas(document: Json) -> Json:
    found: Json = document["components"]["schemas"]
    return found


def nodes(node: Any) -> Iterator[Json]:
    """Every object of a document, examples aside."""
    if isinstance(node, dict):
        yield node
        node = [value for key, value in node.items() if key not in {"example", "examples"}]
    for inner in node if isinstance(node, list) else ():
        yield from nodes(inner)


def test_the_document_in_the_tree_is_the_one_that_is_served() -> None:
    """``make document`` writes it; the diff shows what changes for clients."""
    assert published.PATH.read_text() == published.text()


def test_a_shape_has_one_schema_whose_title_is_its_name(schemas: Json) -> None:
    """openapi-python-client drops whatever two schemas of one title are used by."""
    assert [name for name in schemas if not name.isidentifier()] == []
    assert {name: schema["title"] for name, schema in schemas.items()} == {name: name for name in schemas}
    titles = [node["title"] for node in nodes(schemas) if isinstance(node.get("title"), str)]
    assert len(set(titles)) == len(titles)


def test_what_is_answered_of_a_spec_can_be_sent_again() -> None:
    """Else a client would have a type for each way."""
    both = {"Spec-Input": {"type": "object"}, "Spec-Output": {"type": "string"}}
    with pytest.raises(ValueError, match="Spec is described in two ways"):
        for_generators({"paths": {}, "components": {"schemas": both}}, {})


@pytest.mark.parametrize("name", UNIONS)
def test_a_union_chooses_by_a_kind_that_is_always_there(schemas: Json, name: str) -> None:
    """Without a required kind of one value each, openapi-generator and orval cannot tell the members apart."""
    union = schemas[name]
    members = {reference["$ref"] for reference in union["oneOf"]}
    assert union["discriminator"]["propertyName"] == "kind"
    assert set(union["discriminator"]["mapping"].values()) == members
    for kind, reference in union["discriminator"]["mapping"].items():
        member = schemas[reference.removeprefix("#/components/schemas/")]
        assert "kind" in member["required"], reference
        assert kind in member["properties"]["kind"]["enum"]
        assert "default" not in member["properties"]["kind"]


def test_unions_stand_once(document: Json, schemas: Json) -> None:
    """Inline, each use would be a type of its own in a generated client."""
    chosen = [node for node in nodes(document) if "discriminator" in node]
    assert len(chosen) == len(UNIONS)
    assert all(schemas[name] in chosen for name in UNIONS)


def test_a_union_of_lists_is_one_that_typescript_fetch_makes_a_type_of(schemas: Json) -> None:
    """Of ``anyOf`` with a list it makes the other member; of ``oneOf`` with a list of unions what does not compile."""
    request = schemas["ExperimentRequest"]["properties"]
    assert [one.get("type", "object") for one in request["seeds"]["oneOf"]] == ["array", "object"]
    assert [one["type"] for one in request["remedies"]["anyOf"]] == ["array", "string"]


def test_defaults_are_what_a_client_can_write_down(document: Json) -> None:
    """openapi-python-client refuses a schema with an object as the default beside a union."""
    defaults = [node["default"] for node in nodes(document["components"]) if "type" in node and "default" in node]
    assert defaults
    assert not any(isinstance(one, dict | list) or one is None for one in defaults)


def test_a_parameter_is_left_out_and_never_null(document: Json) -> None:
    parameters = [node for node in nodes(document["paths"]) if "in" in node and "schema" in node]
    assert parameters
    assert not any({"type": "null"} in node["schema"].get("anyOf", ()) for node in parameters)


def test_null_is_taken_where_a_field_may_be_absent_and_no_client_has_to_know(reader: TestClient, schemas: Json) -> None:
    adam = schemas["AdamSpec"]["properties"]
    assert adam["learning_rate"]["type"] == "number"
    network = {"kind": "mlp", "depth": 3, "width": 8, "dropout": None, "activation": None}
    assert reader.post("/v1/predictions", json={"network": network, "batch_size": None}).status_code == 200


def test_an_answer_that_may_be_unchanged_says_by_which_headers(document: Json) -> None:
    conditional = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "304" in operation["responses"]:
                conditional.append(path)
                asked = {parameter["name"] for parameter in operation["parameters"]}
                assert "If-None-Match" in asked, (method, path)
                assert "ETag" in operation["responses"]["200"]["headers"], (method, path)
    assert set(conditional) >= {
        "/v1/experiments/{experiment_id}", "/v1/experiments/{experiment_id}/comparison", "/v1/runs/{run_id}/trace",
    }  # fmt: skip


def test_ids_and_times_say_what_they_are(schemas: Json) -> None:
    formats = {
        "id": "uuid",
        "run_id": "uuid",
        "experiment_id": "uuid",
        "created_at": "date-time",
        "ended_at": "date-time",
    }
    for name, schema in schemas.items():
        for field, value in schema.get("properties", {}).items():
            if field in formats:
                said = {value.get("format"), *(one.get("format") for one in value.get("anyOf", ()))}
                assert formats[field] in said, (name, field)


def test_a_body_of_files_has_one_media_type_with_named_files(document: Json) -> None:
    """Of several, openapi-generator's typescript-fetch makes a client that does not compile."""
    content = document["paths"]["/v1/datasets/{name}"]["put"]["requestBody"]["content"]
    ((kind, body),) = content.items()
    assert kind == "multipart/form-data"
    assert all(file["format"] == "binary" for file in body["schema"]["properties"].values())


def test_tags_and_the_server_are_told(document: Json) -> None:
    used = {
        tag for methods in document["paths"].values() for operation in methods.values() for tag in operation["tags"]
    }
    assert {tag["name"] for tag in document["tags"]} == used
    assert document["servers"] == [{"url": "/", "description": "Where this document was read."}]


# --- OpenAPI 3.0 ------------------------------------------------------------------------------------------------


def test_the_older_form_has_no_word_of_the_newer(reader: TestClient) -> None:
    older = reader.get("/openapi-3.0.json").json()
    assert older["openapi"] == "3.0.3"
    for node in nodes(older):
        assert not {"const", "prefixItems", "patternProperties", "propertyNames"} & set(node), node
        assert node.get("type") != "null", node
        assert not isinstance(node.get("type"), list), node
        for limit in ("exclusiveMinimum", "exclusiveMaximum"):
            assert isinstance(node.get(limit, True), bool), node
        if isinstance(node.get("$ref"), str):
            assert set(node) == {"$ref"}


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string", "nullable": True}),
        (
            {"anyOf": [{"$ref": "#/a"}, {"type": "null"}], "description": "d"},
            {"allOf": [{"$ref": "#/a"}], "nullable": True, "description": "d"},
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
            {"anyOf": [{"type": "string"}, {"type": "integer"}], "nullable": True},
        ),
        ({"type": "number", "exclusiveMinimum": 0.0}, {"type": "number", "minimum": 0.0, "exclusiveMinimum": True}),
        (
            {"type": "array", "prefixItems": [{"type": "number"}, {"type": "number"}], "minItems": 2},
            {"type": "array", "items": {"type": "number"}, "minItems": 2},
        ),
        ({"$ref": "#/a", "description": "d"}, {"allOf": [{"$ref": "#/a"}], "description": "d"}),
    ],
)
def test_a_schema_of_3_1_as_one_of_3_0(newer: Json, older: Json) -> None:
    """By hand, from the words of both specifications."""
    assert as_30({"schema": newer})["schema"] == older


def test_both_forms_know_the_same_operations(reader: TestClient, document: Json) -> None:
    older = reader.get("/openapi-3.0.json").json()
    assert json.dumps(older["paths"]).count("operationId") == json.dumps(document["paths"]).count("operationId")
    assert set(older["components"]["schemas"]) == set(document["components"]["schemas"])
