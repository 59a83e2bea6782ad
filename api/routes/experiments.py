"""Experiments: list, cancel, delete, and list their runs. They come in by ``submission.py``; ``waiting.py`` looks."""

import uuid
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import StringConstraints

from api import rows
from api.bodies import StrictRoute
from api.dependencies import CallerDep, DatabaseDep
from api.errors import ApiError
from api.pages import PageDep, encode_token
from api.views import ExperimentPage, ExperimentView, RunPage, experiment_view, run_view
from models import runs
from models.analysis.verdict.shapes import Kind, RunKind
from models.runs.progress import progress_of
from models.specs.moment import Moment
from models.specs.text import NOT_PLAIN, PLAIN
from models.status import Phase, State

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=StrictRoute)

# As a spec may have them: a key and a value of 200 characters each, with a colon between them.
Label = Annotated[str, StringConstraints(pattern=f"^[^{NOT_PLAIN}]+:[^{NOT_PLAIN}]+$", max_length=401)]
Name = Annotated[str, StringConstraints(pattern=PLAIN, max_length=200)]


def _wanted(  # noqa: PLR0913, PLR0917 -- what a list may be asked by
    state: State | None = None,
    label: Annotated[list[Label] | None, Query(description="key:value; repeated, all must be there.")] = None,
    owner: Annotated[Name | None, Query(description="Of the experiments that the caller may see.")] = None,
    created_after: Moment | None = None,
    created_before: Moment | None = None,
    verdict: Annotated[Kind | None, Query(description="On the baseline, once the experiment has ended.")] = None,
) -> rows.Filter:
    return rows.Filter(state, owner, label or (), created_after, created_before, verdict)


def _wanted_runs(
    state: State | None = None,
    phase: Annotated[Phase | None, Query(description="Of tuning, or of the trial.")] = None,
    variant: Annotated[Name | None, Query(description="By its name.")] = None,
    verdict: RunKind | None = None,
) -> rows.RunFilter:
    return rows.RunFilter(state, phase, variant, verdict)


@router.get("", summary="List experiments")
def list_experiments(
    caller: CallerDep, database: DatabaseDep, page: PageDep, wanted: Annotated[rows.Filter, Depends(_wanted)]
) -> ExperimentPage:
    """Those that the caller may see, newest first. The last page has an empty ``next_page_token``."""
    with database.begin() as session:
        found = rows.experiments(session, caller, wanted, page.before(), page.limit + 1)
        shown = found[: page.limit]
        progress = progress_of(session, [row.id for row in shown])
    token = encode_token(shown[-1].id) if len(found) > page.limit else ""
    return ExperimentPage(items=[experiment_view(row, progress[row.id]) for row in shown], next_page_token=token)


@router.post("/{experiment_id}/cancel", status_code=HTTPStatus.ACCEPTED, summary="Cancel an experiment")
def cancel(experiment_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> ExperimentView:
    """Ask it to stop: queued runs end now, running ones within a second or one step. Asking twice is harmless; 409
    for an experiment that has ended otherwise.
    """
    with database.begin() as session:
        rows.experiment_of(session, caller, experiment_id)
        accepted = runs.cancel(session, experiment_id)
    with database.begin() as session:
        view = rows.experiment_now(session, caller, experiment_id)
    if not accepted and view.state is not State.CANCELLED:
        raise ApiError(HTTPStatus.CONFLICT, f"the experiment has ended as {view.state}; there is nothing to cancel")
    return view


@router.delete("/{experiment_id}", status_code=HTTPStatus.NO_CONTENT, summary="Delete an experiment")
def delete(experiment_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> None:
    """Delete it with its runs and traces. Workers that train one of them stop."""
    with database.begin() as session:
        rows.experiment_of(session, caller, experiment_id)
        runs.remove(session, experiment_id)


@router.get("/{experiment_id}/runs", summary="List the runs of an experiment")
def list_runs(
    experiment_id: uuid.UUID,
    caller: CallerDep,
    database: DatabaseDep,
    page: PageDep,
    wanted: Annotated[rows.RunFilter, Depends(_wanted_runs)],
) -> RunPage:
    """Its runs: those of tuning, then all variants of the first seed, of the second, …"""
    with database.begin() as session:
        rows.experiment_of(session, caller, experiment_id)
        found = rows.runs(session, experiment_id, wanted, page.after(), page.limit + 1)
        shown = found[: page.limit]
        attempts = rows.attempts_of(session, [row.id for row in shown])
    token = encode_token(shown[-1].position) if len(found) > page.limit else ""
    return RunPage(items=[run_view(row, attempts[row.id]) for row in shown], next_page_token=token)
