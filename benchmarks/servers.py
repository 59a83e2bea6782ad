"""Servers of a benchmark's own: PostgreSQL as ``make up`` starts it, and on it as much of a clinic as is asked for."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from local import migrations
from local.commands import COMMANDS
from local.folder import Folder
from local.interrupts import Interrupts
from local.ports import free_port
from local.postgres import EmbeddedPostgres
from local.server import HOST, start
from local.supervisor import Clinic
from models.database import Database
from models.settings import Settings

ROOT = Path(__file__).parent.parent
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Scratch:
    """A migrated database, gone at the end with its server and folder."""

    folder: Folder
    url: str
    database: Database


@contextmanager
def scratch() -> Iterator[Scratch]:
    """Durable, as for users: a commit waits for the disk."""
    with Interrupts() as interrupts:
        folder = Folder.temporary(ROOT, ".clinic-bench-")
        try:
            server = EmbeddedPostgres(folder, durable=True)
            child = start(server)
            try:
                migrations.upgrade(server.url)
                database = Database(server.url)
                yield Scratch(folder, server.url, database)
                database.dispose()
            finally:
                interrupts.ending()
                child.stop()
        finally:
            interrupts.clearing_up()
            folder.release()


@contextmanager
def clinic(on: Scratch, *names: str, workers: int = WORKERS, **changes: str) -> Iterator[Clinic]:
    """A ready clinic on that database: all of its processes, or those of these names. ``changes``: of its settings."""
    # What the user has set for their own clinic is hidden: a benchmark is the same everywhere.
    for name in [name for name in os.environ if name.startswith("CLINIC_")]:  # noqa: TID251 -- handed on to processes
        del os.environ[name]  # noqa: TID251 -- as above
    os.environ.update({"CLINIC_WORKERS": str(workers), "CLINIC_DEVICE": "cpu", **changes})  # noqa: TID251 -- as above
    settings = Settings(database_url=SecretStr(on.url))
    commands = [command for command in COMMANDS if not names or command.name in names]
    running = Clinic(settings, on.folder, port=free_port(HOST), commands=commands)
    try:
        running.start()
        yield running
    finally:
        running.stop()
