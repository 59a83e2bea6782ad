"""Raw traces go after a time that a setting gives; rollups, summaries, verdicts and comparisons stay.

Only what the rollups hold is deleted. Runs that are too short for rollups keep their values, which are no more than a
rollup would be. A cancelled run keeps the few newest values that no rollup had taken in.
"""

import uuid

from sqlalchemy import Select, delete, exists, func, select, tuple_, update
from sqlalchemy.orm import Session

from models import runs
from models.status import State
from models.storage.database import changed_rows
from models.storage.tables import Run
from models.storage.trace_tables import CurveChunk, CurveRollup, TraceChunk, TraceRollup
from models.traces.reader import extent
from models.traces.rollups import CHUNK_RECORDS

BATCH_ROWS = 2_000
"""Deleted in one transaction, in a tenth of a second."""
_DAY_S = 86_400.0
_FINISHED = [state for state in State if state.is_finished]


def drop_raw(session: Session, after_days: float, batch_rows: int = BATCH_ROWS) -> int:
    """Delete up to ``batch_rows`` raw chunks of one run that ended so long ago. How many; 0: there is no such run.

    The run is marked first, so that nobody reads values of which some are gone. Its row is locked meanwhile: another
    dispatcher takes another run, a retry waits.
    """
    run_id = session.execute(_next(after_days)).scalar()
    if run_id is None:
        return 0
    dropped_at = func.coalesce(Run.raw_dropped_at, func.clock_timestamp())
    session.execute(update(Run).where(Run.id == run_id).values(raw_dropped_at=dropped_at))
    full = _rolled_chunks(session, run_id)
    # A run is done with when its curve chunk 0 is gone, so that one goes last.
    return _delete(session, TraceChunk, run_id, full, batch_rows) or _delete(
        session, CurveChunk, run_id, full, batch_rows
    )


def _next(after_days: float) -> Select[uuid.UUID]:
    # A run without rollups is short, and its raw values are all that there is of it.
    without_layers = ~exists().where(TraceChunk.run_id == Run.id)
    of_layers = exists().where(TraceRollup.run_id == Run.id)
    rolled = exists().where(CurveRollup.run_id == Run.id) & (of_layers | without_layers)
    there = exists().where(CurveChunk.run_id == Run.id, CurveChunk.chunk == 0)
    return (
        select(Run.id)
        .where(
            Run.state.in_(_FINISHED),
            Run.ended_at < func.clock_timestamp() - runs.seconds(after_days * _DAY_S),
            there,
            rolled,
        )
        .order_by(Run.ended_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def _rolled_chunks(session: Session, run_id: uuid.UUID) -> int:
    """How many chunks of the run its rollups hold as a whole. The last chunk of a run that ended may be a short one."""
    curves = select(func.sum(CurveRollup.records)).where(CurveRollup.run_id == run_id, CurveRollup.curve == "loss")
    # One row stands for all: every signal of every layer is rolled up in the same transaction. A log has none.
    signals = select(func.sum(TraceRollup.records)).where(
        TraceRollup.run_id == run_id, TraceRollup.signal == "weight_norm", TraceRollup.layer_index == 1
    )
    rolled = [session.execute(query).scalar() for query in (curves, signals)]
    records = min((its for its in rolled if its is not None), default=0)
    whole = records >= extent(session, run_id).records
    return -(-records // CHUNK_RECORDS) if whole else records // CHUNK_RECORDS


def _delete(
    session: Session, table: type[TraceChunk] | type[CurveChunk], run_id: uuid.UUID, full: int, batch_rows: int
) -> int:
    """The newest of those chunks, up to so many rows."""
    # DELETE has no LIMIT, so the rows are chosen by key first.
    key = table.__mapper__.primary_key
    chosen = select(*key).where(table.run_id == run_id, table.chunk < full)
    newest = chosen.order_by(table.chunk.desc()).limit(batch_rows)
    return changed_rows(session, delete(table).where(tuple_(*key).in_(newest)))
