"""What a route may ask for, as annotated types: the database, the settings, and who is calling."""

import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, cast

from fastapi import Depends, Request

from api.changes import Changes
from api.errors import ApiError
from models.database import Database
from models.settings import Settings


def _settings(request: Request) -> Settings:
    return cast("Settings", request.app.state.settings)


def _database(request: Request) -> Database:
    return cast("Database", request.app.state.database)


def _changes(request: Request) -> Changes:
    return cast("Changes", request.app.state.changes)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose rows a request may see and make."""

    owner: str


def _caller(request: Request) -> Caller:
    """Without a bootstrap key everybody on this machine is ``local``; with one, only its holder gets in."""
    key = _settings(request).bootstrap_key()
    if key is None:
        return Caller("local")
    given = request.headers.get("authorization", "").removeprefix("Bearer ").strip() or request.headers.get("x-api-key")
    if not given:
        headers = {"WWW-Authenticate": "Bearer"}
        raise ApiError(HTTPStatus.UNAUTHORIZED, "send the key as 'Authorization: Bearer …'", headers=headers)
    if not hmac.compare_digest(given.encode(), key.encode()):
        headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        raise ApiError(HTTPStatus.UNAUTHORIZED, "this key is not known", headers=headers)
    return Caller("admin")


SettingsDep = Annotated[Settings, Depends(_settings)]
DatabaseDep = Annotated[Database, Depends(_database)]
ChangesDep = Annotated[Changes, Depends(_changes)]
CallerDep = Annotated[Caller, Depends(_caller)]
