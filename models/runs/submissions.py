"""The client's side: experiments and their runs are written, queued again, deleted."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Uuid, any_, delete, insert, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from uuid6 import uuid7

from models.plan import Variant, runs_per_variant
from models.runs import events, lineage
from models.runs.endings import settle
from models.runs.writes import CANCEL_CHANNEL, NO_CHECKPOINT, QUEUE_CHANNEL, among, lock_runs, notify
from models.specs.experiment import ExperimentSpec
from models.status import Phase, Source, State
from models.storage import device_time
from models.storage.tables import Experiment, Run

MOST_RUNS_AT_ONCE = 20_000
"""Of several experiments in one statement; of one there may be half as many."""


@dataclass(frozen=True, slots=True)
class Submission:
    """An experiment to be stored. ``suggested``: why its remedies were chosen, where the client has left it to the
    clinic; ``suggested_from``: the owner's experiment that left open what they test.
    """

    spec: ExperimentSpec
    steps: Mapping[str, int]
    """Of a run of each variant, by its name. Plans themselves are large, and there may be a thousand submissions."""
    owner: str
    suggested: list[dict[str, Any]] | None = None
    suggested_from: uuid.UUID | None = None

    @classmethod
    def of(
        cls,
        spec: ExperimentSpec,
        variants: Sequence[Variant],
        owner: str,
        suggested: list[dict[str, Any]] | None = None,
        suggested_from: uuid.UUID | None = None,
    ) -> "Submission":
        steps = {variant.name: variant.plan.steps for variant in variants}
        return cls(spec, steps, owner, suggested, suggested_from)

    @property
    def runs(self) -> int:
        return len(self.steps) * runs_per_variant(self.spec)


@dataclass(frozen=True, slots=True)
class Submitted:
    """The row, which no session holds, and how many runs it has."""

    experiment: Experiment
    runs: int


def submit(
    session: Session,
    spec: ExperimentSpec,
    variants: Sequence[Variant],
    owner: str,
) -> uuid.UUID:
    """As ``submit_all``, of one."""
    (made,) = submit_all(session, [Submission.of(spec, variants, owner)])
    return made.experiment.id


def submit_all(session: Session, submissions: Sequence[Submission]) -> list[Submitted]:
    """Write the experiments and all their runs as queued, in few statements however many they are. The rows are the
    outbox; nothing else is sent.
    """
    made = [one for group in _groups(submissions) for one in _written(session, group)]
    if made:
        # PostgreSQL sends it with the commit: who hears of the runs finds them.
        notify(session, QUEUE_CHANNEL)
    return made


def _groups(submissions: Sequence[Submission]) -> Iterator[list[Submission]]:
    """Some of them at a time: no statement shall hold all the runs of a thousand large experiments."""
    group: list[Submission] = []
    runs = 0
    for one in submissions:
        if group and runs + one.runs > MOST_RUNS_AT_ONCE:
            yield group
            group, runs = [], 0
        group.append(one)
        runs += one.runs
    if group:
        yield group


def _written(session: Session, submissions: Sequence[Submission]) -> list[Submitted]:
    # Its ids grow with time, so lists are read in the order of their making by the key alone.
    rows = [_columns(one) for one in submissions]
    made = session.execute(insert(Experiment).returning(Experiment.id, Experiment.created_at), rows)
    created_at = {row.id: row.created_at for row in made}
    runs = [run for row, one in zip(rows, submissions, strict=True) for run in _runs(row["id"], one)]
    session.execute(insert(Run), runs)
    events.tell_new(session, {row["id"]: one.runs for row, one in zip(rows, submissions, strict=True)})
    as_stored = {"state": State.QUEUED, "source": Source.TRAINED}
    return [
        Submitted(Experiment(**row, **as_stored, created_at=created_at[row["id"]]), one.runs)
        for row, one in zip(rows, submissions, strict=True)
    ]


def _columns(submission: Submission) -> dict[str, Any]:
    spec = submission.spec
    return {
        "id": uuid.UUID(int=uuid7().int),
        "owner": submission.owner,
        "name": spec.name,
        "priority": spec.priority,
        "labels": spec.labels,
        "spec": spec,
        "suggested": submission.suggested,
        "suggested_from": submission.suggested_from,
        "not_before": spec.not_before,
        "start_before": spec.latest_start,
        "end_before": spec.end_before,
        "max_parallel": spec.max_parallel,
        "budget_s": None if spec.budget is None else spec.budget.device_seconds,
    }


def _runs(experiment_id: uuid.UUID, submission: Submission) -> Iterator[dict[str, Any]]:
    for position, arm in enumerate(_arms(submission.spec, tuple(submission.steps))):
        yield {
            "id": uuid.UUID(int=uuid7().int),
            "experiment_id": experiment_id,
            "variant": arm.variant,
            "position": position,
            "seed": arm.seed,
            "steps": submission.steps[arm.variant],
            "phase": arm.phase,
            "learning_rate": arm.learning_rate,
            "held": submission.spec.tune is not None and arm.phase is Phase.TRIAL,
        }


@dataclass(frozen=True, slots=True)
class _Arm:
    variant: str
    seed: int
    phase: Phase = Phase.TRIAL
    learning_rate: float | None = None


def _arms(spec: ExperimentSpec, variants: Sequence[str]) -> Iterator[_Arm]:
    """Tuning first. Seeds outermost: every variant has its first seed before any has its second, so that a partial
    answer compares.
    """
    if spec.tune is not None:
        for seed in spec.tune.seed_list():
            for variant in variants:
                yield from (_Arm(variant, seed, Phase.TUNE, rate) for rate in spec.tune.learning_rate)
    for seed in spec.seed_list():
        yield from (_Arm(variant, seed) for variant in variants)


def existing(session: Session, experiment_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Which of these experiments exist."""
    asked = literal(list(experiment_ids), ARRAY(Uuid))
    return set(session.execute(select(Experiment.id).where(Experiment.id == any_(asked))).scalars())


def retry(session: Session, experiment_id: uuid.UUID) -> int:
    """Queue the failed runs again, each with all its attempts before it. How many; 0 changes nothing. What others train
    only they can train again.
    """
    failed = Run.state == State.FAILED, Run.source == Source.TRAINED
    retried = lock_runs(session, Run.experiment_id == experiment_id, *failed)
    if not retried:
        return 0
    session.execute(
        update(Run)
        .where(among(retried))
        .values(
            state=State.QUEUED,
            error=None,
            ended_at=None,
            published_at=None,
            forgiven=Run.attempt,
            # What failed may fail again from there, so a retry begins at step 0.
            **NO_CHECKPOINT,
        )
    )
    session.execute(
        update(Experiment)
        .where(Experiment.id == experiment_id)
        # A comparison of the runs as they were would be read as that of the runs to come.
        .values(state=State.RUNNING, ended_at=None, cancel_requested_at=None, comparison=None, verdict=None)
    )
    events.tell_runs(session, experiment_id, retried, "retried")
    settle(session, experiment_id)
    return len(retried)


def remove(session: Session, experiment_id: uuid.UUID) -> None:
    """Delete an experiment with all its rows. A worker that trains one of its runs finds its lease void."""
    lock_runs(session, Run.experiment_id == experiment_id, ends=True)
    device_time.keep(session, experiment_id)
    lineage.forget(session, experiment_id, deleted=True)
    events.wake(session, [experiment_id])
    session.execute(delete(Experiment).where(Experiment.id == experiment_id))
    notify(session, CANCEL_CHANNEL, experiment_id)
