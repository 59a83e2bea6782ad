"""OpenAPI 3.2 says what the events of a stream are; each that a clinic sends fits it, by a validator of JSON Schema."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator

from models.storage.database import Database
from tests.api.heard import Heard, parsed
from tests.api.made import submit, train_all

Json = dict[str, Any]
STREAM = "text/event-stream"


@pytest.fixture(scope="module")
def newest(reader: TestClient) -> Json:
    found: Json = reader.get("/openapi-3.2.json").json()
    return found


def item_of(newest: Json, path: str) -> Json:
    content: Json = newest["paths"][path]["get"]["responses"]["200"]["content"][STREAM]
    assert "schema" not in content
    item: Json = content["itemSchema"]
    return item


def fits(newest: Json, schema: Json, value: Any) -> None:
    Draft202012Validator({"components": newest["components"], **schema}).validate(value)


def check(newest: Json, item: Json, heard: Heard) -> None:
    """As the format has an event: text by field; and then its data, which validators leave alone as text."""
    number = {} if heard.number is None else {"id": str(heard.number)}
    fits(newest, item, number | {"event": heard.name, "data": json.dumps(heard.data)})
    (own,) = [
        one["properties"] for one in item.get("oneOf", [item]) if one["properties"]["event"]["const"] == heard.name
    ]
    fits(newest, own["data"]["contentSchema"], heard.data)


def test_every_event_of_a_stream_is_an_item_of_it(client: TestClient, database: Database, newest: Json) -> None:
    experiment = submit(client)
    train_all(database, experiment)
    item = item_of(newest, "/v1/experiments/{experiment_id}/events")
    told = list(parsed(client.get(experiment["links"]["events"]).text.splitlines()))
    assert {heard.name for heard in told} == {"experiment", "run", "end"}
    for heard in told:
        check(newest, item, heard)
    with pytest.raises(Exception, match="is not valid under any"):
        fits(newest, item, {"event": "nothing", "data": "{}"})


def test_every_event_of_the_list_is_an_item_of_it(client: TestClient, newest: Json) -> None:
    submit(client)
    told = list(parsed(client.get("/v1/events?wait=1").text.splitlines()))
    assert told
    for heard in told:
        check(newest, item_of(newest, "/v1/events"), heard)


def test_it_differs_from_3_1_in_nothing_else(reader: TestClient, newest: Json) -> None:
    document = reader.get("/openapi.json").json()
    assert (newest.pop("openapi"), document.pop("openapi")) == ("3.2.0", "3.1.0")
    for path in ("/v1/experiments/{experiment_id}/events", "/v1/events"):
        for form in (newest, document):
            form["paths"][path]["get"]["responses"]["200"]["content"].pop(STREAM)
    assert newest == document
