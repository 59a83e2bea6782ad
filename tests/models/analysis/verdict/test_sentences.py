"""Words against the numbers they are made of: a sentence may leave out, and may not contradict."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradient_clinic.intervals import Estimate
from gradient_clinic.verdict.wording import estimate_words, number, spans
from models.analysis.comparison.compare import RunRow, Trial, compare
from models.analysis.verdict.variant import variant_verdict
from tests.models.analysis.compared import BASE, FIRST, compared, run
from tests.models.analysis.compared import part as part_of
from tests.models.analysis.synthetic import CHANCE, plan_of, summary_of, variants_of
from tests.models.analysis.words import assert_short

HE: dict[str, Any] = {"depth": 20, "width": 64, "activation": "relu", "init": {"kind": "kaiming_normal"}}
L2 = {"kind": "l2"}
CLIP = {"kind": "clip_norm"}
PLAN = plan_of(**HE)
losses = st.sampled_from([0.1, 1.0, 2.0, CHANCE, 5.0])
gains = st.floats(-20, 20)
runs = st.lists(st.tuples(gains, gains, losses), min_size=1, max_size=3)


# --- words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (-26.14, False, "−26.1"),
        (0.2361, False, "0.236"),
        (0.5, True, "+0.5"),
        (0.0, True, "0"),
        (224.6, False, "225"),
        (22460.0, True, "+22500"),
        (2.246e7, False, "2.25e+07"),
        (0.00002246, False, "2.25e−05"),
        (None, True, "not finite"),
    ],
)
def test_numbers_have_three_digits_and_a_real_minus(value: float | None, signed: bool, text: str) -> None:  # noqa: FBT001
    assert number(value, signed=signed) == text


def test_an_estimate_without_bounds_is_said_without_them() -> None:
    estimate = Estimate(mean=0.913, low=0.884, high=0.942, n=5, method="t")
    assert estimate_words(estimate) == "0.913 (95 % 0.884 to 0.942, n = 5)"
    assert estimate_words(replace(estimate, low=0.784, high=1.042)) == "0.91 (95 % 0.78 to 1.04, n = 5)"
    assert estimate_words(replace(estimate, low=-3.0, high=4.8), signed=True) == "+0.9 (95 % −3 to +4.8, n = 5)"
    assert estimate_words(replace(estimate, low=0.913, high=0.913)) == "0.913 (95 % 0.913 to 0.913, n = 5)"
    assert estimate_words(replace(estimate, low=None, high=None)) == "0.913"
    # Rounded once: by its four known decimals first, and then to the three that are shown, it would be 0.976.
    assert estimate_words(replace(estimate, mean=0.97549, low=0.9661, high=0.9849)).startswith("0.975 (")


def test_neighbouring_layers_are_drawn_together() -> None:
    names = [f"hidden.{i}" for i in range(6)]
    assert spans(names, {"hidden.0", "hidden.1", "hidden.2", "hidden.5"}) == "hidden.0 to hidden.2, hidden.5"


def test_every_second_layer_is_counted_and_not_listed() -> None:
    names = [f"hidden.{i}" for i in range(20)]
    assert spans(names, set(names[::2])) == "hidden.0, hidden.2, hidden.4, hidden.6 and 6 more"


# --- verdicts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "loss", "said"),
    [
        (0.0, 0.0, 0.1, "The network trains: no remedy needed under these conditions."),
        (-9.0, 0.0, 0.1, "The network trains although its gradients start vanishing: no remedy needed"),
        (-9.0, -9.0, CHANCE, "Gradients vanish on their way to the input."),
        (9.0, 0.0, CHANCE, "Gradients explode on their way to the input."),
        (0.0, 0.0, CHANCE, "Training stays at chance"),
        (0.0, 0.0, 2.0, "Training has not closed half the way from chance"),
    ],
)
def test_the_headline_comes_first(start: float, end: float, loss: float, said: str) -> None:
    assert summary_of(PLAN, start, end, loss).verdict.sentence.startswith(said)


def test_a_verdict_says_both_moments_and_its_conditions() -> None:
    sentence = summary_of(PLAN, -9.0, 1.8, 0.1).verdict.sentence
    assert "At the start it is −9 (95 % −9 to −9, 18 increments), vanishing, ×0.607 per layer." in sentence
    assert "At the end it is +1.8 (95 % +1.8 to +1.8, 18 increments), healthy, ×1.11 per layer." in sentence
    assert sentence.endswith("Conditions: adam 0.001, batch 128, 110 steps.")


def test_one_hidden_layer_has_no_gain_to_judge() -> None:
    """G is log of the first hidden layer's gradient over the last one's, which is the same layer."""
    plan = plan_of(hidden=[32], activation="tanh")
    runs = [summary_of(plan, 0.0, 0.0, loss) for loss in (CHANCE, 1.01 * CHANCE)]
    for found in (runs[0].verdict, variant_verdict(runs)):
        assert found.at_start.total_gain.mean == 0.0
        assert not found.at_start.judged
        assert not any(item.statistic == "total_gain" for item in found.evidence)
        assert "G needs two hidden layers and is not judged over depth: here is one." in found.sentence
        assert "The verdict rests on the loss, and sizes, units and steps of this layer." in found.sentence
        assert "healthy" not in found.sentence
    deep = summary_of(plan_of(hidden=[32, 32], activation="tanh"), 0.0, 0.0, CHANCE).verdict
    assert deep.at_start.judged
    assert "not judged" not in deep.sentence


def test_one_untrained_hidden_layer_is_not_called_healthy() -> None:
    spec, variants = variants_of(L2, network={"hidden": [32]}, steps=0, epochs=None, seeds={"count": 2})
    rows = [RunRow(v.name, seed, "succeeded", summary_of(v.plan, 0.0)) for v in variants for seed in range(2)]
    comparison = compare(Trial("e", spec, variants, rows))
    gradient = comparison.variants[0].gradient.at_start
    assert gradient is not None
    assert not gradient.judged
    words = [comparison.answer, *comparison.notes, *(part.sentence for part in comparison.variants)]
    assert "healthy" not in " ".join(words)
    assert "No remedy needed" not in comparison.answer
    assert any("G needs two hidden layers and is not judged" in note for note in comparison.notes)
    assert_short(comparison.variants[0].sentence)


def test_seeds_that_disagree_are_counted() -> None:
    found = variant_verdict([summary_of(PLAN, 0.0, 0.0, loss) for loss in (0.1, 0.1, CHANCE)])
    assert found.sentence.startswith("The seeds disagree: 2 healthy, 1 stalled.")


def test_a_fact_is_said_with_the_seeds_that_it_is_of() -> None:
    found = variant_verdict([summary_of(PLAN, 0.0, 0.0, loss) for loss in (2.0, 2.0, 2.0, 2.0, CHANCE)])
    assert re.search(r"Partly trained: [^.]*\.?[^.]* \(4 of 5 seeds\)\.", found.sentence)
    assert re.search(r"Not trained: .* \(1 of 5 seeds\)\.", found.sentence)
    assert "seeds)" not in summary_of(PLAN, 0.0, 0.0, 2.0).verdict.sentence


def test_an_exact_zero_is_said_and_not_a_number() -> None:
    found = summary_of(PLAN, -1e4).verdict  # e^−10000 is zero
    assert found.kind == "vanishing"
    assert "−∞ (an exact zero), vanishing" in found.sentence


@settings(max_examples=60, deadline=None)
@given(runs)
def test_no_verdict_sentence_contradicts_its_numbers(several: list[tuple[float, float, float]]) -> None:
    found = variant_verdict([summary_of(PLAN, start, end, loss) for start, end, loss in several])
    sentence = found.sentence
    assert_short(sentence)
    assert ("no remedy needed" in sentence) == (found.kind == "healthy")
    assert ("Worth trying" in sentence) == bool(found.answers)
    assert ("Causes:" in sentence) == bool(set(found.causes) - {"no_gradient_cause_found"})
    assert found.at_end is not None
    for moment, facts in (("start", found.at_start), ("end", found.at_end)):
        said = re.search(
            rf"At the {moment} it is ([−+0-9.e]+).*?, (vanishing|exploding|healthy|inconclusive)", sentence
        )
        assert said is not None
        assert said.group(1) == estimate_words(facts.total_gain, signed=True).split(" ")[0]
        assert said.group(2) == facts.kind
    trained = {"yes": "Trained:", "partly": "Partly trained:", "no": "Not trained:"}
    losses_said = {word for word in trained.values() if f" {word}" in sentence}
    assert found.trained == "mixed" or trained[str(found.trained)] in losses_said


# --- comparisons ------------------------------------------------------------------------------------------------


def sentences_of(
    *remedies: Mapping[str, object], base: Any, variant: Any, seeds: int = 5
) -> tuple[list[str], tuple[str, ...]]:
    spec, variants = variants_of(*remedies, network=HE, seeds={"count": seeds})
    rows = [
        RunRow(v.name, seed, "succeeded", summary_of(v.plan, *(base if v.name == "baseline" else variant)(seed)))
        for v in variants
        for seed in range(seeds)
    ]
    answer = compare(Trial("e", spec, variants, rows))
    return [part.sentence for part in answer.variants], answer.notes


def well(_: int) -> tuple[float, float, float]:
    return 0.0, 0.0, 0.1


def vanished(_: int) -> tuple[float, float, float]:
    return -9.0, -9.0, CHANCE


def test_a_repair_is_said_with_its_layers_and_its_successes() -> None:
    (_, sentence), _ = sentences_of({"kind": "batch_norm"}, base=vanished, variant=well)
    assert "At the end it repairs hidden.0 to hidden.11" in sentence
    assert (
        "5 of 5 runs train (95 % 0.478 to 1), a difference to the baseline of +1 (95 % +0.39 to +1, n = 5)" in sentence
    )
    assert "no seed where both" not in sentence


def test_clipping_and_l2_are_said_to_leave_the_ratios() -> None:
    (_, l2, clip, norm), _ = sentences_of(L2, CLIP, {"kind": "batch_norm"}, base=vanished, variant=vanished)
    assert all("of itself it leaves the ratios between layers as they are" in sentence for sentence in (l2, clip))
    assert "ratios" not in norm
    assert "leaves hidden.0 to hidden.11 beyond ±3" in l2


def test_a_well_baseline_is_noted_to_need_no_remedy() -> None:
    (baseline, _), notes = sentences_of(L2, base=well, variant=well)
    assert "no remedy needed" in baseline
    assert any(note.startswith("baseline: no remedy needed") for note in notes)
    _, others = sentences_of(L2, base=vanished, variant=well)
    assert not any("no remedy needed" in note for note in others)


@pytest.mark.parametrize(("change", "word"), [(0.05, "higher"), (-0.05, "lower"), (0.0, "no difference shown")])
def test_a_metric_is_higher_or_lower_only_where_its_test_says_so(change: float, word: str) -> None:
    spec, variants = variants_of(L2, network=HE)
    rows = [
        RunRow(v.name, seed, "succeeded", summary_of(v.plan, *well(seed), test_metric=0.9 + by * (1 + 0.01 * seed)))
        for v, by in zip(variants, (0.0, change), strict=True)
        for seed in range(5)
    ]
    sentence = compare(Trial("e", spec, variants, rows)).variants[1].sentence
    assert re.search(rf"accuracy differs by .*\. Paired t, Holm p = .*: {word}\.", sentence)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(gains, losses), min_size=3, max_size=3),
    st.lists(st.tuples(gains, losses), min_size=3, max_size=3),
)
def test_no_comparison_sentence_contradicts_its_numbers(
    ours: list[tuple[float, float]], theirs: list[tuple[float, float]]
) -> None:
    spec, variants = variants_of(L2, network=HE, seeds={"count": 3})
    rows = [
        RunRow(v.name, seed, "succeeded", summary_of(v.plan, gain, gain, loss, test_metric=1.0 / (1.0 + loss + seed)))
        for v, several in zip(variants, (theirs, ours), strict=True)
        for seed, (gain, loss) in enumerate(several)
    ]
    part = compare(Trial("e", spec, variants, rows)).variants[1]
    assert_short(part.sentence)
    versus, success = part.versus_baseline, part.outcomes.success
    assert versus is not None
    assert f"{success.count} of {success.of} runs train" in part.sentence
    untrained, end = part.sentence.split("At the end ") if "At the end it" in part.sentence else (part.sentence,) * 2
    for said, moments in (
        (untrained, [layer.at_start for layer in versus.layers]),
        (end, [layer.at_end for layer in versus.layers]),
    ):
        states = {moment.state for moment in moments if moment is not None}
        assert ("repairs" in said) == ("repaired" in states)
        assert ("which the baseline has inside" in said) == ("harmed" in states)
        assert ("every hidden layer lies within" in said) == (states == {"fine"})
    significant = versus.p_holm is not None and versus.p_holm < 0.05
    assert ("no difference shown" in part.sentence) == (versus.p_holm is not None and not significant)
    mean = versus.metric_difference.mean or 0.0
    assert (": higher" in part.sentence) == (significant and mean > 0)
    assert (": lower" in part.sentence) == (significant and mean < 0)
    for figure in re.findall(r"Holm p = ([0-9.e−]+)", part.sentence):
        assert figure.rstrip(".:") == number(versus.p_holm, 2)


reached = st.one_of(st.floats(0.0, 1.0), st.sampled_from([0.1, 0.11, 0.95, 0.96]))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(reached, reached, st.booleans()), min_size=1, max_size=9)
    | st.lists(st.tuples(reached, st.floats(0.9, 0.92), st.just(value=True)), min_size=20, max_size=24)
    | st.lists(st.tuples(st.floats(0.8, 0.82), st.just(0.9), st.just(value=True)), min_size=20, max_size=24)
)
def test_no_sentence_of_outcomes_contradicts_its_numbers(seeds: list[tuple[float, float, bool]]) -> None:
    base = [run(test_metric=metric) for metric, _, _ in seeds]
    ours = [run(trained="yes" if trained else "no", test_metric=metric) for _, metric, trained in seeds]
    comparison = compared({BASE: base, FIRST: ours})
    for part in (part_of(comparison, BASE), part_of(comparison, FIRST)):
        assert_short(part.sentence)
        groups = re.findall(r"two groups: (\d+) near ([0-9.e−]+), (\d+) near ([0-9.e−]+);", part.sentence)
        modes = part.outcomes.modes or ()
        assert groups == ([tuple(text for m in modes for text in (str(m.n), number(m.mean)))] if modes else [])
    versus, sentence = part_of(comparison, FIRST).versus_baseline, part_of(comparison, FIRST).sentence
    assert versus is not None
    difference = versus.metric_difference
    assert re.findall(r"about (\d+) seeds to show", sentence) == [str(n) for n in (versus.seeds_needed,) if n]
    assert versus.seeds_needed is None or (versus.seeds_needed > difference.n and "no difference shown" in sentence)
    widths = re.findall(r"do not pair .*: the interval is ([0-9.]+) times as wide", sentence)
    assert widths == [number(its.width) for its in (versus.pairing,) if its is not None and its.width > 1.1]
    assert ("in the middle half by" in sentence) == ("IQM" in difference.method)
    assert ("on the middle half, Holm" in sentence) == ("IQM" in difference.method)
    if ": higher" in sentence or ": lower" in sentence:
        assert versus.p_holm is not None
        assert difference.low is not None
        assert difference.high is not None
        assert versus.p_holm < 0.05
        assert (": higher" in sentence, ": lower" in sentence) == (difference.low > 0, difference.high < 0)


def test_seeds_that_go_against_each_other_are_said_not_to_pair() -> None:
    metrics = (0.90, 0.92, 0.88, 0.91, 0.93)
    ours = [run(test_metric=1.8 - metric) for metric in metrics]
    comparison = compared({BASE: [run(test_metric=metric) for metric in metrics], FIRST: ours})
    said = "The seeds do not pair (correlation −1): the interval is 1.41 times as wide as unpaired."
    assert said in part_of(comparison, FIRST).sentence
