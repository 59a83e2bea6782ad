"""What the runs of an experiment say together: as JSON, and as a page for people."""

import uuid
from http import HTTPStatus
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic import BaseModel, Field

from api import queries
from api.dependencies import CallerDep, DatabaseDep
from api.http.bodies import StrictRoute
from api.http.errors import ApiError
from api.http.etags import UNCHANGED, tagged
from api.http.headers import page_policy
from api.http.scopes import ANSWERS_ONLY
from api.levels import maps_of
from api.report.page import render
from gradient_clinic.maps.sheet import STYLE
from gradient_clinic.verdict.shapes import RULES
from models.analysis.comparison.answer import answer_of
from models.analysis.comparison.brief import brief_of
from models.analysis.comparison.compare import Comparison
from models.plan import expand
from models.runs import comparing, judging
from models.runs.judging import Judged
from models.specs.base import Spec
from models.specs.experiment import ExperimentSpec
from models.specs.ingested import StoredSpec

router = APIRouter(prefix="/v1", tags=["comparisons"], route_class=StrictRoute)

MOST_COMPARED = 20
BriefQuery = Annotated[bool, Query(description="Five lines of text for a chat, a terminal or an agent")]


class ComparisonRequest(Spec):
    """Experiments on the same data. Every variant is compared with the baseline of the first."""

    experiment_ids: Annotated[tuple[uuid.UUID, ...], Field(min_length=1, max_length=MOST_COMPARED)]


class Judgement(BaseModel):
    """The version of the rules, and each run with its verdict before and after."""

    rules: str
    runs: list[Judged]


@router.get(
    "/experiments/{experiment_id}/comparison",
    response_model=Comparison,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **UNCHANGED},
    summary="Compare the variants",
)
def compare(
    experiment_id: uuid.UUID, request: Request, caller: CallerDep, database: DatabaseDep, *, brief: BriefQuery = False
) -> Response:
    """Which remedy repaired which layer, with what confidence, at what cost; ``notes`` say which runs are missing.

    With the ``ETag`` of an earlier answer in ``If-None-Match``: 304 where it is the same. ``brief=1``: five lines.
    """
    with database.begin() as session:
        experiment = queries.experiment_of(session, caller, experiment_id, compared=True)
        if brief:
            found = queries.comparison_of(session, experiment)
            optimizer = experiment.spec.optimizer
            to_do, *_ = answer_of(found.variants, found.metric, optimizer, found.causes, found.earlier)
            return PlainTextResponse("".join(f"{line}\n" for line in brief_of(found, to_do)))
        if experiment.comparison is not None:
            # As it is stored: a model made of it would only be written out again.
            return tagged(request, orjson.dumps(experiment.comparison))
        return tagged(request, comparing.compute(session, experiment_id))


@router.post("/comparisons", summary="Compare experiments", dependencies=[ANSWERS_ONLY])
def compare_several(asked: ComparisonRequest, caller: CallerDep, database: DatabaseDep) -> Comparison:
    """The variants of several experiments beside the baseline of the first, paired by seed; ``notes`` say in what their
    conditions differ. 422 where their data or loss do: figures of other data do not compare.
    """
    with database.snapshot() as session:
        for experiment_id in asked.experiment_ids:
            queries.experiment_of(session, caller, experiment_id)
        # Each once and in the order given, as the first one's baseline is everybody's.
        return comparing.compute(session, *dict.fromkeys(asked.experiment_ids))


@router.post("/experiments/{experiment_id}/judge", summary="Judge by the newest rules")
def judge(experiment_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> Judgement:
    """Run the rules of this version over the stored traces of every run that succeeded; verdicts and comparison are
    replaced. 409 where none has.
    """
    with database.begin() as session:
        queries.experiment_of(session, caller, experiment_id)
        judged = judging.judge_again(session, experiment_id)
    if not judged:
        raise ApiError(HTTPStatus.CONFLICT, "no run of this experiment has succeeded; there is nothing to judge")
    return Judgement(rules=RULES, runs=judged)


@router.get("/experiments/{experiment_id}/report", response_class=HTMLResponse)
def report(experiment_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> HTMLResponse:
    """One self-contained page: table, forest plot, heat maps, profiles beside theory, sentences."""
    with database.snapshot() as session:
        experiment = queries.experiment_of(session, caller, experiment_id, compared=True)
        comparison = queries.comparison_of(session, experiment)
        chance = queries.mean_chance_level(session, experiment_id) if _has_one_loss(experiment.spec) else None
        trained_below = None if chance is None else chance / 2.0
        page = render(experiment, comparison, maps_of(session, experiment), trained_below)
        return HTMLResponse(page, headers=page_policy(STYLE))


def _has_one_loss(spec: StoredSpec) -> bool:
    """One line of chance for all variants: where remedies change loss or unit there is no such line. Of what others
    train that is taken on trust.
    """
    if not isinstance(spec, ExperimentSpec):
        return True
    plans = [variant.plan for variant in expand(spec)]
    return len({(plan.objective, plan.dataset.standardise_targets) for plan in plans}) == 1
