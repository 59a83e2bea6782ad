"""Small real trainings, judged: what weight gradients hide, what L2 fills, first steps that are an exception."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from gradient_clinic.verdict.facts.fact import Fact
from gradient_clinic.verdict.facts.of_gains import AFTER_TRANSIENT, AFTER_ZERO
from gradient_clinic.verdict.facts.of_layers import GROWTH, OFF_AT_START
from gradient_clinic.verdict.facts.of_losses import AT_MAJORITY
from gradient_clinic.verdict.shapes import Evidence
from proofs.outcomes.running import Ran, by_variant, run_all

ADAM = {"kind": "adam", "learning_rate": 0.001}
FAST = {"kind": "sgd", "learning_rate": 0.1}


def ran(network: Mapping[str, Any], steps: int, **more: Any) -> dict[str, Ran]:
    """One seed of every variant on digits, standardised, in batches of 64."""
    data = {"kind": "digits", "split_seed": 0}
    body = {"dataset": data, "network": network, "optimizer": ADAM, "batch_size": 64, "steps": steps, "seeds": [0]}
    return {name: runs[0] for name, runs in by_variant(run_all({**body, **more})).items()}


def shown(run: Ran, fact: Fact) -> Evidence | None:
    return next((item for item in run.summary.verdict.evidence if item.statistic == fact.name), None)


def test_a_decay_at_both_ends_that_weight_gradients_hide_is_seen() -> None:
    """Xavier and ReLU: δ shrinks by √½ a layer down and h by √½ a layer up, so ∂L/∂W = δ·φ(h) is flat."""
    run = ran({"kind": "mlp", "depth": 25, "width": 96, "init": {"kind": "xavier_normal"}}, steps=20)["baseline"]
    hidden = np.log(run.first_gradient_norms[1:-1])
    assert abs(hidden[0] - hidden[-1]) < 1.0
    found = run.summary.verdict
    assert (found.kind, found.at_start.kind) == ("vanishing", "vanishing")
    assert found.trained != "yes"
    forward = shown(run, GROWTH)
    assert forward is not None
    assert forward.value == pytest.approx(math.sqrt(0.5), rel=0.1)
    assert "Forward, h shrinks" in found.sentence


def test_l2_fills_weight_gradients_and_neither_hides_nor_cures() -> None:
    network = {"kind": "mlp", "depth": 12, "width": 48, "activation": "sigmoid", "init": {"kind": "xavier_normal"}}
    l2 = [{"kind": "l2", "strength": 0.1}]
    both = ran(network, 30, remedies=l2)
    starts = [run.summary.verdict.at_start.total_gain.mean for run in both.values()]
    assert starts[0] == starts[1]
    assert both["l2"].first_gradient_norms == both["baseline"].first_gradient_norms  # of the data loss, not the penalty
    for run in both.values():
        assert run.summary.verdict.kind == "vanishing"
        assert not {answer.remedy for answer in run.summary.verdict.answers} & {"l2", "weight_decay", "clip_norm"}


def test_stalling_at_chance_is_told_by_the_held_out_cases() -> None:
    run = ran({"kind": "mlp", "depth": 20, "width": 32, "activation": "sigmoid"}, steps=20)["baseline"]
    facts = run.summary.facts
    assert facts.test_cases == 359
    assert facts.majority_share == pytest.approx(0.1, abs=0.03)
    assert shown(run, AT_MAJORITY) is not None


def test_fixup_starts_at_exact_zeros_that_are_no_fault() -> None:
    """Its output layer is zero: no δ at all at step 0, and a usual one by step 10."""
    network = {"kind": "residual_mlp", "blocks": 6, "width": 48, "init": {"kind": "fixup"}}
    run = ran(network, steps=30)["baseline"]
    found = run.summary.verdict
    assert (found.at_start.kind, found.at_start.total_gain.mean) == ("inconclusive", None)
    assert "numeric_range" not in found.causes
    again = shown(run, AFTER_ZERO)
    assert again is not None
    assert again.value is not None
    assert abs(again.value) < 1.0


@pytest.mark.parametrize("skip", [{"kind": "rezero"}, {"kind": "skip_init"}, {"kind": "layer_scale", "value": 0.0}])
def test_branches_that_start_silent_leave_a_healthy_stream(skip: dict[str, Any]) -> None:
    network = {"kind": "residual_mlp", "blocks": 6, "width": 48, "skip": skip}
    found = ran(network, steps=12)["baseline"].summary.verdict
    assert found.at_start.kind == "healthy"
    assert found.at_start.total_gain.mean == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("depth", "steps", "optimizer", "cause", "transient"),
    [(28, 40, ADAM, "batch_norm_at_depth", False), (20, 12, FAST, "no_gradient_cause_found", True)],
)
def test_batch_norm_that_settles_is_told_from_one_that_does_not(
    depth: int,
    steps: int,
    optimizer: dict[str, Any],
    cause: str,
    transient: bool,  # noqa: FBT001 -- what has to be seen
) -> None:
    """Yang 2019: the explosion is that of the start; large steps leave it within ten, small ones do not.

    Both far from what decides, as batch norm multiplies what rounding leaves: from four starts that differ by 1e-6
    the limits of G after ten steps lie above 4.3 in the one and below 2.1 in the other (3 decides), the other's loss
    above 0.7 of chance (½). At a depth of 28 and a rate of 0.2 that limit lay at 2.9, and at 3.5 from such weights.
    """
    network = {"kind": "mlp", "depth": depth, "width": 96, "normalization": {"kind": "batch_norm"}}
    run = ran(network, steps=steps, optimizer=optimizer)["baseline"]
    found = run.summary.verdict
    assert (found.at_start.kind, found.causes) == ("exploding", (cause,))
    assert (shown(run, AFTER_TRANSIENT) is not None) == transient


@pytest.mark.parametrize("optimizer", [ADAM, {"kind": "sgd", "learning_rate": 0.02, "momentum": 0.9}])
def test_every_verdict_names_the_conditions_it_holds_for(optimizer: dict[str, Any]) -> None:
    network = {"kind": "mlp", "hidden": [16, 16]}
    body = {"dataset": {"kind": "digits"}, "network": network, "optimizer": optimizer, "batch_size": 64, "steps": 3}
    clipped = {"name": "clipped", "remedies": [{"kind": "clip_norm", "max_norm": 1.0}]}
    run, other = run_all({**body, "seeds": [0], "variants": [clipped]})
    for part in (f"{optimizer['kind']} {optimizer['learning_rate']}", "batch 64", "3 steps"):
        assert part in run.summary.verdict.sentence
    assert ("momentum 0.9" in run.summary.verdict.conditions) == ("momentum" in optimizer)
    assert other.summary.verdict.conditions.endswith("3 steps, with clip_norm")


@pytest.mark.parametrize(
    ("network", "collapsed"),
    [({"depth": 80}, True), ({"depth": 12}, False), ({"depth": 80, "skip": {"kind": "scaled", "every": 2}}, False)],
)
def test_deep_relus_that_keep_their_gradients_lose_their_samples_unless_there_are_skips(
    network: dict[str, Any],
    collapsed: bool,  # noqa: FBT001 -- what has to be seen
) -> None:
    plain = {"kind": "mlp", "width": 64, "init": {"kind": "kaiming_normal"}, **network}
    run = ran(plain, steps=2, optimizer={"kind": "sgd", "learning_rate": 1e-6})["baseline"]
    found = run.summary.verdict
    assert found.at_start.kind in {"healthy", "inconclusive"}
    assert found.kind != "healthy"  # two small steps
    assert ("depth_without_skip" in found.causes) == (shown(run, OFF_AT_START) is not None) == collapsed
