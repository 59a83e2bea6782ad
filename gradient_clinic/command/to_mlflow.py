"""An experiment as runs of MLflow: one for its answer, and below it one for each variant and seed.

A run is found again by a tag with its id. What is there whole is not written again, and what broke off is deleted and
written anew, so that no store of MLflow, whichever it is, has a value twice.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from gradient_clinic.command import summaries
from gradient_clinic.command.clinic import Json
from gradient_clinic.command.codes import MisusedError
from gradient_clinic.command.recorded import Record, are_kept, ended, records_of, started
from gradient_clinic.command.trial import Trial, epochs_of, results_of, run_name, verdict_in_words
from gradient_clinic.watcher.calls import AwayError

METRICS, PARAMS = 1000, 100
"""So many MLflow takes at once."""
LONGEST_PARAM, LONGEST_TAG, LONGEST_NAME = 6000, 8000, 250
STATUSES: Final = {"succeeded": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
WHOLE: Final = "clinic.export"
"""The tag that a run has once all of it is there."""


class Mlflow:
    def __init__(self, place: str) -> None:
        self._place = place
        self._experiment_id = self._parent = ""
        try:
            self._client = MlflowClient(tracking_uri=place)
        except MlflowException as error:
            message = f"{place} is no place of MLflow's: {error}"
            raise MisusedError(message) from error

    def begin(self, trial: Trial) -> None:
        """The experiment of MLflow, by the name of ours, and in it a run with the answer in three forms."""
        with self._asked():
            self._begin(trial)

    def write(self, trial: Trial, run: Json) -> str:
        with self._asked():
            return self._write(trial, run)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except MlflowException as error:
            message = f"MLflow at {self._place} has not taken it: {error}"
            raise AwayError(message) from error

    def _begin(self, trial: Trial) -> None:
        name, answer = trial.experiment["name"], summaries.markdown(trial.comparison)
        found = self._client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage != "active":
            message = f"MLflow's experiment {name!r} is deleted there: restore it, or delete it for good"
            raise MisusedError(message)
        self._experiment_id = self._client.create_experiment(name) if found is None else found.experiment_id
        known = self._found("clinic.answer_of", trial.experiment["id"])
        self._parent = self._created(name, 0.0, {}) if known is None else known.info.run_id
        tags = {
            "clinic.answer_of": trial.experiment["id"],
            "clinic.labels": json.dumps(trial.experiment["labels"], ensure_ascii=False),
            "mlflow.note.content": answer,
        }
        self._client.log_batch(self._parent, tags=_tags(tags))
        self._client.log_text(self._parent, json.dumps(trial.comparison, indent=1), "comparison.json")
        self._client.log_text(self._parent, answer, "comparison.md")
        self._client.log_text(self._parent, trial.client.report(trial.experiment).decode(), "report.html")
        self._client.set_terminated(self._parent)

    def _write(self, trial: Trial, run: Json) -> str:
        attempt = run["attempts"][-1]
        # After a retry, or with other signals than before, it is another export.
        this = f"{attempt['number']} {attempt['ended_at']} {trial.every} {' '.join(trial.signals)}"
        found = self._found("clinic.run_id", run["id"])
        whole = None if found is None else found.data.tags.get(WHOLE)
        if whole == this or (whole is not None and not are_kept(trial.client, run)):
            its = found.info.run_id  # also where it has what retention has dropped since
            self._client.log_batch(its, tags=_tags(_verdict(run)))
        else:
            if found is not None:
                self._client.delete_run(found.info.run_id)
            its = self._written(trial, run)
            self._client.log_batch(its, tags=_tags({**_verdict(run), WHOLE: this}))
        return f"run {its} of MLflow's experiment {self._experiment_id}"

    def _written(self, trial: Trial, run: Json) -> str:
        tags = {
            "clinic.run_id": run["id"],
            "clinic.experiment_id": trial.experiment["id"],
            "clinic.phase": run["phase"],
        }
        its = self._created(
            f"{run['variant']} {run_name(run)}", started(run), tags | {"mlflow.parentRunId": self._parent}
        )
        params = [Param(name, str(value)[:LONGEST_PARAM]) for name, value in trial.settings(run).items()]
        for batch in _batches(params, PARAMS):
            self._client.log_batch(its, params=batch)
        for metrics in _batches(_metrics(trial, run), METRICS):
            self._client.log_batch(its, metrics=metrics)
        self._client.set_terminated(its, STATUSES[run["state"]], int(ended(run) * 1000))
        return its

    def _found(self, tag: str, value: str) -> Any:
        runs = self._client.search_runs([self._experiment_id], f"tags.`{tag}` = '{value}'", max_results=1)
        return next(iter(runs), None)

    def _created(self, name: str, begin: float, tags: Mapping[str, str]) -> str:
        begin_ms = int(begin * 1000) or None
        its: str = self._client.create_run(self._experiment_id, begin_ms, dict(tags), name).info.run_id
        return its


def metric_name(signal: str, index: int, layer: str) -> str:
    """As MLflow takes it. Where the name of a layer must be changed for that its number, from 1, tells it apart."""
    plain = re.sub(r"[^\w. -]", "_", layer)
    name = f"{signal}/{plain}"
    if plain == layer and plain not in {".", ".."} and len(name) <= LONGEST_NAME:
        return name
    return f"{signal}/{index}/_{plain}"[:LONGEST_NAME]


def _metrics(trial: Trial, run: Json) -> Iterator[Metric]:
    for record in records_of(trial.client, run, trial.signals, trial.every):
        at = int(record.wall_time * 1000)
        yield from (Metric(name, value, at, record.step) for name, value in _numbers(record))
    end = int(ended(run) * 1000)
    for epoch, numbers in epochs_of(trial.client, run):
        yield from (Metric(f"epoch/{name}", value, end, epoch) for name, value in numbers.items())
    yield from (Metric(f"result/{name}", value, end, 0) for name, value in results_of(run).items())


def _numbers(record: Record) -> Iterator[tuple[str, float]]:
    yield from ((f"curves/{curve}", value) for curve, value in record.curves.items())
    for signal, values in record.signals.items():
        for index, (layer, value) in enumerate(zip(record.layers, values.tolist(), strict=True), start=1):
            yield metric_name(signal, index, layer), value


def _verdict(run: Json) -> dict[str, str]:
    verdict = run["verdict"] or {"kind": "none", "causes": [], "rules": "none"}
    return {
        "clinic.verdict": verdict["kind"],
        "clinic.causes": ", ".join(verdict["causes"]),
        "clinic.rules": verdict["rules"],
        "mlflow.note.content": verdict_in_words(run),
    }


def _tags(tags: Mapping[str, str]) -> list[RunTag]:
    return [RunTag(name, value[:LONGEST_TAG]) for name, value in tags.items()]


def _batches(them: Iterable[Any], size: int) -> Iterator[list[Any]]:
    left = iter(them)
    while batch := list(islice(left, size)):
        yield batch
