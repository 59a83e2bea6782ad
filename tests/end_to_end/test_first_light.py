"""The examples of the README through the whole service, judged as an engineer would judge them."""

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

pytestmark = [pytest.mark.end_to_end, pytest.mark.long, pytest.mark.timeout(600)]

SEEDS = [0, 1, 2]
"""Verdicts are of runs, so three that agree say it."""
EXAMPLES = Path(__file__).parent.parent.parent / "examples"
Json = dict[str, Any]


def finished(client: httpx.Client, spec: Json) -> Json:
    """Submit, and follow by long polling to the end."""
    response = client.post("/v1/experiments", json=spec)
    assert response.status_code == httpx.codes.ACCEPTED, response.text
    experiment: Json = response.json()
    etag = ""
    while experiment["state"] not in {"succeeded", "failed", "cancelled"}:
        response = client.get(experiment["links"]["self"], params={"wait": 30}, headers={"If-None-Match": etag})
        etag = response.headers["ETag"]
        experiment = response.json() if response.status_code == httpx.codes.OK else experiment
    return experiment


def compared(client: httpx.Client, name: str, **changes: Any) -> tuple[Json, dict[str, Json]]:
    """The comparison of an example, and its variants by name."""
    experiment = finished(client, json.loads((EXAMPLES / name).read_text()) | changes)
    assert experiment["state"] == "succeeded"
    assert experiment["progress"] == 1.0
    comparison: Json = client.get(experiment["links"]["comparison"]).json()
    return comparison, {variant["name"]: variant for variant in comparison["variants"]}


def test_deep_sigmoid_vanishes_l2_is_no_cure_and_relu_learns_all_the_same(client: httpx.Client) -> None:
    _, variants = compared(client, "deep-sigmoid.json", seeds=SEEDS)
    baseline, l2, relu, norm = (variants[name] for name in ("baseline", "l2", "activation", "batch_norm"))
    assert baseline["verdict"]["kind"] == "vanishing"
    assert baseline["verdict"]["trained"] == "no"
    assert baseline["verdict"]["at_start"]["total_gain"]["mean"] == pytest.approx(-26, abs=1)
    assert baseline["gradient"]["at_start"]["gain_per_layer"]["mean"] == pytest.approx(0.236, rel=0.05)
    assert l2["verdict"]["kind"] == "vanishing"
    assert l2["versus_baseline"]["repaired_layers"] == []
    assert (relu["verdict"]["kind"], relu["verdict"]["trained"]) == ("healthy", "yes")
    assert relu["verdict"]["at_start"]["kind"] == "vanishing"
    assert relu["verdict"]["at_start"]["total_gain"]["mean"] == pytest.approx(-6.2, abs=0.6)
    measured, predicted = norm["gradient"]["at_start"]["gain_per_layer"], norm["gradient"]["predicted"]
    assert measured["mean"] == pytest.approx(predicted["gain_per_layer"], rel=0.05)
    assert norm["cost"]["parameters"] == 82_122


def test_exploding_names_where_it_broke_and_what_each_remedy_does(client: httpx.Client) -> None:
    comparison, variants = compared(client, "exploding.json", seeds=SEEDS)
    baseline, right, clipped, slow = (
        variants[name] for name in ("baseline", "orthogonal_init", "clip_norm", "learning_rate")
    )
    assert baseline["verdict"]["kind"] == "exploding"
    assert baseline["runs"]["diverged"] == len(SEEDS)
    assert "hidden." in baseline["verdict"]["sentence"]
    assert right["verdict"]["kind"] == "healthy"
    assert right["outcomes"]["success"]["count"] == len(SEEDS)
    for variant in (clipped, slow):
        assert variant["runs"]["diverged"] == 0
        assert variant["verdict"]["at_start"]["kind"] == "exploding"
        assert variant["verdict"]["kind"] != "healthy"
    runs = client.get(f"/v1/experiments/{comparison['experiment_id']}/runs").json()["items"]
    broken = next(run for run in runs if run["variant"] == "baseline")
    trace = client.get(broken["links"]["trace"], params={"signal": "activation_rms"}).json()
    assert trace["first_nonfinite"]["layer"].startswith("hidden.")
    assert trace["first_nonfinite"]["where"] == "forward"
    assert np.array(trace["nonfinite"]).sum() > 0


def test_the_seed_article_needs_no_remedy(client: httpx.Client) -> None:
    comparison, variants = compared(client, "seed-article.json", seeds=SEEDS)
    assert {variant["verdict"]["kind"] for variant in variants.values()} == {"healthy"}
    assert any("no remedy needed" in note for note in comparison["notes"])
    for name in ("orthogonal_init", "l2", "batch_norm"):
        difference = variants[name]["versus_baseline"]["metric_difference"]
        assert difference["low"] < difference["mean"] < difference["high"]
        assert abs(difference["mean"]) < 0.03


def test_an_untrained_network_is_measured_without_a_step(client: httpx.Client) -> None:
    spec = json.loads((EXAMPLES / "deep-sigmoid.json").read_text()) | {"epochs": None, "steps": 0, "remedies": []}
    experiment = finished(client, spec)
    comparison = client.get(experiment["links"]["comparison"]).json()
    verdict = comparison["variants"][0]["verdict"]
    assert (verdict["kind"], verdict["at_end"], verdict["trained"]) == ("vanishing", None, None)
    run = client.get(experiment["links"]["runs"]).json()["items"][0]
    trace = client.get(run["links"]["trace"], params={"signal": "update_ratio"}).json()
    assert trace["steps"] == [[0, 0]]
    assert trace["mean"] == [[None]] * 20
