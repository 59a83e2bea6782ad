"""The rows. Postgres is the truth: a run row is at once record, outbox entry and lease.

Relations are read by explicit joins; nothing here loads lazily.
"""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, MetaData, SmallInteger, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, JSONB, TIMESTAMP, UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from gradient_clinic.verdict.shapes import RunSummary
from models.specs.ingested import StoredSpec, Watched, WatchedSpec
from models.specs.uploaded import UploadedFacts
from models.storage.columns import PydanticColumn

Instant = TIMESTAMP(timezone=True)
NOW = text("clock_timestamp()")


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 -- SQLAlchemy reads this class attribute
        uuid.UUID: UUID(as_uuid=True),
        dt.datetime: Instant,
        dict[str, Any]: JSONB(none_as_null=True),  # absent is NULL, which SQL can ask for
        list[dict[str, Any]]: JSONB(none_as_null=True),
        str: String,
    }


class Experiment(Base):
    """What was asked, whose it is, and how far it is."""

    __tablename__ = "experiment"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    owner: Mapped[str]
    name: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="queued")
    priority: Mapped[int]
    labels: Mapped[dict[str, Any]]
    source: Mapped[str] = mapped_column(server_default="trained")
    """``trained`` here, or ``ingested``; so are its runs."""
    spec: Mapped[StoredSpec] = mapped_column(PydanticColumn(StoredSpec))
    suggested: Mapped[list[dict[str, Any]] | None]
    """Of each remedy that the clinic has chosen, what it tests and why; NULL where the client has named them."""
    suggested_from: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("experiment.id", ondelete="SET NULL"))
    """The same owner's experiment that left open what these remedies test."""
    not_before: Mapped[dt.datetime | None]
    start_before: Mapped[dt.datetime | None]
    """The latest start, whichever name the spec has for it."""
    end_before: Mapped[dt.datetime | None]
    max_parallel: Mapped[int | None]
    budget_s: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)
    mapped: Mapped[bool | None]
    """Whether a GPU trains its runs as one network; NULL: none has begun."""
    created_at: Mapped[dt.datetime] = mapped_column(server_default=NOW)
    started_at: Mapped[dt.datetime | None]
    ended_at: Mapped[dt.datetime | None]
    cancel_requested_at: Mapped[dt.datetime | None]
    comparison: Mapped[dict[str, Any] | None] = mapped_column(deferred=True, deferred_raiseload=True)
    """Larger than all the rest of the row, so only who asks for it (``undefer``) has it."""
    verdict: Mapped[str | None]
    """The kind that the stored comparison gives its baseline."""

    __table_args__ = (
        Index("ix_experiment_owner_id", "owner", "id"),
        Index("ix_experiment_state_id", "state", "id"),
        Index("ix_experiment_verdict_id", "verdict", "id"),
        # What lists are sorted by (``api/queries.py``).
        Index("ix_experiment_name_sorted", text("lower(name)"), "id"),
        Index("ix_experiment_verdict_sorted", text("COALESCE(verdict, '')"), "id"),
        Index("ix_experiment_not_compared", "ended_at", postgresql_where=text("comparison IS NULL")),
        # It never trips while who opens a run holds the name's lock (``runs/ingesting.py``): it is for who forgets to.
        Index("ix_experiment_ingested", "owner", "name", unique=True, postgresql_where=text("source = 'ingested'")),
        # For who deletes the experiment that others were suggested from (``runs/lineage.py``).
        Index("ix_experiment_suggested_from", "suggested_from", postgresql_where=text("suggested_from IS NOT NULL")),
        Index("ix_experiment_start_before", "start_before", postgresql_where=text("state IN ('queued', 'running')")),
        Index("ix_experiment_end_before", "end_before", postgresql_where=text("state IN ('queued', 'running')")),
    )


class Run(Base):
    """One variant under one seed. ``lease_token`` is held by the attempt that may write."""

    __tablename__ = "run"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    experiment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("experiment.id", ondelete="CASCADE"))
    variant: Mapped[str]
    position: Mapped[int]
    seed: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[str] = mapped_column(server_default="trained")
    phase: Mapped[str] = mapped_column(server_default="trial")
    """``tune``: it tries a learning rate; ``trial``: it is compared."""
    learning_rate: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)
    """That tuning tries or has chosen; NULL: the variant's own."""
    held: Mapped[bool] = mapped_column(server_default=text("false"))
    """Queued, and waits for its variant's tuning."""
    state: Mapped[str] = mapped_column(server_default="queued")
    outcome: Mapped[str | None]
    step: Mapped[int] = mapped_column(server_default="0")
    steps: Mapped[int]
    attempt: Mapped[int] = mapped_column(server_default="0")
    forgiven: Mapped[int] = mapped_column(server_default="0")
    """Attempts made before the last retry was asked for: they do not count against the cap."""
    worker: Mapped[str | None]
    lease_token: Mapped[uuid.UUID | None]
    lease_until: Mapped[dt.datetime | None]
    published_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=NOW)
    started_at: Mapped[dt.datetime | None]
    ended_at: Mapped[dt.datetime | None]
    device: Mapped[str | None]
    device_s: Mapped[float] = mapped_column(DOUBLE_PRECISION, server_default="0")
    versions: Mapped[dict[str, Any] | None]
    summary: Mapped[RunSummary | None] = mapped_column(PydanticColumn(RunSummary))
    error: Mapped[dict[str, Any] | None]
    watched: Mapped[Watched | None] = mapped_column(PydanticColumn(Watched))
    """Of an ingested run: what its watcher has said of its network."""
    found: Mapped[WatchedSpec | None] = mapped_column(PydanticColumn(WatchedSpec))
    """Of a plug-in's run: what its worker has."""
    chance_level: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)
    """The loss of knowing nothing but how often each label is: what early losses are measured against."""
    trace_every: Mapped[int | None]
    """The cadence that a recording budget chose."""
    raw_dropped_at: Mapped[dt.datetime | None]
    """When retention took the raw chunks, of which the rollups are left."""
    checkpoint_step: Mapped[int | None]
    """The first step that the newest checkpoint has not made: the next attempt begins there."""
    checkpoint_epochs: Mapped[int | None]
    checkpoint_path: Mapped[str | None]

    __table_args__ = (
        Index("ix_run_experiment_id_position", "experiment_id", "position", unique=True),
        # Partial ones: of a million runs that have ended they hold none, and stay as small as the queue.
        Index("ix_run_held", "experiment_id", postgresql_where=text("held AND state = 'queued'")),
        Index("ix_run_queued", "created_at", postgresql_where=text("state = 'queued'")),
        Index("ix_run_running", "lease_until", postgresql_where=text("state = 'running'")),
    )


class Attempt(Base):
    """One try at a run: who, when, and why it ended."""

    __tablename__ = "attempt"

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    worker: Mapped[str]
    started_at: Mapped[dt.datetime] = mapped_column(server_default=NOW)
    ended_at: Mapped[dt.datetime | None]
    reason: Mapped[str | None]
    batched: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    """With how many runs, itself included, it began to be trained as one network."""


class Idempotency(Base):
    """The answer that a client's ``Idempotency-Key`` got, to be given again."""

    __tablename__ = "idempotency"

    owner: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    answer: Mapped[dict[str, Any]] = mapped_column(JSON)
    """As text: JSONB takes no NUL, which the errors of a batch may quote."""
    created_at: Mapped[dt.datetime] = mapped_column(server_default=NOW)

    __table_args__ = (Index("ix_idempotency_created_at", "created_at"),)


class Event(Base):
    """What happened to an experiment, numbered: a reader that was away goes on after the last number it saw."""

    __tablename__ = "event"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    experiment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("experiment.id", ondelete="CASCADE"))
    kind: Mapped[str]
    newest_of: Mapped[uuid.UUID | None] = mapped_column(unique=True)
    """The run or experiment whose newest such event this is; the next one replaces it."""
    data: Mapped[dict[str, Any]]
    at: Mapped[dt.datetime] = mapped_column(server_default=NOW)

    __table_args__ = (Index("ix_event_experiment_id_id", "experiment_id", "id"),)


class Webhook(Base):
    """Where an owner wants to be told of ends. ``secret`` signs what is sent, so it is kept as it is."""

    __tablename__ = "webhook"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    owner: Mapped[str]
    url: Mapped[str]
    events: Mapped[list[str]] = mapped_column(ARRAY(String))
    secret: Mapped[str]
    active: Mapped[bool]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=NOW)

    __table_args__ = (Index("ix_webhook_owner_id", "owner", "id"),)


class WebhookDelivery(Base):
    """One message to one webhook: written with what it tells of, sent until it is taken or given up."""

    __tablename__ = "webhook_delivery"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    webhook_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("webhook.id", ondelete="CASCADE"))
    experiment_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("experiment.id", ondelete="CASCADE"))
    event: Mapped[str]
    data: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(server_default="pending")
    tried: Mapped[int] = mapped_column(server_default="0")
    """Since it was made or replayed."""
    attempts: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'"))
    """The newest ones: when, which status, or why there is none."""
    due_at: Mapped[dt.datetime] = mapped_column(server_default=NOW)
    held_until: Mapped[dt.datetime | None]
    """Somebody is sending it; if it is not told by then how that went, it is sent again."""
    created_at: Mapped[dt.datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        Index("ix_webhook_delivery_webhook_id_created_at", "webhook_id", "created_at"),
        Index("ix_webhook_delivery_experiment_id", "experiment_id"),
        Index("ix_webhook_delivery_due", "due_at", postgresql_where=text("state = 'pending'")),
    )


class Dataset(Base):
    """One version of an owner's data set. Its arrays lie in files (``files.py``), named by ``version``."""

    __tablename__ = "dataset"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    owner: Mapped[str]
    name: Mapped[str]
    version: Mapped[str]
    facts: Mapped[UploadedFacts] = mapped_column(PydanticColumn(UploadedFacts))
    class_names: Mapped[list[str] | None] = mapped_column(JSONB)
    bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=NOW)
    put_at: Mapped[dt.datetime] = mapped_column(server_default=NOW)
    """When this content was last sent under this name: the newest is what the name means."""

    __table_args__ = (UniqueConstraint("owner", "name", "version"), Index("ix_dataset_version", "version"))
