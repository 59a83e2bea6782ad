"""What a database is asked meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event

from models.storage.database import Database


@contextmanager
def sent_to(database: Database) -> Iterator[list[str]]:
    """The SQL statements that this process sends over the database's connections. COPY, BEGIN and COMMIT are none."""
    statements: list[str] = []

    def note(*given: object) -> None:
        statements.append(str(given[2]))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
