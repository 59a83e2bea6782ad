"""The comparison as a page to look at."""

import uuid

import numpy as np
from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api import rows
from api.dependencies import CallerDep, DatabaseDep
from api.headers import page_policy
from api.pictures import LAST_STEP
from api.report.maps import HeatMap
from api.report.page import STYLE, render
from models.analysis.comparison.compare import Comparison
from models.analysis.statistics.intervals import Array
from models.plan import NetworkPlan, expand
from models.runs import comparing
from models.storage.tables import Experiment, Run
from models.traces.pictures import Signal, draw

router = APIRouter(prefix="/v1/experiments", tags=["comparisons"])

POINTS = 200


@router.get("/{experiment_id}/report", response_class=HTMLResponse)
def report(experiment_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> HTMLResponse:
    """One self-contained page: table, forest plot, heat maps, profiles beside theory, sentences."""
    with database.snapshot() as session:
        experiment = rows.experiment_of(session, caller, experiment_id)
        comparison = (
            comparing.compute(session, experiment_id)
            if experiment.comparison is None
            else Comparison.model_validate(experiment.comparison)
        )
        maps, half = _maps(session, experiment), _half_of_chance(session, experiment_id)
        return HTMLResponse(render(experiment, comparison, maps, half), headers=page_policy(STYLE))


def _half_of_chance(session: Session, experiment_id: uuid.UUID) -> float | None:
    """The loss at which a run counts as trained. Splits drawn by the run's own seed differ in the third digit."""
    query = select(func.avg(Run.chance_level)).where(Run.experiment_id == experiment_id)
    chance = session.execute(query).scalar_one()
    return None if chance is None else chance / 2.0


def _maps(session: Session, experiment: Experiment) -> dict[str, HeatMap]:
    """By variant, r of its first seed: of hidden layers over depth, or of a recurrent layer's states over time."""
    seed = experiment.spec.seed_list()[0]
    found: dict[str, HeatMap] = {}
    for variant in expand(experiment.spec):
        query = select(Run).where(Run.experiment_id == experiment.id, Run.variant == variant.name, Run.seed == seed)
        run = session.execute(query).scalar_one()
        numbers, caption = _rows_of(variant.plan.network)
        source = Signal(session, run.id, "activation_gradient_rms", numbers)
        drawn = draw(source, 0, LAST_STEP, POINTS, kept=run.raw_dropped_at is None)
        found[variant.name] = HeatMap(_levels(drawn.buckets.mean), drawn.steps, caption)
    return found


def _levels(rms: Array) -> Array:
    """r of each row to the last one; an exact zero stays −∞ where the last one is zero as well."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(rms)
        return np.where(rms == 0.0, -np.inf, logs - logs[-1])


def _rows_of(network: NetworkPlan) -> tuple[list[int], str]:
    """Which rows of the trace are drawn, and what they are."""
    if not network.time:
        inside = sum(layer.role == "branch" for layer in network.layers)
        beside = f" ({inside} layers inside branches left out)" if inside else ""
        return [layer.index for layer in network.hidden], f"{len(network.hidden)} hidden layers{beside}"
    first = network.time[0].layer
    numbers = [at for at, its in enumerate(network.time, start=len(network.layers) + 1) if its.layer == first]
    return numbers, f"{len(numbers)} states of {first} along time"
