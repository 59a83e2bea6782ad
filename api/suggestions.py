"""From a request to the experiment that is stored: uploaded data by version, suggested remedies one by one."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from api import queries
from api.http.callers import Caller
from api.plugins import with_plugins
from api.uploads.resolution import resolved
from api.variants import planned, refusing, room_for
from models.analysis.suggestion.choice import Suggested
from models.analysis.suggestion.earlier import Earlier, earlier_of
from models.analysis.suggestion.suggest import suggest
from models.plan import expand
from models.plan.rewrites import FOR_PLUGINS
from models.runs import lineage
from models.specs.base import Problem, SpecError
from models.specs.experiment import ExperimentRequest, ExperimentSpec
from models.storage.tables import Experiment


@dataclass(frozen=True, slots=True)
class Settled:
    """``suggested``: in the order of the remedies, None where the request names them. ``suggested_from``: the caller's
    own experiment that left open what they test.
    """

    spec: ExperimentSpec
    suggested: Sequence[Suggested] | None = None
    suggested_from: uuid.UUID | None = None


def settled(session: Session, caller: Caller, request: ExperimentRequest) -> Settled:
    """SpecError where it cannot be; 404 where ``suggest_from`` is not there.

    In the transaction that stores the experiment, so that its data and the earlier one cannot be deleted in between.
    """
    # First: what a plan shows hangs on the data's version.
    request = with_plugins(session, resolved(session, caller, request))
    if request.remedies != "suggest":
        return Settled(request.with_remedies(request.remedies))
    if request.network.kind == "plugin":
        message = "what to test is read off the plan of a network, and a plug-in has none before it is built"
        raise SpecError(Problem("remedies", "suggest", message, list(FOR_PLUGINS)))
    spec = request.with_remedies(())
    baseline, *_ = planned(spec)
    experiment = None if request.suggest_from is None else _experiment(session, caller, request.suggest_from, spec)
    earlier = None if experiment is None else _earlier(session, experiment, spec)
    looked_at, most = room_for(spec)
    with refusing("remedies"):
        found = suggest(baseline.plan, planned=looked_at, most=most, earlier=earlier)
    if earlier is not None and not found.remedies:
        message = "its variants and those before them have tested every cause that its verdict names, and the rate"
        allowed = "another experiment, or left out: then the plan is asked"
        raise SpecError(Problem("suggest_from", str(request.suggest_from), message, allowed))
    # An admin may ask by anybody's; no owner's experiment names one that the owner does not have.
    own = None if experiment is None or experiment.owner != caller.owner else experiment.id
    return Settled(request.with_remedies(found.remedies), found.suggested, own)


def _experiment(session: Session, caller: Caller, experiment_id: uuid.UUID, spec: ExperimentSpec) -> Experiment:
    # Also where it is only validated: what may be asked for is what may be submitted.
    experiment = queries.experiment_of(session, caller.unshared(), experiment_id, held=True)
    if experiment.ended_at is None:
        raise _unfit(experiment_id, f"it is {experiment.state}", "an experiment that has ended")
    if not isinstance(experiment.spec, ExperimentSpec):
        raise _unfit(experiment_id, "it was trained elsewhere", "an experiment of this clinic")
    if experiment.spec.network != spec.network:
        raise _unfit(experiment_id, "its network is another", "an experiment on the same network")
    if experiment.spec.dataset != spec.dataset:
        raise _unfit(
            experiment_id, "its data, or their split or scale, are others", "an experiment on the same dataset"
        )
    return experiment


def _earlier(session: Session, experiment: Experiment, spec: ExperimentSpec) -> Earlier:
    assert isinstance(experiment.spec, ExperimentSpec)  # it fits
    comparison = queries.comparison_of(session, experiment)
    # On the baseline that is asked about now, which need not be that of the last one.
    before = () if experiment.suggested_from is None else lineage.earlier(session, experiment.id, spec)
    found = earlier_of(expand(experiment.spec), comparison.variants, before)
    if found is None:
        raise _unfit(experiment.id, "no run of its baseline has succeeded", "an experiment with a verdict")
    return found


def _unfit(experiment_id: uuid.UUID, message: str, allowed: str) -> SpecError:
    return SpecError(Problem("suggest_from", str(experiment_id), message, allowed))
