"""One run, summed up: all that a variant's verdict and a comparison need of it. Stored whole at finish."""

from models.analysis.verdict.advice import find_answers
from models.analysis.verdict.case import Case
from models.analysis.verdict.judge import judge
from models.analysis.verdict.measurements import measure
from models.analysis.verdict.run_trace import RunTrace
from models.analysis.verdict.setup import setup_of
from models.analysis.verdict.shapes import Measured, RunFacts, RunSummary
from models.plan import Plan


def summarise(plan: Plan, trace: RunTrace, facts: RunFacts) -> RunSummary:
    """Measure a run and judge it."""
    return summary_of(plan, measure(trace, facts))


def summary_of(plan: Plan, measured: Measured) -> RunSummary:
    """Numbers, measured by whatever version, with the verdict of this one."""
    numbers = {name: getattr(measured, name) for name in Measured.model_fields} | {"network": plan.network.kind}
    case = Case(setup_of(plan), Measured(**numbers))
    verdict = judge(case, lambda case, causes: find_answers(plan, case, causes))
    return RunSummary(**numbers, verdict=verdict)
