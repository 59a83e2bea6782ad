"""What a variant is beside the baseline: it repairs, improves, harms, or no difference is shown."""

from collections.abc import Mapping, Sequence
from typing import Final

from gradient_clinic.intervals import Estimate
from gradient_clinic.verdict.shapes import Verdict
from gradient_clinic.verdict.wording import values_of
from models.analysis.comparison.parts import (
    By,
    Certainty,
    Degree,
    EarlierVariant,
    Grade,
    Measure,
    Progress,
    Success,
    VariantComparison,
)
from models.analysis.statistics.power import ALPHA
from models.analysis.verdict.variant import SHARE

FEWEST: Final = 5
"""Seeds below which what helps is called promising: with four, a remedy that always trains beside a baseline that never
does is still one in eight by luck (two-sided sign test)."""
MOST_BY_LUCK: Final = 0.1
"""p of a variant's own test, by either measure, below which its seeds agree: of remedies that do nothing one in ten is
called promising where both are looked at, and one in twenty where one is."""
MATERIAL: Final[Mapping[Measure, float]] = {"metric": 0.01, "loss": 0.05}
"""Of the way from chance: less is told by its figures and is no improvement. The training loss also falls where a
network learns its cases by heart, so more is asked of it.
"""
HELPS: Final = frozenset({"repairs", "improves"})
SICK: Final = frozenset({"vanishing", "exploding"})
VERBS: Final[Mapping[tuple[Degree, Certainty | None], str]] = {
    ("repairs", "shown"): "repairs",
    ("repairs", "promising"): "seems to repair",
    ("improves", "shown"): "improves",
    ("improves", "promising"): "seems to improve",
    ("harms", "shown"): "harms",
    ("harms", "promising"): "seems to harm",
    ("no_difference_shown", None): "no difference shown",
    ("changes_nothing", "shown"): "changes nothing",
}
"""A grade in words."""


def is_promising(part: VariantComparison | EarlierVariant) -> bool:
    grade = part.grade
    return grade is not None and grade.certainty == "promising"


def named(part: VariantComparison | EarlierVariant) -> str:
    """'activation relu'."""
    values = [value for remedy in part.remedies for value in values_of(remedy)]
    return " ".join([part.name, *(value for value in values if value not in part.name)])


def of_runs(success: Success) -> str:
    """One run is under each seed."""
    return "1 seed" if success.of == 1 else f"{success.of} seeds"


def grade_of_gradients(before: Verdict, now: Verdict) -> Grade:
    """Of untrained networks, whose gradients are all there is."""
    if before.at_start.kind in SICK and now.at_start.kind == "healthy":
        return _grade("repairs", "gradients", now.at_start.total_gain.n, shown=True)
    if before.at_start.kind == "healthy" and now.at_start.kind in SICK:
        return _grade("harms", "gradients", now.at_start.total_gain.n, shown=True)
    return Grade(degree="no_difference_shown")


def grade_of_runs(
    ours: Sequence[bool],
    theirs: Sequence[bool],
    successes: Estimate,
    progress: Mapping[Measure, Progress],
    off_chance: Sequence[int] = (),
) -> Grade:
    """``ours``, ``theirs``: which seeds train, paired; ``successes``: the difference in their share. What is shown goes
    before what is promising. Where all runs train, only the metric of the test part is left to improve; else both
    measures are looked at, and what is shown is shown at half the level. ``off_chance``: of each pair, 1 where the
    variant alone ended below chance by more than its loss's noise, −1 where the baseline alone did.
    """
    all_train = all(ours) and all(theirs) and progress["metric"].difference.mean is not None
    measures: tuple[Measure, ...] = ("metric",) if all_train else ("metric", "loss")
    for shown, level in ((True, ALPHA / len(measures)), (False, MOST_BY_LUCK)):
        if degree := _by_success(ours, theirs, successes, shown=shown):
            return _grade(degree, "success", len(ours), shown=shown)
        for measure in measures:
            if degree := _by_progress(measure, progress[measure], level, shown=shown):
                return _grade(degree, measure, progress[measure].difference.n, shown=shown)
    # The last resort, and never more than promising: every seed left chance, all to one side.
    if len(off_chance) > 1 and abs(sum(off_chance)) == len(off_chance):
        return _grade("improves" if off_chance[0] > 0 else "harms", "loss", len(off_chance), shown=False)
    return Grade(degree="no_difference_shown")


def _grade(degree: Degree, by: By, seeds: int, *, shown: bool) -> Grade:
    certainty: Certainty = "shown" if shown and (seeds >= FEWEST or by == "gradients") else "promising"
    return Grade(degree=degree, certainty=certainty, by=by)


def _by_success(ours: Sequence[bool], theirs: Sequence[bool], difference: Estimate, *, shown: bool) -> Degree | None:
    """Shown by the interval of the difference; else promising where nearly all of one train and half of them more
    than of the other.
    """
    if shown:
        if difference.low is not None and difference.low > 0.0:
            return "repairs"
        return "harms" if difference.high is not None and difference.high < 0.0 else None
    if _trains_far_more(ours, theirs):
        return "repairs"
    return "harms" if _trains_far_more(theirs, ours) else None


def _trains_far_more(these: Sequence[bool], those: Sequence[bool]) -> bool:
    seeds = len(these)
    return seeds > 0 and sum(these) >= SHARE * seeds and 2 * (sum(these) - sum(those)) >= seeds


def _by_progress(measure: Measure, progress: Progress, level: float, *, shown: bool) -> Degree | None:
    """From 20 seeds on the interval is not the test's own; what is shown leaves 0 out of both."""
    p, mean = progress.p_holm if shown else progress.p, progress.difference.mean
    if p is None or mean is None or p >= level or abs(mean) < MATERIAL[measure]:
        return None
    if shown and (progress.difference.low or 0.0) <= 0.0 <= (progress.difference.high or 0.0):
        return None
    return "improves" if mean > 0.0 else "harms"
