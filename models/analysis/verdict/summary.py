"""One run, summed up: all that a variant's verdict and a comparison need of it. Stored whole at finish."""

from collections.abc import Callable

from models.analysis.gains.depth_axis import GradientFacts, gradient_of_run
from models.analysis.gains.time_axis import time_of_run, with_time
from models.analysis.theory.prediction import worst_gain
from models.analysis.theory.propagation import has_skips
from models.analysis.verdict import evidence
from models.analysis.verdict.advice import find_answers
from models.analysis.verdict.causes import Case, find_causes
from models.analysis.verdict.further_facts import facts_beside
from models.analysis.verdict.headline import headline
from models.analysis.verdict.measurements import measure
from models.analysis.verdict.near import find_near, outcome
from models.analysis.verdict.run_trace import RunTrace
from models.analysis.verdict.sentences import verdict_sentence
from models.analysis.verdict.shapes import Evidence, Measured, RunFacts, RunSummary, Verdict
from models.plan import LayerPlan, NetworkPlan, Plan


def summarise(plan: Plan, trace: RunTrace, facts: RunFacts) -> RunSummary:
    """Measure a run and judge it."""
    return summary_of(plan, measure(trace, facts))


def summary_of(plan: Plan, measured: Measured) -> RunSummary:
    """Numbers, measured by whatever version, with the verdict of this one."""
    of_its_kind = measured.model_copy(update={"network": plan.network.kind})
    numbers = {name: getattr(of_its_kind, name) for name in Measured.model_fields}
    return RunSummary(**numbers, verdict=_judge(plan, of_its_kind))


def _judge(plan: Plan, measured: Measured) -> Verdict:
    case = _case_of(plan)
    this = case(measured)
    kind, at_start, at_end = this.kind, this.at_start, this.at_end
    causes, shown = find_causes(this)
    verdict = Verdict(
        kind=kind,
        at_start=at_start,
        at_end=at_end,
        trained=measured.trained,
        causes=causes,
        conditions=measured.facts.conditions,
        sentence="",
        evidence=_distinct(
            *evidence.always(measured, at_start, at_end, plan.stop_when.loss_above),
            evidence.worst_fraction("dead_fraction", measured, measured.dead),
            evidence.worst_fraction("saturated_fraction", measured, measured.saturated),
            *shown,
            *facts_beside(measured, at_start, this.positions),
        ),
        answers=find_answers(plan, this, causes),
        seeds={kind: 1},
        near=find_near(this, lambda moved: outcome(case(moved))),
    )
    return verdict.model_copy(update={"sentence": verdict_sentence(verdict)})


def _case_of(plan: Plan) -> Callable[[Measured], Case]:
    """What the rules read of a run of this plan, by its numbers."""
    network, batch_size = plan.network, plan.experiment.batch_size
    theory = worst_gain(network, batch_size)
    positions = max(layer.positions for layer in network.hidden)
    first, skips = _first_activated(network), has_skips(network)

    def case(measured: Measured) -> Case:
        at_start, at_end = moments(measured)
        kind = headline(measured, at_start, at_end)
        return Case(measured, at_start, at_end, kind, first, theory, skips, positions, batch_size)

    return case


def _first_activated(network: NetworkPlan) -> LayerPlan:
    """Embeddings, gated cells and ends of branches have no activation of their own."""
    inner = (layer for layer in network.layers if layer.role != "output" and layer.activation is not None)
    return next(inner, network.hidden[0])


def moments(measured: Measured) -> tuple[GradientFacts, GradientFacts | None]:
    """The gradients of one run at its start and at its end, over depth and over time."""
    batch_norm, resized, cut = measured.batch_norm, measured.resized, measured.depth_cut
    start = with_time(
        gradient_of_run(measured.start, batch_norm=batch_norm, resized=resized, cut=cut),
        [time_of_run(its.layer, its.start, its.steps) for its in measured.recurrent],
    )
    if measured.end is None:
        return start, None
    at_end = gradient_of_run(measured.end, batch_norm=batch_norm, resized=resized, cut=cut)
    ends = [time_of_run(its.layer, its.end, its.steps) for its in measured.recurrent if its.end is not None]
    return start, with_time(at_end, ends)


def _distinct(*found: Evidence | None) -> tuple[Evidence, ...]:
    """In order, each once: a worst layer may be both a headline's and a cause's evidence."""
    return tuple(dict.fromkeys(item for item in found if item is not None))
