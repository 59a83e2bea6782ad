"""A variant to take home: its network and training as one file of plain PyTorch."""

import uuid
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from api import queries
from api.dependencies import CallerDep, DatabaseDep
from api.http.bodies import StrictRoute
from api.http.errors import ApiError
from api.http.etags import UNCHANGED, tagged
from models.code import Origin, program
from models.plan import Plan, plan_variant
from models.specs.experiment import ExperimentSpec
from models.specs.plugin import plugins_of
from models.specs.seeds import Seed
from models.storage.tables import Experiment, Run

router = APIRouter(prefix="/v1", tags=["experiments"], route_class=StrictRoute)

PYTHON = "text/x-python"
_FILE: dict[int | str, dict[str, Any]] = {200: {"content": {PYTHON: {"schema": {"type": "string"}}}}, **UNCHANGED}
VariantPath = Annotated[str, Path(max_length=500, description="By its name.")]
SeedQuery = Annotated[Seed | None, Query(description="Of the run that the file repeats; by default the first.")]


@router.get(
    "/experiments/{experiment_id}/variants/{variant:path}/code",
    response_class=Response,
    responses=_FILE,
    summary="A variant as plain PyTorch",
)
def code(  # noqa: PLR0913, PLR0917 -- what FastAPI is to hand in
    experiment_id: uuid.UUID,
    variant: VariantPath,
    request: Request,
    caller: CallerDep,
    database: DatabaseDep,
    seed: SeedQuery = None,
) -> Response:
    """One file without any import of ours: network, initialisation, data, optimiser, remedies, loss and loop. With the
    same versions on one processor it has the losses of the run, bit by bit.

    404 for a variant that there is not; 409 where the runs are trained elsewhere, where the network or the
    data are a plug-in's, and where tuning has not chosen the
    variant's learning rate yet.
    """
    with database.begin() as session:
        experiment = queries.experiment_of(session, caller, experiment_id)
        plan = _planned(experiment, variant)
        chosen = experiment.spec.seed_list()[0] if seed is None else seed  # type: ignore[union-attr]  # planned
        run = queries.trial_of(session, experiment_id, variant, chosen)
        plan, origin = _as_run(plan, run), _origin(request, experiment, variant, chosen, run)
    # Outside of the transaction: writing a file takes longer than all that is read for it.
    return tagged(request, program(plan, origin).encode(), media_type=PYTHON)


def _planned(experiment: Experiment, variant: str) -> Plan:
    if not isinstance(experiment.spec, ExperimentSpec):
        detail = (
            "its runs are trained elsewhere: the clinic knows what was measured of their networks, and not their code"
        )
        raise ApiError(HTTPStatus.CONFLICT, detail)
    try:
        plan = plan_variant(experiment.spec, variant)
    except LookupError as error:
        raise ApiError(HTTPStatus.NOT_FOUND, f"the experiment has no variant {variant}") from error
    if its := ", ".join(f"the {one}" for one in sorted(plugins_of(experiment.spec.network, experiment.spec.dataset))):
        detail = f"it cannot be given: the code of {its} is in that package, which the clinic does not hand out"
        raise ApiError(HTTPStatus.CONFLICT, detail)
    return plan


def _as_run(plan: Plan, run: Run | None) -> Plan:
    """At the rate that tuning has chosen, and with the cadence that a budget has."""
    if plan.experiment.tune is not None and (run is None or run.learning_rate is None):
        detail = "tuning has not chosen the learning rate of this variant yet; ask again once its runs have begun"
        raise ApiError(HTTPStatus.CONFLICT, detail)
    if run is None:
        return plan
    plan = plan.at_rate(run.learning_rate)
    return plan if run.trace_every is None else plan.recording_every(run.trace_every)


def _origin(request: Request, experiment: Experiment, variant: str, seed: int, run: Run | None) -> Origin:
    origin = Origin(str(experiment.id), experiment.spec.name, variant, seed, request.app.version)
    if run is None or run.seed != seed or run.versions is None:
        return origin
    return replace(origin, versions=run.versions, device=run.device or "cpu")
