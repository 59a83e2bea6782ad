"""Whether the service lives, and whether it can work."""

from http import HTTPStatus

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError

from api.dependencies import DatabaseDep
from api.errors import ApiError

router = APIRouter(tags=["health"])


class Health(BaseModel):
    status: str


@router.get("/healthz")
def alive() -> Health:
    """The process answers."""
    return Health(status="alive")


@router.get("/readyz")
def ready(database: DatabaseDep, response: Response) -> Health:
    """The database answers and has this version's tables; 503 with the reason where not."""
    response.headers["Cache-Control"] = "no-store"
    head = ScriptDirectory.from_config(Config("alembic.ini")).get_current_head()
    try:
        with database.engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer") from error
    if current != head:
        detail = f"the database is at migration {current}, this version needs {head}"
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, detail)
    return Health(status="ready")
