"""One run, summed up: all that a variant's verdict and a comparison need of it. Stored whole at finish."""

from models.analysis import evidence
from models.analysis.answers import find_answers
from models.analysis.causes import Case, find_causes
from models.analysis.gradient import gradient_of_run
from models.analysis.measurements import Measured, measure
from models.analysis.prediction import predict
from models.analysis.sentences import verdict_sentence
from models.analysis.trace import RunFacts, RunTrace
from models.analysis.verdict import Evidence, Verdict, headline
from models.plan import Plan


class RunSummary(Measured):
    """The measured numbers of a run with its verdict. Returns from JSON as it was, NaN and ±∞ included."""

    verdict: Verdict


def summarise(plan: Plan, trace: RunTrace, facts: RunFacts) -> RunSummary:
    """Measure a run and judge it."""
    measured = measure(trace, facts)
    return RunSummary(**dict(measured), verdict=judge(plan, measured))


def judge(plan: Plan, measured: Measured) -> Verdict:
    """The verdict of one run by the rules of this version."""
    at_start = gradient_of_run(measured.start, batch_norm=measured.batch_norm)
    at_end = None if measured.end is None else gradient_of_run(measured.end, batch_norm=measured.batch_norm)
    kind = headline(measured, at_start, at_end)
    theory = predict(plan.network, plan.experiment.batch_size).total_gain
    case = Case(measured, at_start, at_end, kind, plan.network.hidden[0], theory)
    causes, shown = find_causes(case)
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
        ),
        answers=find_answers(plan, case, causes),
        seeds={kind: 1},
    )
    return verdict.model_copy(update={"sentence": verdict_sentence(verdict)})


def _distinct(*found: Evidence | None) -> tuple[Evidence, ...]:
    """In order, each once: a worst layer may be both a headline's and a cause's evidence."""
    return tuple(dict.fromkeys(item for item in found if item is not None))
