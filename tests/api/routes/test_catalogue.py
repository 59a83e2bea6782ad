"""The catalogue says of every kind what a client may ask for."""

from collections.abc import Collection

import pytest
from fastapi.testclient import TestClient

from gradient_clinic.activations import SHAPES
from models.specs.dataset import DATASETS
from models.specs.init import INITS
from models.specs.networks import NETWORKS
from models.specs.optimizer import OPTIMIZERS
from models.specs.remedy import REMEDIES
from tests.api.made import problem

KEYS = {"kind", "title", "formula", "paper", "treats", "fails_when", "schema", "applies_to"}
CATALOGUES = {
    "networks": NETWORKS,
    "datasets": DATASETS,
    "optimizers": OPTIMIZERS,
    "inits": INITS,
    "activations": SHAPES,
    "remedies": REMEDIES,
}


@pytest.mark.parametrize(("name", "kinds"), CATALOGUES.items())
def test_every_kind_is_there_with_every_key(reader: TestClient, name: str, kinds: Collection[str]) -> None:
    items = reader.get(f"/v1/catalogue/{name}").json()["items"]
    assert [item["kind"] for item in items] == list(kinds)
    for item in items:
        assert set(item) >= KEYS
        assert item["title"]
        assert item["formula"]
        assert item["schema"]["type"] == "object"


def test_a_schema_has_parameters_with_defaults_and_limits(reader: TestClient) -> None:
    items = {item["kind"]: item for item in reader.get("/v1/catalogue/remedies").json()["items"]}
    strength = items["l2"]["schema"]["properties"]["strength"]
    assert (strength["default"], strength["minimum"]) == (1e-4, 0)
    slopes = {
        item["kind"]: item["schema"]["properties"] for item in reader.get("/v1/catalogue/activations").json()["items"]
    }
    assert slopes["leaky_relu"] == {"negative_slope": {"type": "number", "default": 0.01}}


def test_data_sets_say_how_large_and_whose_they_are(reader: TestClient) -> None:
    for item in reader.get("/v1/catalogue/datasets").json()["items"]:
        if item["kind"] == "uploaded":
            continue  # what it holds is not known before it is sent
        assert item["cases"] > 0
        assert item["real"] in {True, False}
        assert item["form"] in {"vector", "image", "sequence", "tokens"}
        assert item["licence"]


@pytest.mark.parametrize("name", ["spells", "Networks", "network", "x" * 500, "%00"])
def test_another_catalogue_is_not_found_and_those_there_are_named(reader: TestClient, name: str) -> None:
    errors = problem(reader.get(f"/v1/catalogue/{name}"), 404)["errors"]
    assert errors[0]["allowed"] == list(CATALOGUES)
