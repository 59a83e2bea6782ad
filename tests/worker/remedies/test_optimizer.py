"""Another optimiser in place of the spec's is that optimiser from the start."""

import pytest

from models.specs.base import SpecError
from models.specs.optimizer import OPTIMIZERS
from tests.worker.trials import plan_of, run_of

SGD = {"kind": "sgd", "learning_rate": 0.1}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_it_trains_as_if_the_spec_had_asked_for_it(kind: str) -> None:
    plan = plan_of(optimizer=SGD, remedies=[{"kind": "optimizer", "optimizer": {"kind": kind}}])
    asked = plan_of(optimizer={"kind": kind})
    assert plan.optimizer == asked.optimizer
    assert plan.conditions.startswith(f"{kind} ")
    records, _, result = run_of(plan)
    assert result.weights_hash == run_of(asked)[2].weights_hash
    assert records[0].learning_rate == asked.optimizer.learning_rate


@pytest.mark.parametrize("other", [{"kind": "learning_rate", "value": 0.1}, {"kind": "momentum"}])
def test_it_contradicts_whatever_else_sets_rate_or_rule(other: dict[str, object]) -> None:
    remedies = [{"kind": "optimizer", "optimizer": {"kind": "sgd"}}, other]
    with pytest.raises(SpecError):
        plan_of(optimizer=SGD, remedies=remedies, design="add_all")
