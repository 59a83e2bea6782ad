"""From requests to experiments that are stored, for the routes that take one and for those that take many."""

import uuid
from collections.abc import Sequence
from http import HTTPStatus

from sqlalchemy.orm import Session

from api.http.callers import Caller
from api.http.errors import ApiError
from api.suggestions import settled
from api.variants import planned
from api.views.experiments import ExperimentView, experiment_view
from models import runs
from models.runs import Submission
from models.runs.progress import Progress
from models.specs.experiment import ExperimentRequest
from models.status import State
from models.storage.presence import without_worker


def prepared(session: Session, caller: Caller, request: ExperimentRequest) -> Submission:
    """All that is stored of it. SpecError, ApiError 404.

    Uploaded data are found in the transaction that stores the experiment: they cannot be deleted in between.
    """
    found = settled(session, caller, request)
    said = None if found.suggested is None else [remedy.model_dump(mode="json") for remedy in found.suggested]
    return Submission.of(found.spec, planned(found.spec), caller.owner, said, found.suggested_from)


def stored(session: Session, submissions: Sequence[Submission]) -> list[ExperimentView]:
    """As each is answered."""
    made = runs.submit_all(session, submissions)
    waiting = without_worker(session, [one.experiment.id for one in made])
    return [
        experiment_view(
            one.experiment,
            Progress({State.QUEUED: one.runs}, 0.0),
            without_worker=one.experiment.id in waiting,
        )
        for one in made
    ]


def deleted(experiment_id: uuid.UUID | str) -> ApiError:
    """410: under a key there is an answer, and its experiment is gone."""
    which = f"the experiment that this Idempotency-Key made, {experiment_id}, was deleted"
    return ApiError(HTTPStatus.GONE, f"{which}; choose a new key to submit it again")
