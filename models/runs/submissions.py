"""The client's side: experiments and their runs are written, queued again, deleted."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Uuid, any_, delete, insert, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from uuid6 import uuid7

from models.plan import Variant
from models.runs import events
from models.runs.writes import CANCEL_CHANNEL, NO_CHECKPOINT, QUEUE_CHANNEL, among, lock_runs, notify
from models.specs.experiment import ExperimentSpec
from models.status import Phase, Source, State
from models.storage.tables import Experiment, Run


def submit(
    session: Session,
    spec: ExperimentSpec,
    variants: Sequence[Variant],
    owner: str,
    suggested: list[dict[str, Any]] | None = None,
) -> uuid.UUID:
    """Write the experiment and all its runs as queued. The rows are the outbox; nothing else is sent. ``suggested``:
    why its remedies were chosen, where the client has left it to the clinic.
    """
    # Its ids grow with time, so lists are read in the order of their making by the key alone.
    experiment_id = uuid.UUID(int=uuid7().int)
    session.execute(
        insert(Experiment).values(
            id=experiment_id,
            owner=owner,
            name=spec.name,
            priority=spec.priority,
            labels=spec.labels,
            spec=spec,
            suggested=suggested,
            not_before=spec.not_before,
            start_before=spec.latest_start,
            end_before=spec.end_before,
            max_parallel=spec.max_parallel,
            budget_s=None if spec.budget is None else spec.budget.device_seconds,
        )
    )
    arms = list(_arms(spec, variants))
    run_ids = [uuid.UUID(int=uuid7().int) for _ in arms]
    session.execute(
        insert(Run),
        [
            {
                "id": run_ids[position],
                "experiment_id": experiment_id,
                "variant": arm.variant.name,
                "position": position,
                "seed": arm.seed,
                "steps": arm.variant.plan.steps,
                "phase": arm.phase,
                "learning_rate": arm.learning_rate,
                "held": spec.tune is not None and arm.phase is Phase.TRIAL,
            }
            for position, arm in enumerate(arms)
        ],
    )
    events.tell_experiment(session, experiment_id)
    events.tell_runs(session, experiment_id, run_ids)
    # PostgreSQL sends it with the commit: who hears of the runs finds them.
    notify(session, QUEUE_CHANNEL)
    return experiment_id


@dataclass(frozen=True, slots=True)
class _Arm:
    variant: Variant
    seed: int
    phase: Phase = Phase.TRIAL
    learning_rate: float | None = None


def _arms(spec: ExperimentSpec, variants: Sequence[Variant]) -> Iterator[_Arm]:
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
    events.tell_experiment(session, experiment_id)
    notify(session, QUEUE_CHANNEL)
    notify(session, events.CHANGED_CHANNEL, experiment_id)
    return len(retried)


def remove(session: Session, experiment_id: uuid.UUID) -> None:
    """Delete an experiment with all its rows. A worker that trains one of its runs finds its lease void."""
    lock_runs(session, Run.experiment_id == experiment_id, ends=True)
    session.execute(delete(Experiment).where(Experiment.id == experiment_id))
    notify(session, CANCEL_CHANNEL, experiment_id)
    notify(session, events.CHANGED_CHANNEL, experiment_id)
