"""What happened to an experiment, told in numbered rows by the transaction in which it happens.

A reader goes on after the last number that it saw, so within an experiment a smaller number must never appear after
a larger one. Whoever tells therefore locks the experiment's row first, takes numbers then, and holds the lock until
the commit: numbers are in the order of commits (decision 9). So telling comes last in a transaction: after every
lock of a run, as locks are taken runs before their experiment, and with little left to do before the commit.

Some events outdate the one before (``newest_of``) and take its place under a new number. So a run's progress and an
experiment's counts have one row each, and readers see the newest.

Ends are written for the owner's webhooks by the same statement: what was told is sent, once for each change of state
(``models/runs/webhooks.py``).
"""

import json
import math
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import String, Uuid, any_, func, insert, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from models.runs.progress import Progress
from models.status import State
from models.storage.tables import Event, Experiment

CHANGED_CHANNEL = "clinic_changed"
"""Wakes those who wait for an experiment: its id, a space, and its owner, who is not to be found any more once it is
deleted."""
WEBHOOK_CHANNEL = "clinic_webhooks"
"""Wakes those who send to webhooks."""

# The lock finds nobody who waits for a new experiment, and costs it little.
_RUNS = text("""
WITH told AS (SELECT id FROM experiment WHERE id = ANY(:experiment_ids) ORDER BY id FOR NO KEY UPDATE),
news AS (
    INSERT INTO event (experiment_id, kind, data)
    SELECT told.id, 'run', jsonb_build_object(
        'run_id', run.id, 'variant', run.variant, 'seed', run.seed, 'phase', run.phase, 'state', run.state,
        'outcome', run.outcome, 'attempt', run.attempt, 'reason', CAST(:reason AS text)
    )
    FROM told JOIN run ON run.experiment_id = told.id
    WHERE CAST(:run_ids AS uuid[]) IS NULL OR run.id = ANY(CAST(:run_ids AS uuid[]))
    ORDER BY told.id, run.position
    RETURNING experiment_id, data
), posted AS (
    INSERT INTO webhook_delivery (webhook_id, experiment_id, event, data)
    SELECT webhook.id, news.experiment_id, 'run.ended', news.data || jsonb_build_object(
        'experiment_id', news.experiment_id, 'name', experiment.name, 'labels', experiment.labels
    )
    FROM news JOIN experiment ON experiment.id = news.experiment_id JOIN webhook ON webhook.owner = experiment.owner
    WHERE webhook.active AND 'run.ended' = ANY(webhook.events)
        AND news.data ->> 'state' IN ('succeeded', 'failed', 'cancelled')
    RETURNING 1
)
SELECT pg_notify('clinic_webhooks', '') WHERE EXISTS (SELECT FROM posted)
""")

# Where the newest event is of this second and progress as well, it has woken the readers, or one before it has.
_PROGRESS = text("""
WITH told AS (SELECT id, owner FROM experiment WHERE id = :experiment_id FOR NO KEY UPDATE),
before AS (SELECT kind, at FROM event WHERE experiment_id = :experiment_id ORDER BY id DESC LIMIT 1),
progress AS (
    INSERT INTO event (experiment_id, kind, newest_of, data)
    SELECT told.id, 'progress', run.id, jsonb_build_object(
        'run_id', run.id, 'variant', run.variant, 'seed', run.seed, 'phase', run.phase, 'step', run.step,
        'steps', run.steps, 'loss', CAST(:loss AS double precision), 'nonfinite', CAST(:nonfinite AS boolean)
    )
    FROM told JOIN run ON run.experiment_id = told.id
    WHERE run.id = :run_id AND (run.state = 'running' OR :last)
    ON CONFLICT (newest_of) DO UPDATE SET id = excluded.id, data = excluded.data, at = excluded.at
    RETURNING experiment_id
)
SELECT pg_notify(:channel, told.id || ' ' || told.owner) FROM progress JOIN told ON told.id = progress.experiment_id
WHERE NOT EXISTS (SELECT FROM before WHERE kind = 'progress' AND at >= date_trunc('second', clock_timestamp()))
""")

_EXPERIMENT = text("""
WITH news AS (
    INSERT INTO event (experiment_id, kind, newest_of, data)
    SELECT experiment.id, 'experiment',
        CASE WHEN experiment.state = (
            SELECT data ->> 'state' FROM event
            WHERE experiment_id = experiment.id AND kind = 'experiment' ORDER BY id DESC LIMIT 1
        ) THEN experiment.id END,
        jsonb_build_object('state', experiment.state) || CAST(:progress AS jsonb)
    FROM experiment WHERE experiment.id = :experiment_id
    ON CONFLICT (newest_of) DO UPDATE SET id = excluded.id, data = excluded.data, at = excluded.at
    RETURNING newest_of, data
), posted AS (
    INSERT INTO webhook_delivery (webhook_id, experiment_id, event, data)
    SELECT webhook.id, experiment.id, 'experiment.ended', news.data || jsonb_build_object(
        'experiment_id', experiment.id, 'name', experiment.name, 'labels', experiment.labels
    )
    FROM news JOIN experiment ON experiment.id = :experiment_id JOIN webhook ON webhook.owner = experiment.owner
    WHERE news.newest_of IS NULL AND webhook.active AND 'experiment.ended' = ANY(webhook.events)
        AND experiment.state IN ('succeeded', 'failed', 'cancelled')
    RETURNING 1
)
SELECT pg_notify('clinic_changed', id || ' ' || owner) FROM experiment WHERE id = :experiment_id
UNION ALL SELECT pg_notify('clinic_queue', '')
UNION ALL SELECT pg_notify('clinic_webhooks', '') WHERE EXISTS (SELECT FROM posted)
""")


def wake(session: Session, experiment_ids: Collection[uuid.UUID]) -> None:
    """With the commit whoever waits for one of these experiments looks at it. They must be there still."""
    payload = Experiment.id.cast(String).concat(" ").concat(Experiment.owner)
    concerned = Experiment.id == any_(literal(list(experiment_ids), ARRAY(Uuid)))
    session.execute(select(func.pg_notify(CHANGED_CHANNEL, payload)).where(concerned))


def tell_runs(
    session: Session, experiment_id: uuid.UUID, run_ids: Sequence[uuid.UUID], reason: str | None = None
) -> None:
    """These runs have changed their state; they are told as their rows are now."""
    if run_ids:
        values = {"experiment_ids": [experiment_id], "run_ids": list(run_ids), "reason": reason}
        session.execute(_RUNS, values)


def tell_progress(
    session: Session, experiment_id: uuid.UUID, run_id: uuid.UUID, loss: float, *, last: bool = False
) -> None:
    """A running run is as far as its row says, with this newest loss; of one that ends here it is the ``last`` one. The
    last statement before the commit, please.

    Readers are woken by the first progress of an experiment in each second; what comes later in it they read with the
    next. A NOTIFY takes a lock at its commit that the whole server has once: it shall be seldom, and wait for no disk.
    """
    finite = math.isfinite(loss)
    values = {"loss": loss if finite else None, "nonfinite": not finite, "last": last, "channel": CHANGED_CHANNEL}
    session.execute(_PROGRESS, {"experiment_id": experiment_id, "run_id": run_id, **values})


def outlives_no_crash(session: Session) -> None:
    """This transaction's commit waits for no disk: what it tells is worth nothing to a server that begins anew."""
    session.execute(text("SET LOCAL synchronous_commit TO off"))


def tell_experiment(session: Session, experiment_id: uuid.UUID, progress: Progress) -> None:
    """Its state or the states of its runs have changed. A new state is kept; new counts replace the last ones.

    ``progress``: counted under the experiment's lock. Whoever waits for the experiment is woken, and the dispatchers:
    where a run has changed its state there may be room for another.
    """
    told = {"progress": progress.share, "runs": dict.fromkeys(State, 0) | dict(progress.counts)}
    session.execute(_EXPERIMENT, {"experiment_id": experiment_id, "progress": json.dumps(told)})


def tell_new(session: Session, runs: Mapping[uuid.UUID, int]) -> None:
    """These experiments are there, with so many runs each. Nobody else sees them before the commit."""
    queued = [
        {"state": State.QUEUED, "progress": 0.0, "runs": dict.fromkeys(State, 0) | {State.QUEUED: count}}
        for count in runs.values()
    ]
    told = [
        {"experiment_id": made, "kind": "experiment", "data": data} for made, data in zip(runs, queued, strict=True)
    ]
    session.execute(insert(Event), told)
    session.execute(_RUNS, {"experiment_ids": list(runs), "run_ids": None, "reason": None})
    wake(session, runs)


# --- the reader's side -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """One event: its number, what it is about (``experiment``, ``run`` or ``progress``), and what it says."""

    number: int
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class News:
    """The state of the experiment, and the events after a number; both of one moment."""

    state: State
    events: list[Told]


def news(session: Session, experiment_id: uuid.UUID, after: int, limit: int) -> News | None:
    """At most ``limit`` events, oldest first. None: there is no such experiment."""
    rows = session.execute(
        select(Experiment.state, Event.id, Event.kind, Event.data)
        .outerjoin(Event, (Event.experiment_id == Experiment.id) & (Event.id > after))
        .where(Experiment.id == experiment_id)
        .order_by(Event.id)
        .limit(limit)
    ).all()
    if not rows:
        return None
    return News(State(rows[0].state), [Told(row.id, row.kind, row.data) for row in rows if row.id is not None])


def last_number(session: Session, experiment_id: uuid.UUID) -> int:
    """Of the newest event, 0 before the first. It never becomes smaller: what is replaced gets a larger number."""
    newest = select(func.coalesce(func.max(Event.id), 0)).where(Event.experiment_id == experiment_id)
    return int(session.execute(newest).scalar_one())
