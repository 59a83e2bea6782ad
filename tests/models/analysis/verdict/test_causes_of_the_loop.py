"""Causes that lie in how a network is trained, or in weights that are not around 0: where each holds, and where not."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from gradient_clinic.verdict.shapes import Verdict
from models.analysis.comparison.causes_by_trial import changed_cause
from models.analysis.suggestion.suggest import suggest
from models.analysis.theory.structure import left_by_means
from models.analysis.verdict.setup import setup_of
from models.analysis.verdict.summary import summarise
from models.plan import Plan, expand
from models.plan.over_steps import decay_of, mean_rate
from tests.models.analysis.synthetic import CHANCE, even, experiment, facts_of, plan_of, supported, trace_of

RELU: dict[str, Any] = {"hidden": [32, 16], "activation": "relu"}
SGD: dict[str, Any] = {"kind": "sgd", "learning_rate": 0.1}
RNN: dict[str, Any] = {"network": {"kind": "rnn", "width": 8}, "dataset": {"kind": "sequential_digits"}}
CUT: dict[str, Any] = {**RNN["network"], "truncate": 4}


def judged(plan: Plan, left: float = 1.0) -> Verdict:
    """A run that stays at chance; all its weights end at ``left`` of their size."""
    trace = trace_of(plan, even(len(plan.network.hidden), 0.0), loss=CHANCE)
    trace.signals["weight_norm"][:, 1:] *= left
    return summarise(plan, trace, facts_of(plan, test_metric=0.1)).verdict


def baseline(**changes: Any) -> Plan:
    return expand(experiment(**{"network": RELU, **changes}))[0].plan


# --- weights with a mean --------------------------------------------------------------------------------------------


def test_what_means_leave_is_a_factor_of_each_layer_behind_the_first() -> None:
    """U(0, 1) has a mean of 1/2 and a variance of 1/12: 1/(1 + 3·fan_in) of a layer."""
    left, layers = left_by_means(plan_of(hidden=[32, 16, 8], init={"kind": "uniform", "low": 0.0, "high": 1.0}).network)
    assert layers == ("hidden.1", "hidden.2")
    assert left == pytest.approx(1.0 / (1.0 + 3.0 * 32.0) / (1.0 + 3.0 * 16.0))
    centred = plan_of(hidden=[32, 16], init={"kind": "uniform", "low": -1.0, "high": 1.0})
    assert left_by_means(centred.network) == (1.0, ())


@pytest.mark.parametrize("width", [64, 256])
def test_random_relu_layers_leave_as_much_of_the_difference_as_is_told(width: int) -> None:
    """50 pairs of cases through three layers of U(0, 1): 1 − cos of the angle between the two, behind each."""
    random = torch.Generator().manual_seed(1)
    h, unlike = torch.randn(2, 50, width, generator=random, dtype=torch.float64).abs(), []
    for _ in range(3):
        h = (h @ torch.rand(width, width, generator=random, dtype=torch.float64)).relu()
        unlike.append(float((1.0 - torch.cosine_similarity(h[0], h[1], dim=-1)).median()))
    left, _ = left_by_means(plan_of(hidden=[width] * 3, init={"kind": "uniform", "low": 0.0, "high": 1.0}).network)
    assert unlike[2] / unlike[0] == pytest.approx(left, rel=0.2)  # two layers behind the first


@pytest.mark.parametrize(("low", "named"), [(0.0, True), (-1.0, False), (-0.9, False)])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_weights_with_a_mean_are_the_cause_and_centred_ones_the_answer(
    low: float,
    named: bool,  # noqa: FBT001
    activation: str,
) -> None:
    uniform = {"kind": "uniform", "low": low, "high": 1.0}
    found = judged(plan_of(hidden=[64, 64], activation=activation, init=uniform))
    assert ("have a mean, which all units share" in found.sentence) == named
    assert not named or "initialisation" in found.causes
    assert not named or supported(found)[0] == "init"


def test_a_norm_takes_away_what_units_share() -> None:
    uniform = {"kind": "uniform", "low": 0.0, "high": 1.0}
    normed = plan_of(hidden=[64, 64], activation="relu", init=uniform, normalization={"kind": "batch_norm"})
    assert left_by_means(normed.network) == (1.0, ())


# --- a loss that starts far above chance ----------------------------------------------------------------------------


def started(first: float, last: float, **changes: Any) -> Verdict:
    """A run whose loss goes from so many times chance to so many, evenly in its logarithm."""
    plan = baseline(**changes)
    loss = CHANCE * np.geomspace(first, last, plan.steps)
    facts = facts_of(plan, test_metric=0.1)
    return summarise(plan, trace_of(plan, even(len(plan.network.hidden), 0.0), loss=loss), facts).verdict


@pytest.mark.parametrize(
    ("first", "last", "causes"),
    [
        (50.0, 5.0, ("initialisation",)),
        (50.0, 0.8, ("initialisation",)),  # below chance, and not yet half of it
        (15.0, 5.0, ("learning_rate",)),
        (50.0, 60.0, ("learning_rate",)),  # training has made it worse
    ],
)
def test_weights_that_make_the_outputs_large_are_blamed_and_not_the_rate(
    first: float, last: float, causes: tuple[str, ...]
) -> None:
    found = started(first, last)
    assert found.causes == causes
    if causes == ("initialisation",):
        assert "The untrained network is far too sure: its loss is 50 times chance" in found.sentence
        assert supported(found)[0] == "init"


def test_a_loss_that_starts_far_above_chance_is_no_fault_of_who_trains() -> None:
    assert started(50.0, 0.1).causes == ()


def test_large_targets_are_what_makes_their_loss_large() -> None:
    plan = baseline(dataset={"kind": "teacher_student", "singular_values": [150.0]})
    chance = 150.0**2
    trace = trace_of(plan, even(2, 0.0), loss=chance * np.geomspace(50.0, 5.0, plan.steps))
    causes = summarise(plan, trace, facts_of(plan, chance_level=chance)).verdict.causes
    assert "target_scale" in causes
    assert "initialisation" not in causes


# --- decay ----------------------------------------------------------------------------------------------------------


def test_decay_is_the_sum_of_rate_times_strength_over_all_steps() -> None:
    plan = baseline(optimizer={"kind": "adamw", "learning_rate": 0.001, "weight_decay": 100.0})
    assert decay_of(plan) == pytest.approx(0.1 * plan.steps)
    term = expand(experiment([{"kind": "l2", "strength": 0.5}], RELU, optimizer=SGD))[1].plan
    assert decay_of(term) == pytest.approx(0.1 * term.steps)  # its gradient is 2λ·W
    assert decay_of(baseline(optimizer=SGD)) == 0.0


@pytest.mark.parametrize(("decay", "left", "named"), [(100.0, 0.3, True), (100.0, 0.6, False), (0.0, 0.3, False)])
def test_weights_that_decay_took_are_its_fault_where_there_is_any(decay: float, left: float, named: bool) -> None:  # noqa: FBT001
    plan = baseline(optimizer={"kind": "adamw", "learning_rate": 0.001, "weight_decay": decay})
    found = judged(plan, left)
    assert ("weight_decay" in found.causes) == named
    if named:
        assert found.causes == ("weight_decay",)
        answer = found.answers[0]
        assert (answer.remedy, answer.direction) == ("optimizer", "lower")
        assert answer.spec["optimizer"] == {
            "kind": "adamw", "learning_rate": 0.001, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01
        }  # fmt: skip
        assert "Decay has taken the weights to 0.3 of their size" in found.sentence


def test_weights_that_start_at_zero_have_nothing_to_lose() -> None:
    plan = baseline(optimizer={"kind": "adamw", "weight_decay": 1.0})
    trace = trace_of(plan, even(2, 0.0))
    trace.signals["weight_norm"][0, 0] = 0.0
    assert summarise(plan, trace, facts_of(plan)).weights_left == pytest.approx(1.0)


# --- batch norm over few cases --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "norm", "named"), [(4, "batch_norm", True), (6, "batch_norm", False), (2, "layer_norm", False)]
)
def test_batch_norm_needs_cases_to_take_a_mean_over(batch: int, norm: str, named: bool) -> None:  # noqa: FBT001
    found = judged(baseline(network=RELU | {"normalization": {"kind": norm}}, batch_size=batch))
    assert ("batch_norm_of_few_cases" in found.causes) == named
    assert not named or supported(found)[0] == "layer_norm"


def test_pixels_count_as_cases_for_batch_norm() -> None:
    cnn = {"kind": "cnn", "channels": [8], "normalization": {"kind": "batch_norm"}}
    assert setup_of(baseline(network=cnn, batch_size=2)).cases_per_statistic == 2 * 8 * 8
    assert setup_of(baseline(batch_size=2)).cases_per_statistic is None


# --- the gradient over time -----------------------------------------------------------------------------------------


def test_a_gradient_that_is_cut_over_time_is_told_with_the_whole_sequence_as_the_answer() -> None:
    cut = baseline(**RNN | {"network": CUT})
    assert (setup_of(cut).window, setup_of(cut).time_steps) == (4, 64)
    (remedy,) = suggest(cut, planned=40, most=100).remedies
    assert remedy.model_dump() == {"kind": "truncated_bptt", "steps": 64}
    whole = baseline(**RNN)
    assert setup_of(whole).window is None
    longer = expand(
        experiment([{"kind": "truncated_bptt", "steps": 64}], **RNN | {"network": cut.experiment.network.model_dump()})
    )
    assert changed_cause(longer[0].plan, longer[1]) == "truncation"


# --- the rate over the steps ----------------------------------------------------------------------------------------


def test_the_mean_of_a_schedule_is_that_of_its_steps() -> None:
    cosine = baseline(optimizer=SGD | {"schedule": {"kind": "cosine"}})
    assert mean_rate(cosine) == pytest.approx(0.5, abs=0.01)
    steps = np.arange(cosine.steps)
    gone = baseline(optimizer=SGD | {"schedule": {"kind": "step", "every": 10, "factor": 0.01}})
    assert mean_rate(gone) == pytest.approx(float((0.01 ** (steps // 10)).mean()))
    slow = expand(experiment([{"kind": "warm_up", "steps": 1_000}], RELU))[1].plan
    assert mean_rate(slow) == pytest.approx(float(((steps + 1) / 1_000).mean()))
    half = expand(experiment([{"kind": "warm_up", "steps": 1_000, "start_factor": 0.5}], RELU))[1].plan
    assert mean_rate(half) == pytest.approx(float((0.5 + 0.5 * (steps + 1) / 1_000).mean()))
    assert mean_rate(baseline(optimizer=SGD)) == 1.0


def test_a_schedule_that_takes_the_rate_away_is_told_and_answered_by_another() -> None:
    plan = baseline(optimizer=SGD | {"schedule": {"kind": "step", "every": 10, "factor": 0.01}})
    found = judged(plan)
    assert found.causes == ("learning_rate",)
    assert "The schedule leaves 0.0" in found.sentence
    assert supported(found)[0] == "schedule"
    assert "clip_norm" not in supported(found)
    assert [remedy.kind for remedy in suggest(plan, planned=40, most=100).remedies] == ["schedule"]
    kept = judged(baseline(optimizer=SGD | {"schedule": {"kind": "cosine"}}))
    assert "schedule" not in supported(kept)


@pytest.mark.parametrize(("rate", "words"), [(1e-5, "is too low"), (30.0, "is too high")])
def test_a_rate_far_from_what_is_usual_is_tested_by_a_usual_one(rate: float, words: str) -> None:
    found = suggest(
        baseline(network=RELU | {"init": {"kind": "kaiming_normal"}}, optimizer=SGD | {"learning_rate": rate}),
        planned=40,
        most=100,
    )
    (remedy,) = found.remedies
    assert math.isclose(remedy.model_dump()["value"], 0.03)
    assert words in found.suggested[0].why
