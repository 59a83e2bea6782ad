"""The answer of a comparison names every remedy once, and says of it what its intervals show and no more."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradient_clinic.verdict.sentences import answer_words
from gradient_clinic.verdict.shapes import Answer
from models.analysis.comparison.answer import answer_of
from models.analysis.comparison.brief import brief_of
from models.analysis.comparison.compare import Comparison, RunRow, Trial, compare
from models.analysis.comparison.earlier_variants import told_earlier
from models.analysis.comparison.parts import (
    EarlierVariant,
    Grade,
    ShownCause,
    Success,
    VariantComparison,
    VersusBaseline,
)
from models.specs.optimizer import SgdSpec
from tests.models.analysis.synthetic import CHANCE, LEARNED, summary_of, variants_of
from tests.models.analysis.words import assert_short

HE: dict[str, Any] = {"depth": 20, "width": 64, "activation": "relu", "init": {"kind": "kaiming_normal"}}
NORM, CLIP = {"kind": "batch_norm"}, {"kind": "clip_norm"}
SICK, WELL = (-9.0, CHANCE, 0.1), (0.0, LEARNED, 0.9)
"""G, final loss, accuracy."""
one_run = st.tuples(st.sampled_from([-9.0, 0.0, 9.0]), st.sampled_from([LEARNED, 2.0, CHANCE]), st.floats(0, 1))


def compared(
    *arms: list[tuple[float, float, float]],
    remedies: Sequence[dict[str, Any]] = (NORM, CLIP),
    facts: dict[str, Any] | None = None,
    **changes: Any,
) -> Comparison:
    spec, variants = variants_of(*remedies, network=HE, **{"seeds": {"count": len(arms[0])}, **changes})
    rows = [
        RunRow(
            variant.name,
            seed,
            "succeeded",
            summary_of(variant.plan, gain, gain, loss, test_metric=metric, **facts or {}),
        )
        for variant, arm in zip(variants, arms, strict=False)
        for seed, (gain, loss, metric) in enumerate(arm)
    ]
    return compare(Trial("e", spec, variants, rows))


def test_what_is_wrong_what_helps_and_what_is_not_shown() -> None:
    found = compared([SICK] * 5, [WELL] * 5, [SICK] * 5)
    assert found.answer == (
        "Use batch_norm. "
        "The baseline trains in 0 of 5 runs (95 % 0 to 0.522); "
        "on average its training loss gets 0 % of the way from chance to 0. "
        "Chance is a loss of 2.3. "
        "Gradients vanish on their way to the input, at the start beyond ±3 in hidden.0 to hidden.11. "
        "By the baseline's measurements the cause is depth without skip. "
        "batch_norm repairs it: trains in 5 of 5 runs (95 % 0.478 to 1). "
        "Accuracy 0.9 (95 % 0.9 to 0.9, n = 5). "
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


def test_seeds_that_disagree_are_said_to() -> None:
    found = compared([SICK] * 5, [WELL] + [SICK] * 4, [WELL] * 2 + [SICK] * 3)
    clip = found.variants[2]
    assert clip.verdict is not None
    assert clip.verdict.kind == "mixed"
    assert "clip_norm (its seeds disagree" in found.answer
    assert clip.sentence.startswith("clip_norm: its seeds disagree; gradients")
    assert "mixed" not in found.answer + clip.sentence


@pytest.mark.parametrize(("loss", "share"), [(0.6 * CHANCE, "40"), (0.66 * CHANCE, "34")])
def test_how_far_a_loss_came_is_a_percentage_of_its_way(loss: float, share: str) -> None:
    answer = compared([(-9.0, loss, 0.1)] * 5).answer
    assert f"on average its training loss gets {share} % of the way from chance to 0." in answer
    assert_short(answer)


def test_what_comes_further_without_training_improves() -> None:
    closer = [(0.0, 0.6 * CHANCE + 0.01 * seed, 0.4 + 0.001 * seed) for seed in range(5)]
    found = compared([SICK] * 5, closer, [SICK] * 5)
    assert found.answer.startswith(
        "Use batch_norm, which is shown to help; it does not train yet, so try rezero or scaled (residual branches) "
        "too."
    )
    assert "batch_norm improves it: gets 0.3" in found.answer
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


def test_what_was_tried_is_not_proposed_again_in_other_words() -> None:
    """Adam at 0.001 is what a rate of 0.001 makes of Adam."""
    broken = [(0.0, 2.0 * CHANCE, 0.1)] * 5
    adam: dict[str, Any] = {"optimizer": {"kind": "adam", "learning_rate": 0.05}}
    first = compared(broken, **adam).variants[0]
    assert first.verdict is not None
    proposed = [its.spec["optimizer"] for its in first.verdict.answers if its.remedy == "optimizer"]
    assert [dict(its)["learning_rate"] for its in proposed if isinstance(its, dict)] == [0.001]
    again = compared(broken, broken, remedies=[{"kind": "learning_rate", "value": 0.001}], **adam)
    baseline = again.variants[0]
    assert baseline.verdict is not None
    assert "optimizer" in {its.remedy for its in baseline.verdict.answers if its.tried}
    assert "optimizer adam 0.001" in first.sentence
    assert "optimizer" not in baseline.sentence.split("Worth trying: ")[1]
    assert baseline.verdict.sentence == baseline.sentence


def test_what_is_worth_trying_is_told_with_its_value() -> None:
    """A rate that was not tried is no repetition of one that was."""
    broken = [(0.0, 2.0 * CHANCE, 0.1)] * 5
    sgd: dict[str, Any] = {"optimizer": {"kind": "sgd", "learning_rate": 0.5}}
    found = compared(broken, broken, remedies=[{"kind": "learning_rate", "value": 0.1}], **sgd)
    assert "learning_rate 0.05 (lower)" in found.variants[0].sentence.split("Worth trying: ")[1]


@pytest.mark.parametrize("norm", [SICK, (-9.0, 1.5 * CHANCE, 0.05)])
def test_several_at_once_are_not_proposed_where_one_was_tried_in_vain(norm: tuple[float, float, float]) -> None:
    first = compared([SICK] * 5).variants[0]
    assert first.verdict is not None
    usual = [its.remedy for its in first.verdict.answers if its.beside and its.basis == "usual"]
    assert usual == ["rezero+batch_norm"]
    found = compared([SICK] * 5, [norm] * 5, remedies=[NORM])
    assert found.variants[0].verdict is not None
    assert {its.remedy for its in found.variants[0].verdict.answers if its.tried} >= {"rezero+batch_norm", "batch_norm"}
    assert "batch_norm" not in found.variants[0].sentence.split("Worth trying: ")[1]


def _noisy(*arms: list[tuple[float, float, float]], seeds: int = 3) -> Comparison:
    """Sixteen SELU layers under dropout of one half: theory leaves nothing that tells two cases apart."""
    network = {"depth": 16, "width": 64, "activation": "selu", "init": {"kind": "xavier_uniform"}, "dropout": 0.5}
    remedies = [{"kind": "init", "init": {"kind": "lecun_normal"}}]
    spec, variants = variants_of(*remedies, network=network, seeds={"count": seeds})
    rows = [
        RunRow(variant.name, seed, "succeeded", summary_of(variant.plan, gain, gain, loss, test_metric=metric))
        for variant, arm in zip(variants, arms, strict=False)
        for seed, (gain, loss, metric) in enumerate(arm)
    ]
    return compare(Trial("e", spec, variants, rows))


def test_an_answer_to_the_cause_comes_before_what_is_not_shown_to_help() -> None:
    chance = [(0.0, CHANCE, 0.1)] * 3
    found = _noisy(chance, [(0.0, 0.9 * CHANCE + 0.03 * seed, 0.1) for seed in (-1, 0, 1)])
    part = found.variants[1].versus_baseline
    assert part is not None
    assert part.grade is not None
    assert (part.grade.degree, part.grade.certainty) == ("improves", "promising")
    assert found.answer.startswith(
        "Try dropout 0.05 (lower) next, against dropout noise; init lecun_normal seems to improve it, but that rests "
        "on 3 seeds. "
    )
    assert "on 3 seeds only, init changes only that and seems to help." in found.answer
    assert "helps" not in found.answer
    assert_short(found.answer)


def test_what_is_shown_to_help_comes_first_and_says_so() -> None:
    chance = [(0.0, CHANCE, 0.1)] * 6
    found = _noisy(chance, [(0.0, 0.8 * CHANCE + 0.01 * seed, 0.3 + 0.01 * seed) for seed in range(6)], seeds=6)
    assert found.answer.startswith(
        "Use init lecun_normal, which is shown to help; it does not train yet, so try dropout 0.05 (lower) too. "
    )
    assert "The trial points to initialisation: init changes only that and helps." in found.answer


def _by_heart(seeds: int, metric: float = 0.1) -> list[tuple[float, float, float]]:
    """The loss falls by a tenth of the way, and no run trains."""
    return [(0.0, 0.9 * CHANCE + 0.01 * seed, metric) for seed in range(seeds)]


@pytest.mark.parametrize(
    ("seeds", "gain", "to_do", "said"),
    [
        (
            5,
            -9.0,
            "orthogonal_init, rezero or layer_norm",
            "batch_norm lowers the loss on the training data, and no more.",
        ),
        (
            3,
            0.0,
            "learning_rate 0.003 (higher)",
            "on 3 seeds batch_norm seems to lower the loss on the training data, and no more.",
        ),
    ],
)
def test_what_lowers_the_loss_and_no_more_is_not_to_be_used(seeds: int, gain: float, to_do: str, said: str) -> None:
    """0 of 5 runs train, and by accuracy it comes no further than the baseline."""
    found = compared([(gain, CHANCE, 0.12)] * seeds, _by_heart(seeds))
    grade = found.variants[1].grade
    assert grade is not None
    assert (grade.degree, grade.by) == ("improves", "loss")
    assert found.answer.startswith(f"Try {to_do} next. Nothing that was tried makes it train: {said} ")
    assert not re.search(r"\bUse\b", found.answer)
    assert_short(found.answer)


def test_what_improves_the_metric_goes_before_what_lowers_the_loss_alone() -> None:
    better = [(0.0, 0.9 * CHANCE + 0.01 * seed, 0.3 + 0.01 * seed) for seed in range(5)]
    found = compared([(0.0, CHANCE, 0.12)] * 5, _by_heart(5), better)
    assert found.answer.startswith("Use clip_norm")
    assert "and no more" not in found.answer
    assert re.findall(r"(\w+) improves it: ", found.answer) == ["clip_norm", "batch_norm"]


def test_that_nothing_trains_is_not_said_where_a_run_does() -> None:
    rare = [(0.0, CHANCE, 0.12)] * 4 + [(0.0, LEARNED, 0.9)]
    found = compared([(0.0, CHANCE, 0.12)] * 5, _by_heart(5), rare)
    assert " batch_norm lowers the loss on the training data, and no more. " in found.answer
    assert "Nothing that was tried" not in found.answer


CLOSER = [(0.0, 0.6 * CHANCE + 0.01 * seed, 0.4 + 0.001 * seed) for seed in range(5)]
"""Shown to help by the metric too, and does not train."""


@pytest.mark.parametrize(
    ("used", "left", "said"),
    [
        ("batch_norm", ["layer_norm"], "layer_norm instead"),
        ("batch_norm", ["activation"], "activation too"),
        ("batch_norm", ["layer_norm", "activation"], "activation too"),
        ("clip_norm", ["layer_norm", "activation"], "layer_norm or activation too"),
        ("batch_norm", ["rezero+batch_norm"], "rezero with batch_norm instead"),
    ],
)
def test_only_what_one_variant_can_hold_is_to_be_tried_too(used: str, left: list[str], said: str) -> None:
    found = compared([SICK] * 5, CLOSER, remedies=[{"kind": used}])
    baseline, part = found.variants
    assert baseline.verdict is not None
    kinds = [name.split("+") for name in left]
    answers = [
        Answer(remedy=name, why="", spec={"kind": first}, beside=tuple({"kind": kind} for kind in others))
        for name, (first, *others) in zip(left, kinds, strict=True)
    ]
    judged = baseline.model_copy(update={"verdict": replace(baseline.verdict, answers=tuple(answers))})
    first, *_ = answer_of([judged, part], "accuracy", None, [])
    assert first == f"Use {used}; it does not train yet, so try {said}."


def test_a_promise_that_does_not_train_is_told_in_one_short_sentence() -> None:
    """Of several remedies at once one answer is named: the sentence has two things to say before it."""
    few = [(0.0, 0.6 * CHANCE + 0.01 * seed, 0.4 + 0.001 * seed) for seed in range(3)]
    baseline, part = compared([SICK] * 3, few, remedies=[CLIP]).variants
    assert baseline.verdict is not None
    adam = {"kind": "optimizer", "optimizer": {"kind": "adam", "learning_rate": 0.001}}
    answers = tuple(
        Answer(remedy=f"{kind}+optimizer", why="", spec={"kind": kind}, beside=(adam,))
        for kind in ("layer_norm", "batch_norm")
    )
    judged = baseline.model_copy(
        update={"verdict": replace(baseline.verdict, answers=answers), "runs": {**baseline.runs, "queued": 1}}
    )
    first, *_ = answer_of([judged, part], "accuracy", None, [])
    assert first == (
        "So far (6 of 7 runs): use clip_norm, and confirm it on more than 3 seeds; it does not train yet, so try "
        "layer_norm with optimizer adam 0.001 too."
    )
    assert_short(first)


def test_a_network_that_does_what_its_data_allow_is_sent_to_the_data() -> None:
    near = [(0.0, 0.6 * CHANCE, metric) for metric in (0.79, 0.8, 0.81)]
    vote = {"neighbour_accuracy": 0.805, "test_cases": 400}
    first = compared(near, near, near, facts=vote).answer.split(". ")[0]
    assert first == "Look at the data, not at gradients: accuracy 0.8 is as good as a vote of the nearest cases (0.805)"
    assert_short(first)
    assert compared(near, [WELL] * 3, near, facts=vote).answer.startswith("Use batch_norm")


@pytest.mark.parametrize(
    ("metric", "share", "reaches"),
    [("accuracy", 0.8, "accuracy 0.5 is what the commonest label alone reaches (0.8)"),
     ("balanced accuracy", None, "balanced accuracy 0.5 is what the commonest label alone reaches")],
)  # fmt: skip
def test_what_is_left_to_try_comes_behind_the_data(metric: str, share: float | None, reaches: str) -> None:
    """The share is known of an accuracy alone."""
    baseline, part = compared([SICK] * 3, [SICK] * 3, remedies=[CLIP]).variants
    assert baseline.verdict is not None
    advised = Answer(remedy="batch_norm", why="", spec={"kind": "batch_norm"})
    verdict = replace(baseline.verdict, causes=("class_imbalance",), answers=(advised,))
    reached = baseline.outcomes.metric_of_all
    assert reached is not None
    outcomes = baseline.outcomes.model_copy(
        update={"majority_share": share, "metric_of_all": replace(reached, mean=0.5)}
    )
    judged = baseline.model_copy(update={"verdict": verdict, "outcomes": outcomes})
    first, second, *_ = answer_of([judged, part], metric, None, [])
    assert (first, second) == (f"Look at the data first: {reaches}.", "Then try batch_norm.")


def test_no_smaller_part_of_the_way_than_a_thousandth_is_named() -> None:
    still = [[(-9.0, CHANCE * (0.9 + spread * seed), 0.1) for seed in range(5)] for spread in (0.0, 1e-8)]
    assert (
        "batch_norm (vanishing, a difference of 0.001 of the way would have been seen)"
        in compared(*still, still[0]).answer
    )


@pytest.mark.parametrize(("count", "trains"), [(0, "but trains in 0 of 5 runs"), (5, "and trains in 5 of 5 runs")])
def test_what_helped_before_and_does_not_train_is_told_by_but(count: int, trains: str) -> None:
    helped = EarlierVariant(
        experiment_id=str(uuid.UUID(int=0)),
        name="scaled",
        remedies=({"kind": "scaled"},),
        success=Success(count=count, of=5, low=0.0, high=1.0),
        grade=Grade(degree="improves", certainty="shown", by="loss"),
    )
    (said,) = told_earlier([helped])
    assert said == f"In an earlier experiment on this baseline, scaled (residual branches) improves it, {trains}"


def test_several_remedies_at_once_are_one_with_the_others() -> None:
    kinds = ({"kind": "rezero"}, {"kind": "batch_norm"}, {"kind": "l2"})
    said = [answer_words(Answer(remedy="", why="", spec=kinds[0], beside=kinds[1:count])) for count in (1, 2, 3)]
    assert said == ["rezero", "rezero with batch_norm", "rezero with batch_norm and l2"]


def test_the_brief_says_what_a_trial_does_not_show() -> None:
    chance = [(0.0, CHANCE, 0.1)] * 3
    found = _noisy(chance, [(0.0, 0.9 * CHANCE + 0.03 * seed, 0.1) for seed in (-1, 0, 1)])
    _, _, why, _, _ = brief_of(found, "")
    assert (
        why
        == "Why: dropout noise (by the baseline's measurements); initialisation (the trial points to it on few seeds)."
    )


def test_chance_is_told_where_it_is_first_used_and_once() -> None:
    found = compared([SICK] * 5, [WELL] * 5, facts={"majority_share": 0.113, "test_cases": 360})
    first, *rest = [sentence for sentence in re.split(r"(?<=\.) (?=[A-Z])", found.answer) if "hance" in sentence]
    assert first.endswith("on average its training loss gets 0 % of the way from chance to 0.")
    assert rest == ["Chance is a loss of 2.3 and by the commonest label alone an accuracy of 0.113."]
    assert any(
        note.endswith("to zero; chance is a loss of 2.3 and by the commonest label alone an accuracy of 0.113")
        for note in found.notes
    )
    well = compared([WELL] * 5, [(0.0, 0.4 * CHANCE, 0.9)] * 5)
    assert "hance" not in well.answer
    stalled = compared([(0.0, CHANCE, 0.1)] * 5)
    _, told, *_ = brief_of(stalled, "")
    assert told.endswith("(0 of 5 runs train; chance is a loss of 2.3).")


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ((2.0, 2.02, 1.98, 2.01, 1.99), "a step costs ×2 (95 % 1.98 to 2.02, n = 5)"),
        ((1.3, 0.9, 1.8, 0.8, 2.4), ""),  # ln ratios of mean 0.26 and deviation 0.49
        ((2.0,), "a step costs about ×2"),
    ],
)
def test_the_cost_of_a_step_is_told_as_surely_as_it_is_known(times: tuple[float, ...], told: str) -> None:
    spec, variants = variants_of(NORM, network=HE, seeds={"count": len(times)})
    rows = [
        RunRow(
            v.name, seed, "succeeded", summary_of(v.plan, run[0], run[0], run[1], test_metric=run[2], step_seconds=its)
        )
        for v, run, all_of in zip(variants, (SICK, WELL), ((1.0,) * len(times), times), strict=True)
        for seed, its in enumerate(all_of)
    ]
    found = compare(Trial("e", spec, variants, rows))
    assert ("a step costs" in found.answer) == bool(told)
    assert told in found.answer
    assert ("A step is not shown to take longer or shorter" in found.variants[1].sentence) == (not told)
    assert ("A step takes" in found.variants[1].sentence) == bool(told)


def test_a_variant_at_chance_beside_a_baseline_above_it_is_told_so() -> None:
    above = [(-9.0, 2.0, 0.4 + 0.01 * seed) for seed in range(5)]
    found = compared(above, [SICK] * 5, above)
    assert "batch_norm harms it: stays 0.32" in found.answer
    one = compared(above[:1], [SICK], above[:1])
    assert "batch_norm (vanishing, at chance where the baseline is not)." in one.answer


@pytest.mark.parametrize(("tuned", "rate"), [(None, "0.5"), ({"learning_rate": 0.02}, "0.02")])
def test_a_rate_that_broke_training_is_named_with_its_optimiser(tuned: dict[str, float] | None, rate: str) -> None:
    baseline = compared([SICK] * 5).variants[0]
    assert baseline.verdict is not None
    part = baseline.model_copy(update={"tuned": tuned})
    causes = [ShownCause(cause="learning_rate", shown_by="rule")]
    said = answer_of([part], "accuracy", SgdSpec(kind="sgd", learning_rate=0.5, momentum=0.9), causes)
    assert f"By the baseline's measurements the cause is learning rate (sgd {rate} momentum 0.9)." in said


def test_untrained_networks_are_told_by_their_gradients() -> None:
    found = compared([SICK] * 5, [WELL] * 5, [SICK] * 5, steps=0, epochs=None)
    assert (
        "in the untrained network, at the start beyond ±3 in hidden.0 to hidden.11. By the baseline's measurements the "
        "cause is " in found.answer
    )
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
    assert compare(Trial("e", spec, variants, rows)).answer == (
        "So far (2 of 3 runs): no run of the baseline has ended: there is nothing to compare with yet."
    )


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("queued", "So far (3 of 5 runs): no remedy needed: the baseline trains in 2 of 2 runs"),
        ("running", "So far (3 of 5 runs): no remedy needed: the baseline trains in 2 of 2 runs"),
        ("failed", "No remedy needed: the baseline trains in 2 of 2 runs"),
        ("cancelled", "No remedy needed: the baseline trains in 2 of 2 runs"),
    ],
)
def test_while_runs_are_missing_an_answer_holds_so_far(state: str, said: str) -> None:
    spec, variants = variants_of(NORM, network=HE, seeds={"count": 2})
    whole = [
        RunRow("baseline", seed, "succeeded", summary_of(variants[0].plan, 0.0, 0.0, LEARNED, test_metric=0.9))
        for seed in range(2)
    ]
    rows = [*whole, RunRow("baseline", 2, "failed"), RunRow("batch_norm", 0, state), RunRow("batch_norm", 1, state)]
    answer = compare(Trial("e", spec, variants, rows)).answer
    assert answer.startswith(said)
    assert_short(answer)


def test_what_all_that_are_unclear_share_is_said_once() -> None:
    noisy = [(-9.0, 2.0 + 0.02 * seed, 0.2 + 0.01 * seed) for seed in range(5)]
    answer = compared(noisy, noisy[::-1], noisy[::-1]).answer
    assert re.search(
        r"No difference shown: batch_norm [^;]*, clip_norm [^;]*; of each a difference of 0\.\d+ of the way", answer
    )
    assert answer.count("would have been seen") == 1


def test_what_is_shown_and_below_a_hundredth_of_the_way_is_not_called_no_difference() -> None:
    """The forest plot beside it shows an interval without 0."""
    healthy = [(0.0, LEARNED, 0.90 + 0.01 * seed) for seed in range(5)]
    slightly = [(gain, loss, metric + 0.005 + 0.0002 * seed) for seed, (gain, loss, metric) in enumerate(healthy)]
    found = compared(healthy, slightly, healthy[::-1])
    told = re.search(r"Too small to matter: batch_norm \(accuracy differs by \+0\.005[^.]*", found.answer)
    assert told is not None, found.answer
    assert re.search(r"No difference shown: clip_norm", found.answer)
    slight = found.variants[1].versus_baseline
    assert slight is not None
    assert slight.grade is not None
    assert slight.grade.degree == "no_difference_shown"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"dataset": {"kind": "teacher_student"}}, "R² "),
        ({"metric": "balanced_accuracy"}, "Balanced accuracy "),
    ],
)
def test_the_metric_is_told_in_words(changes: dict[str, Any], name: str) -> None:
    found = compared([SICK] * 5, [WELL] * 5, [SICK] * 5, **changes)
    assert name in found.answer
    assert not re.search(r"\b[rR]2\b|balanced_accuracy", f"{found.answer} {[part.sentence for part in found.variants]}")
    assert not re.search(r"\b[rR]2\b|balanced_accuracy", " ".join(brief_of(found, "")))


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
    waiting = baseline.model_copy(update={"runs": {**baseline.runs, "queued": 1}})
    early = " ".join(answer_of([waiting, *others], "accuracy", None, found.causes))
    assert early.startswith("So far (9 of 10 runs): ")
    assert_short(early)
    degrees = {}
    for part in others:
        assert part.versus_baseline is not None
        assert part.versus_baseline.grade is not None
        degrees[part.name] = part.versus_baseline.grade.degree
        _agrees(part.name, part.versus_baseline, found.answer)
    helps = {"repairs", "improves"} & set(degrees.values())
    assert not any(found.answer.startswith(f"Use {part.name}") for part in others if _lowers_loss_alone(part))
    assert ("No remedy needed" in found.answer) == (baseline.verdict.kind == "healthy" and not helps)


def _lowers_loss_alone(part: VariantComparison) -> bool:
    versus = part.versus_baseline
    assert versus is not None
    assert versus.grade is not None
    further = versus.progress["metric"].difference.mean
    trains = part.verdict is not None and part.verdict.trained == "yes"
    return versus.grade.by == "loss" and not trains and further is not None and further < 0.01


def _agrees(name: str, versus: VersusBaseline, answer: str) -> None:
    """The variant is told once, by its grade, and its grade is what its figures show."""
    grade = versus.grade
    assert grade is not None
    told = re.findall(rf"\b{name} (?:seems to )?(repair|improve|harm)s? it: ", answer)
    assert told == [grade.degree.removesuffix("s")] * (grade.degree in {"repairs", "improves", "harms"})
    assert (f"{name} seems to" in answer) == (grade.certainty == "promising")
    unlike = re.findall(r"(?:No difference shown|Too small to matter): (?:[^.]|\.\d)*\.", answer)
    assert sum(name in sentence for sentence in unlike) == (grade.degree == "no_difference_shown")
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
