"""Databases of the real migrations that tests use one after another: a copy of a template takes ten times as long as
to empty one. One whose tables a test has changed is not given to another test.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

_SCHEMA = """
SELECT array_agg(one ORDER BY one) FROM (
    SELECT attrelid::regclass || '.' || attname FROM pg_attribute
    WHERE attnum > 0 AND attrelid >= 16384 AND attrelid::regclass::text NOT LIKE 'pg_toast%'
    UNION ALL SELECT tgname FROM pg_trigger
    UNION ALL SELECT conname FROM pg_constraint WHERE oid >= 16384
    UNION ALL SELECT proname FROM pg_proc WHERE oid >= 16384
) AS everything (one)
"""
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
_DRAWN_FROM = "SELECT sequencename FROM pg_sequences WHERE last_value IS NOT NULL"
_OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@dataclass(slots=True)
class Spares:
    """``make`` gives the URL of a new database, and sees to its end."""

    make: Callable[[], str]
    _urls: list[str] = field(default_factory=list)

    @contextmanager
    def one(self) -> Iterator[str]:
        """Empty, as the migrations leave it."""
        url = self._urls.pop() if self._urls else self.make()
        with psycopg.connect(url, autocommit=True) as connection:
            before = connection.execute(_SCHEMA).fetchone()
        yield url
        with psycopg.connect(url, autocommit=True) as connection:
            if connection.execute(_SCHEMA).fetchone() == before:
                _empty(connection)
                self._urls.append(url)


def _empty(connection: psycopg.Connection) -> None:
    """Whoever is still connected is cut off first, as by the end of the database."""
    connection.execute(_OTHERS)
    tables = [sql.Identifier(name) for (name,) in connection.execute(_TABLES)]
    query = sql.SQL("SELECT EXISTS (SELECT FROM {})")
    used = [table for table in tables if connection.execute(query.format(table)).fetchone() == (True,)]
    if used:
        connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(used)))
    # Of a row that was taken back too.
    for (name,) in connection.execute(_DRAWN_FROM).fetchall():
        connection.execute(sql.SQL("ALTER SEQUENCE {} RESTART").format(sql.Identifier(name)))
