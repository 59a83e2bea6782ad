"""Decoupled decay against torch's AdamW with groups, and as a record shows it."""

from typing import Any

import pytest
import torch

from tests.worker.oracle import tell
from tests.worker.trials import plan_of, state_of, trainer_of

ADAM = {"kind": "adam", "learning_rate": 0.01}
HIDDEN = ("body.steps.1.linear.weight", "body.steps.3.linear.weight")
OUTPUT = "body.steps.5.linear.weight"


@pytest.mark.parametrize(("layers", "decayed"), [("hidden", HIDDEN), ("all", (*HIDDEN, OUTPUT))])
def test_adam_with_it_is_torchs_adamw_on_those_weights_and_adam_on_the_rest(
    layers: str, decayed: tuple[str, ...]
) -> None:
    remedy = {"kind": "weight_decay", "strength": 0.5, "layers": layers}
    ours = trainer_of(plan_of(optimizer=ADAM, remedies=[remedy]), dtype=torch.float64)
    theirs = trainer_of(plan_of(optimizer=ADAM), dtype=torch.float64)
    named = dict(theirs.model.named_parameters())
    rest = [its for name, its in named.items() if name not in decayed]
    groups: list[dict[str, Any]] = [
        {"params": [named[name] for name in decayed]},
        {"params": rest, "weight_decay": 0.0},
    ]
    theirs.optimizer = torch.optim.AdamW(groups, lr=0.01, weight_decay=0.5)
    for step in range(4):
        ours.step(step)
        theirs.step(step)
    torch.testing.assert_close(state_of(ours), state_of(theirs), rtol=1e-10, atol=1e-13)


def test_the_update_that_is_recorded_holds_the_decay() -> None:
    plan = plan_of(optimizer=ADAM, remedies=[{"kind": "weight_decay", "strength": 5.0}])
    trainer = trainer_of(plan, dtype=torch.float64)
    before = state_of(trainer)
    record = trainer.step(0)
    assert record is not None
    oracle = tell(plan, before, state_of(trainer), trainer.batches.of(0))
    assert record.update_ratio == pytest.approx([its.update_ratio for its in oracle.layers], rel=1e-9)
    assert record.penalty == 0.0
    assert record.total_gradient_norm == record.gradient_norm


def test_it_follows_the_rate_in_force() -> None:
    remedies = [{"kind": "weight_decay", "strength": 0.5}, {"kind": "warm_up", "steps": 10}]
    decayed = trainer_of(plan_of(optimizer=ADAM, remedies=remedies, design="add_all"), dtype=torch.float64)
    plain = trainer_of(plan_of(optimizer=ADAM, remedies=remedies[1:]), dtype=torch.float64)
    before = state_of(plain)
    decayed.step(0)
    plain.step(0)
    for name in HIDDEN:
        lost = state_of(plain)[name] - state_of(decayed)[name]
        torch.testing.assert_close(lost, 0.001 * 0.5 * before[name], rtol=1e-9, atol=1e-13)
