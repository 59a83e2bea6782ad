"""Verdicts in words, made of nothing but their own fields and evidence."""

from collections.abc import Iterator
from typing import Final

from gradient_clinic.gains.depth_axis import GradientFacts
from gradient_clinic.verdict.facts.of_layers import WORST
from gradient_clinic.verdict.facts.registry import CALLED, FACTS, LIMITS
from gradient_clinic.verdict.shapes import CAUSES, STEPS, Answer, Findings, Near, Outcome
from gradient_clinic.verdict.wording import (
    apart,
    capital,
    gain_words,
    layers_words,
    number,
    time_words,
    values_of,
    words,
)

NO_REMEDY: Final = "no remedy needed"
HEADLINES: Final = {
    "vanishing": "Gradients vanish on their way to the input",
    "exploding": "Gradients explode on their way to the input",
    "diverged": "Training diverged, and gradients were not shown to explode before it",
    "dead": "More than half the units of a hidden layer are dead",
    "saturated": "More than half the entries of a hidden layer are saturated",
    "stalled": "Training stays at chance, and gradients were not shown to vanish or explode",
    "slow": "Training has not closed half the way from chance, and gradients were not shown to vanish or explode",
}
BY_LOSS: Final = "By the loss alone, as no layers were recorded"
OF_LOGS: Final = {
    "healthy": "the network trains, and closes at least half of the way to zero",
    "diverged": "training diverged",
    "stalled": "training has not lowered the loss",
    "slow": "training has lowered the loss, by less than half of the way to zero",
    "inconclusive": "whether the network trains cannot be said",
}
NOT_JUDGED: Final = "not judged: whether gradients vanish or explode, in which layer, and why"
ONE_LAYER: Final = "G needs two hidden layers and is not judged"
MOST_NEAR: Final = 2
ENDS: Final = {"low": "the lower end of G's interval", "mean": "G", "high": "the upper end of G's interval"}
MOMENTS: Final = {"at_start": " at the start", "settled": " after the first steps", "at_end": " at the end"}
TRAINED: Final = {"yes": "trained", "no": "not trained", "partly": "partly trained", "mixed": "trained in some seeds"}
KINDS: Final = {"vanishing", "exploding", "healthy", "inconclusive"}


def verdict_sentence(verdict: Findings) -> str:
    """The whole verdict in a few plain sentences, conditions included."""
    parts = [f"{headline(verdict)}."]
    gradients = _gradients(verdict) if verdict.rests_on == "layers" else iter([NOT_JUDGED])
    for clauses in (gradients, _over_time(verdict), _facts(verdict), _near(verdict)):
        parts += [f"{capital(clause)}." for clause in clauses]
    if verdict.causes == ("no_gradient_cause_found",):
        parts.append("No gradient cause found.")
    elif verdict.causes:
        parts.append(f"Causes: {', '.join(words(cause) for cause in verdict.causes)}.")
    if left := [answer_words(answer) for answer in verdict.answers if not answer.tried]:
        parts.append(f"Worth trying: {', '.join(left)}.")
    parts.append(f"Conditions: {verdict.conditions}.")
    return " ".join(parts)


def answer_words(answer: Answer) -> str:
    """'learning_rate 0.0001 (lower)', 'layer_norm with optimizer adam 0.001', 'rezero with batch_norm and l2'."""
    first, *others = (" ".join([str(spec["kind"]), *values_of(spec)]) for spec in answer.specs)
    named = " with ".join([first, *filter(None, [" and ".join(others)])])
    return named if answer.direction is None else f"{named} ({answer.direction})"


def headline(verdict: Findings) -> str:
    """What is wrong, without a full stop."""
    counts = ", ".join(f"{count} {kind}" for kind, count in verdict.seeds.items())
    if verdict.rests_on == "loss":
        return f"{BY_LOSS}: {OF_LOGS.get(verdict.kind) or f'the seeds disagree, {counts}'}"
    if verdict.kind == "mixed":
        return f"The seeds disagree: {counts}"
    if verdict.trained is None and verdict.kind in KINDS:
        return _untrained(verdict)
    if verdict.kind == "healthy":
        start = verdict.at_start.kind
        if verdict.causes:
            return "The network trains, but cases of rare labels are lost"
        although = f" although its gradients start {start}" if start in {"vanishing", "exploding"} else ""
        return f"The network trains{although}: {NO_REMEDY} under these conditions"
    return HEADLINES[verdict.kind]


def is_judged(gradients: GradientFacts) -> bool:
    """Over depth, or back through time."""
    return gradients.judged or bool(gradients.time)


def _untrained(verdict: Findings) -> str:
    """Single runs and their mean need not agree: the kind is that of most runs, G's interval is over seeds."""
    if not is_judged(verdict.at_start):
        return "Whether gradients vanish or explode is not judged in this untrained network"
    if verdict.at_start.kind not in {verdict.kind, "inconclusive"}:
        return f"Single runs are {verdict.kind}; over the seeds gradients start {verdict.at_start.kind}"
    if verdict.kind == "healthy":
        return f"Gradients are healthy in the untrained network: {NO_REMEDY} against vanishing or exploding"
    if verdict.kind == "inconclusive":
        return "Whether gradients vanish or explode is inconclusive: add seeds or depth"
    return f"{HEADLINES[verdict.kind]} in the untrained network"


def _gradients(verdict: Findings) -> Iterator[str]:
    """Both moments, so that a headline by training hides no gradient fact."""
    if not verdict.at_start.judged:
        yield f"{ONE_LAYER} over depth: here is one"
        yield f"The verdict rests on {_rests_on(verdict)}"
        return
    yield "G is ln(rms δ of the first / last hidden layer)"
    yield f"At the start it is {gain_words(verdict.at_start)}"
    if verdict.at_end is not None:
        yield f"At the end it is {gain_words(verdict.at_end)}"


def _rests_on(verdict: Findings) -> str:
    """What is left without a depth axis."""
    time = "gradients back through time, " if verdict.at_start.time else ""
    if verdict.trained is None:
        return f"{time}sizes and units of the untrained layer"
    return f"{time}the loss, and sizes, units and steps of this layer"


def _over_time(verdict: Findings) -> Iterator[str]:
    ends = {} if verdict.at_end is None else {facts.layer: facts for facts in verdict.at_end.time}
    for facts in verdict.at_start.time:
        yield f"Back through time in {facts.layer} ln(rms ∂L/∂state, first / last) starts at {time_words(facts)}"
        if facts.layer in ends:
            yield f"It ends at {time_words(ends[facts.layer])}"


def _near(verdict: Findings) -> Iterator[str]:
    """What rounding may turn: the closest few, as the list has all."""
    seeds = sum(verdict.seeds.values())
    for item in verdict.near[:MOST_NEAR]:
        among = _among(item.seeds, seeds)
        if item.rule == STEPS:
            moves = f"the largest moves the weights by {number(item.value)} of themselves"
            yield f"Steps are so long ({moves}) that rounding may decide how this ends{among}"
            continue
        yield f"Rounding may take {_numbered(item)}{among}"
        yield f"On another processor this may be {_other(verdict, item.would_be)}"


def _numbered(item: Near) -> str:
    """'the upper end of G's interval at the end from +2.9 across +3'."""
    if item.statistic == WORST:
        named = f"the {words(item.rule)} of {layers_words(item.layers)}"
    else:
        named = ENDS.get(item.bound or "") or CALLED.get(item.statistic) or words(item.statistic)
    value, threshold = apart(item.value, item.threshold, signed=item.bound is not None)
    limit = LIMITS.get(item.statistic)
    return f"{named}{MOMENTS.get(item.rule, '')} from {value} across {threshold}{f', {limit}' if limit else ''}"


def _other(verdict: Findings, other: Outcome | None) -> str:
    """What would be different."""
    if other is None:
        return "any other verdict"
    parts: list[str] = [other.kind] if other.kind != verdict.kind else []
    if other.trained is not None and other.trained != verdict.trained:
        parts.append(TRAINED[other.trained])
    if other.causes != verdict.causes:
        named = [words(cause) for cause in other.causes if cause != CAUSES[-1]]
        parts.append(f"caused by {', '.join(named)}" if named else "without a cause")
    return ", ".join(parts)


def _facts(verdict: Findings) -> Iterator[str]:
    """What its evidence says; that of an earlier version may be of a fact that is no more."""
    if verdict.trained is None and verdict.rests_on == "layers":
        yield "the untrained network alone is judged"
    seeds = sum(verdict.seeds.values())
    for item in verdict.evidence:
        fact = FACTS.get((item.signal, item.statistic))
        if fact is None or (fact.of_most and 2 * item.seeds <= seeds):
            continue
        if clause := fact.words(item):
            yield clause + _among(item.seeds, seeds)


def _among(seeds: int, of: int) -> str:
    """Of how many of a variant's seeds a fact is; single runs need no word of it."""
    if of == 1:
        return ""
    return f" ({seeds} seeds)" if seeds == of else f" ({seeds} of {of} seeds)"
