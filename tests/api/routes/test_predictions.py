"""Predictions through HTTP; their numbers are tested in tests/models/analysis/test_prediction.py."""

import pytest
from fastapi.testclient import TestClient

from tests.api.made import problem

SIGMOID = {"kind": "mlp", "depth": 20, "width": 64, "activation": "sigmoid", "init": {"kind": "xavier_normal"}}
KEYS = {
    "layers", "gain_per_layer", "total_gain", "depth_scale", "trainable_depth", "inverse_width_sum", "regime", "caveats"
}  # fmt: skip


def test_twenty_sigmoid_layers_are_predicted_to_vanish(reader: TestClient) -> None:
    response = reader.post("/v1/predictions", json={"network": SIGMOID, "batch_size": 128})
    assert response.status_code == 200
    body = response.json()
    assert set(body) >= KEYS
    assert body["gain_per_layer"] == pytest.approx(0.2361, rel=1e-3)
    assert body["total_gain"] == pytest.approx(18 * -1.4435, rel=1e-2)
    assert body["inverse_width_sum"] == pytest.approx(19 / 64)
    assert set(body["layers"][0]) == {"index", "name", "chi", "rms_ratio"}
    assert body["regime"] == "ordered"


def test_the_widths_of_the_data_may_be_given(reader: TestClient) -> None:
    plain = reader.post("/v1/predictions", json={"network": SIGMOID}).json()
    given = reader.post("/v1/predictions", json={"network": SIGMOID, "input_width": 784, "output_width": 10}).json()
    assert given["total_gain"] != plain["total_gain"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "network"),
        ({"network": {"kind": "mlp"}}, "network"),
        ({"network": SIGMOID, "batch_size": 0}, "batch_size"),
        ({"network": SIGMOID, "width": 3}, "width"),
        ({"network": {**SIGMOID, "normalization": {"kind": "batch_norm"}}, "batch_size": 1}, "batch_size"),
    ],
)
def test_what_cannot_be_predicted_is_named(reader: TestClient, body: object, field: str) -> None:
    assert problem(reader.post("/v1/predictions", json=body), 422)["errors"][0]["field"] == field


def test_a_network_of_the_largest_depth_is_predicted(reader: TestClient) -> None:
    response = reader.post("/v1/predictions", json={"network": {"kind": "mlp", "depth": 1000, "width": 8}})
    assert len(response.json()["layers"]) == 999
