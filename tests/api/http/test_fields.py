"""What a client is told about a spec that cannot be: the field as the client wrote it, and what would be allowed."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from models.specs.dataset import DATASETS
from models.specs.init import INITS
from models.specs.networks import NETWORKS
from models.specs.optimizer import OPTIMIZERS
from models.specs.remedy import REMEDIES
from tests.api.made import Json, problem, spec

MLP = {"kind": "mlp", "depth": 3, "width": 4}


def errors_of(client: TestClient, body: Any, path: str = "/v1/experiments") -> list[Json]:
    errors: list[Json] = problem(client.post(path, json=body), 422)["errors"]
    return errors


@pytest.mark.parametrize(
    ("changes", "field", "value", "allowed"),
    [
        ({"remedies": [{"kind": "batch_norm"}, {"kind": "l2", "strength": -1}]}, "remedies[1].strength", -1, {"ge": 0}),
        ({"remedies": [{"kind": "magic"}]}, "remedies[0].kind", "magic", list(REMEDIES)),
        ({"remedies": [{}]}, "remedies[0].kind", None, list(REMEDIES)),
        ({"remedies": [{"kind": "clip_norm", "max": 1}]}, "remedies[0].max", 1, ["kind", "max_norm"]),
        ({"remedies": [{"kind": "init"}]}, "remedies[0].init", None, None),
        ({"remedies": [{"kind": "init", "init": {}}]}, "remedies[0].init.kind", None, list(INITS)),
        (
            {"remedies": [{"kind": "init", "init": {"kind": "gaussian", "weight_variance": -2}}]},
            "remedies[0].init.weight_variance",
            -2,
            {"ge": 0},
        ),
        ({"network": {**MLP, "init": {"kind": "normal"}}}, "network.init.std", None, None),
        (
            {"network": {**MLP, "normalization": {"kind": "layer_norm", "eps": 0}}},
            "network.normalization.eps",
            0,
            {"gt": 0},
        ),
        ({"network": {**MLP, "depth": -20}}, "network.depth", -20, {"ge": 2}),
        ({"network": {**MLP, "kind": "magic"}}, "network.kind", "magic", [*NETWORKS, "plugin"]),
        ({"network": {**MLP, "hiden": [4]}}, "network.hiden", [4], sorted(NETWORKS["mlp"].model_fields)),
        ({"network": []}, "network", [], None),
        ({"dataset": {"kind": "cifar"}}, "dataset.kind", "cifar", [*DATASETS, "plugin"]),
        ({"dataset": {}}, "dataset.kind", None, [*DATASETS, "plugin"]),
        ({"optimizer": {}}, "optimizer.kind", None, list(OPTIMIZERS)),
        ({"optimizer": {"kind": "adam", "betas": [0.9, 1]}}, "optimizer.betas[1]", 1, {"lt": 1}),
        ({"seeds": [0, -1]}, "seeds[1]", -1, {"ge": 0}),
        ({"seeds": {"count": 10**9}}, "seeds.count", 10**9, {"le": 1000}),
        ({"seeds": {"first": 3}}, "seeds.count", None, None),
        ({"seeds": []}, "seeds", [], {"min_length": 1}),
        ({"variants": [{"name": "a", "remedies": [{"kind": "l2", "layers": "some"}]}]},
         "variants[0].remedies[0].layers", "some", ["hidden", "all"]),
        ({"labels": {"team": 5}}, "labels.team", 5, None),
        ({"name": "x" * 10_000}, "name", "x" * 200 + "…", {"max_length": 200}),
        ({"priority": 10**20}, "priority", "1" + "0" * 20, {"le": 9}),
        ({"steps": "many"}, "steps", "many", None),
        ({"deadline": "9999-12-31T23:59:59-14:00"}, "deadline", "9999-12-31T23:59:59-14:00",
         {"lt": "9000-01-01T00:00:00Z"}),
        ({"not_before": "0001-01-01T00:00:00+14:00"}, "not_before", "0001-01-01T00:00:00+14:00",
         {"ge": "1970-01-01T00:00:00Z"}),
        ({"dataset": None}, "dataset", None, None),
        ({"kind": "name", "name": None}, "name", None, None),
        ({"name": None}, "name", None, None),
        ({"batch_size": 100_000}, "batch_size", 100_000, "at most 1438"),
        ({"design": "full_factorial", "remedies": [{"kind": "l2"}] * 6}, "remedies", 6, "at most 5 remedies"),
        ({"steps": None, "epochs": 100_000, "batch_size": 1}, "epochs", 100_000, "at most 10,000,000 steps"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_error_with_field_value_and_what_is_allowed(
    reader: TestClient, changes: Json, field: str, value: Any, allowed: Any
) -> None:
    errors = [one for one in errors_of(reader, spec(**changes)) if one["field"] != "kind"]
    assert [(one["field"], one["value"], one["allowed"]) for one in errors] == [(field, value, allowed)]
    assert errors[0]["message"]


def test_every_kind_that_has_parameters_is_left_out_of_the_path(reader: TestClient) -> None:
    for kind in REMEDIES:
        errors = errors_of(reader, spec(remedies=[{"kind": kind, "magic": 1}]))
        assert "remedies[0].magic" in [one["field"] for one in errors]
    for kind in INITS:
        errors = errors_of(reader, {"network": {**MLP, "init": {"kind": kind, "magic": 1}}}, "/v1/predictions")
        assert "network.init.magic" in [one["field"] for one in errors]


def test_a_value_that_fits_no_branch_is_told_what_each_would_be(reader: TestClient) -> None:
    errors = errors_of(reader, spec(seeds="all"))
    assert [(one["field"], one["message"]) for one in errors] == [
        ("seeds", "this must be a list"),
        ("seeds", "this must be an object"),
    ]


def test_several_mistakes_are_all_told_and_the_sentence_names_three(reader: TestClient) -> None:
    body = spec(batch_size=0, priority=11, device="tpu", drop_last="perhaps")
    told = problem(reader.post("/v1/experiments", json=body), 422)
    assert {one["field"] for one in told["errors"]} == {"batch_size", "priority", "device", "drop_last"}
    assert told["detail"].endswith("and 1 more")


@pytest.mark.parametrize("body", [[], "spec", 5, True])
def test_a_body_that_is_no_object_is_refused(reader: TestClient, body: Any) -> None:
    assert errors_of(reader, body)[0]["field"] == "body"


def test_remedies_that_contradict_are_refused_with_both_names(reader: TestClient) -> None:
    errors = errors_of(reader, spec(design="add_all", remedies=[{"kind": "batch_norm"}, {"kind": "layer_norm"}]))
    assert errors[0]["field"] == "remedies"
    assert errors[0]["value"] == ["batch_norm", "layer_norm"]
