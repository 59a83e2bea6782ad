"""Invariants of the rows beside the traces: attempts, events and the comparison of an experiment that has ended.

Each is checked by a statement that selects its violations: no rows, nothing wrong.
"""

import uuid
from collections.abc import Iterator, Sequence

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.storage.tables import Base

_ENDED = "('succeeded', 'failed', 'cancelled')"
VIOLATIONS = {
    "an attempt without an end": (
        "SELECT r.experiment_id, r.id || ', attempt ' || a.number FROM run r JOIN attempt a ON a.run_id = r.id "
        "WHERE r.ended_at IS NOT NULL AND (a.ended_at IS NULL OR a.reason IS NULL)"
    ),
    "attempts that are not 1, 2, 3 …": (
        "SELECT r.experiment_id, r.id || ': ' || count(a.number) || ' of ' || r.attempt "
        "FROM run r LEFT JOIN attempt a ON a.run_id = r.id GROUP BY r.id "
        "HAVING count(a.number) <> r.attempt OR coalesce(max(a.number), 0) <> r.attempt"
    ),
    "a run that has ended and holds a lease": (
        f"SELECT experiment_id, CAST(id AS text) FROM run WHERE state IN {_ENDED} "  # noqa: S608 -- constants
        "AND (lease_token IS NOT NULL OR lease_until IS NOT NULL OR ended_at IS NULL)"
    ),
    "an end of a run that is told more than once, or not, or not last": (
        "SELECT r.experiment_id, r.id || ': ' || string_agg(e.data ->> 'state', ' ' ORDER BY e.id) "  # noqa: S608
        "FROM run r LEFT JOIN event e ON e.kind = 'run' AND e.experiment_id = r.experiment_id "
        f"AND e.data ->> 'run_id' = CAST(r.id AS text) WHERE r.state IN {_ENDED} GROUP BY r.id "
        f"HAVING count(*) FILTER (WHERE e.data ->> 'state' IN {_ENDED}) <> 1 "
        "OR (array_agg(e.data ->> 'state' ORDER BY e.id DESC))[1] IS DISTINCT FROM r.state"
    ),
    # By distinct attempts too: one told twice would make up for one that was not told at all.
    "an attempt that is not told": (
        "SELECT r.experiment_id, r.id || ': ' || count(e.id) || ' of ' || r.attempt "
        "FROM run r LEFT JOIN event e ON e.kind = 'run' AND e.experiment_id = r.experiment_id "
        "AND e.data ->> 'run_id' = CAST(r.id AS text) AND e.data ->> 'state' = 'running' "
        "GROUP BY r.id HAVING count(e.id) <> r.attempt OR count(DISTINCT e.data ->> 'attempt') <> r.attempt"
    ),
    "an end of an experiment that is told more than once, or not, or not last": (
        "SELECT x.id, string_agg(e.data ->> 'state', ' ' ORDER BY e.id) "  # noqa: S608 -- constants
        "FROM experiment x LEFT JOIN event e ON e.kind = 'experiment' AND e.experiment_id = x.id "
        f"WHERE x.state IN {_ENDED} GROUP BY x.id "
        f"HAVING count(*) FILTER (WHERE e.data ->> 'state' IN {_ENDED}) <> 1 "
        "OR (array_agg(e.data ->> 'state' ORDER BY e.id DESC))[1] IS DISTINCT FROM x.state"
    ),
    "an experiment whose state is not that of its runs": (
        "SELECT x.id, x.state FROM experiment x JOIN run r ON r.experiment_id = x.id GROUP BY x.id "  # noqa: S608
        f"HAVING (x.state IN {_ENDED}) <> bool_and(r.state IN {_ENDED}) "
        f"OR (x.state IN {_ENDED}) <> (x.ended_at IS NOT NULL)"
    ),
    "a comparison that is missing": (
        f"SELECT id, state FROM experiment WHERE state IN {_ENDED} AND comparison IS NULL"  # noqa: S608 -- constants
    ),
}


def violations(session: Session) -> Iterator[str]:
    """A line for each."""
    for violation, statement in VIOLATIONS.items():
        for experiment_id, which in session.execute(text(statement)):
            yield f"{violation}: experiment {experiment_id}, {which}"


def leftovers(session: Session, experiment_ids: Sequence[uuid.UUID]) -> Iterator[str]:
    """A line for each table that still has rows of deleted experiments. Rows of a run go with the run's own row."""
    # Of the metadata and not of a list here, so that a table of tomorrow is looked at as well.
    for table in Base.metadata.sorted_tables:
        column = table.c.get("experiment_id", table.c.id if table.name == "experiment" else None)
        if column is not None:
            held = session.execute(
                select(func.count()).select_from(table).where(column.in_(experiment_ids))
            ).scalar_one()
            if held:
                yield f"{held} rows in {table.name} of experiments that were deleted"
