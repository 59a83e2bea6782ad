"""What ``make verdicts VIA=…`` reads from a service is what it sees without one."""

from functools import partial
from typing import Any

import httpx
import pytest

from local.supervisor import Clinic
from proofs.outcomes.running import Ran, run_all, trained_by
from proofs.outcomes.service import address_of, send

pytestmark = [pytest.mark.end_to_end, pytest.mark.long, pytest.mark.timeout(120)]

BODY: dict[str, Any] = {
    "dataset": {"kind": "digits", "standardise": "none"},
    "network": {"kind": "mlp", "hidden": [16, 16], "activation": "tanh"},
    "optimizer": {"kind": "sgd", "learning_rate": 0.05},
    "steps": 30,
    "seeds": [0, 1],
    "remedies": [{"kind": "standardise"}],
}


def words_of(run: Ran) -> tuple[object, ...]:
    verdict = run.summary.verdict
    return run.variant, run.seed, run.summary.trained, verdict.kind, verdict.at_start.kind, verdict.causes


def numbers_of(run: Ran) -> list[float]:
    """All that cases and trials look at. The service stores signals as float32."""
    summary = run.summary
    gain = summary.verdict.at_start.total_gain.mean
    assert gain is not None
    assert summary.final_loss is not None
    return [gain, summary.final_loss, summary.facts.test_metric, *run.losses, *run.first_gradient_norms]


def test_runs_read_from_the_api_are_judged_as_those_without_it(clinic: Clinic, client: httpx.Client) -> None:
    assert client.get("/healthz").is_success
    here = run_all(BODY, every=5)
    with address_of(clinic.address, processes=1) as address, trained_by(partial(send, address=address)):
        there = run_all(BODY, every=5)
    for ours, theirs in zip(here, there, strict=True):
        assert words_of(ours) == words_of(theirs)
        assert numbers_of(ours) == pytest.approx(numbers_of(theirs), rel=1e-5)
