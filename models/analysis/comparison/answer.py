"""The answer of a whole comparison in a few sentences: what to do, what is wrong and why, what each variant did.

The first sentence says what to do. Every other variant is then told once, by its grade (``graded.py``).
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from gradient_clinic.gains.limits import LIMIT
from gradient_clinic.intervals import Estimate
from gradient_clinic.verdict.sentences import NO_REMEDY, ONE_LAYER, headline, is_judged
from gradient_clinic.verdict.shapes import Answer, Cause, Verdict
from gradient_clinic.verdict.wording import capital, either, number, spans, words
from models.analysis.comparison.earlier_variants import repairing, told_earlier, use_earlier
from models.analysis.comparison.from_chance import chance_words
from models.analysis.comparison.grade import SICK, VERBS, is_promising, named
from models.analysis.comparison.graded import (
    between,
    is_falling,
    lowers_loss_alone,
    names_of,
    of_degree,
    rate,
    rest,
    seeds_of,
    told,
)
from models.analysis.comparison.left_to_try import beside_or_instead, untested, worth_trying
from models.analysis.comparison.parts import EarlierVariant, Outcomes, ShownCause, VariantComparison
from models.plan.variants import optimizer_words
from models.specs.optimizer import OptimizerSpec
from models.status import State

MOST_ANSWERS: Final = 3
VAGUE: Final[frozenset[Cause]] = frozenset({"too_few_steps", "no_gradient_cause_found"})
"""Causes that name no fault of the network, whose answers claim no place."""
TENTH: Final = 0.1
"""Of the way from chance."""


def answer_of(
    parts: Sequence[VariantComparison],
    metric: str,
    optimizer: OptimizerSpec | None,
    causes: Sequence[ShownCause],
    earlier: Sequence[EarlierVariant] = (),
) -> tuple[str, ...]:
    """A string for each sentence. ``parts``: the baseline first; ``optimizer``: the one that its spec names, if any;
    ``earlier``: what was tried on this baseline before.

    While runs wait or train the first one says of how many it holds: the others may say otherwise.
    """
    first, *rest = _sentences(parts, metric, optimizer, causes, earlier)
    runs = {state: sum(part.runs.get(state, 0) for part in parts) for state in State}
    asked, ended = sum(runs.values()), sum(count for state, count in runs.items() if state.is_finished)
    if ended < asked:
        first = f"So far ({ended} of {asked} runs): {first[0].lower()}{first[1:]}"
    return (first, *rest)


def _sentences(
    parts: Sequence[VariantComparison],
    metric: str,
    optimizer: OptimizerSpec | None,
    causes: Sequence[ShownCause],
    earlier: Sequence[EarlierVariant],
) -> tuple[str, ...]:
    baseline, *others = parts
    verdict = baseline.verdict
    if verdict is None:
        return (_without_baseline(baseline),)
    supported = _supported(causes)
    helping = [*of_degree(others, "repairs", supported), *of_degree(others, "improves", supported)]
    # What lowers the loss and no more goes last: it is not to be used.
    helping.sort(key=lowers_loss_alone)
    left = untested(verdict, parts, earlier, optimizer)
    known = None if verdict.kind == "healthy" else repairing(earlier)
    to_do = _to_do(parts, helping, supported, left, metric)
    said = [
        *(to_do if known is None or _is_as_sure(helping, known) else [use_earlier(known)]),
        *_state(baseline, verdict),
        *_because(parts, optimizer, causes),
        *_lacking(verdict, others),
        *(sentence for part in helping for sentence in told(part, metric)),
        *between(helping, metric),
        *(sentence for part in of_degree(others, "harms") for sentence in told(part, metric)),
        *rest(verdict, others, metric),
        *told_earlier(earlier),
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


def _is_as_sure(helping: Sequence[VariantComparison], known: EarlierVariant) -> bool:
    """Whether one of these repairs, and is no mere promise beside what was shown before."""
    return any(
        part.grade is not None
        and part.grade.degree == "repairs"
        and not (is_promising(part) and not is_promising(known))
        for part in helping
    )


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
        yield from _unhelped(baseline, verdict, left, metric)
        return
    best = helping[0]
    against = () if best.name in supported else _answering(verdict, left)
    if against and _is_unproved(best):
        yield _before_it(best, verdict, against)
    elif verdict.kind != "healthy" and lowers_loss_alone(best):
        yield from _unhelped(baseline, verdict, left, metric)
        yield _no_more(best, others)
    else:
        yield _use(best, verdict, against or left, leaves_cause=bool(against))


def _no_more(best: VariantComparison, others: Sequence[VariantComparison]) -> str:
    """What helps, of which the loss is all that does."""
    sure = f"on {seeds_of(best)} {named(best)} seems to lower" if is_promising(best) else f"{named(best)} lowers"
    nothing = not any(part.outcomes.success.count for part in others)
    said = f"{'nothing that was tried makes it train: ' * nothing}{sure} the loss on the training data, and no more"
    return capital(said) if nothing or is_promising(best) else said


def _unhelped(baseline: VariantComparison, verdict: Verdict, left: Sequence[Answer], metric: str) -> Iterator[str]:
    """What to do where nothing is to be used."""
    if verdict.kind == "healthy":
        yield _well(baseline, verdict, left)
        return
    said = _of_the_data(baseline.outcomes, verdict, metric)
    if said:
        yield f"Look at the data{' first' if left else ', not at gradients'}: {said}"
    if left:
        tried = worth_trying(left, MOST_ANSWERS)
        yield f"Then try {tried}" if said else f"Try {tried} next"
    elif not said:
        yield _without_remedies(verdict)


def _of_the_data(outcomes: Outcomes, verdict: Verdict, metric: str) -> str:
    """What the data alone reach, where that is what holds the network; empty where it is not."""
    if outcomes.metric_of_all is None:
        return ""
    reached = f"{metric} {number(outcomes.metric_of_all.mean)}"
    if "class_imbalance" in verdict.causes:
        # Of a balanced accuracy nothing more has to be known: one label alone is right in one of its classes.
        share = f" ({number(outcomes.majority_share)})" if outcomes.majority_share is not None else ""
        return f"{reached} is what the commonest label alone reaches{share}"
    if "overlapping_classes" in verdict.causes:
        return f"{reached} is as good as a vote of the nearest cases ({number(outcomes.neighbour_accuracy)})"
    return ""


def _well(baseline: VariantComparison, verdict: Verdict, left: Sequence[Answer]) -> str:
    if verdict.trained is None and not is_judged(verdict.at_start):
        return f"Train it: {ONE_LAYER}"
    trains = "" if verdict.trained is None else f": the baseline trains in {rate(baseline.outcomes.success)}"
    said = capital(NO_REMEDY) if verdict.rests_on == "layers" else "No remedy is needed by the loss alone"
    return f"{said}{trains}{_improving(left)}"


def _without_remedies(verdict: Verdict) -> str:
    if is_falling(verdict):
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
    return is_promising(best) and best.verdict is not None and best.verdict.trained not in {"yes", None}


def _before_it(best: VariantComparison, verdict: Verdict, answering: Sequence[Answer]) -> str:
    """An answer to the cause that is named first goes before what changes another thing and is not shown to help."""
    grade = best.grade
    assert grade is not None  # it helps
    # Its certainty is what so few seeds give, however far apart they are.
    helps = f"{named(best)} {VERBS[grade.degree, grade.certainty]} it, but that rests on {seeds_of(best)}"
    return f"Try {worth_trying(answering, 2)} next, against {words(verdict.causes[0])}; {helps}"


def _use(best: VariantComparison, verdict: Verdict, left: Sequence[Answer], *, leaves_cause: bool) -> str:
    more = f", and confirm it on more than {seeds_of(best)}" if is_promising(best) else ""
    if verdict.kind == "healthy":
        return f"The network trains without a remedy; to improve it, use {named(best)}{more}"
    if verdict.trained is None or (best.verdict is not None and best.verdict.trained == "yes"):
        return f"Use {named(best)}{more}"
    # One, where the sentence has a number of seeds to tell too.
    beside = f", so try {beside_or_instead(left, best, 1 if is_promising(best) else 2)}" if left else ""
    why = ", which is shown to help" if leaves_cause else more
    return f"Use {named(best)}{why}; it does not train yet{beside}"


def _improving(left: Sequence[Answer]) -> str:
    return f"; {worth_trying(left, MOST_ANSWERS)} may still improve it" if left else ""


def _state(baseline: VariantComparison, verdict: Verdict) -> Iterator[str]:
    """What is wrong with the baseline, and where."""
    if verdict.kind == "healthy":
        return
    if verdict.trained is not None:
        yield f"The baseline trains in {rate(baseline.outcomes.success)}{_closing(baseline)}"
    yield f"{headline(verdict)}{_where(baseline, verdict)}"


def _closing(part: VariantComparison) -> str:
    closed = part.outcomes.closed["loss"].mean
    gets = "on average its training loss gets"
    return "" if closed is None else f"; {gets} {number(100.0 * closed, 2)} % of the way from chance to 0"


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
        causes_are = "causes are" if len(by_rule) > 1 else "cause is"
        yield f"By the baseline's measurements the {causes_are} {', '.join(by_rule)}"
    for shown in causes:
        if shown.shown_by == "trial":
            known = any((other.cause, other.shown_by) == (shown.cause, "rule") for other in causes)
            says = f"The trial {'agrees on' if known else 'points to'} {words(shown.cause)}"
            yield f"{says}: {'; '.join(_changing(shown, parts))}"


def _changing(shown: ShownCause, parts: Sequence[VariantComparison]) -> Iterator[str]:
    """'activation changes only that and helps'; of those whose grade is a promise only, on how few seeds."""
    for promising in (False, True):
        those = [part for part in parts if part.name in shown.variants and is_promising(part) == promising]
        if not those:
            continue
        change, helps, seems = ("change", "help", "seem") if len(those) > 1 else ("changes", "helps", "seems")
        said = f"{names_of(those)} {change} only that and"
        yield f"on {seeds_of(those[0])} only, {said} {seems} to help" if promising else f"{said} {helps}"


def _side(baseline: VariantComparison) -> str:
    answers = () if baseline.verdict is None else baseline.verdict.answers
    advised = next((answer.direction for answer in answers if answer.remedy == "learning_rate"), None)
    return {"lower": " too high", "higher": " too low"}.get(advised or "", "")


def _lacking(verdict: Verdict, others: Sequence[VariantComparison]) -> Iterator[str]:
    """What a slow network may lack: steps, or anything that gradients could give."""
    if is_falling(verdict):
        yield "Its loss was still falling when training ended: more steps may be what it lacks"
    elif verdict.trained == "partly" and len(others) > 1 and all(_gets_no_further(part) for part in others):
        yield "No variant is shown to get further: data and network may allow no more"


def _gets_no_further(part: VariantComparison) -> bool:
    """No difference is shown, and one of a tenth of the way would have been."""
    grade, versus = part.grade, part.versus_baseline
    if grade is None or versus is None or grade.degree != "no_difference_shown":
        return False
    smallest = versus.progress["loss"].smallest_shown
    return smallest is not None and smallest < TENTH and part.verdict is not None and not is_falling(part.verdict)
