"""A sweep: the server makes an experiment of each combination, and says of each what became of it."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from models.specs.sweep import MOST_SWEPT_BYTES, key_of
from tests.api.made import Json, problem, spec

BATCH = "/v1/experiments/batch"


def sweep(client: TestClient, values: Json, *items: Json) -> list[Json]:
    response = client.post(BATCH, json={"items": items or [spec()], "sweep": values})
    assert response.status_code == 207, response.text
    answered: list[Json] = response.json()["items"]
    return answered


def test_every_combination_is_an_experiment_with_its_values_in_spec_and_labels(client: TestClient) -> None:
    values = {"network.depth": [3, 4], "optimizer.learning_rate": [0.1, 0.01], "remedies[0].strength": [1e-3]}
    made = sweep(client, values, spec(remedies=[{"kind": "l2"}], labels={"team": "vision"}))
    seen = [
        (
            item["experiment"]["spec"]["network"]["depth"],
            item["experiment"]["spec"]["optimizer"]["learning_rate"],
            item["experiment"]["spec"]["remedies"][0]["strength"],
        )
        for item in made
    ]
    assert seen == [(3, 0.1, 1e-3), (3, 0.01, 1e-3), (4, 0.1, 1e-3), (4, 0.01, 1e-3)]
    assert made[1]["swept"] == {"network.depth": 3, "optimizer.learning_rate": 0.01, "remedies[0].strength": 0.001}
    assert made[1]["experiment"]["labels"] == {
        "team": "vision",
        "sweep.network.depth": "3",
        "sweep.optimizer.learning_rate": "0.01",
        "sweep.remedies[0].strength": "0.001",
    }
    found = client.get("/v1/experiments", params={"label": ["sweep.network.depth:4", "team:vision"]}).json()["items"]
    assert len(found) == 2


def test_what_a_spec_leaves_out_can_be_swept_and_each_item_is_swept(client: TestClient) -> None:
    made = sweep(client, {"trace.every": [1, 2], "dataset": [{"kind": "digits"}]}, spec(name="a"), spec(name="b"))
    experiments = [item["experiment"] for item in made]
    assert [(one["name"], one["spec"]["trace"]["every"]) for one in experiments] == [
        ("a", 1), ("a", 2), ("b", 1), ("b", 2)
    ]  # fmt: skip
    assert experiments[0]["labels"]["sweep.dataset"] == '{"kind": "digits"}'


@pytest.mark.parametrize(
    ("path", "value", "field", "allowed"),
    [
        ("network.depth", 0, "network.depth", {"ge": 2}),
        ("network.activation", "rely", "network.activation", None),
        ("network.dept", 3, "network.dept", None),
        ("optimizer.lr", 0.1, "optimizer.lr", None),
        ("name.first", 1, "name.first", "a path inside the spec"),
        ("seeds[2]", 7, "seeds[2]", "one of the 2 entries of the list"),
        ("network[0]", 7, "network[0]", "one of the 0 entries of the list"),
    ],
)
def test_a_path_or_value_that_cannot_be_is_named_and_the_others_are_stored(
    client: TestClient, path: str, value: Any, field: str, allowed: Any
) -> None:
    good = {"network.depth": 3, "network.activation": "tanh"}.get(path)
    wrong = sweep(client, {path: [value] if good is None else [good, value]})[-1]
    error = wrong["error"]["errors"][0]
    assert (wrong["status"], wrong["swept"], wrong["error"]["instance"]) == (422, {path: value}, BATCH)
    assert (error["field"], error["value"]) == (field, value)
    assert error["allowed"] == allowed if allowed is not None else error["allowed"]
    assert len(client.get("/v1/experiments").json()["items"]) == (good is not None)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"seeds": [[seed] for seed in range(501)]}, "sweep"),
        ({"steps": []}, "sweep.steps"),
        ({"steps": 3}, "sweep.steps"),
        ({"steps": [1, 2, 1]}, "sweep.steps"),
        ({"network": [{"kind": "mlp"}], "network.depth": [3]}, "sweep.network.depth"),
        ({"network..depth": [3]}, "sweep.network..depth"),
        ({"": [3]}, "sweep."),
        ({f"labels.{index}a": [1] for index in range(3)}, "sweep.labels.0a"),
        ({f"labels.a{index}": [1] for index in range(17)}, "sweep"),
    ],
)  # fmt: skip
def test_a_sweep_that_cannot_be_is_refused_as_a_whole(reader: TestClient, values: Json, field: str) -> None:
    errors = problem(reader.post(BATCH, json={"items": [spec(), spec()], "sweep": values}), 422)["errors"]
    assert errors[0]["field"] == field


def test_a_large_spec_is_not_repeated_a_thousand_times(reader: TestClient) -> None:
    large = spec(name="x" * 1_000_000)
    body = {"items": [large], "sweep": {"steps": list(range(MOST_SWEPT_BYTES // 1_000_000 + 1))}}
    error = problem(reader.post(BATCH, json=body), 422)["errors"][0]
    assert (error["field"], error["allowed"]) == ("sweep", f"at most {MOST_SWEPT_BYTES:,}")


def test_a_sweep_can_be_asked_for_again(client: TestClient) -> None:
    body = {"items": [spec(idempotency_key="night")], "sweep": {"network.depth": [3, 4]}}
    first, again = (client.post(BATCH, json=body).json()["items"] for _ in range(2))
    assert [item["status"] for item in first] == [202, 202]
    assert first == again
    body["sweep"] = {"network.depth": [3, 4, 5]}
    more = client.post(BATCH, json=body).json()["items"]
    assert more[:2] == first
    headers = {"Idempotency-Key": "whole"}
    whole, same = (client.post(BATCH, json=body, headers=headers).json() for _ in range(2))
    assert whole == same
    other = client.post(BATCH, json=body | {"sweep": {"network.depth": [3]}}, headers=headers)
    assert problem(other, 422)["errors"][0]["field"] == "Idempotency-Key"
    assert len(client.get("/v1/experiments").json()["items"]) == 3


HALF = "\ud800"


@pytest.mark.parametrize(
    "body",
    [
        {"items": [{}], "sweep": {"name": [HALF]}},
        {"items": [{}], "sweep": {"name": ["ok", {HALF: 1}]}},
        {"items": [{}], "sweep": {HALF: [1]}},
        {"items": HALF},
        {"items": [{}], HALF: 1},
    ],
)
def test_half_a_letter_outside_of_an_item_is_refused_before_anything_is_stored(client: TestClient, body: Json) -> None:
    first = {"items": [spec()]} | body if isinstance(body["items"], list) else body
    sent = json.dumps(first)  # escaped, as half a pair has no UTF-8
    problem(client.post(BATCH, content=sent, headers={"Content-Type": "application/json"}), 422)
    assert client.get("/v1/experiments").json()["items"] == []


def test_a_large_value_is_not_repeated_a_thousand_times(reader: TestClient) -> None:
    body = {"items": [None] * 200, "sweep": {"name": ["x" * 200_000]}}
    error = problem(reader.post(BATCH, json=body), 422)["errors"][0]
    assert (error["field"], error["allowed"]) == ("sweep", f"at most {MOST_SWEPT_BYTES:,}")


@pytest.mark.parametrize("values", [[2, 2.0], [0, -0.0], [{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}]])
def test_values_that_are_the_same_number_are_listed_twice(reader: TestClient, values: list[Any]) -> None:
    error = problem(reader.post(BATCH, json={"items": [spec()], "sweep": {"steps": values}}), 422)["errors"][0]
    assert error["field"] == "sweep.steps"


def test_the_key_of_a_swept_item_is_short_and_the_same_for_the_same_place() -> None:
    long = key_of("night", {"name": "zebra" * 1_000})
    assert len(long) < 64
    assert "zebra" not in long
    assert key_of("night", {"seeds[0]": 2}) == key_of("night", {"seeds[00]": 2.0})
    assert key_of("night", {"seeds[0]": 2}) != key_of("night", {"seeds[1]": 2})


def test_an_item_cannot_have_the_key_of_the_request(client: TestClient) -> None:
    body = {"items": [spec(idempotency_key="one"), spec()]}
    first, second = client.post(BATCH, json=body, headers={"Idempotency-Key": "one"}).json()["items"]
    assert (first["status"], second["status"]) == (422, 202)
    assert first["error"]["errors"][0]["field"] == "idempotency_key"


@pytest.mark.parametrize("labels", ["", 0, False, []])
def test_labels_that_are_none_are_refused_in_a_sweep_too(client: TestClient, labels: Any) -> None:
    (item,) = sweep(client, {"steps": [0]}, spec(labels=labels))
    assert (item["status"], item["error"]["errors"][0]["field"]) == (422, "labels")
