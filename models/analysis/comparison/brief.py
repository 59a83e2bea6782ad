"""A comparison in five lines, for a chat, a terminal or an agent."""

from collections.abc import Sequence

from gradient_clinic.verdict.sentences import headline
from gradient_clinic.verdict.wording import metric_words, number, words
from models.analysis.comparison.from_chance import chance_words
from models.analysis.comparison.grade import VERBS, named
from models.analysis.comparison.graded import versus_of
from models.analysis.comparison.parts import Comparison, VariantComparison, is_slight


def brief_of(comparison: Comparison, to_do: str) -> tuple[str, ...]:
    """What to do (the answer's first sentence), what is wrong, why, what each variant did, under which conditions."""
    baseline, *others = comparison.variants
    return (
        to_do,
        _found(baseline, metric_words(comparison.metric)),
        _why(comparison),
        _variants(others),
        _conditions(comparison),
    )


def _found(baseline: VariantComparison, metric: str) -> str:
    if baseline.verdict is None:
        return "Found: nothing yet, no run of the baseline has ended."
    success = baseline.outcomes.success
    said, chance = headline(baseline.verdict), chance_words(baseline, metric)
    facts = [f"{success.count} of {success.of} runs train"] if success.of else []
    facts += [chance] if chance and "chance" in said else []
    beside = f" ({'; '.join(facts)})" if facts else ""
    return f"Found: {said}{beside}."


def _why(comparison: Comparison) -> str:
    certain = {part.name for part in comparison.variants if part.grade is not None and part.grade.certainty == "shown"}
    ways: dict[str, list[str]] = {}
    for shown in comparison.causes:
        if shown.shown_by == "rule":
            way = "by the baseline's measurements"
        else:
            few = "" if certain.intersection(shown.variants) else " on few seeds"
            way = f"the trial {'agrees' if shown.cause in ways else 'points to it'}{few}"
        ways.setdefault(shown.cause, []).append(way)
    said = "; ".join(f"{words(cause)} ({', '.join(by)})" for cause, by in ways.items())
    return f"Why: {said or 'no cause found'}."


def _variants(others: Sequence[VariantComparison]) -> str:
    return f"Variants: {'; '.join(map(_graded, others)) or 'none but the baseline'}."


def _graded(part: VariantComparison) -> str:
    if part.grade is None:
        return f"{named(part)} not run yet"
    success = part.outcomes.success
    rate = f", {success.count} of {success.of} train" if success.of else ""
    slight = is_slight(part.grade, versus_of(part).progress)
    did = "too small to matter" if slight else VERBS[part.grade.degree, part.grade.certainty]
    return f"{named(part)} {did}{rate}"


def _conditions(comparison: Comparison) -> str:
    verdict = comparison.variants[0].verdict
    under = "" if verdict is None else f"{verdict.conditions}, "
    seconds = sum(part.cost.device_seconds or 0.0 for part in comparison.variants)
    ended = sum(part.runs.get("succeeded", 0) for part in comparison.variants)
    return f"Under: {under}{ended} runs, {number(seconds, 2)} device seconds."
