"""A tuned trial through the service: each variant finds its own rate on validation data, and is compared at it."""

from typing import Any

import httpx
import pytest

from tests.end_to_end.test_processes import ended, submitted

pytestmark = [pytest.mark.end_to_end, pytest.mark.long, pytest.mark.timeout(600)]

RATES = [1e-6, 0.05, 1e3]
"""One at which nothing is learned in an epoch, one that learns, one that diverges."""


def test_each_variant_is_compared_at_the_rate_that_validation_chose(client: httpx.Client) -> None:
    experiment = submitted(
        client,
        network={"kind": "mlp", "depth": 3, "width": 32, "init": {"kind": "kaiming_normal"}},
        steps=22,
        seeds=[0, 1],
        remedies=[{"kind": "batch_norm"}],
        tune={"learning_rate": RATES, "seeds": [5]},
    )
    assert experiment["spec"]["dataset"]["validation_fraction"] == pytest.approx(0.1)
    assert ended(client, experiment)["state"] == "succeeded"
    runs: list[dict[str, Any]] = client.get(experiment["links"]["runs"]).json()["items"]
    assert {(run["phase"], run["seed"], run["learning_rate"]) for run in runs} == {
        *(("tune", 5, rate) for rate in RATES),
        *(("trial", seed, 0.05) for seed in (0, 1)),
    }
    assert all("sgd 0.05" in run["verdict"]["conditions"] for run in runs if run["phase"] == "trial")
    comparison = client.get(experiment["links"]["comparison"]).json()
    assert [variant["tuned"] for variant in comparison["variants"]] == [{"learning_rate": 0.05}] * 2
    assert [variant["runs"]["succeeded"] for variant in comparison["variants"]] == [2, 2]
    assert not any("edge" in note for note in comparison["notes"])
