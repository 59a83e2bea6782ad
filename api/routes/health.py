"""Whether the service lives, and whether it can work."""

from functools import cache
from http import HTTPStatus
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from api.dependencies import DatabaseDep
from api.http.errors import ApiError

MIGRATIONS = Path(__file__).parent.parent.parent / "alembic"

router = APIRouter(tags=["health"])


class Health(BaseModel):
    status: str


@router.get("/healthz", summary="Whether the process lives")
def alive() -> Health:
    """The process answers."""
    return Health(status="alive")


@router.get("/readyz", summary="Whether it can work")
def ready(database: DatabaseDep, response: Response) -> Health:
    """The database answers and has this version's tables; 503 with the reason where not."""
    response.headers["Cache-Control"] = "no-store"
    head = _head()
    try:
        with database.engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError as error:
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer") from error
    if current != head:
        detail = f"the database is at migration {current}, this version needs {head}"
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, detail)
    return Health(status="ready")


@cache
def _head() -> str | None:
    """The newest migration of this version. Read from the files once: they do not change under a process."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config).get_current_head()
