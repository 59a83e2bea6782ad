"""The answer of a comparison names every remedy once, and says of it what its intervals show and no more."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.analysis.comparison.answer import answer_of
from models.analysis.comparison.compare import Comparison, RunRow, Trial, compare
from models.analysis.comparison.parts import ShownCause, VersusBaseline
from models.specs.optimizer import SgdSpec
from tests.models.analysis.synthetic import CHANCE, LEARNED, summary_of, variants_of
from tests.models.analysis.words import assert_short

HE: dict[str, Any] = {"depth": 20, "width": 64, "activation": "relu", "init": {"kind": "kaiming_normal"}}
NORM, CLIP = {"kind": "batch_norm"}, {"kind": "clip_norm"}
SICK, WELL = (-9.0, CHANCE, 0.1), (0.0, LEARNED, 0.9)
"""G, final loss, accuracy."""
one_run = st.tuples(st.sampled_from([-9.0, 0.0, 9.0]), st.sampled_from([LEARNED, 2.0, CHANCE]), st.floats(0, 1))


def compared(
    *arms: list[tuple[float, float, float]], remedies: Sequence[dict[str, str]] = (NORM, CLIP), **changes: Any
) -> Comparison:
    spec, variants = variants_of(*remedies, network=HE, **{"seeds": {"count": len(arms[0])}, **changes})
    rows = [
        RunRow(variant.name, seed, "succeeded", summary_of(variant.plan, gain, gain, loss, test_metric=metric))
        for variant, arm in zip(variants, arms, strict=False)
        for seed, (gain, loss, metric) in enumerate(arm)
    ]
    return compare(Trial("e", spec, variants, rows))


def test_what_is_wrong_what_helps_and_what_is_not_shown() -> None:
    found = compared([SICK] * 5, [WELL] * 5, [SICK] * 5)
    assert found.answer == (
        "Use batch_norm. "
        "The baseline trains in 0 of 5 runs (95 % 0 to 0.522) and closes 0 of the way from chance by loss. "
        "Gradients vanish on their way to the input, at the start beyond ±3 in hidden.0 to hidden.11. "
        "Cause: depth without skip. "
        "batch_norm repairs it: trains in 5 of 5 runs (95 % 0.478 to 1). "
        "Accuracy 0.9 (95 % 0.9 to 0.9, n = 5), a step costs ×1. "
        "No difference shown: clip_norm (vanishing)."
    )


def test_a_layer_is_beyond_with_its_whole_interval() -> None:
    wide = [(gain, CHANCE, 0.1) for gain in (-9.0, -9.0, -4.0, 1.0, 2.0)]
    told = re.search(r"at the start beyond ±3 in hidden.0 to hidden.(\d+)", compared([SICK] * 5, [WELL] * 5).answer)
    assert told is not None
    assert int(told.group(1)) == 11  # r of layer l is −9·(18 − l)/18: below −3 up to l = 11
    assert "beyond ±3" not in compared(wide, [WELL] * 5).answer


def test_a_well_baseline_needs_no_remedy_and_harm_is_said() -> None:
    found = compared([WELL] * 5, [WELL] * 5, [SICK] * 5)
    assert found.answer.startswith("No remedy needed: the baseline trains in 5 of 5 runs (95 % 0.478 to 1).")
    assert "clip_norm harms it: trains in 0 of 5 runs" in found.answer
    assert "repairs" not in found.answer


def test_the_surest_comes_first_then_the_most_accurate() -> None:
    better = compared([SICK] * 5, [WELL] * 5, [(0.0, LEARNED, 0.95)] * 5)
    assert better.answer.startswith("Use clip_norm.")
    assert re.search(r"clip_norm repairs it: .*Accuracy 0.95.*batch_norm repairs it: .*Accuracy 0.9 ", better.answer)
    found = compared([SICK] * 8, [WELL] * 6 + [SICK] * 2, [(0.0, LEARNED, 0.5)] * 8)
    assert re.search(r"clip_norm repairs it: .*batch_norm repairs it: trains in 6 of 8", found.answer)
    assert "By accuracy batch_norm lies above clip_norm: their intervals do not meet" not in found.answer
    assert "By accuracy no difference is shown between clip_norm and batch_norm." in found.answer
    apart = compared([SICK] * 5, [(0.0, LEARNED, 0.8 + 0.01 * seed) for seed in range(5)], [WELL] * 5)
    assert "By accuracy clip_norm lies above batch_norm: their intervals do not meet." in apart.answer


@pytest.mark.parametrize("seeds", [1, 2])
def test_what_few_seeds_say_is_promising_and_to_be_confirmed(seeds: int) -> None:
    found = compared([SICK] * seeds, [WELL] * seeds, [SICK] * seeds)
    named = "1 seed" if seeds == 1 else "2 seeds"
    assert found.answer.startswith(f"Use batch_norm, and confirm it on more than {named}.")
    assert f"On {named} only, batch_norm seems to repair it: trains in {seeds} of {seeds} runs" in found.answer
    assert "No difference shown: clip_norm" in found.answer


@pytest.mark.parametrize(("others", "first"), [(0.95, "batch_norm"), (0.81, "activation")])
def test_of_two_that_repair_the_one_that_mends_a_known_cause_goes_first_unless_it_is_worse(
    others: float, first: str
) -> None:
    """Xavier sigmoids that saturate: ReLU changes that, batch norm more than that."""
    spec, variants = variants_of(NORM, {"kind": "activation", "function": "relu"})
    reached = {"baseline": 0.1, "batch_norm": others, "activation": 0.8}
    rows = [
        RunRow(variant.name, seed, "succeeded", summary_of(variant.plan, *gains, test_metric=metric + 0.01 * seed))
        for variant in variants
        for gains in [(-26.0, -26.0, CHANCE) if variant.name == "baseline" else (0.0, 0.0, LEARNED)]
        for metric in [reached[variant.name]]
        for seed in range(5)
    ]
    answer = compare(Trial("e", spec, variants, rows)).answer
    assert answer.startswith(f"Use {first}")
    assert ("batch_norm lies above activation" in answer) == (first == "batch_norm")
    assert ("no difference is shown between" in answer) == (first == "activation")


def test_what_comes_further_without_training_improves() -> None:
    closer = [(0.0, 0.6 * CHANCE + 0.01 * seed, 0.4 + 0.001 * seed) for seed in range(5)]
    found = compared([SICK] * 5, closer, [SICK] * 5)
    assert found.answer.startswith("Use batch_norm; it does not train yet, so try ")
    assert "batch_norm improves it: of the way from chance by accuracy it closes +0.3" in found.answer
    assert "It does not train yet." in found.answer


def test_a_baseline_that_trains_may_still_be_improved() -> None:
    better = [(0.0, LEARNED, 0.95 + 0.001 * seed) for seed in range(5)]
    found = compared([WELL] * 5, better, [WELL] * 5)
    assert found.answer.startswith("The network trains without a remedy; to improve it, use batch_norm.")
    assert "batch_norm improves it: accuracy differs by +0.052" in found.answer
    assert "No remedy needed" not in found.answer


def test_what_was_tried_is_not_worth_trying_again() -> None:
    first = compared([SICK] * 5, [SICK] * 5)
    assert "layer_norm" in first.variants[0].sentence.split("Worth trying: ")[1]
    again = compared([SICK] * 5, [SICK] * 5, remedies=[{"kind": "layer_norm"}])
    for text in (again.answer, again.variants[0].sentence):
        tried = re.search(r"(?:Worth trying: |Try )([^.]*)\.", text)
        assert tried is not None
        assert "layer_norm" not in tried.group(1)


def test_a_variant_at_chance_beside_a_baseline_above_it_is_told_so() -> None:
    above = [(-9.0, 2.0, 0.4 + 0.01 * seed) for seed in range(5)]
    found = compared(above, [SICK] * 5, above)
    assert "batch_norm harms it: of the way from chance by accuracy it closes −0.32" in found.answer
    one = compared(above[:1], [SICK], above[:1])
    assert "batch_norm (vanishing, at chance where the baseline is not)." in one.answer


@pytest.mark.parametrize(("tuned", "rate"), [(None, "0.5"), ({"learning_rate": 0.02}, "0.02")])
def test_a_rate_that_broke_training_is_named_with_its_optimiser(tuned: dict[str, float] | None, rate: str) -> None:
    baseline = compared([SICK] * 5).variants[0]
    assert baseline.verdict is not None
    part = baseline.model_copy(update={"tuned": tuned})
    causes = [ShownCause(cause="learning_rate", shown_by="rule")]
    said = answer_of([part], "accuracy", SgdSpec(kind="sgd", learning_rate=0.5, momentum=0.9), causes)
    assert f"Cause: learning rate (sgd {rate} momentum 0.9)." in said


def test_untrained_networks_are_told_by_their_gradients() -> None:
    found = compared([SICK] * 5, [WELL] * 5, [SICK] * 5, steps=0, epochs=None)
    assert "in the untrained network, at the start beyond ±3 in hidden.0 to hidden.11. Cause: " in found.answer
    assert "batch_norm repairs it: gradients healthy before training." in found.answer
    assert "trains in" not in found.answer


def test_without_a_baseline_there_is_nothing_to_say() -> None:
    assert "nothing to compare with yet" in compared([], seeds=[0]).answer


def test_a_baseline_that_never_trained_is_not_waited_for() -> None:
    spec, variants = variants_of(NORM, network=HE, seeds={"count": 3})
    states = ["failed", "cancelled", "cancelled"]
    rows = [RunRow("baseline", seed, state) for seed, state in enumerate(states)]
    found = compare(Trial("e", spec, variants, rows)).answer
    assert found == (
        "No run of the baseline came to its end (1 failed and 2 cancelled): there is nothing to compare with."
    )
    rows[0] = RunRow("baseline", 0, "running")
    assert "nothing to compare with yet" in compare(Trial("e", spec, variants, rows)).answer


def test_what_all_that_are_unclear_share_is_said_once() -> None:
    noisy = [(-9.0, 2.0 + 0.02 * seed, 0.2 + 0.01 * seed) for seed in range(5)]
    answer = compared(noisy, noisy[::-1], noisy[::-1]).answer
    assert re.search(r"No difference shown: batch_norm [^;]*, clip_norm [^;]*; of each 0\.\d+ of the way", answer)
    assert answer.count("would have been seen") == 1


def test_trained_elsewhere_the_causes_are_what_is_to_be_mended() -> None:
    """Of a network without a plan no remedy is advised, which is not that none is left."""
    baseline = compared([SICK] * 5).variants[0]
    assert baseline.verdict is not None
    bare = baseline.model_copy(update={"verdict": replace(baseline.verdict, answers=())})
    assert answer_of([bare], "accuracy", None, [])[0].startswith("Mend depth without skip: ")


@settings(max_examples=40, deadline=None)
@given(st.tuples(*(st.lists(one_run, min_size=3, max_size=3) for _ in range(3))))
def test_no_answer_contradicts_its_numbers(arms: tuple[list[tuple[float, float, float]], ...]) -> None:
    found = compared(*arms)
    assert_short(found.answer)
    baseline, *others = found.variants
    assert baseline.verdict is not None
    degrees = {}
    for part in others:
        assert part.versus_baseline is not None
        assert part.versus_baseline.grade is not None
        degrees[part.name] = part.versus_baseline.grade.degree
        _agrees(part.name, part.versus_baseline, found.answer)
    helps = {"repairs", "improves"} & set(degrees.values())
    assert ("No remedy needed" in found.answer) == (baseline.verdict.kind == "healthy" and not helps)


def _agrees(name: str, versus: VersusBaseline, answer: str) -> None:
    """The variant is told once, by its grade, and its grade is what its figures show."""
    grade = versus.grade
    assert grade is not None
    told = re.findall(rf"\b{name} (?:seems to )?(repair|improve|harm)s? it: ", answer)
    assert told == [grade.degree.removesuffix("s")] * (grade.degree in {"repairs", "improves", "harms"})
    assert (f"{name} seems to" in answer) == (grade.certainty == "promising")
    unclear = re.search(r"No difference shown: ([^.]|\.\d)*\.", answer)
    assert (unclear is not None and name in unclear.group()) == (grade.degree == "no_difference_shown")
    low, high = versus.success_difference.low or 0.0, versus.success_difference.high or 0.0
    if low > 0.0 or high < 0.0:
        assert (grade.degree, grade.by) == ("repairs" if low > 0.0 else "harms", "success")
    if grade.by in {"metric", "loss"}:
        mean = versus.progress[grade.by].difference.mean
        assert mean is not None
        assert (mean > 0.0) == (grade.degree == "improves")


def test_a_remedy_of_many_is_named_with_what_it_is() -> None:
    spec, variants = variants_of({"kind": "activation", "function": "gelu"}, network=HE)
    runs = {"baseline": SICK, "activation": WELL}
    rows = [
        RunRow(variant.name, seed, "succeeded", summary_of(variant.plan, gain, gain, loss, test_metric=metric))
        for variant in variants
        for seed in range(5)
        for gain, loss, metric in [runs[variant.name]]
    ]
    assert "activation gelu repairs it: trains in 5 of 5" in compare(Trial("e", spec, variants, rows)).answer
