"""Why, and what answers it: causes from evidence, remedies that theory lets hope."""

import math
from typing import Any

import numpy as np
import pytest

from gradient_clinic.verdict.facts.of_layers import OFF_AT_START, share_off
from gradient_clinic.verdict.shapes import Verdict
from models.analysis.verdict.record import remedies_of
from models.analysis.verdict.summary import summarise
from tests.models.analysis.synthetic import (
    CHANCE,
    DEEP,
    DEEP_HE,
    even,
    facts_of,
    plan_of,
    summary_of,
    supported,
    trace_of,
    variants_of,
)

RELU: dict[str, Any] = {**DEEP, "activation": "relu", "init": {"kind": "xavier_normal"}}
PLAN = plan_of(**DEEP_HE)


def verdict(start: float, end: float | None = None, network: dict[str, Any] | None = None, **run: Any) -> Verdict:
    return summary_of(plan_of(**(network or DEEP_HE)), start, end, **run).verdict


def test_batch_norm_at_depth_is_named_and_answered_by_layer_norm() -> None:
    network = {**RELU, "normalization": {"kind": "batch_norm"}}
    found = verdict(3.6, 3.5, network, loss=2.0)
    assert (found.kind, found.causes) == ("exploding", ("batch_norm_at_depth",))
    assert supported(found) == ["layer_norm"]


def test_a_rate_that_breaks_a_healthy_network_is_the_cause() -> None:
    spec, variants = variants_of(network=DEEP_HE, optimizer={"kind": "sgd", "learning_rate": 5.0})
    found = summary_of(variants[0].plan, 0.0, 0.0, 1e9, outcome="diverged").verdict
    assert found.causes == ("learning_rate",)
    assert supported(found) == ["learning_rate", "optimizer", "clip_norm"]
    assert found.answers[0].spec == {"kind": "learning_rate", "value": pytest.approx(0.5)}
    assert spec.optimizer.learning_rate == 5.0


def test_under_adam_clipping_is_no_answer_to_a_rate() -> None:
    found = verdict(0.0, 0.0, loss=1e9, outcome="diverged")
    assert found.causes == ("learning_rate",)
    assert supported(found) == ["learning_rate"]


def test_a_fitting_initialisation_is_not_blamed_for_depth() -> None:
    assert verdict(-4.0).causes == ("depth_without_skip",)
    assert verdict(-4.0, network=RELU).causes == ("initialisation",)


def with_units_off(share: float, network: dict[str, Any], loss: float = 2.302585) -> Verdict:
    """So many units of every layer off for all samples, from the start to the end."""
    plan = plan_of(**network)
    trace = trace_of(plan, even(19, 0.0), loss=loss)
    trace.signals["dead_fraction"][:-1] = share
    return summarise(plan, trace, facts_of(plan)).verdict


def test_samples_that_become_one_point_are_depth_without_skip_and_answered_by_skips() -> None:
    found = with_units_off(0.4, DEEP_HE)
    assert found.causes == ("depth_without_skip",)
    assert set(supported(found)) == {"scaled", "rezero"}  # plain skips double 9 times
    (shown,) = [item for item in found.evidence if item.statistic == OFF_AT_START.name]
    assert (shown.value, shown.steps, shown.layers[0]) == (0.4, (0, 0), "hidden.0")
    assert shown.threshold == pytest.approx(share_off(0.97, 128))
    assert "Samples become one point on their way: at the start 0.4 of the median" in found.sentence


@pytest.mark.parametrize(
    ("share", "network", "causes"),
    [
        (0.25, DEEP_HE, ("no_gradient_cause_found",)),  # fewer than samples of correlation .97 leave off
        (1.0, DEEP_HE, ("dead_units",)),  # a layer that is off altogether
        (0.4, {**DEEP_HE, "skip": {"kind": "scaled", "every": 2}}, ("no_gradient_cause_found",)),
    ],
)
def test_units_off_at_the_start_are_not_always_depth(
    share: float, network: dict[str, Any], causes: tuple[str, ...]
) -> None:
    assert with_units_off(share, network).causes == causes


def test_depth_is_no_cause_where_the_initialisation_is_one() -> None:
    plan = plan_of(**RELU)
    trace = trace_of(plan, even(19, -0.35))
    trace.signals["dead_fraction"][:-1, 0] = 0.4
    assert summarise(plan, trace, facts_of(plan)).verdict.causes == ("initialisation",)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.95])
def test_two_samples_leave_a_unit_off_as_often_as_sheppard_says(correlation: float) -> None:
    assert share_off(correlation, 2) == pytest.approx(0.25 + math.asin(correlation) / (2 * math.pi), abs=1e-6)


def test_many_samples_leave_a_unit_off_as_often_as_simulated_ones() -> None:
    rng, c = np.random.default_rng(0), 0.95
    h = math.sqrt(c) * rng.standard_normal((100_000, 1)) + math.sqrt(1 - c) * rng.standard_normal((100_000, 64))
    assert share_off(c, 64) == pytest.approx(float((h < 0).all(axis=1).mean()), abs=0.006)


def test_a_stall_with_healthy_gradients_has_no_gradient_cause() -> None:
    assert verdict(0.0).causes == ("no_gradient_cause_found",)


def test_dead_units_are_a_cause_and_another_activation_the_answer() -> None:
    trace = trace_of(PLAN, even(19, 0.0))
    trace.signals["dead_fraction"][5, :] = 0.9
    found = summarise(PLAN, trace, facts_of(PLAN)).verdict
    assert found.causes == ("dead_units",)
    assert [answer.spec for answer in found.answers if answer.remedy == "activation"] == [
        {"kind": "activation", "function": "leaky_relu"}
    ]


@pytest.mark.parametrize(("standardise", "answers"), [("none", ["standardise"]), ("scalar", [])])
def test_inputs_out_of_scale_are_a_numeric_cause_and_no_learning_rate_is_blamed(
    standardise: str, answers: list[str]
) -> None:
    dataset = {"kind": "digits", "standardise": standardise}
    plan = variants_of(network=DEEP_HE, dataset=dataset)[1][0].plan
    trace = trace_of(plan, even(19, 0.0), loss=1e9)
    trace.signals["activation_rms"][:, 0] = 1e4
    found = summarise(plan, trace, facts_of(plan, outcome="diverged")).verdict
    assert found.causes == ("input_scale", "numeric_range")
    assert supported(found) == answers
    assert "Inputs are out of scale: rms h of hidden.0 is 10000 at the start" in found.sentence
    shown = next(item for item in found.evidence if item.statistic == "first_layer_rms")
    assert (shown.threshold, shown.layers) == (1000.0, ("hidden.0",))
    assert shown.value == pytest.approx(1e4)


def test_gradients_below_float32_are_a_numeric_cause() -> None:
    plan = plan_of(**RELU)
    found = summarise(plan, trace_of(plan, even(19, -6.0)), facts_of(plan)).verdict  # e^−108 = 1e−47
    assert found.causes == ("initialisation", "numeric_range")


def test_structural_answers_carry_what_theory_predicts_of_their_very_spec() -> None:
    answers = verdict(-6.2, network=RELU).answers
    assert [answer.remedy for answer in answers if answer.basis == "theory"] == [
        "init",
        "layer_norm",
        "orthogonal_init",
    ]
    assert all(abs(answer.predicted_gain or 0.0) < 0.1 for answer in answers if answer.basis == "theory")
    assert answers[0].spec == {
        "kind": "init",
        "init": {"kind": "kaiming_normal", "nonlinearity": "relu", "mode": "fan_in"},
    }


@pytest.mark.parametrize("function", ["sigmoid", "tanh", "relu", "gelu", "softplus", "hardshrink", "prelu", "elu"])
@pytest.mark.parametrize("gain", [-9.0, 9.0])
def test_l2_is_never_an_answer_and_clipping_never_one_to_vanishing(function: str, gain: float) -> None:
    found = verdict(gain, network={**DEEP, "activation": function})
    remedies = {answer.remedy for answer in found.answers}
    assert "l2" not in remedies
    assert found.kind != "vanishing" or "clip_norm" not in remedies


def test_a_network_at_chance_is_told_what_usually_helps_behind_what_speaks_for_itself() -> None:
    found = verdict(-9.0, -9.0, {**DEEP, "activation": "sigmoid", "init": {"kind": "xavier_normal"}})
    assert {"theory", "usual"} == {answer.basis for answer in found.answers}
    usual = {answer.remedy for answer in found.answers if answer.basis == "usual"}
    assert {"rezero", "selu"} <= usual
    assert "optimizer" not in usual  # it is Adam at its usual rate
    learning = verdict(-9.0, 0.0, loss=2.0).answers
    assert [answer.remedy for answer in learning if answer.basis == "usual"] == ["rezero+batch_norm"]


def test_the_first_answers_change_one_thing_each() -> None:
    answers = verdict(-6.2, -6.2, network=RELU, loss=CHANCE).answers
    parts = [remedies_of(answer)[0].slots[0] for answer in answers if not answer.beside]
    different = len(set(parts))
    assert different < len(parts)
    assert len(set(parts[:different])) == different
