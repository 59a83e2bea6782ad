"""Ladders: every step of every family is a network that can be trained; what is seen, and named, down to which step."""

import math

import pytest
import torch

from proofs.science.alarms import OURS
from proofs.science.families import FAMILIES, STEPS, Family, balanced_accuracy, explained
from proofs.science.ladders import BASE, Rung, figures_of, plan_of_step, strength_of, weakest
from proofs.science.published import SETS
from proofs.science.running import UNTOUCHED, loaded
from worker.datasets.split import Part
from worker.trainer import Trainer

TWO = FAMILIES[:2]


def rung(family: str, step: int, causes: tuple[str, ...] = (), *, harmed: bool = True, seen: bool = True) -> Rung:
    blamed = {OURS: seen, **dict.fromkeys(SETS, False)}
    return Rung(family, step, 0, harmed, "stalled" if causes else "healthy", causes, blamed)


def base(family: str, **more: bool) -> Rung:
    return rung(family, BASE, **{"harmed": False, "seen": False, **more})  # type: ignore[arg-type]  # one step's flags


def test_the_issue_asks_for_twelve_families_of_eight_steps() -> None:
    assert len({family.name for family in FAMILIES}) == 12
    assert all(len(family.strengths) == STEPS for family in FAMILIES)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_strengths_go_one_way_and_each_changes_the_base_in_one_thing(family: Family) -> None:
    strengths = list(family.strengths)
    assert strengths in (sorted(strengths), sorted(strengths, reverse=True))
    assert len(set(strengths)) == STEPS
    untouched = plan_of_step(family, BASE)
    for step in range(1, STEPS + 1):
        plan, touch = plan_of_step(family, step), family.touched(strength_of(family, step))
        changed = [
            name
            for name in ("network", "dataset", "optimizer", "run_time")
            if getattr(plan, name) != getattr(untouched, name)
        ]
        acts = touch.data is not UNTOUCHED.data or touch.trainer is not UNTOUCHED.trainer
        assert len(changed) + acts == 1


@pytest.mark.parametrize(
    "family", [family for family in FAMILIES if family.touch(1.0) is not UNTOUCHED], ids=lambda family: family.name
)
def test_what_no_spec_says_acts_on_the_data_or_the_trainer(family: Family) -> None:
    plan, touch = plan_of_step(family, 1), family.touched(strength_of(family, 1))
    data = loaded(plan.dataset, 0)
    touched = touch.data(data)
    trainer = Trainer(plan, data, seed=0, device=torch.device("cpu"), dtype=torch.float32, record=False)
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    touch.trainer(trainer)
    moved = [not torch.equal(*pair) for pair in zip(before, trainer.model.parameters(), strict=True)]
    assert len(touched.train) == len(data.train)  # as many steps an epoch as planned
    differs = not torch.equal(touched.train.x, data.train.x)
    assert differs + sum(moved) == 1


def test_labels_are_replaced_by_zeros_in_every_part() -> None:
    family = next(family for family in FAMILIES if family.name == "imbalance")
    data = loaded(plan_of_step(family, 1).dataset, 0)
    for part in (touched := family.touched(0.9).data(data)).train, touched.test:
        assert 0.89 < float((part.y == 0).double().mean()) < 0.93


def test_scores_are_means_over_labels_and_explained_variance() -> None:
    class Constant(torch.nn.Module):
        def __init__(self, outputs: torch.Tensor) -> None:
            super().__init__()
            self.outputs = outputs

        def forward(self, _x: torch.Tensor, _lengths: torch.Tensor | None) -> torch.Tensor:
            return self.outputs

    zero = Constant(torch.tensor([[1.0, 0.0]] * 4))
    labels = Part(torch.zeros(4, 1), torch.tensor([0, 0, 0, 1]))
    assert balanced_accuracy(zero, labels) == 0.5  # type: ignore[arg-type]  # all that is asked of a network
    values = Part(torch.zeros(4, 1), torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
    assert explained(Constant(values.y), values) == 1.0  # type: ignore[arg-type]
    assert math.isclose(explained(Constant(torch.full((4, 1), 2.5)), values), 0.0)  # type: ignore[arg-type]


def test_a_right_cause_first_is_asked_of_harmed_runs_of_middle_steps() -> None:
    init, rate = (family.name for family in TWO)
    rungs = [
        base(init),
        rung(init, 1, ("learning_rate",)),
        rung(init, 3, ("initialisation", "dead_units")),
        rung(init, 4, ("dead_units", "initialisation")),
        rung(init, 5),
        rung(init, 6, ("learning_rate",), harmed=False),
        base(rate, harmed=True),
        rung(rate, 3, ("learning_rate",)),
    ]
    figures = figures_of(TWO, rungs)
    assert (figures["first"]["count"], figures["first"]["of"]) == (1, 3)  # rate's base did not train
    assert figures["families"][init]["steps"][2]["first"] == 1
    assert figures["families"][init]["weakest_seen"][OURS] == 1  # of step 2 there is no run
    assert figures["false_alarms"][OURS] == {"count": 0, "of": 1, "share": 0.0, "bounds": (0.0, pytest.approx(0.975))}


def test_the_weakest_step_is_the_last_of_those_from_the_most_blatant_on() -> None:
    assert weakest([1.0, 0.6, 0.5, 1.0]) == 2
    assert weakest([0.4, 1.0]) == 0
    assert weakest([1.0, 1.0]) == 2
