"""The plan of a stored run: from its experiment's spec, or from what its watcher has said."""

from models.plan import plan_variant
from models.plan.watched import AnyPlan, plan_watched
from models.specs.experiment import ExperimentSpec
from models.specs.ingested import StoredSpec
from models.storage.tables import Run


def plan_of(spec: StoredSpec, run: Run) -> AnyPlan:
    """``spec``: of the run's experiment."""
    if isinstance(spec, ExperimentSpec):
        return plan_variant(spec, run.variant)
    assert run.watched is not None  # such a run begins with it
    return plan_watched(spec, run.watched, run.steps)
