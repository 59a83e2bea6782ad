"""The answer of a whole comparison in a few sentences: what to do, what is wrong and why, what each variant did.

The first sentence says what to do. Every other variant is then told once, by its grade (``grade.py``). One of which
nothing is shown is not called useless: the smallest difference that would have been shown stands beside it.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from gradient_clinic.gains.limits import LIMIT
from gradient_clinic.intervals import Estimate
from gradient_clinic.verdict.facts.of_losses import FALLING
from gradient_clinic.verdict.sentences import NO_REMEDY, ONE_LAYER, headline, is_judged
from gradient_clinic.verdict.shapes import Answer, Cause, Verdict
from gradient_clinic.verdict.wording import capital, estimate_words, number, spans, values_of, words
from models.analysis.comparison.from_chance import chance_words
from models.analysis.comparison.grade import FEWEST, MATERIAL, SICK, VERBS
from models.analysis.comparison.left_to_try import beside_or_instead, either, untested, worth_trying
from models.analysis.comparison.parts import (
    Degree,
    Grade,
    Measure,
    ShownCause,
    Success,
    VariantComparison,
    VersusBaseline,
)
from models.analysis.statistics.power import ALPHA
from models.plan.variants import optimizer_words
from models.specs.optimizer import OptimizerSpec
from models.status import State

MOST_ANSWERS: Final = 3
VAGUE: Final[frozenset[Cause]] = frozenset({"too_few_steps", "no_gradient_cause_found"})
"""Causes that name no fault of the network, whose answers claim no place."""
TENTH: Final = 0.1
"""Of the way from chance."""


def answer_of(
    parts: Sequence[VariantComparison], metric: str, optimizer: OptimizerSpec | None, causes: Sequence[ShownCause]
) -> tuple[str, ...]:
    """A string for each sentence. ``parts``: the baseline first; ``optimizer``: the one that its spec names, if any.

    While runs wait or train the first one says of how many it holds: the others may say otherwise.
    """
    first, *rest = _sentences(parts, metric, optimizer, causes)
    runs = {state: sum(part.runs.get(state, 0) for part in parts) for state in State}
    asked, ended = sum(runs.values()), sum(count for state, count in runs.items() if state.is_finished)
    if ended < asked:
        first = f"So far ({ended} of {asked} runs): {first[0].lower()}{first[1:]}"
    return (first, *rest)


def _sentences(
    parts: Sequence[VariantComparison], metric: str, optimizer: OptimizerSpec | None, causes: Sequence[ShownCause]
) -> tuple[str, ...]:
    baseline, *others = parts
    verdict = baseline.verdict
    if verdict is None:
        return (_without_baseline(baseline),)
    supported = _supported(causes)
    helping = [*_of_degree(others, "repairs", supported), *_of_degree(others, "improves", supported)]
    # What lowers the loss and no more goes last: it is not to be used.
    helping.sort(key=_lowers_loss_alone)
    left = untested(verdict, parts, optimizer)
    said = [
        *_to_do(parts, helping, supported, left, metric),
        *_state(baseline, verdict),
        *_because(parts, optimizer, causes),
        *_lacking(verdict, others),
        *(sentence for part in helping for sentence in _told(part, metric)),
        *_between(helping, metric),
        *(sentence for part in _of_degree(others, "harms") for sentence in _told(part, metric)),
        *_rest(verdict, others, metric),
    ]
    return tuple(f"{sentence}." for sentence in _with_chance(said, chance_words(baseline, metric)))


def _with_chance(said: Sequence[str], chance: str) -> Iterator[str]:
    """What chance is comes behind the first sentence that measures by it."""
    first = next((place for place, sentence in enumerate(said) if chance and "chance" in sentence), None)
    for place, sentence in enumerate(said):
        yield sentence
        if place == first:
            yield capital(chance)


def _without_baseline(baseline: VariantComparison) -> str:
    """Runs that wait or train may still say something; those that failed or were cancelled have not."""
    left = {state: baseline.runs[state] for state in ("failed", "cancelled") if baseline.runs[state]}
    if baseline.runs["queued"] + baseline.runs["running"] or not left:
        return "No run of the baseline has ended: there is nothing to compare with yet."
    ended = " and ".join(f"{count} {state}" for state, count in left.items())
    return f"No run of the baseline came to its end ({ended}): there is nothing to compare with."


def _supported(causes: Sequence[ShownCause]) -> set[str]:
    """Variants that change what the baseline's own numbers call a cause."""
    by_rule = {shown.cause for shown in causes if shown.shown_by == "rule"}
    return {name for shown in causes if shown.cause in by_rule for name in shown.variants}


def _of_degree(
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
    return _is_promising(part), -_share(part), -reached


def _share(part: VariantComparison) -> float:
    success = part.outcomes.success
    return success.count / success.of if success.of else 0.0


def _is_alike(part: VariantComparison, first: VariantComparison) -> bool:
    """As sure, as often trained, and of a metric whose interval meets that of the first."""
    ours, best = part.outcomes.metric_of_all, first.outcomes.metric_of_all
    high, low = (None if ours is None else ours.high), (None if best is None else best.low)
    # With one seed there is no interval, and nothing that would tell them apart.
    meet = high is None or low is None or high >= low
    return _is_promising(part) == _is_promising(first) and _share(part) == _share(first) and meet


def _is_promising(part: VariantComparison) -> bool:
    grade = part.grade
    return grade is not None and grade.certainty == "promising"


def _lowers_loss_alone(part: VariantComparison) -> bool:
    """It does not train, and a metric that is known comes no further: it may only learn its cases by heart."""
    grade, verdict = part.grade, part.verdict
    if grade is None or grade.by != "loss" or verdict is None or verdict.trained in {"yes", None}:
        return False
    further = _versus(part).progress["metric"].difference.mean
    return further is not None and further < MATERIAL["metric"]


def _to_do(
    parts: Sequence[VariantComparison],
    helping: Sequence[VariantComparison],
    supported: AbstractSet[str],
    left: Sequence[Answer],
    metric: str,
) -> Iterator[str]:
    """What a reader should do next; and why not use what lowers the loss, where nothing does more."""
    baseline, *others = parts
    verdict = baseline.verdict
    assert verdict is not None  # else there is nothing to compare with
    if not helping:
        yield _unhelped(baseline, verdict, left, metric)
        return
    best = helping[0]
    against = () if best.name in supported else _answering(verdict, left)
    if against and _is_unproved(best):
        yield _before_it(best, verdict, against)
    elif verdict.kind != "healthy" and _lowers_loss_alone(best):
        yield _unhelped(baseline, verdict, left, metric)
        yield _no_more(best, others)
    else:
        yield _use(best, verdict, against or left, leaves_cause=bool(against))


def _no_more(best: VariantComparison, others: Sequence[VariantComparison]) -> str:
    """What helps, of which the loss is all that does."""
    sure = f"on {_seeds(best)} {_named(best)} seems to lower" if _is_promising(best) else f"{_named(best)} lowers"
    nothing = not any(part.outcomes.success.count for part in others)
    said = f"{'nothing that was tried makes it train: ' * nothing}{sure} the loss on the training data, and no more"
    return capital(said) if nothing or _is_promising(best) else said


def _unhelped(baseline: VariantComparison, verdict: Verdict, left: Sequence[Answer], metric: str) -> str:
    """What to do where nothing is to be used."""
    if verdict.kind == "healthy":
        return _well(baseline, verdict, left)
    next_one = f"try {worth_trying(left, MOST_ANSWERS)} next" if left else ""
    if "class_imbalance" in verdict.causes and baseline.outcomes.metric_of_all is not None:
        reached, share = baseline.outcomes.metric_of_all.mean, baseline.outcomes.majority_share
        alone = f"{metric} {number(reached)} is what the commonest label alone reaches ({number(share)})"
        return f"Look at the data, not at gradients: {alone}{f'; {next_one}' if left else ''}"
    if left:
        return capital(next_one)
    return _without_remedies(verdict)


def _well(baseline: VariantComparison, verdict: Verdict, left: Sequence[Answer]) -> str:
    if verdict.trained is None and not is_judged(verdict.at_start):
        return f"Train it: {ONE_LAYER}"
    trains = "" if verdict.trained is None else f": the baseline trains in {_rate(baseline.outcomes.success)}"
    said = capital(NO_REMEDY) if verdict.rests_on == "layers" else "No remedy is needed by the loss alone"
    return f"{said}{trains}{_improving(left)}"


def _without_remedies(verdict: Verdict) -> str:
    if _is_falling(verdict):
        return "Train longer"
    if verdict.rests_on == "loss":
        return "Watch a run with its layers: the loss alone tells no cause"
    if verdict.causes and not verdict.answers:
        # Of what is trained elsewhere there is no plan that a remedy could be tried on.
        return f"Mend {either([words(cause) for cause in verdict.causes])}: no remedy of this network is known here"
    return "Look at the data and the task: no remedy of gradients is left to try"


def _answering(verdict: Verdict, left: Sequence[Answer]) -> tuple[Answer, ...]:
    """What was not tried against the cause that is named first, where the network needs it."""
    if verdict.kind == "healthy" or not verdict.causes or verdict.causes[0] in VAGUE:
        return ()
    return tuple(its for its in left if its.cause == verdict.causes[0])


def _is_unproved(best: VariantComparison) -> bool:
    return _is_promising(best) and best.verdict is not None and best.verdict.trained not in {"yes", None}


def _before_it(best: VariantComparison, verdict: Verdict, answering: Sequence[Answer]) -> str:
    """An answer to the cause that is named first goes before what changes another thing and is not shown to help."""
    grade = best.grade
    assert grade is not None  # it helps
    helps = f"{_named(best)} {VERBS[grade.degree, grade.certainty]} it, which {_seeds(best)} do not show"
    return f"Try {worth_trying(answering, 2)} next, against {words(verdict.causes[0])}; {helps}"


def _use(best: VariantComparison, verdict: Verdict, left: Sequence[Answer], *, leaves_cause: bool) -> str:
    more = f", and confirm it on more than {_seeds(best)}" if _is_promising(best) else ""
    if verdict.kind == "healthy":
        return f"The network trains without a remedy; to improve it, use {_named(best)}{more}"
    if verdict.trained is None or (best.verdict is not None and best.verdict.trained == "yes"):
        return f"Use {_named(best)}{more}"
    # One, where the sentence has a number of seeds to tell too.
    beside = f", so try {beside_or_instead(left, best, 1 if _is_promising(best) else 2)}" if left else ""
    why = ", which is shown to help" if leaves_cause else more
    return f"Use {_named(best)}{why}; it does not train yet{beside}"


def _improving(left: Sequence[Answer]) -> str:
    return f"; {worth_trying(left, MOST_ANSWERS)} may still improve it" if left else ""


def _seeds(part: VariantComparison) -> str:
    seeds = part.outcomes.success.of
    return "1 seed" if seeds == 1 else f"{seeds} seeds"


def _state(baseline: VariantComparison, verdict: Verdict) -> Iterator[str]:
    """What is wrong with the baseline, and where."""
    if verdict.kind == "healthy":
        return
    if verdict.trained is not None:
        yield f"The baseline trains in {_rate(baseline.outcomes.success)}{_closing(baseline)}"
    yield f"{headline(verdict)}{_where(baseline, verdict)}"


def _closing(part: VariantComparison) -> str:
    closed = part.outcomes.closed["loss"].mean
    return "" if closed is None else f" and closes {number(closed, 2)} of the way from chance by loss"


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


def _because(
    parts: Sequence[VariantComparison], optimizer: OptimizerSpec | None, causes: Sequence[ShownCause]
) -> Iterator[str]:
    """What its own numbers show, and what the trial does; a rate is named with its side and its optimiser."""
    baseline = parts[0]
    tuned = None if baseline.tuned is None else baseline.tuned["learning_rate"]
    named = "" if optimizer is None else f" ({optimizer_words(optimizer, tuned)})"
    value = {"learning_rate": f"{_side(baseline)}{named}"}
    by_rule = [words(shown.cause) + value.get(shown.cause, "") for shown in causes if shown.shown_by == "rule"]
    if by_rule:
        yield f"Cause{'s' if len(by_rule) > 1 else ''}: {', '.join(by_rule)}"
    for shown in causes:
        if shown.shown_by == "trial":
            known = any((other.cause, other.shown_by) == (shown.cause, "rule") for other in causes)
            says = f"The trial {'supports' if known else 'points to'} {words(shown.cause)}"
            yield f"{says}: {'; '.join(_changing(shown, parts))}"


def _changing(shown: ShownCause, parts: Sequence[VariantComparison]) -> Iterator[str]:
    """'activation changes it alone and helps'; of one whose grade is a promise only, that it is not shown."""
    for promising in (False, True):
        those = [part for part in parts if part.name in shown.variants and _is_promising(part) == promising]
        if not those:
            continue
        change, helps, come = ("change", "help", "come") if len(those) > 1 else ("changes", "helps", "comes")
        said = f"{_names(those)} {change} it alone"
        yield f"{said} and {come} further, not shown on {_seeds(those[0])}" if promising else f"{said} and {helps}"


def _side(baseline: VariantComparison) -> str:
    answers = () if baseline.verdict is None else baseline.verdict.answers
    advised = next((answer.direction for answer in answers if answer.remedy == "learning_rate"), None)
    return {"lower": " too high", "higher": " too low"}.get(advised or "", "")


def _lacking(verdict: Verdict, others: Sequence[VariantComparison]) -> Iterator[str]:
    """What a slow network may lack: steps, or anything that gradients could give."""
    if _is_falling(verdict):
        yield "Its loss was still falling when training ended: more steps may be what it lacks"
    elif verdict.trained == "partly" and len(others) > 1 and all(_comes_equally_far(part) for part in others):
        yield "All variants come equally far and none falls further: data and network may allow no more"


def _comes_equally_far(part: VariantComparison) -> bool:
    """No difference is shown, and one of a tenth of the way would have been."""
    grade, versus = part.grade, part.versus_baseline
    if grade is None or versus is None or grade.degree != "no_difference_shown":
        return False
    smallest = versus.progress["loss"].smallest_shown
    return smallest is not None and smallest < TENTH and part.verdict is not None and not _is_falling(part.verdict)


def _is_falling(verdict: Verdict) -> bool:
    """In most of its seeds."""
    those = [item.seeds for item in verdict.evidence if item.statistic == FALLING.name]
    return bool(those) and 2 * those[0] > sum(verdict.seeds.values())


def _told(part: VariantComparison, metric: str) -> Iterator[str]:
    """What a variant with a grade did, with the figures that show it; what it costs; what it still lacks."""
    versus, grade = part.versus_baseline, part.grade
    assert versus is not None  # it is graded
    assert grade is not None  # it is graded
    few = " only" * (part.outcomes.success.of < FEWEST)
    sure = f"On {_seeds(part)}{few}, " if _is_promising(part) else ""
    yield f"{sure}{_named(part)} {VERBS[grade.degree, grade.certainty]} it: {_shown_by(part, versus, grade, metric)}"
    if reached := _reached(part, grade, metric):
        yield capital(reached)
    if grade.degree == "improves" and part.verdict is not None and part.verdict.trained not in {"yes", None}:
        yield f"It does not train yet{', and its loss was still falling' * _is_falling(part.verdict)}"


def _shown_by(part: VariantComparison, versus: VersusBaseline, grade: Grade, metric: str) -> str:
    """The figure that its grade rests on."""
    if grade.by == "gradients":
        return f"gradients {part.verdict.at_start.kind if part.verdict else 'not known'} before training"
    if grade.by == "success":
        return f"trains in {_rate(part.outcomes.success)}"
    return _further(versus, "metric" if grade.by == "metric" else "loss", metric)


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


def _further(versus: VersusBaseline, measure: Measure, metric: str) -> str:
    """By how much more of the way, or how much better the metric is where both train."""
    if measure == "metric" and versus.primary == "metric_difference":
        return f"{metric} differs by {estimate_words(versus.metric_difference, signed=True)}"
    name, difference = metric if measure == "metric" else "loss", versus.progress[measure].difference
    return f"of the way from chance by {name} it closes {estimate_words(difference, signed=True)}"


def _between(ordered: Sequence[VariantComparison], metric: str) -> Iterator[str]:
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


def _named(part: VariantComparison) -> str:
    """'activation relu'."""
    values = [value for remedy in part.remedies for value in values_of(remedy)]
    return " ".join([part.name, *(value for value in values if value not in part.name)])


def _rate(success: Success) -> str:
    return f"{success.count} of {success.of} runs (95 % {number(success.low)} to {number(success.high)})"


def _rest(verdict: Verdict, others: Sequence[VariantComparison], metric: str) -> Iterator[str]:
    """The variants that have no effect to tell of."""
    if idle := _of_degree(others, "changes_nothing"):
        yield f"Changed nothing here, traces equal to the baseline's bit for bit in every seed: {_names(idle)}"
    unlike = _of_degree(others, "no_difference_shown")
    if slight := [part for part in unlike if _is_slight(part)]:
        each = ", ".join(f"{part.name} ({_further(_versus(part), 'metric', metric)})" for part in slight)
        yield f"Too small to matter: {each}"
    if unclear := [part for part in unlike if part not in slight]:
        smallest = {part.name: _smallest(part) for part in unclear}
        alike = len(unclear) > 1 and len(set(smallest.values())) == 1 and smallest[unclear[0].name]
        each = ", ".join(_unclear(part, verdict, "" if alike else smallest[part.name]) for part in unclear)
        yield f"No difference shown: {each}{f'; of each {alike}' if alike else ''}"
    if unknown := [part for part in others if part.grade is None]:
        yield f"No run has ended of: {_names(unknown)}"


def _is_slight(part: VariantComparison) -> bool:
    """The metric differs by its own test and interval, and by less than is called an improvement or a harm."""
    its = _versus(part).progress["metric"]
    low, high = its.difference.low or 0.0, its.difference.high or 0.0
    return its.p_holm is not None and its.p_holm < ALPHA and not low <= 0.0 <= high


def _versus(part: VariantComparison) -> VersusBaseline:
    assert part.versus_baseline is not None  # it is graded
    return part.versus_baseline


def _smallest(part: VariantComparison) -> str:
    """'0.04 of the way or more would have been seen'."""
    smallest = _versus(part).progress["loss"].smallest_shown
    return (
        "" if smallest is None or smallest >= 1.0 else f"{number(smallest, 1)} of the way or more would have been seen"
    )


def _unclear(part: VariantComparison, baseline: Verdict, smallest: str) -> str:
    """'layer_norm (dead, at chance where the baseline is not, 0.04 of the way or more would have been seen)'."""
    assert part.verdict is not None  # it is graded
    fate: list[str] = [] if part.verdict.kind == "healthy" else [part.verdict.kind]
    if baseline.trained == "partly" and part.verdict.trained == "no":
        fate.append("at chance where the baseline is not")
    if smallest:
        fate.append(smallest)
    return f"{_named(part)} ({', '.join(fate)})" if fate else _named(part)


def _names(parts: Sequence[VariantComparison]) -> str:
    return ", ".join(part.name for part in parts)
