"""The records of a run: its trace, signal by signal and layer by layer, and its curves; as pictures or as tables."""

import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from pydantic_core import to_json
from sqlalchemy.orm import Session

from api import queries
from api.dependencies import CallerDep, DatabaseDep
from api.exports import SMALL, CurveTable, Reading, RecordTable, TraceTable, streamed
from api.http.arrays import picture_response
from api.http.bodies import StrictRoute
from api.http.errors import ApiError
from api.http.etags import UNCHANGED, not_modified, run_headers
from api.http.fields import FieldProblem
from api.http.negotiation import BUCKETED, PARQUET, TABLES, FormatDep
from api.views.experiments import run_view
from api.views.traces import LAST_STEP, CurvesView, Stretch, StretchDep, TraceRow, TraceView
from gradient_clinic.signals import SIGNALS, CurveName, SignalName
from gradient_clinic.values import fields_of
from models.plan.watched import Recorded
from models.runs.planned import plan_of
from models.storage.database import Database
from models.storage.tables import Experiment, Run
from models.traces.pictures import Curves, Signal, draw
from models.traces.reader import extent, read_epochs

Axis = Literal["depth", "time"]
Asked = Literal[SignalName, "all"]
Layers = Annotated[list[str] | None, Query(description="Names or indices, repeated or by comma; default all.")]

router = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=StrictRoute)


@router.get(
    "/{run_id}/trace",
    summary="One signal, layer by layer, over the steps",
    response_model=TraceView,
    responses=TABLES,
)
def trace(  # noqa: PLR0913, PLR0917 -- what a client may choose
    run_id: uuid.UUID,
    request: Request,
    caller: CallerDep,
    database: DatabaseDep,
    kind: FormatDep,
    signal: Asked,
    stretch: StretchDep,
    layers: Layers = None,
    axis: Axis = "depth",
) -> Response:
    """Matrices are layer × bucket. Every extreme survives thinning; ``nonfinite`` counts what JSON shows as null.

    ``axis=time`` shows the states of recurrent layers instead of the layers: ``activation_rms`` of the state, and as
    ``activation_gradient_rms`` ∂L/∂state.

    CSV, Arrow and Parquet, by ``Accept``, have a row per step and layer with the values as they are; ``points`` does
    not apply, and ``signal=all`` gives a column for each. 410 where retention has dropped the values.
    """
    if signal == "all" and kind in BUCKETED:
        message = "only tables hold all signals: ask for one, or Accept another type"
        problem = FieldProblem(field="signal", value="all", message=message, allowed=list(SIGNALS))
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, message, [problem])
    with database.snapshot() as session:
        run, experiment = queries.run_of(session, caller, run_id)
        # Before anything is planned or read: a client that has the answer is told so from the row alone.
        headers = run_headers(run, kind, signal, stretch, layers, axis)
        if (known := not_modified(request, headers)) is not None:
            return known
        chosen = _chosen(plan_of(experiment.spec, run), layers, axis)
        if kind not in BUCKETED:
            reading = _reading(session, database, run, stretch)
            signals = SIGNALS if signal == "all" else (signal,)
            # It is read batch by batch once this transaction is over, under the attempt that was seen here.
            table = TraceTable(reading, chosen, signals, untrained=run.steps == 0)
            return streamed(table, kind, f"run-{run_id}-{signal}", headers)
        assert signal != "all"  # refused above
        return picture_response(_picture(session, run, experiment, signal, chosen, stretch), kind, headers)


@router.get(
    "/{run_id}/curves",
    summary="Loss, gradient norms and times per step",
    response_model=CurvesView,
    responses=TABLES,
)
def curves(  # noqa: PLR0913, PLR0917 -- as above
    run_id: uuid.UUID,
    request: Request,
    caller: CallerDep,
    database: DatabaseDep,
    kind: FormatDep,
    stretch: StretchDep,
    curve: Annotated[CurveName | None, Query(description="In buckets, this one alone; tables hold all.")] = None,
) -> Response:
    """Curves in buckets that keep their extremes; validation per epoch.

    CSV, Arrow and Parquet, by ``Accept``, have a row per step and a column per curve. Of a log those that it has:
    others are null in tables, and not there in buckets.
    """
    with database.snapshot() as session:
        run, experiment = queries.run_of(session, caller, run_id)
        headers = run_headers(run, kind, stretch, curve)
        if (known := not_modified(request, headers)) is not None:
            return known
        told = plan_of(experiment.spec, run).told
        if kind not in BUCKETED:
            table = CurveTable(_reading(session, database, run, stretch), told)
            return streamed(table, kind, f"run-{run_id}-curves", headers)
        chosen = [name for name in told if curve in {None, name}]
        return picture_response(_curves(session, run, experiment, stretch, chosen), kind, headers)


_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {PARQUET: {"schema": {"type": "string", "format": "binary"}}}},
    410: {"description": "Retention has dropped the values."},
    **UNCHANGED,
}


@router.get("/{run_id}/records.parquet", summary="All of a run as one file", response_class=Response, responses=_FILE)
def records(run_id: uuid.UUID, request: Request, caller: CallerDep, database: DatabaseDep) -> Response:
    """A row per value (``step``, ``layer_index``, ``layer``, ``role``, ``signal``, ``value``), NaN and ±∞ as they are.
    Curves have no layer; states of recurrent layers have the role ``time``.

    The metadata of the file has as JSON the ``run`` with its verdict, result and versions, the ``experiment`` with its
    spec, the ``layers``, and validation by ``epochs``.
    """
    with database.snapshot() as session:
        run, experiment = queries.run_of(session, caller, run_id)
        plan = plan_of(experiment.spec, run)
        layers = _rows(plan)
        about = _about(session, run, experiment, layers)
        # What is said of the run is a part of the file, so it is of the tag as well.
        headers = run_headers(run, PARQUET, about)
        if (known := not_modified(request, headers)) is not None:
            return known
        reading = _reading(session, database, run, Stretch(0, LAST_STEP, 1))
        table = RecordTable(reading, layers, plan.told, run.steps == 0, about)
        return streamed(table, PARQUET, f"run-{run_id}", headers, SMALL)


def _about(session: Session, run: Run, experiment: Experiment, layers: Sequence[TraceRow]) -> dict[str, str]:
    names = ("id", "name", "labels", "source", "spec")
    asked = to_json({name: getattr(experiment, name) for name in names}, inf_nan_mode="null")
    epochs = to_json(_epochs(session, run), inf_nan_mode="null")
    return {
        "gradient_clinic.format": "1",
        "gradient_clinic.run": run_view(run, queries.attempts_of(session, [run.id])[run.id]).model_dump_json(),
        "gradient_clinic.experiment": asked.decode(),
        "gradient_clinic.layers": to_json(layers).decode(),
        "gradient_clinic.epochs": epochs.decode(),
    }


def _epochs(session: Session, run: Run) -> dict[str, Sequence[float | None]]:
    epochs = read_epochs(session, run.id)
    losses, metrics, steps = ([its[column] for its in epochs] for column in range(3))
    # What a log has none of is empty; null stands for a value that was not finite.
    told = [[] if None in values else values for values in (losses, metrics, steps)]
    return dict(zip(("validation_loss", "validation_metric", "steps"), told, strict=True))


def _picture(  # noqa: PLR0913, PLR0917 -- as above
    session: Session, run: Run, experiment: Experiment, signal: SignalName, chosen: list[TraceRow], stretch: Stretch
) -> dict[str, object]:
    source = Signal(session, run.id, signal, [row.index for row in chosen])
    drawn = draw(source, stretch.first, stretch.last, stretch.points, kept=run.raw_dropped_at is None)
    minimum, mean, maximum, newest, nonfinite = drawn.buckets.arrays
    # An untrained network has no update: its null stands for nothing, and nothing is not a non-finite value.
    counted = np.zeros_like(nonfinite) if signal == "update_ratio" and run.steps == 0 else nonfinite
    broken = queries.first_nonfinite_of(session, run, experiment)
    return {
        "run_id": str(run.id),
        "signal": signal,
        "layers": [row.model_dump() for row in chosen],
        "steps": drawn.steps,
        "min": minimum.astype(np.float32),
        "mean": mean.astype(np.float32),
        "max": maximum.astype(np.float32),
        "last": newest.astype(np.float32),
        "nonfinite": counted,
        "first_nonfinite": None if broken is None else fields_of(broken),
        "raw": drawn.raw,
    }


def _curves(
    session: Session, run: Run, experiment: Experiment, stretch: Stretch, chosen: Sequence[CurveName]
) -> dict[str, object]:
    # What is not there has the steps of what is: every run has a loss.
    source = Curves(session, run.id, chosen or ("loss",))
    drawn = draw(source, stretch.first, stretch.last, stretch.points, kept=run.raw_dropped_at is None)
    broken = queries.first_nonfinite_of(session, run, experiment)
    names = ("min", "mean", "max", "last", "nonfinite")
    return {
        "run_id": str(run.id),
        "steps": drawn.steps,
        "curves": {
            curve: {name: array[index] for name, array in zip(names, drawn.buckets.arrays, strict=True)}
            for index, curve in enumerate(chosen)
        },
        "epochs": _epochs(session, run),
        "first_nonfinite": None if broken is None else fields_of(broken),
    }


def _reading(session: Session, database: Database, run: Run, stretch: Stretch) -> Reading:
    """410 where the values are gone."""
    if run.raw_dropped_at is not None:
        detail = (
            f"retention dropped the values of this run at {run.raw_dropped_at.isoformat()}; "
            "as JSON its trace and curves are still answered, from its rollups"
        )
        raise ApiError(HTTPStatus.GONE, detail)
    return Reading(database, run.id, run.attempt, extent(session, run.id), stretch.first, stretch.last)


def _rows(plan: Recorded) -> list[TraceRow]:
    """All that the run's trace has: its layers, then the states of recurrent ones along time."""
    layers = [TraceRow(index=layer.index, name=layer.name, kind=layer.kind, role=layer.role) for layer in plan.layers]
    states = enumerate(plan.network.time, start=len(layers) + 1)
    return layers + [TraceRow(index=index, name=state.name, kind="state", role="time") for index, state in states]


def _chosen(plan: Recorded, given: list[str] | None, axis: Axis) -> list[TraceRow]:
    """The rows asked for, in forward order, each once. 422 for a name that the network does not have."""
    every = _rows(plan)
    wanted = {name.strip() for text in given or [] for name in text.split(",") if name.strip()}
    if not wanted:
        return [row for row in every if (row.role == "time") == (axis == "time")]
    known = {name for row in every for name in (row.name, str(row.index))}
    if unknown := sorted(wanted - known):
        message = f"the network has no layer {', '.join(unknown)[:100]}"
        shown = [name[:100] for name in unknown[:10]]
        names = [layer.name for layer in plan.layers]
        problem = FieldProblem(field="layers", value=shown, message=message, allowed=names)
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, message, [problem])
    return [row for row in every if wanted & {row.name, str(row.index)}]
