"""A variant beside the baseline in words, from the comparison's own fields only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gradient_clinic.intervals import Estimate
from gradient_clinic.verdict.sentences import ONE_LAYER, is_judged
from gradient_clinic.verdict.wording import capital, estimate_words, kind_words, number, spans
from models.analysis.comparison.layers import LayerComparison, State
from models.analysis.comparison.parts import Outcomes, VariantComparison, VersusBaseline
from models.analysis.statistics.methods import Method
from models.analysis.statistics.power import ALPHA

WIDER: Final = 1.1
"""By a tenth; less is not worth a sentence."""
LAYERS: Final[dict[State, str]] = {
    "repaired": "repairs {layers}",
    "not_repaired": "leaves {layers} beyond ±3",
    "over_corrected": "pushes {layers} beyond the other limit",
    "harmed": "takes {layers} beyond ±3, which the baseline has inside",
    "unclear": "is unclear in {layers}",
    "not_applicable": "cannot be told in {layers}, which only one of the two networks has",
}
LIMITS_OF: Final = {
    "clip_norm": "Clipping scales all layers by one factor: of itself it leaves the ratios between layers as they are",
    "l2": "The L2 term adds 2·λ·W to ∂L/∂W and nothing to δ: of itself it leaves the ratios between layers as they are",
}


def baseline_sentence(part: VariantComparison, metric: str) -> str:
    """Its verdict, and what of its runs no mean describes."""
    if part.verdict is None:
        return f"{part.name}: no run has ended."
    return " ".join([part.verdict.sentence, *(f"{clause}." for clause in _modes(part.outcomes, metric))])


def variant_sentence(part: VariantComparison, metric: str) -> str:
    """What became of a variant, beside the baseline's figures where it has some."""
    if part.verdict is None or part.versus_baseline is None:
        return f"{part.name}: no run has ended."
    if part.grade is not None and part.grade.degree == "changes_nothing":
        return f"{part.name}: {_nothing(part.versus_baseline)}."
    clauses = [
        _kind(part),
        *_tuned(part),
        *_layers(part.versus_baseline.layers),
        *_results(part, part.versus_baseline, metric),
        *_partly(part.versus_baseline),
    ]
    clauses += [text for kind, text in LIMITS_OF.items() if any(remedy["kind"] == kind for remedy in part.remedies)]
    return f"{part.name}: " + " ".join(f"{clause}." for clause in clauses)


def _nothing(versus: VersusBaseline) -> str:
    assert versus.unchanged is not None  # it is known that nothing changed
    seeds = versus.unchanged.of
    where = "in the one seed" if seeds == 1 else f"in all {seeds} seeds"
    return f"its traces equal the baseline's bit for bit {where}: it changed nothing here"


def _partly(versus: VersusBaseline) -> Iterator[str]:
    unchanged = versus.unchanged
    if unchanged is not None and unchanged.count:
        yield f"In {unchanged.count} of {unchanged.of} seeds its traces equal the baseline's bit for bit"


def _kind(part: VariantComparison) -> str:
    assert part.verdict is not None  # asked only of variants with runs
    verdict = part.verdict
    back = " (over depth or back through time)" if verdict.at_start.time else ""
    fate = "trains" if verdict.kind == "healthy" and verdict.trained == "yes" else kind_words(verdict.kind)
    if verdict.rests_on == "loss":
        return f"{fate}, by the loss alone"
    if not is_judged(verdict.at_start):
        return ONE_LAYER if verdict.trained is None else f"{fate}; {ONE_LAYER}"
    start = f"{fate}; gradients{back} start {verdict.at_start.kind}"
    return start if verdict.at_end is None else f"{start} and end {verdict.at_end.kind}"


def _tuned(part: VariantComparison) -> Iterator[str]:
    if part.tuned is not None:
        yield f"Its own best learning rate is {part.tuned['learning_rate']:g}"


def _layers(layers: Sequence[LayerComparison]) -> Iterator[str]:
    """Which layers it repairs, leaves and harms in the untrained network, and at the end of training where there was
    one: a baseline that broke has no gradients there that a change could be told from.
    """
    if len(layers) == 1:  # it lies at 0 to itself
        return
    starts = {layer.layer: layer.at_start.state for layer in layers}
    changes = {layer.layer: layer.at_end for layer in layers if layer.at_end is not None}
    ends = {name: moment.state for name, moment in changes.items()}
    if ends and {*starts.values(), *ends.values()} == {"fine"}:
        yield _moment("Untrained and at the end", ends)
        return
    yield _moment("Untrained", starts)
    if changes and all(moment.change.n == 0 for moment in changes.values()):
        yield "At the end there is nothing to compare: gradients of one of the two are silent or not finite"
    elif ends and {*ends.values()} <= {"unclear", "not_applicable"}:
        yield "At the end no layer's state is certain"
    elif ends:
        yield _moment("At the end", ends)


def _moment(moment: str, state_of: Mapping[str, State]) -> str:
    those_in = {state: {name for name, its in state_of.items() if its == state} for state in LAYERS}
    clauses = [
        text.format(layers=spans(list(state_of), those_in[state])) for state, text in LAYERS.items() if those_in[state]
    ]
    return (
        f"{moment} it {'; it '.join(clauses)}"
        if clauses
        else f"{moment} every hidden layer lies within ±3, as without it"
    )


def _results(part: VariantComparison, versus: VersusBaseline, metric: str) -> Iterator[str]:
    """The primary result first."""
    if part.outcomes.success.of:
        results = [(_successes(part.outcomes, versus),), tuple(_metric(versus, metric))]
        first, second = results if versus.primary == "success_difference" else reversed(results)
        yield from (*first, *second)
    yield from _modes(part.outcomes, metric)
    if part.cost.step_time_ratio.mean is not None:
        yield _step_time(part.cost.step_time_ratio)


def _step_time(ratio: Estimate) -> str:
    """By its ends alone where they hold 1: a mean of so wide an interval may round to nothing."""
    if ratio.low is None or ratio.high is None or not ratio.low <= 1.0 <= ratio.high:
        return f"A step takes {estimate_words(ratio)} times the baseline's"
    ends = f"95 % ×{number(ratio.low, 2)} to ×{number(ratio.high, 2)}, n = {ratio.n}"
    return f"A step is not shown to take longer or shorter than the baseline's ({ends})"


def _modes(outcomes: Outcomes, metric: str) -> Iterator[str]:
    if outcomes.modes is not None:
        lower, upper = outcomes.modes
        yield (
            f"By {metric} its runs fall into two groups: {lower.n} near {number(lower.mean)}, {upper.n} near "
            f"{number(upper.mean)}; their mean describes none of them"
        )


def _successes(outcomes: Outcomes, versus: VersusBaseline) -> str:
    success = outcomes.success
    rate = f"{success.count} of {success.of} runs train (95 % {number(success.low)} to {number(success.high)})"
    if versus.success_difference.mean is None:
        return f"{rate}, and no seed has both this and the baseline to compare"
    return f"{rate}, a difference to the baseline of {estimate_words(versus.success_difference, signed=True)}"


def _metric(versus: VersusBaseline, metric: str) -> Iterator[str]:
    difference = versus.metric_difference
    if difference.mean is not None:
        yield from _difference(difference, versus, metric)
        yield from _pairing(versus)
        if versus.seeds_needed is not None:
            yield f"A difference of this size would take about {versus.seeds_needed} seeds to show"
    elif versus.primary != "success_difference":
        yield f"There is no seed where both this and the baseline train, so {metric} is not compared"


def _difference(difference: Estimate, versus: VersusBaseline, metric: str) -> Iterator[str]:
    middle = " in the middle half" if difference.method == Method.PAIRED_IQM_BCA else ""
    yield f"Over the seeds where both train, {metric} differs{middle} by {estimate_words(difference, signed=True)}"
    if versus.p_holm is None:
        yield "That is too little to test"
    else:
        yield f"{capital(versus.test)}, Holm p = {number(versus.p_holm, 2)}: {_shown(difference, versus.p_holm)}"


def _shown(difference: Estimate, p_holm: float) -> str:
    """From 20 seeds on the interval is not the test's own, and the two may disagree near the level."""
    if p_holm >= ALPHA:
        return "no difference shown"
    if difference.low is not None and difference.low > 0:
        return "higher"
    if difference.high is not None and difference.high < 0:
        return "lower"
    return "no difference shown, as the interval holds 0"


def _pairing(versus: VersusBaseline) -> Iterator[str]:
    """Only where it has done harm; that it helps is what it is for."""
    pairing = versus.pairing
    if pairing is not None and pairing.width > WIDER:
        correlation, width = number(pairing.correlation, 2), number(pairing.width)
        yield f"The seeds do not pair (correlation {correlation}): the interval is {width} times as wide as unpaired"
