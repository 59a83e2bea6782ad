"""Databases of the real migrations that tests use one after another: a copy of a template takes ten times as long as
to empty one. One whose tables a test has changed is not given to another test.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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


Kept = tuple[str, psycopg.Connection]


@dataclass(slots=True)
class Spares:
    """``make`` gives the URL of a new database, and sees to its end. Of each that waits one connection stays open: to
    open another costs the server more than all else that is done here.
    """

    make: Callable[[], str]
    _kept: list[Kept] = field(default_factory=list)

    @contextmanager
    def one(self) -> Iterator[str]:
        """Empty, as the migrations leave it."""
        url, connection = self._kept.pop() if self._kept else self._made()
        empty = False
        try:
            before = connection.execute(_SCHEMA).fetchone()
            yield url
            with suppress(psycopg.OperationalError):  # the test may have cut everybody off
                empty = connection.execute(_SCHEMA).fetchone() == before and _empty(connection)
        finally:
            if empty:
                self._kept.append((url, connection))
            else:
                connection.close()

    def _made(self) -> Kept:
        url = self.make()
        # A plan that was kept would outlive the tables that a test has changed.
        return url, psycopg.connect(url, autocommit=True, prepare_threshold=None)

    def close(self) -> None:
        for _, connection in self._kept:
            connection.close()


def _empty(connection: psycopg.Connection) -> bool:
    """Whoever is still connected is cut off first, as by the end of the database."""
    connection.execute(_OTHERS)
    tables = [sql.Identifier(name) for (name,) in connection.execute(_TABLES)]
    asked = sql.SQL(", ").join(sql.SQL("EXISTS (SELECT FROM {})").format(table) for table in tables)
    has_rows = connection.execute(sql.SQL("SELECT {}").format(asked)).fetchone() or ()
    used = [table for table, has in zip(tables, has_rows, strict=True) if has]
    if used:
        connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(used)))
    # Of a row that was taken back too.
    for (name,) in connection.execute(_DRAWN_FROM).fetchall():
        connection.execute(sql.SQL("ALTER SEQUENCE {} RESTART").format(sql.Identifier(name)))
    return True
