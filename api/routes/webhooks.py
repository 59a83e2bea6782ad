"""Webhooks: where an owner is told of ends, and what became of each message. Standard Webhooks."""

import base64
import secrets
import uuid
from http import HTTPStatus
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy import ColumnElement, delete, func, insert, select, true, update
from sqlalchemy.orm import Session
from uuid6 import uuid7

from api.dependencies import CallerDep, DatabaseDep, OwnerQuery
from api.http.bodies import StrictRoute
from api.http.callers import Caller
from api.http.errors import ApiError, not_found
from api.http.pagination import PageDep
from api.views.experiments import Links, Time
from models.analysis.comparison.parts import Id
from models.runs import webhooks
from models.runs.webhooks import DeliveryState
from models.specs.webhook import WebhookChange, WebhookEvent, WebhookSpec
from models.storage.tables import Webhook, WebhookDelivery

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=StrictRoute)

MOST_WEBHOOKS = 20
"""Of one owner: each end is sent to all of them."""
_SECRET_BYTES = 32
"""Standard Webhooks wants between 24 and 64."""


class WebhookView(BaseModel):
    id: Id
    url: str
    events: list[WebhookEvent]
    active: bool
    """False: it is told of nothing; a receiver that answers 410 makes it so."""
    created_at: Time
    links: Links


class NewWebhook(WebhookView):
    """``secret``: what messages are signed with; it is shown here and never again."""

    secret: str


class WebhookPage(BaseModel):
    items: list[WebhookView]
    next_page_token: str


class DeliveryAttempt(BaseModel):
    """``status``: of the answer; null where there was none, and then ``error`` says why."""

    at: Time
    status: int | None
    error: str | None


class DeliveryView(BaseModel):
    """One message. ``id`` is its ``webhook-id``, which stays when it is sent again."""

    id: Id
    event: Literal["experiment.ended", "run.ended", "ping"]
    data: dict[str, Any]
    state: DeliveryState
    attempts: list[DeliveryAttempt]
    next_attempt_at: Time | None
    created_at: Time
    links: Links


class DeliveryPage(BaseModel):
    items: list[DeliveryView]
    next_page_token: str


_CREATED: dict[int | str, dict[str, Any]] = {
    201: {"headers": {"Location": {"description": "Where the webhook is.", "schema": {"type": "string"}}}}
}


@router.post("", status_code=HTTPStatus.CREATED, summary="Make a webhook", responses=_CREATED)
def create(spec: WebhookSpec, response: Response, caller: CallerDep, database: DatabaseDep) -> NewWebhook:
    """From now on its address is told of ends. The answer has the secret, once. 409 for more than 20 of one owner."""
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"
    with database.begin() as session:
        # One after another, so that two requests do not both find the last place free.
        session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"clinic webhooks {caller.owner}"))))
        there = select(func.count()).select_from(Webhook).where(Webhook.owner == caller.owner)
        if session.execute(there).scalar_one() >= MOST_WEBHOOKS:
            detail = f"there are {MOST_WEBHOOKS} webhooks, which is the most that one owner may have; delete one"
            raise ApiError(HTTPStatus.CONFLICT, detail)
        values = {"owner": caller.owner, "url": spec.url, "events": list(spec.events), "secret": secret, "active": True}
        made = insert(Webhook).values(id=uuid.UUID(int=uuid7().int), **values).returning(Webhook)
        view = _view(session.execute(made).scalar_one())
    response.headers["Location"] = view.links["self"]
    return NewWebhook(**view.model_dump(), secret=secret)


@router.get("", summary="List webhooks")
def list_webhooks(
    caller: CallerDep,
    database: DatabaseDep,
    page: PageDep,
    owner: OwnerQuery = None,
) -> WebhookPage:
    """Those that the caller may see, newest first."""
    query = select(Webhook).where(_visible(caller), true() if owner is None else Webhook.owner == owner)
    if (before := page.before()) is not None:
        query = query.where(Webhook.id < before)
    with database.begin() as session:
        found = session.execute(query.order_by(Webhook.id.desc()).limit(page.asked)).scalars().all()
    shown, token = page.cut(found, lambda row: row.id)
    return WebhookPage(items=[_view(row) for row in shown], next_page_token=token)


@router.get("/{webhook_id}", summary="Look at a webhook")
def read(webhook_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> WebhookView:
    """Without its secret."""
    with database.begin() as session:
        return _view(_of(session, caller, webhook_id))


@router.patch("/{webhook_id}", summary="Change a webhook")
def change(webhook_id: uuid.UUID, given: WebhookChange, caller: CallerDep, database: DatabaseDep) -> WebhookView:
    """What is left out stays. What waits to be sent goes to the new address."""
    values = given.model_dump(exclude_none=True)
    with database.begin() as session:
        row = _of(session, caller, webhook_id)
        if values:
            changed = update(Webhook).where(Webhook.id == row.id).values(**values).returning(Webhook)
            # The session has this row already, and would give it back as it was read.
            row = session.execute(changed, execution_options={"populate_existing": True}).scalar_one()
        return _view(row)


@router.delete("/{webhook_id}", status_code=HTTPStatus.NO_CONTENT, summary="Delete a webhook")
def remove(webhook_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> None:
    """With all of its messages; what waits is not sent."""
    with database.begin() as session:
        session.execute(delete(Webhook).where(Webhook.id == _of(session, caller, webhook_id).id))


@router.post("/{webhook_id}/ping", status_code=HTTPStatus.ACCEPTED, summary="Try a webhook")
def ping(webhook_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> DeliveryView:
    """Send it a message of type ``ping``; look at it again to see what became of it. 409 where it is not active."""
    with database.begin() as session:
        hook = _active(_of(session, caller, webhook_id))
        return _delivery(session.get_one(WebhookDelivery, webhooks.ping(session, hook.id)))


@router.get("/{webhook_id}/deliveries", summary="List what was sent to a webhook")
def list_deliveries(
    webhook_id: uuid.UUID,
    caller: CallerDep,
    database: DatabaseDep,
    page: PageDep,
    state: DeliveryState | None = None,
) -> DeliveryPage:
    """Newest first; for thirty days."""
    with database.begin() as session:
        hook = _of(session, caller, webhook_id)
        found = webhooks.deliveries(session, hook.id, state, page.before_moment(), page.asked)
    shown, token = page.cut(found, lambda row: (row.created_at, row.id))
    return DeliveryPage(items=[_delivery(row) for row in shown], next_page_token=token)


@router.get("/{webhook_id}/deliveries/{delivery_id}", summary="Look at a message")
def read_delivery(
    webhook_id: uuid.UUID, delivery_id: uuid.UUID, caller: CallerDep, database: DatabaseDep
) -> DeliveryView:
    """Its data, its state, and its newest twenty attempts."""
    with database.begin() as session:
        return _delivery(_delivery_of(session, caller, webhook_id, delivery_id))


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/replay", status_code=HTTPStatus.ACCEPTED, summary="Send a message again"
)
def replay(webhook_id: uuid.UUID, delivery_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> DeliveryView:
    """Whether it was taken, given up or still waits; under its own id. 409 while it is being sent, and where the
    webhook is not active.
    """
    with database.begin() as session:
        row = _delivery_of(session, caller, webhook_id, delivery_id)
        _active(session.get_one(Webhook, row.webhook_id))
        if not webhooks.replay(session, row.id):
            raise ApiError(HTTPStatus.CONFLICT, "the message is being sent now; look at it, and try again in a minute")
        session.refresh(row)
        return _delivery(row)


def _of(session: Session, caller: Caller, webhook_id: uuid.UUID) -> Webhook:
    """The caller's own; another's does not exist for it."""
    query = select(Webhook).where(Webhook.id == webhook_id, _visible(caller))
    row = session.execute(query).scalar_one_or_none()
    if row is None:
        raise not_found("webhook", webhook_id)
    return row


def _visible(caller: Caller) -> ColumnElement[bool]:
    return true() if caller.sees_all else Webhook.owner == caller.owner


def _active(hook: Webhook) -> Webhook:
    if not hook.active:
        raise ApiError(HTTPStatus.CONFLICT, "the webhook is not active, so nothing is sent to it; make it active first")
    return hook


def _delivery_of(session: Session, caller: Caller, webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> WebhookDelivery:
    hook = _of(session, caller, webhook_id)
    query = select(WebhookDelivery).where(WebhookDelivery.id == delivery_id, WebhookDelivery.webhook_id == hook.id)
    row = session.execute(query).scalar_one_or_none()
    if row is None:
        raise not_found("delivery", delivery_id)
    return row


def _view(row: Webhook) -> WebhookView:
    path = f"/v1/webhooks/{row.id}"
    return WebhookView(
        id=str(row.id),
        url=row.url,
        events=row.events,  # type: ignore[arg-type]  # written from the same words
        active=row.active,
        created_at=row.created_at,
        links={"self": path, "deliveries": f"{path}/deliveries", "ping": f"{path}/ping"},
    )


def _delivery(row: WebhookDelivery) -> DeliveryView:
    path = f"/v1/webhooks/{row.webhook_id}/deliveries/{row.id}"
    state = DeliveryState(row.state)
    return DeliveryView(
        id=str(row.id),
        event=row.event,  # type: ignore[arg-type]  # as above
        data=row.data,
        state=state,
        attempts=[DeliveryAttempt.model_validate(attempt) for attempt in row.attempts],
        next_attempt_at=row.due_at if state is DeliveryState.PENDING else None,
        created_at=row.created_at,
        links={"self": path, "webhook": f"/v1/webhooks/{row.webhook_id}", "replay": f"{path}/replay"},
    )
