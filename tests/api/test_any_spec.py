"""Whatever is made of the fields that specs have, and of what they may not be, is answered; on every route."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from api.routes.predictions import PredictionRequest
from models.analysis.suggestion.choice import MOST_SUGGESTED
from models.specs.base import Spec
from models.specs.dataset import DATASETS
from models.specs.experiment import ExperimentRequest
from models.specs.networks import NETWORKS
from models.specs.optimizer import OPTIMIZERS
from models.specs.remedy import REMEDIES
from tests.api.described import bodies
from tests.api.made import problem, spec

QUIET = settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
FIELDS: dict[str, Mapping[str, type[Spec]]] = {
    "network": NETWORKS,
    "dataset": DATASETS,
    "optimizer": OPTIMIZERS,
    "remedies": REMEDIES,
}
KINDS = [(field, kind) for field, models in FIELDS.items() for kind in models]
JSON = {"Content-Type": "application/json"}


def sound(client: TestClient, path: str, body: Any) -> None:
    """The answer is no mistake of the service; a refusal says where and why."""
    response = client.post(path, content=json.dumps(body).encode(), headers=JSON)
    if response.status_code == 207:
        assert {item["status"] for item in response.json()["items"]} <= {202, 422}
    elif response.status_code not in {200, 202}:
        told = problem(response, 422)
        assert told["errors"], told
        assert all(one["field"] and one["message"] for one in told["errors"]), told


def is_one(model: type[Spec], body: Any) -> bool:
    try:
        model.model_validate(body)
    except ValidationError:
        return False
    return True


def check_suggestion(client: TestClient, body: Any) -> int:
    """A few different variants, each of which does something; asked for one by one they are the same experiment."""
    sound(client, "/v1/experiments/validate", body)
    response = client.post("/v1/experiments/validate", content=json.dumps(body).encode(), headers=JSON)
    if response.status_code != 200:
        return response.status_code
    answer = response.json()
    names = [variant["name"] for variant in answer["variants"]]
    assert [one["remedy"] for one in answer["suggested"]] == names[1:]
    assert len(set(names)) == len(names) <= 1 + MOST_SUGGESTED
    assert all(one["tests"] and one["why"] for one in answer["suggested"])
    assert not any("changes nothing" in said or "one and the same" in said for said in answer["warnings"])
    listed = body | {"remedies": [variant["remedies"][0] for variant in answer["variants"][1:]]}
    again = client.post("/v1/experiments/validate", content=json.dumps(listed).encode(), headers=JSON).json()
    assert again["variants"] == answer["variants"]
    assert again["suggested"] is None
    return response.status_code


def everywhere(client: TestClient, body: Any) -> None:
    """A spec on the routes that store nothing of it, and its network where theory is asked."""
    sound(client, "/v1/experiments/validate", body)
    if isinstance(body, dict) and "network" in body:
        sound(client, "/v1/predictions", {"network": body["network"]})


@pytest.mark.parametrize(("field", "kind"), KINDS)
def test_any_part_of_any_kind(reader: TestClient, field: str, kind: str) -> None:
    @QUIET
    @given(part=bodies(FIELDS[field][kind].model_json_schema()))
    def answered(part: Any) -> None:
        everywhere(reader, spec(**{field: [part] if field == "remedies" else part}))

    answered()


@settings(QUIET, max_examples=40)
@given(body=bodies(ExperimentRequest.model_json_schema()))
def test_any_spec(reader: TestClient, body: Any) -> None:
    everywhere(reader, body)


@pytest.mark.long
@pytest.mark.parametrize("kind", NETWORKS)
def test_what_is_suggested_for_any_network_can_be_asked_for(reader: TestClient, kind: str) -> None:
    answered: list[int] = []

    @settings(QUIET, max_examples=80 if kind == "sequential" else 12)  # few lists of any layers fit together
    @given(
        network=bodies(NETWORKS[kind].model_json_schema()),
        dataset=st.sampled_from(["digits", "names"] if kind in {"rnn", "transformer"} else ["digits"]),
        steps=st.sampled_from([0, 4]),
    )
    def checked(network: Any, dataset: str, steps: int) -> None:
        assume(is_one(NETWORKS[kind], network))
        body = spec(network=network, dataset={"kind": dataset}, steps=steps, remedies="suggest")
        answered.append(check_suggestion(reader, body))

    checked()
    assert 200 in answered or kind == "sequential"  # few lists of any layers fit together


@settings(QUIET, max_examples=40)
@given(body=bodies(PredictionRequest.model_json_schema()))
def test_any_prediction(reader: TestClient, body: Any) -> None:
    sound(reader, "/v1/predictions", body)


@settings(QUIET, max_examples=8)
@given(part=bodies(NETWORKS["sequential"].model_json_schema()), remedy=st.sampled_from(sorted(REMEDIES)))
def test_any_list_of_layers_is_answered_where_it_would_be_stored(client: TestClient, part: Any, remedy: str) -> None:
    body = spec(network=part, remedies=[{"kind": remedy}])
    sound(client, "/v1/experiments", body)
    sound(client, "/v1/experiments/batch", {"items": [body, spec()]})


@pytest.mark.parametrize(
    "item",
    [
        {"kind": "activation", "function": "elu", "negative_slope": 0.1},
        {"kind": "activation", "function": "leaky_relu", "alpha": 0.1},
        {"kind": "activation", "function": "relu", "alpha": 1},
    ],
)
def test_a_parameter_of_another_activation_is_named_on_every_route(client: TestClient, item: dict[str, Any]) -> None:
    layers = [{"kind": "linear", "units": 8}, {"kind": "residual", "layers": [{"kind": "linear", "units": 8}, item]}]
    body = spec(network={"kind": "sequential", "layers": [{"kind": "flatten"}, *layers]})
    name = next(key for key in item if key not in {"kind", "function"})
    wanted = (f"network.layers[2].layers[1].{name}", item[name])
    for path, sent in (
        ("/v1/experiments", body),
        ("/v1/experiments/validate", body),
        ("/v1/predictions", {"network": body["network"]}),
    ):
        error = problem(client.post(path, json=sent), 422)["errors"][0]
        assert (error["field"], error["value"]) == wanted
        assert error["allowed"].startswith("null, or one of ")
    answer = client.post("/v1/experiments/batch", json={"items": [spec(), body, spec()]}).json()["items"]
    assert [one["status"] for one in answer] == [202, 422, 202]
    assert answer[1]["error"]["errors"][0]["field"] == wanted[0]


def test_a_parameter_beside_a_list_without_an_activation_is_named(reader: TestClient) -> None:
    network = {"kind": "sequential", "layers": [{"kind": "linear", "units": 8}], "negative_slope": 0.1}
    error = problem(reader.post("/v1/predictions", json={"network": network}), 422)["errors"][0]
    assert (error["field"], error["value"]) == ("network.negative_slope", 0.1)
