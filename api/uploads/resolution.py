"""From a name to the version it means: a spec with uploaded data is completed before anything is planned on it."""

from sqlalchemy.orm import Session

from api.http.callers import Caller
from models.specs.base import Problem, SpecError
from models.specs.experiment import ExperimentRequest
from models.specs.loss import usual_loss, usual_metric
from models.specs.uploaded import UploadedSpec
from models.storage import uploads
from models.storage.tables import Dataset

_SHOWN = 50


def resolved(session: Session, caller: Caller, spec: ExperimentRequest) -> ExperimentRequest:
    """With version and facts as they are stored, whatever the client said of them. Where no loss, metric or scaling of
    inputs was asked for, it gets those that are usual for such data. The version cannot be deleted before the
    transaction ends.

    SpecError where there is no such data set, or not for this task.
    """
    asked = spec.dataset
    if not isinstance(asked, UploadedSpec):
        return spec
    row = uploads.held(session, caller.owner, asked.name, asked.version)
    if row is None:
        raise SpecError(_unknown(session, caller, asked))
    if (problem := _other_task(asked, row)) is not None:
        raise SpecError(problem)
    # The version goes into the stored spec: content that is sent later under this name changes no experiment.
    found = {"version": row.version, "known": row.facts}
    if "standardise" not in asked.model_fields_set:
        found["standardise"] = row.facts.usual_scaling
    known = asked.model_copy(update=found)
    usual = {"loss": usual_loss(known.facts), "metric": usual_metric(known.facts)}
    given = {name: getattr(spec, name) for name in usual if name in spec.model_fields_set}
    return spec.model_copy(update={"dataset": known, **usual, **given})


def _other_task(asked: UploadedSpec, row: Dataset) -> Problem | None:
    """Why data that were read for one task cannot be had for the other; None where they can."""
    if asked.task in {None, row.facts.task}:
        return None
    if asked.task == "classification":
        message = f"{asked.name} holds amounts, which are no labels"
        return Problem("dataset.task", asked.task, message, "regression, or data sent with task=classification")
    if row.class_names is not None:
        return Problem("dataset.task", asked.task, f"the labels of {asked.name} are text", "classification")
    return None


def _unknown(session: Session, caller: Caller, asked: UploadedSpec) -> Problem:
    there = [row.version for row in uploads.versions(session, caller.owner, asked.name)]
    if there:
        return Problem("dataset.version", asked.version, f"{asked.name} has no such version", there[:_SHOWN])
    names = uploads.names(session, caller.owner, _SHOWN)
    return Problem("dataset.name", asked.name, "no data set of this name was uploaded", names)
