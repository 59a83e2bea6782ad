"""What is answered, built from rows: experiments and runs, with the keys that clients rely on."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, PlainSerializer, WithJsonSchema

from gradient_clinic.verdict.shapes import FirstNonfinite, Kind, RunKind, RunSummary, Trained, Verdict
from models.analysis.comparison.parts import Id
from models.analysis.statistics.numbers import Number
from models.analysis.suggestion.choice import Suggested
from models.runs.progress import Progress
from models.specs.ingested import StoredSpec
from models.status import Phase, Source, State
from models.storage.tables import Attempt, Experiment, Run


def _rfc3339(value: dt.datetime) -> str:
    return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


Time = Annotated[
    dt.datetime,
    PlainSerializer(_rfc3339, return_type=Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]),
]
Links = dict[str, str]


class RunCounts(BaseModel):
    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0


class ExperimentView(BaseModel):
    """An experiment; ``progress`` is the share of all its runs' steps that are done, 0 to 1."""

    id: Id
    name: str
    state: State
    progress: float
    runs: RunCounts
    waiting_for: Literal["worker"] | None = None
    """Of a queued experiment: no worker that has the device which it asks for is there."""
    owner: str
    labels: dict[str, str]
    source: Source
    spec: StoredSpec
    suggested: list[Suggested] | None
    """Of each remedy that the clinic has chosen what it tests and why; null where it was not asked to."""
    suggested_from: Id | None = None
    """The experiment that left open what they test; null where there is none, or it was deleted."""
    created_at: Time
    started_at: Time | None
    ended_at: Time | None
    verdict: Kind | None
    """On the baseline; null until the experiment has ended, and where no run of it succeeded."""
    links: Links


class AttemptView(BaseModel):
    number: int
    worker: str
    started_at: Time
    ended_at: Time | None
    reason: str | None


class RunResult(BaseModel):
    """What a run that has succeeded came to. ``steps`` are those asked for, ``final_loss`` the mean of the last tenth
    of them; ``test_metric`` is the accuracy, or R² where the target is a value. Null: not finite, or not asked for.
    """

    steps: int
    stopped_by: Literal["nonfinite_steps", "loss_above"] | None
    final_loss: Number
    chance_level: Number
    validation_loss: Number
    test_loss: Number
    test_metric: Number
    step_seconds: Number
    device_seconds: Number
    peak_memory_bytes: int
    parameters: int


class RunView(BaseModel):
    """One variant under one seed: a ``trial`` that is compared, or a try to ``tune`` it.

    ``overhead``: the factor by which recording lengthened its steps.
    """

    id: Id
    experiment_id: Id
    variant: str
    seed: int
    phase: Phase
    learning_rate: float | None
    """That this run tries, or that tuning chose for its variant; null: the variant's own."""
    state: State
    outcome: Literal["finished", "diverged"] | None
    progress: float
    attempts: list[AttemptView]
    batched: int
    """With how many runs, itself included, its newest attempt is trained as one network; 1: alone."""
    device: str | None
    versions: dict[str, str] | None
    overhead: Number
    trace_every: int | None
    """The cadence that a recording budget chose; null without one, and until the run has begun."""
    verdict: Verdict | None
    result: RunResult | None
    error: dict[str, Any] | None
    source: Source
    links: Links


class BriefVerdict(BaseModel):
    kind: RunKind
    trained: Trained | None


class BriefResult(BaseModel):
    final_loss: Number
    test_metric: Number
    device_seconds: Number


class BriefRun(BaseModel):
    """What a table of many runs shows: keys as a run has them, without evidence, attempts, versions and links."""

    id: Id
    variant: str
    seed: int
    phase: Phase
    learning_rate: float | None
    state: State
    outcome: Literal["finished", "diverged"] | None
    progress: float
    trace_every: int | None
    verdict: BriefVerdict | None
    result: BriefResult | None


class RunDetail(RunView):
    """A run looked at by itself: also the first non-finite place that is stored of it, while it goes on as well."""

    first_nonfinite: FirstNonfinite | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis(Verdict):
    """A run's verdict, and the first non-finite place of all that was recorded (skipped steps too)."""

    first_nonfinite: FirstNonfinite | None


class ExperimentEvent(BaseModel):
    """``event: experiment`` – its state, or the states of its runs, have changed."""

    state: State
    progress: float
    runs: RunCounts


class RunEvent(BaseModel):
    """``event: run`` – its state has changed; ``reason`` where it did not simply go on."""

    run_id: Id
    variant: str
    seed: int
    phase: Phase = Phase.TRIAL
    state: State
    outcome: Literal["finished", "diverged"] | None
    attempt: int
    reason: str | None


class ProgressEvent(BaseModel):
    """``event: progress`` – so many of its steps are done; ``loss`` is the newest, null where it is not finite."""

    run_id: Id
    variant: str
    seed: int
    phase: Phase = Phase.TRIAL
    step: int
    steps: int
    loss: float | None
    nonfinite: bool


class EndEvent(BaseModel):
    """``event: end`` – there is no more to come: the experiment has ended, or was deleted. It has no ``id``."""

    reason: Literal["ended", "deleted"]
    state: State | None


EVENTS: Mapping[str, type[ExperimentEvent | RunEvent | ProgressEvent]] = {
    "experiment": ExperimentEvent,
    "run": RunEvent,
    "progress": ProgressEvent,
}
EventData = ExperimentEvent | RunEvent | ProgressEvent | EndEvent


class ChangedExperiment(BaseModel):
    """What of an experiment changes, as it is now."""

    id: Id
    state: State
    progress: float
    runs: RunCounts
    started_at: Time | None
    verdict: Kind | None


class ChangedEvent(BaseModel):
    """``event: changed`` – these of the experiments that the caller may see have changed or are new, those are deleted.
    ``stale``: others may have changed as well, so what was answered before this event is to be asked for again.
    """

    experiments: list[ChangedExperiment]
    deleted: list[Id]
    stale: bool


class ExperimentPage(BaseModel):
    items: list[ExperimentView]
    next_page_token: str


class RunPage(BaseModel):
    items: list[RunView]
    next_page_token: str


class BriefRunPage(BaseModel):
    items: list[BriefRun]
    next_page_token: str


def experiment_view(row: Experiment, progress: Progress, *, without_worker: bool) -> ExperimentView:
    path = f"/v1/experiments/{row.id}"
    origin = {} if row.suggested_from is None else {"suggested_from": f"/v1/experiments/{row.suggested_from}"}
    return ExperimentView(
        id=str(row.id),
        name=row.name,
        state=State(row.state),
        progress=progress.share,
        runs=RunCounts.model_validate(progress.counts),
        waiting_for="worker" if without_worker else None,
        owner=row.owner,
        labels=row.labels,
        source=Source(row.source),
        spec=row.spec,
        suggested=None if row.suggested is None else [Suggested.model_validate(remedy) for remedy in row.suggested],
        suggested_from=None if row.suggested_from is None else str(row.suggested_from),
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        verdict=row.verdict,  # type: ignore[arg-type]  # written from a Verdict
        links={
            "self": path,
            "runs": f"{path}/runs",
            "comparison": f"{path}/comparison",
            "events": f"{path}/events",
            "done": f"{path}/done",
            "cancel": f"{path}/cancel",
            **origin,
        },
    )


def run_view(row: Run, attempts: list[Attempt]) -> RunView:
    path = f"/v1/runs/{row.id}"
    summary = row.summary
    return RunView(
        id=str(row.id),
        experiment_id=str(row.experiment_id),
        variant=row.variant,
        seed=row.seed,
        phase=Phase(row.phase),
        learning_rate=row.learning_rate,
        state=State(row.state),
        outcome=row.outcome,  # type: ignore[arg-type]  # written from the same two words
        progress=progress_of_run(row.state, row.step, row.steps),
        attempts=[
            AttemptView(
                number=attempt.number,
                worker=attempt.worker,
                started_at=attempt.started_at,
                ended_at=attempt.ended_at,
                reason=attempt.reason,
            )
            for attempt in attempts
        ],
        batched=attempts[-1].batched if attempts else 1,
        device=row.device,
        versions=row.versions,
        trace_every=row.trace_every,
        overhead=None if summary is None else summary.facts.overhead,
        verdict=None if summary is None else summary.verdict,
        result=None if summary is None else _result(summary),
        error=row.error,
        source=Source(row.source),
        links={
            "self": path,
            "experiment": f"/v1/experiments/{row.experiment_id}",
            "trace": f"{path}/trace",
            "curves": f"{path}/curves",
            "diagnosis": f"{path}/diagnosis",
            "early": f"{path}/early",
        },
    )


def progress_of_run(state: str, step: int, steps: int) -> float:
    """A run of no steps has made none when it is done."""
    return 1.0 if State(state) is State.SUCCEEDED else step / max(steps, 1)


def _result(summary: RunSummary) -> RunResult:
    facts = summary.facts
    return RunResult(
        steps=facts.steps_asked,
        stopped_by=facts.stopped_by,
        final_loss=summary.final_loss,
        chance_level=facts.chance_level,
        validation_loss=facts.validation_loss,
        test_loss=facts.test_loss,
        test_metric=facts.test_metric,
        step_seconds=facts.step_seconds,
        device_seconds=facts.device_seconds,
        peak_memory_bytes=facts.peak_memory_bytes,
        parameters=facts.parameters,
    )
