"""What a spec would cost: counted by hand here, or held against runs that were measured."""

import pytest
from fastapi.testclient import TestClient

from api.costs import ASSUMED_SD
from gradient_clinic.signals import SIGNALS
from models.analysis.statistics.power import seeds_needed
from models.storage.database import Database
from tests.api.made import Json, problem, run_ids, spec, submit, train

MLP = {"kind": "mlp", "depth": 4, "width": 8}


def cost(client: TestClient, **changes: object) -> Json:
    response = client.post("/v1/experiments/validate", json=spec(**changes))
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


def test_variants_runs_steps_and_values_are_counted(reader: TestClient) -> None:
    answer = cost(reader, network=MLP, seeds=[0, 1, 2], steps=10, trace={"every": 4}, remedies=[{"kind": "batch_norm"}])
    weights = 64 * 8 + 8 * 8 + 8 * 8 + 8 * 10
    biases = 8 + 8 + 8 + 10
    assert set(answer) == {
        "variants", "runs", "steps", "trace_values", "estimated_device_seconds", "estimated_device_seconds_range",
        "warnings", "suggested", "seeds_needed",
    }  # fmt: skip
    assert [(variant["name"], variant["parameters"]) for variant in answer["variants"]] == [
        ("baseline", weights + biases),
        ("batch_norm", weights + biases + 2 * (8 + 8 + 8)),
    ]
    assert answer["variants"][1]["remedies"][0]["kind"] == "batch_norm"
    assert (answer["runs"], answer["steps"]) == (6, 10)
    assert answer["trace_values"] == 4 * len(SIGNALS) * 3 * 6


def test_epochs_are_counted_in_steps_of_one_run(reader: TestClient) -> None:
    answer = cost(reader, steps=None, epochs=10, batch_size=128)
    assert answer["steps"] == 10 * (1438 // 128)


def test_nothing_is_stored(client: TestClient) -> None:
    cost(client)
    assert client.get("/v1/experiments").json()["items"] == []


def test_the_estimate_grows_with_everything_that_is_done(reader: TestClient) -> None:
    small = cost(reader, steps=200)["estimated_device_seconds"]
    assert small > 0
    more: list[Json] = [
        {"steps": 400},
        {"steps": 200, "seeds": [0, 1, 2]},
        {"steps": 200, "batch_size": 512},
        {"steps": 200, "remedies": [{"kind": "l2"}]},
        {"steps": 200, "network": {**MLP, "width": 256}},
        {"steps": 200, "network": {**MLP, "depth": 8}},
    ]
    for changes in more:
        assert cost(reader, **changes)["estimated_device_seconds"] > small, changes
    assert cost(reader, steps=200, trace={"every": 10})["estimated_device_seconds"] < small
    assert 0 < cost(reader, steps=0)["estimated_device_seconds"] < small


def test_finished_runs_correct_the_estimate_by_their_median(client: TestClient, database: Database) -> None:
    before = cost(client, seeds=[0])["estimated_device_seconds"]
    for run_id, measured in zip(run_ids(database, submit(client, seeds=[0, 1, 2])), (5.0, 7.0, 100.0), strict=True):
        train(database, run_id, device_seconds=measured)
    assert cost(client, seeds=[0])["estimated_device_seconds"] == pytest.approx(7.0, rel=1e-3)
    assert before < 1.0


def test_the_range_is_narrower_once_something_has_run_here(client: TestClient, database: Database) -> None:
    before = cost(client, seeds=[0])
    for run_id in run_ids(database, submit(client, seeds=[0])):
        train(database, run_id, device_seconds=7.0)
    after = cost(client, seeds=[0])
    widths = []
    for answer in (before, after):
        around, estimate = answer["estimated_device_seconds_range"], answer["estimated_device_seconds"]
        assert around["low"] < estimate < around["high"]
        widths.append(around["high"] / around["low"])
    assert widths[1] < 0.5 * widths[0]


def test_what_a_plan_costs_counts_pixels_and_steps(reader: TestClient) -> None:
    """The same weights, applied at more places."""
    smaller, larger = (
        cost(reader, steps=200, dataset={"kind": kind}, network={"kind": "cnn", "channels": [16, 16], "pool": None})
        for kind in ("digits", "mnist_5k")
    )
    assert larger["variants"][0]["parameters"] == smaller["variants"][0]["parameters"]
    assert larger["estimated_device_seconds"] > 3.0 * smaller["estimated_device_seconds"]


def test_runs_that_ended_early_or_on_another_device_correct_nothing(client: TestClient, database: Database) -> None:
    before = cost(client, seeds=[0])["estimated_device_seconds"]
    ended, finished = run_ids(database, submit(client))
    train(database, ended, device_seconds=50.0, stopped_by="loss_above", outcome="diverged")
    assert cost(client, seeds=[0])["estimated_device_seconds"] == before
    train(database, finished, device_seconds=50.0)
    assert cost(client, seeds=[0], device="gpu")["estimated_device_seconds"] == before
    assert cost(client, seeds=[0], device="cpu")["estimated_device_seconds"] == pytest.approx(50.0, rel=1e-3)


def test_seeds_needed_are_those_of_the_assumed_scatter(reader: TestClient) -> None:
    answer = cost(reader)["seeds_needed"]
    assert answer == {"effect": 0.05, "n": seeds_needed(0.05 / ASSUMED_SD)}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"network": {**MLP, "activation": "relu"}, "remedies": [{"kind": "activation", "function": "relu"}]},
         "activation changes nothing"),
        ({"optimizer": {"kind": "sgd", "learning_rate": 0.1}, "remedies": [{"kind": "learning_rate", "value": 0.1}]},
         "learning_rate changes nothing"),
        ({"seeds": [0]}, "one seed"),
        ({"seeds": [0, 1, 2]}, "3 seeds"),
        ({"steps": 0}, "untrained"),
        ({"device": "gpu"}, "gpu"),
    ],
)  # fmt: skip
def test_what_a_client_may_not_have_meant_is_said(reader: TestClient, changes: Json, says: str) -> None:
    assert any(says in warning for warning in cost(reader, **changes)["warnings"])


def test_a_sound_spec_gets_no_warning(reader: TestClient) -> None:
    assert cost(reader, seeds={"count": 5}, remedies=[{"kind": "batch_norm"}, {"kind": "l2"}])["warnings"] == []


def test_a_spec_that_cannot_be_is_refused_as_when_it_is_submitted(reader: TestClient) -> None:
    refused = problem(reader.post("/v1/experiments/validate", json=spec(batch_size=10_000)), 422)
    assert refused["errors"][0]["field"] == "batch_size"
