"""Keys: an admin makes them, each for one owner with what it may do; their secrets are told once."""

import datetime as dt
import uuid
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field, StringConstraints

from api.changes import KEYS
from api.dependencies import CallerDep, DatabaseDep, RingDep
from api.http.bodies import StrictRoute
from api.http.errors import ApiError, not_found
from api.http.pagination import PageDep
from api.http.scopes import ADMINS_ONLY
from api.views.experiments import Links, Time
from models.analysis.comparison.parts import Id
from models.owners import keys
from models.owners.keys import MOST_KEYS, ExpiredKeyError, NewKey, TooManyKeysError
from models.owners.scopes import Scope
from models.runs import CHANGED_CHANNEL
from models.runs.writes import notify
from models.specs.base import Problem, Spec, SpecError
from models.specs.moment import Moment
from models.specs.text import PLAIN, OwnerName
from models.storage.owner_tables import ApiKey

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=StrictRoute, dependencies=[ADMINS_ONLY])

LONGEST_OVERLAP_S = 30 * 86_400
MOST_READ = 100
Named = Annotated[str, StringConstraints(pattern=PLAIN, max_length=200)]
_NOT_KEPT = {"Cache-Control": "no-store"}
_MADE: dict[int | str, dict[str, Any]] = {
    201: {"headers": {"Location": {"description": "Where the key is.", "schema": {"type": "string"}}}}
}


class KeyRequest(Spec):
    """``owner``: whose experiments and data it opens; several keys may have one. ``scopes``: submit holds read, and
    admin holds both for every owner. ``reads``: other owners whose experiments and data it may look at, and no more.
    """

    owner: OwnerName
    name: Named = Field(description="For people: what it is used for.")
    scopes: tuple[Scope, ...] = Field(min_length=1, max_length=len(Scope))
    expires_at: Moment | None = None
    reads: tuple[OwnerName, ...] = Field(default=(), max_length=MOST_READ)


class RotationRequest(Spec):
    """``overlap_s``: the secret before this one opens for so long, so that its users can change over."""

    overlap_s: float = Field(default=3_600.0, ge=0, le=LONGEST_OVERLAP_S)


class KeyView(BaseModel):
    """A key without its secret. ``starts_with``: the first characters of that."""

    id: Id
    owner: str
    name: str
    scopes: list[Scope]
    reads: list[str]
    starts_with: str
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None
    """To the minute; null until it has been used."""
    previous_until: Time | None
    """So long the secret before the last rotation opens too."""
    links: Links


class KeySecret(KeyView):
    """With its secret, which is told here and never again."""

    key: str


class KeyPage(BaseModel):
    items: list[KeyView]
    next_page_token: str


@router.post("", status_code=HTTPStatus.CREATED, summary="Make a key", responses=_MADE)
def make(asked: KeyRequest, response: Response, _: CallerDep, database: DatabaseDep, ring: RingDep) -> KeySecret:
    """The answer has the secret, which is not kept: who loses it makes another key. 409 in a clinic that asks for no
    key.
    """
    if asked.expires_at is not None and asked.expires_at <= dt.datetime.now(dt.UTC):
        raise SpecError(Problem("expires_at", asked.expires_at.isoformat(), "it has passed", "a time to come, or null"))
    scopes = sorted(set(asked.scopes), key=list(Scope).index)
    new = NewKey(asked.owner, asked.name, scopes, asked.expires_at, asked.reads)
    try:
        with database.begin() as session:
            row, secret = keys.make(session, new)
    except TooManyKeysError as error:
        raise ApiError(HTTPStatus.CONFLICT, f"there are {MOST_KEYS:,} keys; delete some that are not used") from error
    response.headers["Location"] = f"/v1/keys/{row.id}"
    return _told(row, secret, response, ring)


@router.get("", summary="List keys")
def list_keys(
    _: CallerDep,
    database: DatabaseDep,
    __: RingDep,
    page: PageDep,
    owner: Annotated[Named | None, Query(description="Those of one owner.")] = None,
) -> KeyPage:
    """All owners', those made last first; their secrets are told nowhere."""
    with database.begin() as session:
        found = keys.newest(session, owner, page.before(), page.asked)
    shown, token = page.cut(found, lambda row: row.id)
    return KeyPage(items=[KeyView(**_shown(row)) for row in shown], next_page_token=token)


@router.get("/{key_id}", summary="Look at a key")
def look(key_id: uuid.UUID, _: CallerDep, database: DatabaseDep, __: RingDep) -> KeyView:
    """Whose it is, what it may do, and when it was used last."""
    with database.begin() as session:
        row = keys.one(session, key_id)
    if row is None:
        raise not_found("key", key_id)
    return KeyView(**_shown(row))


@router.post("/{key_id}/rotate", summary="Give a key a new secret")
def rotate(
    key_id: uuid.UUID,
    asked: RotationRequest,
    response: Response,
    _: CallerDep,
    database: DatabaseDep,
    ring: RingDep,
) -> KeySecret:
    """The answer has the new secret; the one before it opens for ``overlap_s`` more, in other processes of the API for
    up to 2 s longer. Of two rotations within that time the first secret ends with the second. 409 where the key has
    expired.
    """
    try:
        with database.begin() as session:
            rotated = keys.rotate(session, key_id, asked.overlap_s)
            notify(session, CHANGED_CHANNEL, KEYS)
    except ExpiredKeyError as error:
        detail = "this key has expired, so that a new secret would open nothing; make another key"
        raise ApiError(HTTPStatus.CONFLICT, detail) from error
    if rotated is None:
        raise not_found("key", key_id)
    return _told(*rotated, response, ring)


@router.delete("/{key_id}", status_code=HTTPStatus.NO_CONTENT, summary="Revoke a key")
def revoke(key_id: uuid.UUID, _: CallerDep, database: DatabaseDep, ring: RingDep) -> None:
    """It opens nothing from here on, in other processes of the API within 2 s at the latest, and what streams under it
    ends. What its owner has stays.
    """
    with database.begin() as session:
        removed = keys.remove(session, key_id)
        notify(session, CHANGED_CHANNEL, KEYS)
    if not removed:
        raise not_found("key", key_id)
    ring.forget()


def _told(row: ApiKey, secret: str, response: Response, ring: RingDep) -> KeySecret:
    """The one answer that has the secret: nobody between here and the client shall keep it."""
    ring.forget()
    response.headers.update(_NOT_KEPT)
    return KeySecret(**_shown(row), key=secret)


def _shown(row: ApiKey) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "owner": row.owner,
        "name": row.name,
        "scopes": row.scopes,
        "reads": row.reads,
        "starts_with": row.starts_with,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "last_used_at": row.last_used_at,
        "previous_until": row.previous_until,
        "links": {"self": f"/v1/keys/{row.id}", "rotate": f"/v1/keys/{row.id}/rotate"},
    }
