"""What a spec would cost, with nothing stored."""

from fastapi import APIRouter

from api.bodies import StrictRoute
from api.costs import Cost, estimate
from api.dependencies import CallerDep, DatabaseDep
from api.routes.submission import SpecBody
from api.uploads.resolution import resolved

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=StrictRoute)


@router.post("/validate", summary="What a spec would cost")
def validate(spec: SpecBody, caller: CallerDep, database: DatabaseDep) -> Cost:
    """Variants, runs, parameters, trace size, device time, seeds for an effect, and warnings."""
    with database.begin() as session:
        return estimate(session, resolved(session, caller, spec))
