"""Multiply-adds counted from a plan are those that torch counts in the real network, of every kind."""

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.plan import Plan, expand
from models.plan.cost import run_amounts, run_seconds
from models.plan.prices import PRICES
from models.plan.work import backward_macs, forward_macs
from tests.networks import EVERY_KIND, MORE_KINDS
from tests.worker.trials import spec_of_kind
from worker import networks
from worker.datasets import load

KINDS = EVERY_KIND | MORE_KINDS
BATCH = 6


def counted(plan: Plan) -> tuple[int, int]:
    """Multiply-adds of a case forward and back, from the operations that torch dispatches."""
    model = networks.build(plan.network, seed=0).to(torch.float32)
    part = load(plan.dataset, 0).train.to(torch.device("cpu"), torch.float32).take(torch.arange(BATCH))
    macs = []
    with FlopCounterMode(display=False) as forward:
        outputs = model(part.x, part.lengths)
    macs.append(forward.get_total_flops())
    with FlopCounterMode(display=False) as back:
        torch.autograd.backward(outputs.sum())
    macs.append(back.get_total_flops())
    return macs[0] // (2 * BATCH), macs[1] // (2 * BATCH)


@pytest.mark.parametrize("kind", KINDS)
def test_multiply_adds_of_the_plan_are_those_of_the_network(kind: str) -> None:
    asked: dict[str, Any] = KINDS[kind]
    plan = expand(spec_of_kind(asked))[-1].plan
    assert (forward_macs(plan.network), backward_macs(plan.network)) == counted(plan)


@pytest.mark.parametrize("kind", KINDS)
def test_every_amount_of_work_has_a_price(kind: str) -> None:
    assert run_amounts(expand(spec_of_kind(KINDS[kind]))[-1].plan).keys() - PRICES.keys() - {"step.values"} == set()


@pytest.mark.parametrize(
    "remedy",
    [
        {"kind": "clip_norm", "max_norm": 1.0},
        {"kind": "agc"},
        {"kind": "l2", "strength": 0.1},
        {"kind": "orthogonal_penalty"},
        {"kind": "mixed_precision"},
        {"kind": "batch_norm"},
        {"kind": "weight_norm"},
    ],
    ids=lambda remedy: remedy["kind"],
)
def test_remedies_that_do_more_cost_more(remedy: dict[str, Any]) -> None:
    network = {"kind": "mlp", "depth": 5, "width": 32}
    baseline, treated = expand(spec_of_kind({"network": network}, remedies=[remedy]))
    assert run_seconds(treated.plan) > run_seconds(baseline.plan)


def test_validation_after_every_epoch_and_every_record_cost() -> None:
    network = {"kind": "mlp", "depth": 5, "width": 32}
    plain = run_seconds(expand(spec_of_kind({"network": network}, steps=100, trace={"every": 100}))[0].plan)
    recorded = run_seconds(expand(spec_of_kind({"network": network}, steps=100))[0].plan)
    few = {"kind": "digits", "validation_fraction": 0.3, "test_fraction": 0.6}
    spec = spec_of_kind({"network": network, "dataset": few}, steps=100, trace={"every": 100})
    assert recorded > plain
    assert run_seconds(expand(spec)[0].plan) > plain
