"""What a database is asked meanwhile, and how it goes about an answer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import event

from models.storage.database import Database


class Sent(NamedTuple):
    statement: str
    parameters: Any


@contextmanager
def sent_to(database: Database) -> Iterator[list[Sent]]:
    """The SQL statements that this process sends over the database's connections. COPY, BEGIN and COMMIT are none."""
    statements: list[Sent] = []

    def note(*given: Any) -> None:
        statements.append(Sent(given[2], given[3]))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def plan_of(database: Database, sent: Sent) -> Sequence[dict[str, Any]]:
    """The nodes of PostgreSQL's plan of a statement, as they were carried out."""
    with database.engine.connect() as connection:
        asked = f"EXPLAIN (FORMAT JSON, ANALYZE) {sent.statement}"
        found = connection.exec_driver_sql(asked, sent.parameters).scalar_one()
    return _nodes(found[0]["Plan"])


def _nodes(plan: dict[str, Any]) -> Sequence[dict[str, Any]]:
    return [plan, *(node for part in plan.get("Plans", ()) for node in _nodes(part))]
