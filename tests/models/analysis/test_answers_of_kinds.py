"""Causes and answers where a network is no plain stack: skips, steps, embeddings. Traces are made by hand."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gradient_clinic.gains.limits import CUTS
from gradient_clinic.verdict.run_trace import RunTrace
from gradient_clinic.verdict.shapes import Verdict
from models.analysis.verdict.summary import summarise
from models.plan import Plan, expand
from models.specs.experiment import ExperimentSpec
from models.specs.remedy import REMEDIES
from tests.models.analysis.synthetic import CHANCE, even, facts_of

SEQUENCES = {"kind": "japanese_vowels"}
HE = {"kind": "kaiming_normal"}
STEPS = {"kind": "adding"}


def plan_of(network: dict[str, Any], remedies: Sequence[dict[str, Any]] = (), **changes: Any) -> Plan:
    """Of the last variant: the baseline, or the only remedy's."""
    usual = {"name": "case", "dataset": {"kind": "digits"}, "optimizer": {"kind": "sgd"}, "epochs": 2}
    spec = {**usual, "network": network, "remedies": list(remedies), **changes}
    return expand(ExperimentSpec.model_validate(spec))[-1].plan


def judged(plan: Plan, over_depth: float = 0.0, over_time: float = 0.0) -> Verdict:
    """A run at chance with these gains in its every record, and branches as loud as the last hidden layer."""
    layers, hidden = plan.network.layers, [its for its in plan.network.layers if its.role == "hidden"]
    levels = dict(zip([its.name for its in hidden], even(len(hidden), over_depth), strict=True))
    steps = np.arange(plan.steps)
    quiet = np.zeros((len(layers), len(steps)))
    names = ("weight_gradient_norm", "weight_gradient_max", "dead_fraction", "saturated_fraction")
    signals = {name: quiet.copy() for name in names} | {
        "update_ratio": quiet + 0.001,
        "activation_rms": quiet + 1.0,
        "activation_gradient_rms": np.exp([[levels.get(its.name, 0.0)] * len(steps) for its in layers]),
        "weight_norm": quiet + 1.0,
        "nonfinite_count": quiet.copy(),
    }
    last = {node.layer.name: node.steps for node in plan.network.recurrent}
    time = np.exp([[over_time * (last[its.layer] - its.step)] * len(steps) for its in plan.network.time])
    curves = {"loss": np.full(len(steps), CHANCE)}
    trace = RunTrace(plan.network.judged, steps, signals, curves, plan.network.time, time.reshape(-1, len(steps)))
    return summarise(plan, trace, facts_of(plan)).verdict


def remedies_of(found: Verdict) -> set[str]:
    """An answer may be several at once, named as variants are."""
    return {remedy for answer in found.answers for remedy in answer.remedy.split("+")}


def test_a_stream_that_doubles_is_answered_by_other_skips() -> None:
    plan = plan_of({"kind": "residual_mlp", "blocks": 20, "width": 64, "layers_per_block": 1, "init": HE})
    found = judged(plan, over_depth=0.35)
    assert found.causes == ("initialisation", "missing_norm")
    assert {"scaled", "rezero", "layer_norm"} <= remedies_of(found)
    assert "residual" not in remedies_of(found)


def test_depth_without_skip_is_no_cause_where_there_are_skips() -> None:
    scaled = {"kind": "residual_mlp", "blocks": 20, "width": 64, "skip": {"kind": "scaled"}, "init": HE}
    assert judged(plan_of(scaled), over_depth=-0.5).causes == ("no_gradient_cause_found",)
    plain = {"kind": "mlp", "depth": 15, "width": 64, "init": HE}
    found = judged(plan_of(plain), over_depth=-0.5)
    assert found.causes == ("depth_without_skip",)
    assert {"residual", "rezero", "scaled"} <= remedies_of(found)


def test_vanishing_over_time_is_answered_by_cells_that_remember() -> None:
    plan = plan_of({"kind": "rnn", "width": 64}, dataset=STEPS, loss="mse")
    found = judged(plan, over_time=-0.53)
    assert (found.kind, found.causes) == ("vanishing", ("initialisation",))
    assert {"lstm", "irnn"} <= remedies_of(found)
    assert "batch_norm" not in remedies_of(found)
    assert all(abs(answer.predicted_gain or 0.0) < 30.0 for answer in found.answers)


def test_an_lstm_is_answered_by_its_forget_bias() -> None:
    plan = plan_of({"kind": "rnn", "width": 64, "cell": "lstm"}, dataset=STEPS, loss="mse")
    assert remedies_of(judged(plan, over_time=-0.45)) == {"forget_bias"}


def test_an_lstm_that_a_remedy_has_put_in_is_answered_as_any_other() -> None:
    lstm = {"kind": "lstm", "forget_bias": 0.0}
    plan = plan_of({"kind": "rnn", "width": 64}, [lstm], dataset=STEPS, loss="mse")
    assert remedies_of(judged(plan, over_time=-0.45)) == {"forget_bias"}


def test_exploding_over_time_is_answered_by_clipping_and_orthogonal_weights() -> None:
    loud = {"kind": "rnn", "width": 64, "recurrent_init": {"kind": "orthogonal", "gain": 3.0}}
    found = judged(plan_of(loud, dataset=STEPS, loss="mse"), over_time=0.3)
    assert found.kind == "exploding"
    assert {"clip_norm", "orthogonal_init"} <= remedies_of(found)


def test_a_candidate_stands_in_the_place_of_the_variants_own_remedy() -> None:
    """Xavier through a remedy: an initialisation that fits replaces it, and the rest of the variant stays."""
    mlp = {"kind": "mlp", "depth": 20, "width": 64, "activation": "relu", "init": HE}
    xavier = {"kind": "init", "init": {"kind": "xavier_normal"}}
    found = judged(plan_of(mlp, [xavier]), over_depth=-0.35)
    assert found.causes == ("initialisation",)
    (answer,) = [its for its in found.answers if its.remedy == "init"]
    assert answer.predicted_gain == pytest.approx(0.0, abs=1e-9)


NETWORKS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"kind": "mlp", "depth": 12, "width": 16}, {}),
    ({"kind": "residual_mlp", "blocks": 8, "width": 16}, {}),
    ({"kind": "cnn", "layers_per_stage": 3}, {}),
    ({"kind": "residual_cnn", "blocks_per_stage": 3}, {}),
    ({"kind": "rnn", "width": 16, "cell": "gru", "layers": 2}, {"dataset": SEQUENCES}),
    ({"kind": "transformer", "blocks": 8, "width": 16}, {"dataset": SEQUENCES}),
    ({"kind": "transformer", "blocks": 8, "width": 16}, {"dataset": {"kind": "copy_memory", "delay": 5}}),
    ({"kind": "sequential", "layers": [{"kind": "flatten"}, *[{"kind": "linear", "units": 16}] * 10]}, {}),
]


@pytest.mark.parametrize("gain", [-2.0, 2.0])
@pytest.mark.parametrize(("network", "changes"), NETWORKS)
def test_every_kind_is_judged_and_answered_by_what_applies_to_it(
    network: dict[str, Any], changes: dict[str, Any], gain: float
) -> None:
    found = judged(plan_of(network, **changes), gain, gain)
    cut = CUTS[network["kind"]]
    confirmed = network["kind"] == "rnn" or (cut.vanishing if gain < 0 else cut.exploding) is not None
    assert found.kind == (("vanishing" if gain < 0 else "exploding") if confirmed else "stalled")
    assert confirmed or "training outcomes of this kind of network confirm no cut there" in found.sentence
    assert found.causes
    for remedy in (name for names in remedies_of(found) for name in names.split("+")):
        assert network["kind"] in REMEDIES[remedy].about.applies_to
    assert not any(math.isnan(answer.predicted_gain or 0.0) for answer in found.answers)
