"""Clinics and servers of a proof's own: ports and a data folder that nobody else has, all gone at the end."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from local import migrations
from local.commands import COMMANDS, Command
from local.folder import Folder
from local.interrupts import Interrupts
from local.ports import free_port
from local.postgres import EmbeddedPostgres
from local.server import HOST, start
from local.supervisor import ROOT, Clinic
from models.settings import Settings
from models.storage.database import Database

PREFIX: Final = ".clinic-proof-"
WORKERS: Final = 2


@contextmanager
def own_clinic(settings: Mapping[str, str], commands: Sequence[Command]) -> Iterator[tuple[Clinic, Folder]]:
    """A ready clinic with servers of its own, and the folder that holds its files."""
    with _own_folder() as (folder, interrupts), _running(folder, settings, commands) as running:
        try:
            yield running, folder
        finally:
            # From here on a Ctrl-C is the second one: who asks again while servers stop wants out at once.
            interrupts.ending()


@dataclass(frozen=True, slots=True)
class Scratch:
    """A migrated database, gone at the end with its server and folder."""

    folder: Folder
    url: str
    database: Database


@contextmanager
def scratch() -> Iterator[Scratch]:
    """PostgreSQL as ``make up`` starts it. It is durable, as for users: a commit waits for the disk."""
    with _own_folder() as (folder, interrupts):
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


@contextmanager
def clinic(on: Scratch, *names: str, workers: int = WORKERS, **changes: str) -> Iterator[Clinic]:
    """A ready clinic on that database: all of its processes, or those of these names. ``changes``: of its settings."""
    settings = {"CLINIC_DATABASE_URL": on.url, "CLINIC_WORKERS": str(workers), "CLINIC_DEVICE": "cpu", **changes}
    commands = [command for command in COMMANDS if not names or command.name in names]
    with _running(on.folder, settings, commands) as running:
        yield running


@contextmanager
def _own_folder() -> Iterator[tuple[Folder, Interrupts]]:
    # Entered first: by default SIGTERM ends a process at once, and folder and servers would stay.
    with Interrupts() as interrupts:
        folder = Folder.temporary(ROOT, PREFIX)
        try:
            yield folder, interrupts
        finally:
            interrupts.clearing_up()
            folder.release()


@contextmanager
def _running(folder: Folder, settings: Mapping[str, str], commands: Sequence[Command]) -> Iterator[Clinic]:
    """What the user has set is hidden: a proof is the same everywhere, and must never reach the user's own clinic."""
    environment = os.environ  # noqa: TID251 -- handed on to the clinic's processes
    for name in [name for name in environment if name.startswith("CLINIC_")]:
        del environment[name]
    environment.update(settings)
    running = Clinic(Settings(), folder, port=free_port(HOST), commands=commands)
    try:
        running.start()
        yield running
    finally:
        running.stop()
