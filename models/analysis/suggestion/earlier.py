"""What an experiment that has ended leaves open: causes that its verdict names and no variant there tested alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gradient_clinic.verdict.case import Setup
from gradient_clinic.verdict.shapes import CAUSES, Cause
from models.analysis.comparison.causes_by_trial import changed_cause
from models.analysis.comparison.parts import EarlierVariant, VariantComparison
from models.analysis.suggestion.changes import changes_for
from models.analysis.suggestion.suspects import Suspect, rates
from models.analysis.verdict.record import read, remedies_of
from models.plan import Plan, Variant, plan_with
from models.specs.optimizer import OptimizerSpec
from models.specs.remedy import RemedySpec

WHY_RATES: Final = "no single change is left that tests a cause of that verdict, and no rate was tried there"


@dataclass(frozen=True, slots=True)
class Earlier:
    """``named``: causes by rule of the verdict on the baseline. ``tested``: causes that a variant alone speaks of,
    there or before. ``tried``: the changes that such variants made. ``answers``: the verdict's remedies by kind, with
    values that fit ``optimizer``, which it was trained by.
    """

    named: tuple[Cause, ...]
    tested: frozenset[Cause]
    tried: tuple[RemedySpec, ...]
    answers: Mapping[str, RemedySpec]
    optimizer: OptimizerSpec


def earlier_of(
    variants: Sequence[Variant], compared: Sequence[VariantComparison], before: Sequence[EarlierVariant]
) -> Earlier | None:
    """Both in one order, the baseline first; ``before``: what others had tried on it already. Variants of which no run
    succeeded have tested nothing; None where that holds for the baseline.
    """
    verdict = compared[0].verdict
    if verdict is None:
        return None
    baseline = variants[0].plan
    trained = [variant for variant, its in zip(variants[1:], compared[1:], strict=True) if its.runs["succeeded"]]
    trained += [Variant(its.name, held, plan_with(baseline, *held)) for its in before for held in [read(its.remedies)]]
    changed = [changed_cause(baseline, variant) for variant in trained]
    return Earlier(
        named=tuple(cause for cause in verdict.causes if cause != CAUSES[-1]),
        tested=frozenset(cause for cause in changed if cause is not None),
        tried=tuple(variant.remedies[0] for variant in trained if len(variant.remedies) == 1),
        answers={answer.remedy: remedies_of(answer)[0] for answer in verdict.answers if not answer.beside},
        optimizer=baseline.optimizer,
    )


def suspects_after(earlier: Earlier, plan: Plan, setup: Setup) -> Iterator[Suspect]:
    """With the verdict's own value where it has one for such a change, and for this optimiser."""
    answers = earlier.answers if plan.optimizer == earlier.optimizer else {}
    for cause in earlier.named:
        if cause in earlier.tested:
            continue
        why = "the verdict names it, and no variant there has tested it alone"
        changes = (answers.get(change.kind, change) for change in changes_for(cause, plan, setup))
        untried = tuple(change for change in dict.fromkeys(changes) if change not in earlier.tried)
        split = [(one,) for one in untried] if cause == "learning_rate" else [untried]
        yield from (Suspect(cause, why, its) for its in split)


def rates_after(earlier: Earlier, plan: Plan, setup: Setup) -> tuple[Suspect, ...]:
    if "learning_rate" in earlier.tested:
        return ()
    return tuple(rates(plan, setup, WHY_RATES))
