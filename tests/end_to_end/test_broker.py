"""Redis goes away and comes back: workers and dispatcher go on by themselves, and no slot stays deaf."""

import os
import signal
from typing import Any

import httpx
import pytest

from local.supervisor import Clinic
from tests.eventually import eventually, stays

pytestmark = [pytest.mark.long, pytest.mark.end_to_end, pytest.mark.timeout(600)]

Json = dict[str, Any]
SPEC: Json = {
    "name": "broker",
    "dataset": {"kind": "digits", "split_seed": 0},
    "network": {"kind": "mlp", "depth": 2, "width": 8},
    "optimizer": {"kind": "sgd"},
    "steps": 1_000_000,  # until it is cancelled
    "seeds": [0, 1],  # one for each slot
}
FROZEN_S = 6.0
"""Longer than the workers (a third of a lease of 6 s) and a BRPOP (1 s) wait for an answer."""


def running(client: httpx.Client, experiment: Json) -> int:
    """How many of its runs are being trained."""
    return int(client.get(experiment["links"]["self"]).json()["runs"]["running"])


def submitted(client: httpx.Client) -> Json:
    answer: Json = client.post("/v1/experiments", json=SPEC).json()
    return answer


def end(client: httpx.Client, experiment: Json) -> None:
    client.post(experiment["links"]["cancel"])
    assert eventually(lambda: client.get(experiment["links"]["self"]).json()["state"] == "cancelled")


def test_every_slot_takes_work_again_after_redis_was_killed(clinic: Clinic, client: httpx.Client) -> None:
    first = submitted(client)
    assert eventually(lambda: running(client, first) == 2)
    redis = clinic.pid("redis")
    assert redis is not None
    os.kill(redis, signal.SIGKILL)

    def is_back() -> bool:
        clinic.tend()
        return clinic.pid("redis") not in {redis, None}

    assert eventually(is_back)
    assert running(client, first) == 2
    end(client, first)
    second = submitted(client)
    assert eventually(lambda: running(client, second) == 2)
    end(client, second)


def test_every_slot_takes_work_again_after_redis_was_frozen(clinic: Clinic, client: httpx.Client) -> None:
    redis = clinic.pid("redis")
    assert redis is not None
    os.kill(redis, signal.SIGSTOP)
    try:
        experiment = submitted(client)
        assert stays(lambda: running(client, experiment) == 0, for_s=FROZEN_S)
    finally:
        os.kill(redis, signal.SIGCONT)
    assert eventually(lambda: running(client, experiment) == 2)
    end(client, experiment)
