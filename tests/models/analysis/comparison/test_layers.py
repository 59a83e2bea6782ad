"""The states of layers, in the contract's words, and what intervals over all layers at once make of them."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from gradient_clinic.verdict.shapes import RunSummary
from models.analysis.comparison.compare import RunRow, Trial, compare
from models.analysis.comparison.layers import compare_layers
from tests.models.analysis.compared import BASE, FIRST, HIDDEN, L2, MODEL, compared, part, run
from tests.models.analysis.synthetic import even, plan_of, summary_of, variants_of

INF = math.inf
NAN = math.nan


def states(baseline: Sequence[float], variant: Sequence[float]) -> list[str]:
    comparison = compared({BASE: [run(0.0, g) for g in baseline], FIRST: [run(0.0, g) for g in variant]})
    versus = part(comparison, FIRST).versus_baseline
    assert versus is not None
    assert {layer.at_start.state for layer in versus.layers} == {"fine"}
    assert versus.repaired_layers == tuple(
        layer.layer for layer in versus.layers if layer.at_end is not None and layer.at_end.state == "repaired"
    )
    return [layer.at_end.state for layer in versus.layers if layer.at_end is not None]


def scattered(gain: float, by: float = 0.01) -> list[float]:
    return [gain - by, gain, gain + by]


@pytest.mark.parametrize(
    ("baseline", "variant", "state"),
    [
        (-26.0, 0.3, "repaired"),
        (26.0, -0.3, "repaired"),
        (-26.0, -9.0, "not_repaired"),
        (9.0, 26.0, "not_repaired"),
        (-26.0, 9.0, "over_corrected"),
        (26.0, -9.0, "over_corrected"),
        (0.3, -9.0, "harmed"),
        (0.3, 9.0, "harmed"),
        (0.3, -0.3, "fine"),
    ],
)
def test_the_state_of_the_first_layer(baseline: float, variant: float, state: str) -> None:
    found = states(scattered(baseline), scattered(variant))
    assert found[0] == state
    assert found[-1] == "fine"  # the last hidden layer is its own measure


def test_layers_are_repaired_as_far_down_as_they_were_broken() -> None:
    found = states([-9.0] * 3, [0.0] * 3)  # r falls by 0.5 a layer: −3 is passed at six layers below the last
    assert found == ["repaired"] * 12 + ["unclear"] + ["fine"] * 6


def test_an_interval_across_the_limit_is_unclear() -> None:
    assert states([-2.0, -4.0, -3.0], [0.0] * 3)[0] == "unclear"


def test_intervals_are_simultaneous_over_layers() -> None:
    gains = [-4.0, -4.5, -3.5, -4.2, -3.8]
    alone = stats.t.interval(0.95, 4, np.mean(gains), stats.sem(gains))
    together = stats.t.interval(1 - 0.05 / (HIDDEN - 1), 4, np.mean(gains), stats.sem(gains))
    assert alone[1] < -3.0 < together[1]
    assert states(gains, [0.0] * 5)[0] == "unclear"


@pytest.mark.parametrize(("layers_below", "state"), [(HIDDEN - 1.5, "unclear"), (HIDDEN - 0.5, "repaired")])
def test_the_last_layer_takes_no_share_of_the_error(layers_below: float, state: str) -> None:
    # The interval of r at 1 − 0.05/layers_below ends at −3; the one in use is at 1 − 0.05/(HIDDEN − 1).
    shape = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    half = stats.t.ppf(1 - 0.025 / layers_below, 4) * stats.sem(shape)
    assert states((shape - 3.0 - half).tolist(), [0.0] * 5)[0] == state


def test_with_one_seed_the_points_decide_and_the_notes_say_so() -> None:
    assert states([-26.0], [0.0])[0] == "repaired"
    spec, variants = variants_of(L2, seeds=[3])
    notes = compare(Trial("e", spec, variants, [RunRow(BASE, 3, "succeeded", MODEL)])).notes
    assert any("one seed" in note for note in notes)


def test_change_is_paired_so_that_what_seeds_share_cancels() -> None:
    common = [-20.0, -26.0, -31.0]
    comparison = compared({BASE: [run(g) for g in common], FIRST: [run(g + 5.0) for g in common]})
    versus = part(comparison, FIRST).versus_baseline
    assert versus is not None
    change = versus.layers[0].at_start.change
    assert (change.mean, change.low, change.high, change.n) == pytest.approx((5.0, 5.0, 5.0, 3))


@pytest.mark.parametrize(
    ("baseline", "variant", "state"), [(-INF, 0.0, "repaired"), (-INF, -INF, "not_repaired"), (NAN, 0.0, "unclear")]
)
def test_silent_and_unmeasured_layers(baseline: float, variant: float, state: str) -> None:
    def first_layer(value: float) -> RunSummary:
        return replace(MODEL, start=(value, *even(HIDDEN, 0.0)[1:]))

    before, after = ({seed: first_layer(value) for seed in range(3)} for value in (baseline, variant))
    first = compare_layers(before, after, MODEL.hidden)[0]
    assert (first.at_start.state, first.at_start.change.mean) == (state, None)


def test_a_layer_of_one_network_only_is_not_applicable() -> None:
    shallow = summary_of(plan_of(hidden=[64, 64]), 0.0)
    layers = compare_layers({0: MODEL}, {0: shallow}, MODEL.hidden)
    assert [layer.at_start.state for layer in layers] == ["fine"] * 2 + ["not_applicable"] * 17
    assert layers[5].at_start.change.n == 0
