"""Runs the migrations on ``CLINIC_DATABASE_URL``; ``alembic check`` holds them against ``models.storage``."""

from logging.config import fileConfig
from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import create_engine, pool

from models.settings import Settings
from models.storage.columns import PydanticColumn
from models.storage.database import psycopg_url
from models.storage.owner_tables import ApiKey
from models.storage.plugin_tables import Plugin
from models.storage.trace_tables import TraceChunk
from models.storage.worker_tables import Worker


def _url() -> str:
    given = context.config.attributes.get("url") or context.config.get_main_option("sqlalchemy.url")
    if given:
        return psycopg_url(given)
    url = Settings().database_url
    if url is None:
        message = "CLINIC_DATABASE_URL is not set: migrations need to know which database"
        raise SystemExit(message)
    return psycopg_url(url.get_secret_value())


def _render(kind: str, value: object, autogenerate: AutogenContext) -> str | Literal[False]:
    """Migrations never import models: our column type is written as what it is, JSONB."""
    if kind != "type" or not isinstance(value, PydanticColumn):
        return False
    autogenerate.imports.add("from sqlalchemy.dialects import postgresql")
    return "postgresql.JSONB()"


def _run() -> None:
    if context.config.config_file_name is not None and context.config.attributes.get("configure_logger", True):
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    engine = create_engine(_url(), poolclass=pool.NullPool)
    with engine.connect() as connection:
        # Modules of tables that no other one imports: with these all are known.
        (tables,) = {table.metadata for table in (ApiKey, Plugin, TraceChunk, Worker)}
        context.configure(connection=connection, target_metadata=tables, render_item=_render)
        with context.begin_transaction():
            # Two starts at once (compose, several hosts): the second waits, then finds nothing to do.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7306917)")
            context.run_migrations()
    engine.dispose()


_run()
