"""From a name to the version it means: a spec with uploaded data is completed before anything is planned on it."""

from sqlalchemy.orm import Session

from api.http.callers import Caller
from models.specs.base import Problem, SpecError
from models.specs.experiment import ExperimentSpec
from models.specs.uploaded import UploadedSpec
from models.storage import uploads

_SHOWN = 50


def resolved(session: Session, caller: Caller, spec: ExperimentSpec) -> ExperimentSpec:
    """The spec with version and facts as they are stored, whatever the client said of them.

    SpecError where there is none. The version cannot be deleted before the transaction ends.
    """
    asked = spec.dataset
    if not isinstance(asked, UploadedSpec):
        return spec
    row = uploads.held(session, caller.owner, asked.name, asked.version)
    if row is None:
        raise SpecError(_unknown(session, caller, asked))
    known = asked.model_copy(update={"version": row.version, "known": row.facts})
    return spec.model_copy(update={"dataset": known})


def _unknown(session: Session, caller: Caller, asked: UploadedSpec) -> Problem:
    there = [row.version for row in uploads.versions(session, caller.owner, asked.name)]
    if there:
        return Problem("dataset.version", asked.version, f"{asked.name} has no such version", there[:_SHOWN])
    names = uploads.names(session, caller.owner, _SHOWN)
    return Problem("dataset.name", asked.name, "no data set of this name was uploaded", names)
