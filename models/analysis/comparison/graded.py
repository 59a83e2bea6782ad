"""Each variant of a comparison in words, once, by its grade (``grade.py``): what it did, and the figure that shows it.

One of which nothing is shown is not called useless: beside it stands the smallest difference that would have shown.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

from gradient_clinic.intervals import Estimate
from gradient_clinic.verdict.facts.of_losses import FALLING
from gradient_clinic.verdict.shapes import Verdict
from gradient_clinic.verdict.wording import capital, either, estimate_words, kind_words, number
from models.analysis.comparison.grade import FEWEST, MATERIAL, VERBS, is_promising, named, of_runs
from models.analysis.comparison.parts import (
    Degree,
    Grade,
    Success,
    VariantComparison,
    VersusBaseline,
    is_slight,
)

LEAST: Final = 0.001
"""Of the way from chance: where no loss moves their spread is nearly 0, and a smaller part tells nobody anything."""


def of_degree(
    parts: Sequence[VariantComparison], degree: Degree, supported: AbstractSet[str] = frozenset()
) -> list[VariantComparison]:
    """What is shown before what is promising, then most successes first, then the best metric; but of those that the
    metric does not tell from the first, one that mends a known cause goes before it.
    """
    those = [part for part in parts if (grade := part.grade) is not None and grade.degree == degree]
    ordered = sorted(those, key=_rank)
    for part in ordered:
        if part.name in supported and _is_alike(part, ordered[0]):
            return [part, *(other for other in ordered if other is not part)]
    return ordered


def _rank(part: VariantComparison) -> tuple[bool, float, float]:
    metric = part.outcomes.metric_of_all
    reached = metric.mean if metric is not None and metric.mean is not None else 0.0
    return is_promising(part), -_share(part), -reached


def _share(part: VariantComparison) -> float:
    success = part.outcomes.success
    return success.count / success.of if success.of else 0.0


def _is_alike(part: VariantComparison, first: VariantComparison) -> bool:
    """As sure, as often trained, and of a metric whose interval meets that of the first."""
    ours, best = part.outcomes.metric_of_all, first.outcomes.metric_of_all
    high, low = (None if ours is None else ours.high), (None if best is None else best.low)
    # With one seed there is no interval, and nothing that would tell them apart.
    meet = high is None or low is None or high >= low
    return is_promising(part) == is_promising(first) and _share(part) == _share(first) and meet


def lowers_loss_alone(part: VariantComparison) -> bool:
    """It does not train, and a metric that is known comes no further: it may only learn its cases by heart."""
    grade, verdict = part.grade, part.verdict
    if grade is None or grade.by != "loss" or verdict is None or verdict.trained in {"yes", None}:
        return False
    further = versus_of(part).progress["metric"].difference.mean
    return further is not None and further < MATERIAL["metric"]


def seeds_of(part: VariantComparison) -> str:
    return of_runs(part.outcomes.success)


def is_falling(verdict: Verdict) -> bool:
    """In most of its seeds."""
    those = [item.seeds for item in verdict.evidence if item.statistic == FALLING.name]
    return bool(those) and 2 * those[0] > sum(verdict.seeds.values())


def told(part: VariantComparison, metric: str) -> Iterator[str]:
    """What a variant with a grade did, with the figures that show it; what it costs; what it still lacks."""
    grade = part.grade
    assert grade is not None  # it is graded
    few = " only" * (part.outcomes.success.of < FEWEST)
    sure = f"On {seeds_of(part)}{few}, " if is_promising(part) else ""
    yield f"{sure}{named(part)} {VERBS[grade.degree, grade.certainty]} it: {_figure(part, metric)}"
    if reached := _reached(part, grade, metric):
        yield capital(reached)
    if grade.degree == "improves" and part.verdict is not None and part.verdict.trained not in {"yes", None}:
        yield f"It does not train yet{', and its loss was still falling' * is_falling(part.verdict)}"


def _figure(part: VariantComparison, metric: str) -> str:
    """The figure that it is shown by."""
    versus = versus_of(part)
    if versus.shown_by == "gradients":
        return f"gradients {part.verdict.at_start.kind if part.verdict else 'not known'} before training"
    if versus.shown_by == "success_difference":
        return f"trains in {rate(part.outcomes.success)}"
    difference = versus.shown_difference
    assert difference is not None  # a grade rests on it
    if versus.shown_by == "metric_difference":
        return f"{metric} differs by {estimate_words(difference, signed=True)}"
    way = f"on the way from chance to {f'{metric} 1' if versus.shown_by == 'metric_progress' else 'loss 0'}"
    if difference.mean is None or difference.mean >= 0.0:
        return f"gets {estimate_words(difference)} further {way}"
    return f"stays {estimate_words(_negated(difference))} behind {way}"


def _reached(part: VariantComparison, grade: Grade, metric: str) -> str:
    """What it reaches, and what a step of it costs."""
    said = []
    if grade.by == "success" and part.outcomes.metric.mean is not None:
        said.append(f"{metric} {estimate_words(part.outcomes.metric)}")
    if grade.by != "gradients":
        said += _cost(part.cost.step_time_ratio)
    return ", ".join(said)


def _cost(ratio: Estimate) -> Iterator[str]:
    """Only where it can be told from ×1; of one seed nothing says whether it can."""
    if ratio.mean is None:
        return
    if ratio.low is None or ratio.high is None:
        yield f"a step costs about ×{number(ratio.mean, 2)}"
    elif ratio.low > 1.0 or ratio.high < 1.0:
        yield f"a step costs ×{estimate_words(ratio)}"


def _negated(estimate: Estimate) -> Estimate:
    mean, low, high = (None if one is None else -one for one in (estimate.mean, estimate.high, estimate.low))
    return replace(estimate, mean=mean, low=low, high=high)


def between(ordered: Sequence[VariantComparison], metric: str) -> Iterator[str]:
    """The first beside the others, by the intervals of what they reach."""
    reached = {part.name: mean for part in ordered if (mean := part.outcomes.metric_of_all) is not None}
    if len(reached) < 2:
        return
    first, *others = reached
    low = reached[first].low
    below = [name for name in others if low is not None and (high := reached[name].high) is not None and high < low]
    if below:
        yield f"By {metric} {first} lies above {', '.join(below)}: their intervals do not meet"
    if rest := [name for name in others if name not in below]:
        few = ", on so few seeds" * (ordered[0].outcomes.success.of < FEWEST)
        yield f"By {metric} no difference is shown between {first} and {either(rest)}{few}"


def rate(success: Success) -> str:
    return f"{success.count} of {success.of} runs (95 % {number(success.low)} to {number(success.high)})"


def rest(verdict: Verdict, others: Sequence[VariantComparison], metric: str) -> Iterator[str]:
    """The variants that have no effect to tell of."""
    if idle := of_degree(others, "changes_nothing"):
        yield f"Changed nothing here, traces equal to the baseline's bit for bit in every seed: {names_of(idle)}"
    unlike = of_degree(others, "no_difference_shown")
    if slight := [part for part in unlike if is_slight(part.grade, versus_of(part).progress)]:
        each = ", ".join(f"{part.name} ({_figure(part, metric)})" for part in slight)
        yield f"Too small to matter: {each}"
    if unclear := [part for part in unlike if part not in slight]:
        smallest = {part.name: _smallest(part) for part in unclear}
        alike = len(unclear) > 1 and len(set(smallest.values())) == 1 and smallest[unclear[0].name]
        each = ", ".join(_unclear(part, verdict, "" if alike else smallest[part.name]) for part in unclear)
        yield f"No difference shown: {each}{f'; of each {alike}' if alike else ''}"
    if unknown := [part for part in others if part.grade is None]:
        yield f"No run has ended of: {names_of(unknown)}"


def versus_of(part: VariantComparison) -> VersusBaseline:
    assert part.versus_baseline is not None  # it is graded
    return part.versus_baseline


def _smallest(part: VariantComparison) -> str:
    """'a difference of 0.04 of the way would have been seen'."""
    smallest = versus_of(part).progress["loss"].smallest_shown
    if smallest is None or smallest >= 1.0:
        return ""
    return f"a difference of {number(max(smallest, LEAST), 1)} of the way would have been seen"


def _unclear(part: VariantComparison, baseline: Verdict, smallest: str) -> str:
    """'layer_norm (dead, a difference of 0.04 of the way would have been seen)'."""
    assert part.verdict is not None  # it is graded
    fate: list[str] = [] if part.verdict.kind == "healthy" else [kind_words(part.verdict.kind)]
    if baseline.trained == "partly" and part.verdict.trained == "no":
        fate.append("at chance where the baseline is not")
    if smallest:
        fate.append(smallest)
    return f"{named(part)} ({', '.join(fate)})" if fate else named(part)


def names_of(parts: Sequence[VariantComparison]) -> str:
    return ", ".join(part.name for part in parts)
