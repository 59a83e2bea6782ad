"""One run, summed up: all that a variant's verdict and a comparison need of it. Stored whole at finish."""

from models.analysis.theory.prediction import worst_gain
from models.analysis.theory.propagation import has_skips
from models.analysis.verdict.advice import find_answers
from models.analysis.verdict.case import Case, Setup
from models.analysis.verdict.judge import judge
from models.analysis.verdict.measurements import measure
from models.analysis.verdict.run_trace import RunTrace
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


def setup_of(plan: Plan) -> Setup:
    """Embeddings, gated cells and ends of branches have no activation of their own; that of the first layer with one
    is read.
    """
    network, batch_size = plan.network, plan.experiment.batch_size
    inner = (layer.activation for layer in network.layers if layer.role != "output")
    return Setup(
        activation=next((activation for activation in inner if activation is not None), None),
        has_skips=has_skips(network),
        positions=max(layer.positions for layer in network.hidden),
        batch_size=batch_size,
        loss_above=plan.stop_when.loss_above,
        predicted_gain=worst_gain(network, batch_size),
    )
