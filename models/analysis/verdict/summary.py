"""One run, summed up: all that a variant's verdict and a comparison need of it. Stored whole at finish."""

from dataclasses import replace
from functools import partial

from gradient_clinic.values import fields_of
from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.judge import judge
from gradient_clinic.verdict.measurements import measure
from gradient_clinic.verdict.run_trace import RunTrace
from gradient_clinic.verdict.shapes import Measured, RunFacts, RunSummary
from models.analysis.verdict.advice import find_answers, find_answers_of_code
from models.analysis.verdict.setup import setup_of, setup_of_code
from models.plan.watched import AnyPlan, WatchedPlan


def summarise(plan: AnyPlan, trace: RunTrace, facts: RunFacts) -> RunSummary:
    """Measure a run and judge it."""
    return summary_of(plan, measure(trace, facts))


def summary_of(plan: AnyPlan, measured: Measured) -> RunSummary:
    """Numbers, measured by whatever version, with the verdict of this one."""
    numbers = replace(measured, network=plan.network.kind)
    if isinstance(plan, WatchedPlan):
        case, trained = Case(setup_of_code(plan), numbers), plan.trained
        # No catalogue knows what others' code could be given instead.
        verdict = judge(case) if trained is None else judge(case, partial(find_answers_of_code, trained))
    else:
        verdict = judge(Case(setup_of(plan), numbers), lambda case, causes: find_answers(plan, case, causes))
    return RunSummary(**fields_of(numbers) | {"verdict": verdict})
