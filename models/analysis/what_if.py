"""This run's network with one remedy more: what theory says of it. Nothing is trained for it."""

from collections.abc import Sequence

from models.analysis.prediction import predict
from models.designs import named_variants
from models.plan import NetworkPlan, Plan, Shape, plan_network
from models.plan.rewrites import Draft, rewrite
from models.specs.base import SpecError
from models.specs.remedy import RemedySpec


def own_remedies(plan: Plan) -> tuple[RemedySpec, ...]:
    """Those of the experiment that this run's network already has; a plan keeps the network they made, not them."""
    for _, _, remedies in named_variants(plan.experiment):
        if _network_with(plan, remedies) == plan.network:
            return remedies
    return ()


def gain_with(plan: Plan, remedy: RemedySpec, own: tuple[RemedySpec, ...]) -> float | None:
    """Theory's G of this run's network with one remedy more, in the place of what sets the same; None where it cannot
    be.
    """
    kept = tuple(other for other in own if not set(other.slots) & set(remedy.slots))
    network = _network_with(plan, (*kept, remedy))
    return None if network is None else predict(network, plan.experiment.batch_size).worst_gain


def _network_with(plan: Plan, remedies: Sequence[RemedySpec]) -> NetworkPlan | None:
    experiment, facts = plan.experiment, plan.experiment.dataset.facts
    draft = Draft(experiment.network, experiment.dataset, experiment.optimizer)
    try:
        for remedy in remedies:
            draft = rewrite(draft, remedy, "remedies")
        return plan_network(
            draft.network, Shape(facts.form, facts.shape, facts.vocabulary), facts.classes, facts.target
        )
    except SpecError:
        return None
