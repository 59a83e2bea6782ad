"""The way to PostgreSQL: one engine per process, one transaction per ``with database.begin()``.

Sync on purpose: the same queries serve the API's threads and the workers.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.sql import SQL, Identifier
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session, sessionmaker

IDLE_LIMIT_MS = 60_000


def psycopg_url(url: str) -> str:
    """``postgresql://…`` as users write it, with the driver that this project uses."""
    parsed = make_url(url)
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        message = f"the clinic stores traces in PostgreSQL; {parsed.drivername!r} cannot be used"
        raise ValueError(message)
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


class Database:
    """An engine and its sessions. ``dispose()`` closes every connection."""

    def __init__(self, url: str, *, pool_size: int = 5, max_overflow: int = 10) -> None:
        self.url = psycopg_url(url)
        self.engine = create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=max_overflow,
            pool_pre_ping=True,
            # A process frozen inside a transaction must not hold its row locks for ever.
            connect_args={"options": f"-c idle_in_transaction_session_timeout={IDLE_LIMIT_MS}"},
        )
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A session in one transaction: committed at the end, rolled back on an error."""
        with self._sessions.begin() as session:
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """A session for reading that sees one moment, however many statements it takes while a run goes on."""
        with self.begin() as session:
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    @contextmanager
    def listening(self, *channels: str) -> Iterator[psycopg.Connection]:
        """A connection of its own, outside the pool, that hears NOTIFY on ``channels``."""
        url = make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            for channel in channels:
                connection.execute(SQL("LISTEN {}").format(Identifier(channel)))
            yield connection

    def dispose(self) -> None:
        self.engine.dispose()
