"""The example of ``examples/plugin`` as its README has it: installed, allowed, and through a whole clinic."""

import json
import os
import sys

import httpx
import pytest

from local.supervisor import Clinic
from tests.end_to_end.conftest import ROOT
from tests.end_to_end.test_first_light import Json, finished
from tests.eventually import eventually
from tests.processes import process

pytestmark = [pytest.mark.end_to_end, pytest.mark.long, pytest.mark.timeout(600)]
SPEC: Json = json.loads((ROOT / "examples" / "plugin" / "spec.json").read_text())


@pytest.fixture
def desk(client: httpx.Client) -> httpx.Client:
    """Once the example is there: workers publish what they have when they begin."""
    assert eventually(lambda: "gated_tower" in _present(client))
    return client


def _present(client: httpx.Client) -> set[str]:
    items = client.get("/v1/catalogue/networks").json()["items"]
    return {its["name"] for its in items if its.get("present")}


def test_the_example_is_trained_measured_and_compared(desk: httpx.Client) -> None:
    experiment = finished(desk, SPEC | {"epochs": 4})  # none of this asks how well it learns
    assert experiment["state"] == "succeeded", experiment
    assert experiment["spec"]["network"]["version"] == "1.0.0"
    comparison = desk.get(experiment["links"]["comparison"]).json()
    variants = {variant["name"]: variant for variant in comparison["variants"]}
    assert variants.keys() == {"baseline", "learning_rate", "clip_norm"}
    layers = [f"layers.{index}.{part}" for index in range(8) for part in ("value", "gate")]
    depth, width = 8, 32
    of_gates = 2 * (2 * width + width) + (depth - 1) * 2 * (width * width + width)
    for variant in variants.values():
        assert variant["runs"]["succeeded"] == len(SPEC["seeds"])
        assert variant["cost"]["parameters"] == of_gates + width * 3 + 3
        assert variant["verdict"]["kind"]
        assert {layer["layer"] for layer in variant["gradient"]["profile"]} <= set(layers)
        assert variant["gradient"]["predicted"]["gain_per_layer"] is None
    assert variants["learning_rate"]["versus_baseline"]["grade"]["degree"]
    run = desk.get(experiment["links"]["runs"]).json()["items"][0]
    assert run["versions"]["clinic-example"] == "1.0.0"
    trace = desk.get(run["links"]["trace"], params={"signal": "activation_gradient_rms"}).json()
    assert [layer["name"] for layer in trace["layers"]] == [*layers, "head"]
    assert all(value is not None and value > 0 for row in trace["mean"] for value in row)
    for page in ("report", "heatmaps.svg", "comparison.svg"):
        assert desk.get(f"/v1/experiments/{experiment['id']}/{page}").is_success, page
    assert desk.post(f"/v1/experiments/{experiment['id']}/judge").is_success


def test_a_package_that_is_not_allowed_is_not_there(desk: httpx.Client) -> None:
    assert _present(desk) == {"gated_tower"}
    refused = desk.post("/v1/experiments", json=SPEC | {"network": {"kind": "plugin", "name": "good"}})
    assert refused.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert refused.json()["errors"][0]["allowed"] == ["gated_tower"]


def test_of_two_workers_the_one_that_has_the_plug_in_trains(
    desk: httpx.Client, clinic: Clinic, plugins_path: str
) -> None:
    environment = os.environ | {  # noqa: TID251 -- for a process
        "CLINIC_DATABASE_URL": clinic.database_url,
        "CLINIC_REDIS_URL": clinic.redis_url,
        "CLINIC_PLUGINS": "strange",
        "CLINIC_WORKERS": "1",
        "PYTHONPATH": plugins_path,
    }
    with process(sys.executable, "-m", "worker", environment=environment):
        assert eventually(lambda: "good" in _present(desk))
        network = {"kind": "plugin", "name": "good"}
        both = [
            finished(desk, SPEC | {"steps": 3, "epochs": None, "remedies": [], "seeds": [0, 1]}),
            finished(desk, SPEC | {"steps": 3, "epochs": None, "remedies": [], "network": network} | OURS),
        ]
    for experiment in both:
        assert experiment["state"] == "succeeded", experiment
        runs = desk.get(experiment["links"]["runs"]).json()["items"]
        assert [len(run["attempts"]) for run in runs] == [1] * len(runs)
    workers = [{run["attempts"][0]["worker"] for run in _runs(desk, experiment)} for experiment in both]
    assert not workers[0] & workers[1]


OURS: Json = {"dataset": {"kind": "digits"}, "seeds": [0]}


def _runs(client: httpx.Client, experiment: Json) -> list[Json]:
    found: list[Json] = client.get(experiment["links"]["runs"]).json()["items"]
    return found
