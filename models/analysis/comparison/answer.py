"""The answer of a whole comparison in a few sentences: what is wrong, which remedies are shown to help, and how surely.

Shown is what an interval or a Holm-corrected test of the comparison shows; a remedy of which neither does is not called
useless.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from models.analysis.comparison.parts import Success, VariantComparison
from models.analysis.gains.limits import LIMIT
from models.analysis.statistics.intervals import Estimate
from models.analysis.statistics.power import ALPHA
from models.analysis.verdict import further_facts
from models.analysis.verdict.sentences import NO_REMEDY, headline
from models.analysis.verdict.shapes import Answer, Verdict
from models.analysis.verdict.wording import estimate_words, number, spans, words
from models.plan.variants import optimizer_words
from models.specs.optimizer import OptimizerSpec

Effect = Literal["helps", "harms", "nothing", "not shown", "not known"]
MOST_ANSWERS: Final = 3
TOLD: Final = {"activation": "function", "init": "init", "learning_rate": "value", "optimizer": "optimizer"}
"""What a remedy of these kinds is, beside its name."""
FEWEST: Final = 5
"""Seeds below which what helps is called promising: with four, a remedy that always trains beside a baseline that never
does is still one in eight by luck (two-sided sign test)."""
SICK: Final = frozenset({"vanishing", "exploding"})


def answer_of(parts: Sequence[VariantComparison], metric: str, optimizer: OptimizerSpec) -> tuple[str, ...]:
    """A string for each sentence. ``parts``: the baseline first; every other variant is named once. ``optimizer``: that
    of the baseline, as the spec has it.
    """
    baseline, *others = parts
    verdict = baseline.verdict
    if verdict is None:
        return ("No run of the baseline has ended: there is nothing to compare with yet.",)
    by_effect: dict[Effect, list[VariantComparison]] = {}
    for part in others:
        by_effect.setdefault(effect_of(part, baseline), []).append(part)
    state = _state(baseline, verdict, optimizer)
    sentences = (*state, *_helping(by_effect.get("helps", []), metric), *_others(verdict, by_effect))
    return tuple(f"{sentence}." for sentence in sentences)


def effect_of(part: VariantComparison, baseline: VariantComparison) -> Effect:
    """What is shown of a variant against the baseline."""
    versus = part.versus_baseline
    if part.verdict is None or versus is None or baseline.verdict is None:
        return "not known"
    if versus.changes_nothing:
        return "nothing"
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


def _state(baseline: VariantComparison, verdict: Verdict, optimizer: OptimizerSpec) -> Iterator[str]:
    trains = None if verdict.trained is None else f"baseline trains in {_rate(baseline.outcomes.success)}"
    if verdict.kind == "healthy":
        beside = "" if trains is None else f": the {trains}"
        yield f"{NO_REMEDY[:1].upper()}{NO_REMEDY[1:]}{beside}"
        return
    if trains is not None:
        yield f"The {trains}"
    yield f"{headline(verdict)}{_where(baseline, verdict)}{_because(baseline, verdict, optimizer)}"
    if _still_falling(verdict):
        yield "Its loss was still falling when training ended: more steps may be what it lacks"


def _where(baseline: VariantComparison, verdict: Verdict) -> str:
    """The hidden layers whose ratio to the last one starts beyond ±3 with its interval."""
    if verdict.kind not in SICK:
        return ""
    starts = {layer.layer: layer.at_start for layer in baseline.gradient.profile if layer.at_start is not None}
    beyond = {layer for layer, ratio in starts.items() if _is_beyond(ratio)}
    return f", at the start beyond ±{LIMIT:g} in {spans(list(starts), beyond)}" if beyond else ""


def _is_beyond(ratio: Estimate) -> bool:
    """Its whole interval; of one run the point."""
    low, high = (ratio.mean if bound is None else bound for bound in (ratio.low, ratio.high))
    return low is not None and high is not None and (low > LIMIT or high < -LIMIT)


def _because(baseline: VariantComparison, verdict: Verdict, optimizer: OptimizerSpec) -> str:
    """A rate that broke training is named with its optimiser."""
    tuned = None if baseline.tuned is None else baseline.tuned["learning_rate"]
    value = {"learning_rate": f" ({optimizer_words(optimizer, tuned)})"}
    causes = [words(cause) + value.get(cause, "") for cause in verdict.causes if cause != "no_gradient_cause_found"]
    return f"; cause{'s' if len(causes) > 1 else ''}: {', '.join(causes)}" if causes else ""


def _still_falling(verdict: Verdict) -> bool:
    """In most of the seeds."""
    seeds = [item.seeds for item in verdict.evidence if item.statistic == further_facts.FALLING]
    return bool(seeds) and 2 * seeds[0] > sum(verdict.seeds.values())


def _helping(helping: Sequence[VariantComparison], metric: str) -> Iterator[str]:
    """Most successes first, then the best metric among them."""
    if not helping:
        return
    ordered = sorted(helping, key=_rank)
    seeds = max(part.versus_baseline.success_difference.n for part in helping if part.versus_baseline is not None)
    trained = ordered[0].outcomes.success.of > 0
    shown = f"Promising, on {seeds} seeds only" if trained and seeds < FEWEST else "Shown to help"
    yield f"{shown}: {'; '.join(f'{_named(part)} ({_how(part, metric)})' for part in ordered)}"
    if len(helping) > 1 and trained:
        yield from _between(ordered, metric)


def _between(ordered: Sequence[VariantComparison], metric: str) -> Iterator[str]:
    """The first beside the others, by the intervals of what they reach."""
    first, *others = ordered
    low = first.outcomes.metric.low
    highs = {part.name: part.outcomes.metric.high for part in others}
    below = [name for name, high in highs.items() if low is not None and high is not None and high < low]
    rest = [name for name in highs if name not in below]
    if below:
        yield f"By {metric} {first.name} lies above {', '.join(below)}: their intervals do not meet"
    if rest:
        yield f"Between {first.name} and {', '.join(rest)} no difference is shown"


def _named(part: VariantComparison) -> str:
    """'activation relu'."""
    values = [remedy[TOLD[kind]] for remedy in part.remedies if (kind := str(remedy["kind"])) in TOLD]
    names = [str(value["kind"] if isinstance(value, dict) else value) for value in values]
    return " ".join([part.name, *(name for name in names if name not in part.name)])


def _rank(part: VariantComparison) -> tuple[float, float]:
    success, metric = part.outcomes.success, part.outcomes.metric.mean
    return -(success.count / success.of) if success.of else 0.0, -metric if metric is not None else 0.0


def _how(part: VariantComparison, metric: str) -> str:
    versus = part.versus_baseline
    assert versus is not None  # an effect is known
    if not part.outcomes.success.of:
        return "gradients healthy before training"
    parts = [f"trains in {_rate(part.outcomes.success)}"]
    if part.outcomes.metric.mean is not None:
        parts.append(f"{metric} {estimate_words(part.outcomes.metric)}")
    difference = versus.metric_difference
    if versus.p_holm is not None and versus.p_holm < ALPHA and difference.mean is not None:
        parts.append(f"{estimate_words(difference, signed=True)} against the baseline")
    if part.cost.step_time_ratio.mean is not None:
        parts.append(f"a step costs ×{number(part.cost.step_time_ratio.mean)}")
    return ", ".join(parts)


def _rate(success: Success) -> str:
    return f"{success.count} of {success.of} runs (95 % {number(success.low)} to {number(success.high)})"


def _others(verdict: Verdict, by_effect: dict[Effect, list[VariantComparison]]) -> Iterator[str]:
    if harmful := by_effect.get("harms"):
        yield f"Shown to harm: {_names(harmful)}"
    if idle := by_effect.get("nothing"):
        yield f"Changed nothing here, traces equal to the baseline's bit for bit in every seed: {_names(idle)}"
    if unclear := by_effect.get("not shown"):
        yield f"Not shown to help or to harm: {', '.join(_fate(part, verdict) for part in unclear)}"
    if unknown := by_effect.get("not known"):
        yield f"No run has ended of: {_names(unknown)}"
    left = untested(verdict, [part for parts in by_effect.values() for part in parts])
    if left and "helps" not in by_effect:
        yield f"Worth trying: {', '.join(answer.remedy for answer in left[:MOST_ANSWERS])}"


def untested(verdict: Verdict, parts: Sequence[VariantComparison]) -> tuple[Answer, ...]:
    """Its answers that none of the variants is: what was tried here is told by its own figures."""
    tried = [remedy for part in parts for remedy in part.remedies]
    return tuple(answer for answer in verdict.answers if not any(_is_tried(answer, remedy) for remedy in tried))


def _is_tried(answer: Answer, remedy: Mapping[str, object]) -> bool:
    field = TOLD.get(answer.remedy)
    return remedy["kind"] == answer.remedy and (field is None or remedy.get(field) == answer.spec.get(field))


def _fate(part: VariantComparison, baseline: Verdict) -> str:
    """'layer_norm (dead, at chance where the baseline is not)'."""
    assert part.verdict is not None  # an effect is known
    worse = ", at chance where the baseline is not"
    fallen = worse if baseline.trained == "partly" and part.verdict.trained == "no" else ""
    return part.name if part.verdict.kind == "healthy" else f"{part.name} ({part.verdict.kind}{fallen})"


def _names(parts: Sequence[VariantComparison]) -> str:
    return ", ".join(part.name for part in parts)
