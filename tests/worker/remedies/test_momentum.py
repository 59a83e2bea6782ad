"""Momentum is a rewrite of sgd, and of nothing else."""

from typing import Any

import pytest

from models.specs.base import SpecError
from models.specs.optimizer import SgdSpec
from tests.worker.trials import plan_of, run_of

REMEDY = {"kind": "momentum", "value": 0.8}


def test_it_is_sgd_with_that_momentum_bit_for_bit() -> None:
    sgd = {"kind": "sgd", "learning_rate": 0.05}
    plan = plan_of(optimizer=sgd, remedies=[REMEDY])
    assert plan.optimizer == SgdSpec(kind="sgd", learning_rate=0.05, momentum=0.8)
    assert plan.run_time == ()
    assert run_of(plan)[2].weights_hash == run_of(plan_of(optimizer=sgd | {"momentum": 0.8}))[2].weights_hash


def test_what_else_the_spec_says_stays() -> None:
    sgd = {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.5, "nesterov": True}
    asked = plan_of(optimizer=sgd, remedies=[REMEDY]).optimizer
    assert asked == SgdSpec(kind="sgd", learning_rate=0.05, momentum=0.8, nesterov=True)


@pytest.mark.parametrize("optimizer", [{"kind": "adam"}, {"kind": "rmsprop"}, {"kind": "muon"}])
def test_another_optimiser_is_refused_by_name(optimizer: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=optimizer["kind"]):
        plan_of(optimizer=optimizer, remedies=[REMEDY])
