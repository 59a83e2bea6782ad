"""Pictures without a browser: what the report draws, as files, by suffix."""

import math
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from api import queries
from api.dependencies import CallerDep, DatabaseDep
from api.http.callers import Caller
from api.http.errors import ApiError
from api.http.etags import etag_of, not_modified
from api.http.headers import page_policy
from api.levels import NO_LAYERS, map_of, maps_of
from api.report import curves, drawings, forest, phase
from api.report import maps as heat
from api.report.pictures import STYLE, standalone
from api.report.pixels import rasterised
from api.views.traces import LAST_STEP
from gradient_clinic.maps.colours import colours, png, scale_limit
from gradient_clinic.maps.heatmaps import HeatMap
from gradient_clinic.signals import CurveName
from models.analysis.comparison.compare import Comparison
from models.analysis.theory.meanfield import critical_weight_variance
from models.specs.activation import Function, activation_of
from models.status import Phase
from models.storage.database import Database
from models.storage.tables import Run
from models.traces.pictures import Curves, Picture, draw

router = APIRouter(prefix="/v1", tags=["pictures"])

SVG, PNG = "image/svg+xml", "image/png"
NOTHING = "nothing is recorded"
PIXELS = 6
"""Of a map, for each layer and bucket: its side."""
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_SVG: dict[int | str, dict[str, Any]] = {
    200: {"content": {SVG: {"schema": {"type": "string"}}}, "description": "The picture."}
}
_PNG: dict[int | str, dict[str, Any]] = {200: {"content": {PNG: _BINARY}, "description": "The picture."}}
_svg = partial(router.get, response_class=Response, responses=_SVG)
_png = partial(router.get, response_class=Response, responses=_PNG)


def _drawing(path: str, *, summary: str) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """A route for each suffix; ``_drawn`` sees which one was asked."""

    def both(draw: Callable[..., Response]) -> Callable[..., Response]:
        _svg(f"{path}.svg", summary=f"{summary}, drawn")(draw)
        _png(f"{path}.png", summary=f"{summary}, as pixels", name=f"{draw.__name__}_png")(draw)
        return draw

    return both


LEAST_WIDTH, MOST_WIDTH = 280, 1_600
Width = Annotated[
    int,
    Query(
        ge=LEAST_WIDTH,
        le=MOST_WIDTH,
        description="Pixels of CSS that it is to be shown on. Words have one size at any width: it is laid out anew.",
    ),
]
VariantName = Annotated[str, Query(max_length=200, description="By its name.")]


@_drawing("/experiments/{experiment_id}/comparison", summary="Each remedy against the baseline")
def drawn_comparison(
    experiment_id: uuid.UUID, request: Request, caller: CallerDep, database: DatabaseDep, width: Width = forest.WIDTH
) -> Response:
    """A forest plot: of each remedy the difference that its grade rests on, else that to be read first, with its 95 %
    interval.
    """
    found = _comparison(database, caller, experiment_id)
    return _drawn(request, forest.forest(found.variants, found.metric, width), "nothing to compare", width)


@_drawing("/experiments/{experiment_id}/outcomes", summary="What the runs reached")
def drawn_outcomes(
    experiment_id: uuid.UUID, request: Request, caller: CallerDep, database: DatabaseDep, width: Width = forest.WIDTH
) -> Response:
    """The metric of each variant over the runs that train, and pale over all that have ended."""
    found = _comparison(database, caller, experiment_id)
    return _drawn(request, forest.reached(found.variants, found.metric, width), "no metric is known", width)


@_drawing("/experiments/{experiment_id}/profile", summary="Gradients layer by layer, measured beside predicted")
def drawn_profile(  # noqa: PLR0913, PLR0917 -- as FastAPI names what is asked
    experiment_id: uuid.UUID,
    request: Request,
    caller: CallerDep,
    database: DatabaseDep,
    variant: VariantName = "baseline",
    width: Width = drawings.WIDTH,
) -> Response:
    """ln ratio of each hidden layer's gradient to the last one's before training, over all seeds, beside theory.

    All variants of an experiment have one axis. 404 for a variant that there is not.
    """
    found = _comparison(database, caller, experiment_id)
    chosen = next((one for one in found.variants if one.name == variant), None)
    if chosen is None:
        raise ApiError(HTTPStatus.NOT_FOUND, f"the experiment has no variant {variant}")
    # One axis for all of them: pictures of two variants lie side by side, and must not flatter one.
    low, high = drawings.range_of(one.gradient.profile for one in found.variants)
    return _drawn(request, drawings.profile(chosen.gradient.profile, low, high, width), "no hidden layers", width)


CurveQuery = Annotated[CurveName, Query()]
POINTS, SEEDS = 400, 20
"""Columns of a curve, and of each variant so many seeds at most."""

Height = Annotated[
    int | None,
    Query(ge=200, le=10_000, description="Pixels of CSS that there are: with many variants each map is lower."),
]


@_drawing("/experiments/{experiment_id}/heatmaps", summary="Gradients by layer and step of every variant")
def drawn_maps(  # noqa: PLR0913, PLR0917 -- as FastAPI names what is asked
    experiment_id: uuid.UUID,
    request: Request,
    caller: CallerDep,
    database: DatabaseDep,
    width: Width = heat.WIDTH,
    height: Height = None,
) -> Response:
    """Of the first seed, on one scale of colours and one axis of steps."""
    with database.snapshot() as session:
        maps = maps_of(session, queries.experiment_of(session, caller, experiment_id))
    return _drawn(request, heat.heat_maps(maps, width, height or math.inf), _no_map(maps), width)


@_drawing("/experiments/{experiment_id}/curves", summary="A curve of every variant")
def drawn_curves(  # noqa: PLR0913, PLR0917 -- as FastAPI names what is asked
    experiment_id: uuid.UUID,
    request: Request,
    caller: CallerDep,
    database: DatabaseDep,
    curve: CurveQuery = "loss",
    width: Width = curves.WIDTH,
) -> Response:
    """Mean over the first 20 seeds and the band of all their values; by logarithm where these lie far apart."""
    with database.snapshot() as session:
        experiment = queries.experiment_of(session, caller, experiment_id)
        found = {
            name: [
                _curve(session, run, curve) for run in queries.runs(session, experiment_id, _trial(name), None, SEEDS)
            ]
            for name in queries.first_runs(session, experiment)
        }
    return _drawn(request, curves.curves(found, curve.replace("_", " "), width), NOTHING, width)


@_svg("/runs/{run_id}/heatmap.svg", summary="Gradients by layer and step, drawn")
def drawn_map(
    run_id: uuid.UUID, request: Request, caller: CallerDep, database: DatabaseDep, width: Width = heat.WIDTH
) -> Response:
    """With axes, scale and the place of the first value that is not finite."""
    name, its = _map(database, caller, run_id)
    return _drawn(request, heat.heat_maps({name: its}, width), _no_map({name: its}), width)


@router.get(
    "/runs/{run_id}/heatmap.png",
    summary="Gradients by layer and step, as pixels",
    response_class=Response,
    responses=_PNG,
)
def painted_map(run_id: uuid.UUID, request: Request, caller: CallerDep, database: DatabaseDep) -> Response:
    """The map alone, without words: a square of pixels for each layer and bucket, first layer at the bottom. 409 where
    nothing is recorded yet, or no layer.
    """
    _, its = _map(database, caller, run_id)
    if not its.levels.size:
        raise ApiError(HTTPStatus.CONFLICT, _no_map({"": its}))
    painted = colours(its.levels[::-1], scale_limit([its.levels]), blank=its.absent)
    return _sent(request, png(painted.repeat(PIXELS, axis=0).repeat(PIXELS, axis=1)), PNG, {})


def _no_map(maps: Mapping[str, HeatMap]) -> str:
    without = bool(maps) and all(its.caption == NO_LAYERS for its in maps.values())
    return NO_LAYERS if without else NOTHING


BIASES = tuple((at / 20) ** 2 for at in range(21))
"""σb² at which the critical line is drawn: close together near 0, where it bends most."""
Variance = Annotated[float | None, Query(ge=0, le=1_000)]


@_drawing("/predictions/phase", summary="The phase diagram of an activation")
def drawn_phase(
    request: Request,
    _: CallerDep,
    activation: Annotated[Function, Query()] = "tanh",
    weight_variance: Variance = None,
    bias_variance: Variance = None,
    width: Width = phase.WIDTH,
) -> Response:
    """The critical line of mean-field theory over σw² and σb², and where given the place of a network."""
    its = activation_of(activation, None, None)
    found = ((critical_weight_variance(its, bias), bias) for bias in BIASES)
    line = [phase.Point(weight, bias) for weight, bias in found if weight is not None]
    point = None if weight_variance is None else phase.Point(weight_variance, bias_variance or 0.0)
    return _drawn(request, phase.phase_diagram(activation, line, point, width), "", width)


def _map(database: Database, caller: Caller, run_id: uuid.UUID) -> tuple[str, HeatMap]:
    with database.snapshot() as session:
        run, experiment = queries.run_of(session, caller, run_id)
        return f"{run.variant}, seed {run.seed}", map_of(session, run, experiment)


def _trial(variant: str) -> queries.RunFilter:
    return queries.RunFilter(phase=Phase.TRIAL, variant=variant)


def _curve(session: Session, run: Run, curve: CurveName) -> Picture:
    return draw(Curves(session, run.id, (curve,)), 0, LAST_STEP, POINTS, kept=run.raw_dropped_at is None)


def _comparison(database: Database, caller: Caller, experiment_id: uuid.UUID) -> Comparison:
    with database.snapshot() as session:
        return queries.comparison_of(session, queries.experiment_of(session, caller, experiment_id, compared=True))


def _drawn(request: Request, drawing: str, otherwise: str, width: float) -> Response:
    """As SVG or, by the suffix of the address, as PNG; ``otherwise`` where nothing was drawn."""
    drawn = standalone(drawing, otherwise, width)
    if request.url.path.endswith(".svg"):
        return _sent(request, drawn, SVG, page_policy(STYLE))
    try:
        return _sent(request, rasterised(drawn), PNG, {})
    except ValueError as error:
        raise ApiError(HTTPStatus.CONFLICT, f"{error}; take the same address with .svg") from error


def _sent(request: Request, body: bytes, media_type: str, policy: dict[str, str]) -> Response:
    headers = {"ETag": etag_of(body), "Cache-Control": "no-cache", **policy}
    return not_modified(request, headers) or Response(body, headers=headers, media_type=media_type)
