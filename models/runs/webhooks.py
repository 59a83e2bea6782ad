"""What is sent to webhooks: who takes a message to send, how that went, what is given up or sent again.

Messages are written by the transaction whose end they tell (``models/runs/events.py``). At least once: who dies while
sending has it sent again, under the same id.
"""

import datetime as dt
import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Integer, Text, cast, delete, func, insert, literal, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.orm import Session

from models.runs.events import WEBHOOK_CHANNEL
from models.runs.writes import notify, seconds
from models.storage.tables import Webhook, WebhookDelivery

HELD_S = 60.0
"""Several times what a sender may take."""
MOST_OF_AN_OWNER = 2
"""So many messages of one owner are under way at once, however many senders there are."""
MOST_TRIES = 8
FIRST_PAUSE_S = 5.0
PAUSE_GROWTH = 4.0
"""5 s, 20 s, 80 s, …, 5.7 h: over 7 hours a receiver may be away."""
KEPT = dt.timedelta(days=30)
_SHOWN_ATTEMPTS = 20
_NEWEST = f"$[last - {_SHOWN_ATTEMPTS - 2} to last]"


class DeliveryState(StrEnum):
    """``dead``: given up; it can be replayed."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent where; ``tried``: the number of this attempt, from 1. ``held_until`` tells this attempt from
    all others of the message, also after a replay.
    """

    id: uuid.UUID
    webhook_id: uuid.UUID
    url: str
    secret: str
    event: str
    data: dict[str, Any]
    created_at: dt.datetime
    tried: int
    held_until: dt.datetime


@dataclass(frozen=True, slots=True)
class Reply:
    """What a receiver has answered, or why there is no answer."""

    status: int | None
    error: str | None = None

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """It wants no more of them."""
        return self.status == 410


# One message of each webhook at a time: a receiver that hangs holds up its own and no others. Of the owners whose
# messages are due one with the fewest under way is next, by lot: the oldest message would be one of whoever has most.
_TAKE = text("""
WITH under_way AS (
    SELECT d.webhook_id, w.owner FROM webhook_delivery d JOIN webhook w ON w.id = d.webhook_id
    WHERE d.state = 'pending' AND d.held_until > clock_timestamp()
), turn AS MATERIALIZED (
    SELECT w.owner, random() AS lot, (SELECT count(*) FROM under_way u WHERE u.owner = w.owner) AS messages
    FROM webhook w WHERE w.active GROUP BY w.owner
)
UPDATE webhook_delivery SET tried = tried + 1, held_until = clock_timestamp() + make_interval(secs => :held_s)
WHERE id = (
    SELECT d.id FROM webhook_delivery d JOIN webhook w ON w.id = d.webhook_id JOIN turn t ON t.owner = w.owner
    WHERE d.state = 'pending' AND d.due_at <= clock_timestamp() AND w.active
        AND (d.held_until IS NULL OR d.held_until <= clock_timestamp())
        AND t.messages < :most_of_an_owner AND NOT EXISTS (SELECT FROM under_way u WHERE u.webhook_id = d.webhook_id)
    ORDER BY t.messages, t.lot, d.due_at LIMIT 1 FOR UPDATE OF d SKIP LOCKED
)
RETURNING id, webhook_id, event, data, created_at, tried, held_until
""")


def take(session: Session) -> Message | None:
    """The message of an owner that is due for longest, for ``HELD_S`` in the hands of the caller. Owners take turns,
    and none has more than ``MOST_OF_AN_OWNER`` under way. None: there is none to send now.
    """
    # One at a time: two that look in one moment would both find the same webhook and owner free.
    session.execute(select(func.pg_advisory_xact_lock(func.hashtext(WEBHOOK_CHANNEL))))
    row = session.execute(_TAKE, {"held_s": HELD_S, "most_of_an_owner": MOST_OF_AN_OWNER}).one_or_none()
    if row is None:
        return None
    hook = session.get_one(Webhook, row.webhook_id)
    return Message(
        row.id, hook.id, hook.url, hook.secret, row.event, row.data, row.created_at, row.tried, row.held_until
    )


def settle(session: Session, message: Message, reply: Reply, pause_s: float) -> None:
    """Note how it went. Where it was not taken it is due again after the pause, or given up. A webhook that answers
    410 is told of nothing any more.
    """
    # Of the list the newest are kept, and this one comes behind them.
    kept = func.jsonb_path_query_array(WebhookDelivery.attempts, cast(_NEWEST, JSONPATH))
    attempt = func.jsonb_build_object(
        "at", func.clock_timestamp(), "status", literal(reply.status, Integer), "error", literal(reply.error, Text)
    )
    values: dict[str, Any] = {"held_until": None, "attempts": kept.op("||")(attempt)}
    if reply.is_taken:
        values["state"] = DeliveryState.DELIVERED
    elif reply.is_gone or message.tried >= MOST_TRIES:
        values["state"] = DeliveryState.DEAD
    else:
        values["due_at"] = func.clock_timestamp() + seconds(pause_s)
    # Whoever was too slow says nothing: another one has it, or it was replayed, which counts its tries anew.
    mine = (WebhookDelivery.id == message.id) & (WebhookDelivery.held_until == message.held_until)
    session.execute(update(WebhookDelivery).where(mine).values(**values))
    if reply.is_gone:
        session.execute(update(Webhook).where(Webhook.id == message.webhook_id).values(active=False))


def ping(session: Session, webhook_id: uuid.UUID) -> uuid.UUID:
    """Queue a message that tells of nothing."""
    made = insert(WebhookDelivery).values(webhook_id=webhook_id, event="ping", data={}).returning(WebhookDelivery.id)
    delivery_id: uuid.UUID = session.execute(made).scalar_one()
    notify(session, WEBHOOK_CHANNEL)
    return delivery_id


def replay(session: Session, delivery_id: uuid.UUID) -> bool:
    """Send it once more, under its own id, with all its tries before it. False where it is being sent: it stays so."""
    idle = WebhookDelivery.held_until.is_(None) | (WebhookDelivery.held_until <= func.clock_timestamp())
    again = {"state": DeliveryState.PENDING, "tried": 0, "due_at": func.clock_timestamp(), "held_until": None}
    replayed = update(WebhookDelivery).where(WebhookDelivery.id == delivery_id, idle).values(**again)
    if session.execute(replayed.returning(WebhookDelivery.id)).one_or_none() is None:
        return False
    notify(session, WEBHOOK_CHANNEL)
    return True


def forget_old(session: Session) -> None:
    """Remove what was made longer ago than ``KEPT``, what waits for a webhook that is not active included."""
    session.execute(delete(WebhookDelivery).where(WebhookDelivery.created_at < func.clock_timestamp() - KEPT))


def deliveries(
    session: Session,
    webhook_id: uuid.UUID,
    state: DeliveryState | None,
    before: tuple[dt.datetime, uuid.UUID] | None,
    limit: int,
) -> list[WebhookDelivery]:
    """Newest first. ``before``: when one was made, and its id; it need not be there any more."""
    query = select(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id)
    if state is not None:
        query = query.where(WebhookDelivery.state == state)
    if before is not None:
        query = query.where(tuple_(WebhookDelivery.created_at, WebhookDelivery.id) < before)
    newest = query.order_by(WebhookDelivery.created_at.desc(), WebhookDelivery.id.desc()).limit(limit)
    return list(session.execute(newest).scalars())
