"""The answer of a whole comparison in a few sentences: what is wrong, which remedies are shown to help, and how surely.

Shown is what an interval or a Holm-corrected test of the comparison shows; a remedy of which neither does is not called
useless.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

from models.analysis.comparison_parts import Success, VariantComparison
from models.analysis.power import ALPHA
from models.analysis.sentences import NO_REMEDY, headline
from models.analysis.wording import estimate_words, number, words

Effect = Literal["helps", "harms", "not shown", "not known"]
MOST_ANSWERS: Final = 3
TOLD: Final = {"activation": "function", "init": "init", "learning_rate": "value", "optimizer": "optimizer"}
"""What a remedy of these kinds is, beside its name."""
SICK: Final = frozenset({"vanishing", "exploding"})


def answer_of(parts: Sequence[VariantComparison], metric: str) -> str:
    """``parts``: the baseline first. Every other variant is named once."""
    baseline, *others = parts
    if baseline.verdict is None:
        return "No run of the baseline has ended: there is nothing to compare with yet."
    those: dict[Effect, list[VariantComparison]] = {}
    for part in others:
        those.setdefault(effect_of(part, baseline), []).append(part)
    said = [_state(baseline), *_helping(those.get("helps", []), metric), *_others(baseline, those)]
    return " ".join(f"{sentence}." for sentence in said)


def effect_of(part: VariantComparison, baseline: VariantComparison) -> Effect:
    """What is shown of a variant against the baseline."""
    versus = part.versus_baseline
    if part.verdict is None or versus is None or baseline.verdict is None:
        return "not known"
    if part.verdict.trained is None:  # untrained networks: gradients are all there is
        now, before = part.verdict.at_start.kind, baseline.verdict.at_start.kind
        return "helps" if before in SICK and now == "healthy" else "harms" if _falls_ill(before, now) else "not shown"
    bounds = [(versus.success_difference.low, versus.success_difference.high)]
    if versus.p_holm is not None and versus.p_holm < ALPHA:
        bounds.append((versus.metric_difference.low, versus.metric_difference.high))
    if any(high is not None and high < 0.0 for _, high in bounds):
        return "harms"
    return "helps" if any(low is not None and low > 0.0 for low, _ in bounds) else "not shown"


def _falls_ill(before: str, now: str) -> bool:
    return before == "healthy" and now in SICK


def _state(baseline: VariantComparison) -> str:
    verdict = baseline.verdict
    assert verdict is not None  # noqa: S101 -- asked before
    if verdict.kind == "healthy":
        trains = "" if verdict.trained is None else f": the baseline trains in {_rate(baseline.outcomes.success)}"
        return f"{NO_REMEDY[:1].upper()}{NO_REMEDY[1:]}{trains}"
    causes = [words(cause) for cause in verdict.causes if cause != "no_gradient_cause_found"]
    because = f"; cause{'s' if len(causes) > 1 else ''}: {', '.join(causes)}" if causes else ""
    trains = "" if verdict.trained is None else f"The baseline trains in {_rate(baseline.outcomes.success)}. "
    return f"{trains}{headline(verdict)}{because}"


def _helping(helping: Sequence[VariantComparison], metric: str) -> Iterator[str]:
    """Most successes first, then the best metric among them."""
    if not helping:
        return
    ordered = sorted(helping, key=_rank)
    yield f"Shown to help: {'; '.join(f'{_named(part)} ({_how(part, metric)})' for part in ordered)}"
    if len(helping) > 1 and ordered[0].outcomes.success.of:
        yield f"In order of successes, then of {metric}; which of them is best was not tested"


def _named(part: VariantComparison) -> str:
    """'activation relu'."""
    told = [remedy[TOLD[kind]] for remedy in part.remedies if (kind := str(remedy["kind"])) in TOLD]
    values = [str(its["kind"] if isinstance(its, dict) else its) for its in told]
    return " ".join([part.name, *(value for value in values if value not in part.name)])


def _rank(part: VariantComparison) -> tuple[float, float]:
    success, metric = part.outcomes.success, part.outcomes.metric.mean
    return -(success.count / success.of) if success.of else 0.0, -metric if metric is not None else 0.0


def _how(part: VariantComparison, metric: str) -> str:
    versus = part.versus_baseline
    assert versus is not None  # noqa: S101 -- an effect is known
    if not part.outcomes.success.of:
        return "gradients healthy before training"
    said = [f"trains in {_rate(part.outcomes.success)}"]
    if part.outcomes.metric.mean is not None:
        said.append(f"{metric} {estimate_words(part.outcomes.metric)}")
    difference = versus.metric_difference
    if versus.p_holm is not None and versus.p_holm < ALPHA and difference.mean is not None:
        said.append(f"{estimate_words(difference, signed=True)} against the baseline")
    if part.cost.step_time_ratio.mean is not None:
        said.append(f"a step costs ×{number(part.cost.step_time_ratio.mean)}")
    return ", ".join(said)


def _rate(success: Success) -> str:
    return f"{success.count} of {success.of} runs (95 % {number(success.low)} to {number(success.high)})"


def _others(baseline: VariantComparison, those: dict[Effect, list[VariantComparison]]) -> Iterator[str]:
    assert baseline.verdict is not None  # noqa: S101 -- asked before
    if harmful := those.get("harms"):
        yield f"Shown to harm: {_names(harmful)}"
    if unclear := those.get("not shown"):
        yield f"Not shown to help or to harm: {_names(unclear)}"
    if unknown := those.get("not known"):
        yield f"No run has ended of: {_names(unknown)}"
    tried = {str(remedy["kind"]) for parts in those.values() for part in parts for remedy in part.remedies}
    left = [answer.remedy for answer in baseline.verdict.answers if answer.remedy not in tried]
    if left and "helps" not in those:
        yield f"Worth trying: {', '.join(left[:MOST_ANSWERS])}"


def _names(parts: Sequence[VariantComparison]) -> str:
    return ", ".join(part.name for part in parts)
