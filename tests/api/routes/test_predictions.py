"""Predictions through HTTP; their numbers are tested in tests/models/analysis/theory/test_prediction.py."""

import pytest
from fastapi.testclient import TestClient

from tests.api.made import problem

SIGMOID = {"kind": "mlp", "depth": 20, "width": 64, "activation": "sigmoid", "init": {"kind": "xavier_normal"}}
CNN = {"kind": "cnn", "channels": [8, 8], "pool": None}
LSTM = {"kind": "rnn", "width": 16, "cell": "lstm"}
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
    assert set(body["layers"][0]) >= {"index", "name", "chi", "rms_ratio", "q_star", "critical_weight_variance"}
    assert body["regime"] == "ordered"


def test_the_widths_of_the_data_may_be_given(reader: TestClient) -> None:
    plain = reader.post("/v1/predictions", json={"network": SIGMOID}).json()
    given = reader.post("/v1/predictions", json={"network": SIGMOID, "input_width": 784, "output_width": 10}).json()
    assert given["total_gain"] != plain["total_gain"]


def test_a_convolutional_network_is_predicted_for_its_images(reader: TestClient) -> None:
    assumed = reader.post("/v1/predictions", json={"network": CNN}).json()
    assert any("image (1, 28, 28)" in caveat for caveat in assumed["caveats"])
    image = {"form": "image", "size": [3, 6, 6]}
    given = reader.post("/v1/predictions", json={"network": CNN, "input": image}).json()
    assert given["total_gain"] < assumed["total_gain"]
    assert not any("28" in caveat for caveat in given["caveats"])


def test_a_recurrent_network_is_predicted_over_its_steps(reader: TestClient) -> None:
    sequence = {"form": "sequence", "size": [50, 4]}
    body = reader.post("/v1/predictions", json={"network": LSTM, "input": sequence}).json()
    (axis,) = body["time"]
    assert set(axis) == {"layer", "gain_per_step", "total_gain", "steps"}
    assert (axis["layer"], axis["steps"]) == ("recurrent.0", 50)
    assert 0.5 < axis["gain_per_step"] < 0.7


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "network"),
        ({"network": {"kind": "mlp"}}, "network"),
        ({"network": SIGMOID, "batch_size": 0}, "batch_size"),
        ({"network": SIGMOID, "width": 3}, "width"),
        ({"network": {**SIGMOID, "normalization": {"kind": "batch_norm"}}, "batch_size": 1}, "batch_size"),
        ({"network": CNN, "input": {"form": "vector", "size": [64]}}, "input.form"),
        ({"network": CNN, "input": {"form": "image", "size": [28, 28]}}, "input.size"),
        ({"network": CNN, "input": {"form": "image", "size": [0, 28, 28]}}, "input.size[0]"),
        ({"network": CNN, "input": {"form": "picture", "size": [1, 28, 28]}}, "input.form"),
        ({"network": LSTM, "input": {"form": "tokens", "size": [20]}}, "input.vocabulary"),
        ({"network": LSTM, "input": {"form": "sequence", "size": [9, 2]}, "input_width": 2}, "input_width"),
    ],
)
def test_what_cannot_be_predicted_is_named(reader: TestClient, body: object, field: str) -> None:
    assert problem(reader.post("/v1/predictions", json=body), 422)["errors"][0]["field"] == field


def test_a_network_of_the_largest_depth_is_predicted(reader: TestClient) -> None:
    response = reader.post("/v1/predictions", json={"network": {"kind": "mlp", "depth": 1000, "width": 8}})
    assert len(response.json()["layers"]) == 999


@pytest.mark.parametrize(
    "network",
    [
        {"kind": "transformer", "blocks": 28},
        {"kind": "rnn", "cell": "lstm", "width": 64, "layers": 4},
        {"kind": "mlp", "hidden": list(range(8, 88)), "activation": "tanh"},
    ],
    ids=str,
)
def test_what_the_guide_says_of_the_limit_is_predicted(reader: TestClient, network: object) -> None:
    answer = reader.post("/v1/predictions", json={"network": network})
    assert answer.json()["total_gain"] is not None or answer.json()["time"]


@pytest.mark.parametrize(
    "network",
    [
        {"kind": "transformer", "blocks": 850},
        {"kind": "transformer", "blocks": 8, "width": 8192, "heads": 1},
        {"kind": "rnn", "cell": "lstm", "width": 64, "layers": 64},
        {"kind": "residual_cnn", "channels": [8] * 100, "blocks_per_stage": 1000},
        {"kind": "mlp", "hidden": list(range(8, 1008))},
        {"kind": "mlp", "hidden": list(range(8, 108)), "activation": "tanh"},
    ],
    ids=str,
)
def test_what_would_take_long_to_predict_is_refused(reader: TestClient, network: object) -> None:
    answer = problem(reader.post("/v1/predictions", json={"network": network}), 422)
    assert answer["errors"][0]["field"] == "network"


def test_how_alike_the_steps_are_decides_over_gates_and_takes_their_caveat_away(reader: TestClient) -> None:
    network = {"kind": "rnn", "cell": "lstm", "width": 64, "init": {"kind": "lecun_normal"}}
    given = {"form": "sequence", "size": [29, 12]}
    rates = []
    for alike in ([0.0], [0.96, 0.88, 0.79, 0.69]):
        body = {"network": network, "input": {**given, "alike": alike}}
        answer = reader.post("/v1/predictions", json=body).json()
        rates.append(answer["time"][0]["gain_per_step"])
        assert answer["caveats"] == []
    assert rates[1] > rates[0] + 0.1
    unsaid = reader.post("/v1/predictions", json={"network": network, "input": given}).json()
    assert any("input.alike" in caveat for caveat in unsaid["caveats"])
    assert unsaid["time"][0]["gain_per_step"] == rates[0]
