"""The plan of a stored run: from its experiment's spec, or from what was found of a network that is code."""

from models.plan import Plan, plan_variant
from models.plan.watched import AnyPlan, plan_code, plan_watched
from models.specs.experiment import ExperimentSpec
from models.specs.ingested import StoredSpec
from models.storage.tables import Run


def plan_of(spec: StoredSpec, run: Run) -> AnyPlan:
    """``spec``: of the run's experiment."""
    if isinstance(spec, ExperimentSpec):
        return found_plan(plan_variant(spec, run.variant), run)
    assert run.watched is not None  # such a run begins with it
    return plan_watched(spec, run.watched, run.steps)


def found_plan(plan: Plan, run: Run) -> AnyPlan:
    """``plan`` of the run's variant; where it trains a plug-in, with the layers that a worker has found."""
    return plan_code(plan, run.found) if plan.network.kind == "plugin" else plan
