"""The instrument judges a network of anybody's: layers and numbers are all that it asks for."""

import math

import numpy as np
import pytest

from gradient_clinic.activations import Activation
from gradient_clinic.layers import Layer
from gradient_clinic.values import Array
from gradient_clinic.verdict.case import Case, Setup
from gradient_clinic.verdict.judge import judge
from gradient_clinic.verdict.measurements import measure
from gradient_clinic.verdict.run_trace import JUDGED, RunTrace
from gradient_clinic.verdict.shapes import Answer, RunFacts, Verdict

CHANCE = math.log(10.0)
STEPS = 100
SIGMOID = Activation("sigmoid")
LAYERS = (*(Layer(f"hidden.{i}", activation=SIGMOID) for i in range(10)), Layer("output", "output"))
ADVICE = (Answer(remedy="init", why="it helps", spec={"kind": "init"}),)


def judged(gain: float, loss: float = CHANCE, answers: tuple[Answer, ...] = ()) -> Verdict:
    """δ grows by so much, in its logarithm, from the last hidden layer to the first; all batches are alike."""
    levels = [*np.linspace(gain, 0.0, len(LAYERS) - 1), 0.0]
    signals: dict[str, Array] = {name: np.zeros((len(LAYERS), STEPS)) for name in (*JUDGED, "update_ratio")}
    signals["activation_rms"] += 1.0
    signals["activation_gradient_rms"] += np.exp(levels)[:, None]
    facts = RunFacts(
        steps_asked=STEPS,
        stopped_by=None,
        outcome="finished",
        chance_level=CHANCE,
        test_metric=math.nan,
        test_loss=math.nan,
        conditions="none that matter",
        step_seconds=0.01,
        device_seconds=1.0,
        peak_memory_bytes=0,
        parameters=0,
        overhead=1.0,
    )
    trace = RunTrace(LAYERS, np.arange(STEPS), signals, {"loss": np.full(STEPS, loss)})
    return judge(Case(Setup(activation=SIGMOID), measure(trace, facts)), lambda _, __: answers)


@pytest.mark.parametrize(
    ("gain", "loss", "kind"), [(-9.0, CHANCE, "vanishing"), (9.0, CHANCE, "exploding"), (-9.0, 0.1, "healthy")]
)
def test_a_trace_of_layers_is_enough_for_a_verdict(gain: float, loss: float, kind: str) -> None:
    found = judged(gain, loss)
    assert found.kind == kind
    assert found.at_start.total_gain.mean == pytest.approx(gain)
    assert found.answers == ()


def test_what_is_advised_is_part_of_the_verdict_and_of_its_words() -> None:
    found = judged(-9.0, answers=ADVICE)
    assert found.answers == ADVICE
    assert "Worth trying: init." in found.sentence
    assert "Worth trying" not in judged(-9.0).sentence


def test_a_sigmoid_that_vanishes_works_where_it_is_flat() -> None:
    """√E[σ'(z)²] at z ~ N(0, 1) lies below ¼, σ's steepest slope."""
    found = judged(-9.0)
    assert "saturating_activation" in found.causes
    (slope,) = [item for item in found.evidence if item.statistic == "median_rms_slope"]
    assert slope.value is not None
    assert 0.0 < slope.value < 0.25
