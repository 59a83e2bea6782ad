"""One run, summed up: all that a variant's verdict and a comparison need of it. Stored whole at finish."""

from dataclasses import replace

from gradient_clinic.values import fields_of
from gradient_clinic.verdict.case import Case, Setup
from gradient_clinic.verdict.judge import judge
from gradient_clinic.verdict.measurements import measure
from gradient_clinic.verdict.run_trace import RunTrace
from gradient_clinic.verdict.shapes import Measured, RunFacts, RunSummary
from models.analysis.theory.prediction import worst_gain
from models.analysis.theory.propagation import has_skips
from models.analysis.verdict.advice import find_answers
from models.plan import Plan


def summarise(plan: Plan, trace: RunTrace, facts: RunFacts) -> RunSummary:
    """Measure a run and judge it."""
    return summary_of(plan, measure(trace, facts))


def summary_of(plan: Plan, measured: Measured) -> RunSummary:
    """Numbers, measured by whatever version, with the verdict of this one."""
    numbers = replace(measured, network=plan.network.kind)
    verdict = judge(Case(setup_of(plan), numbers), lambda case, causes: find_answers(plan, case, causes))
    return RunSummary(**fields_of(numbers) | {"verdict": verdict})


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
