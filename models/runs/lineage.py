"""Experiments in a line: each has tested what the one that it was suggested from had left open.

A line is one owner's, and is followed so many steps at most, either way.
"""

import uuid
from typing import Final

from sqlalchemy import CTE, func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from models.analysis.comparison.earlier_variants import Told, told_by
from models.analysis.comparison.parts import EarlierVariant
from models.specs.ingested import StoredSpec
from models.storage.tables import Experiment

MOST: Final = 10


def earlier(
    session: Session, experiment_id: uuid.UUID, spec: StoredSpec, *, held: bool = False
) -> tuple[EarlierVariant, ...]:
    """What the experiments before this one have found on the baseline of ``spec``. ``held``: none of them can be
    deleted before the transaction ends.
    """
    line = _line(experiment_id, back=True)
    # A comparison is long, and little of it is read here.
    part = func.jsonb_array_elements(Experiment.comparison["variants"], type_=JSONB).column_valued("part")
    fields = {
        "name": part["name"],
        "remedies": part["remedies"],
        "success": part["outcomes", "success"],
        "grade": part["versus_baseline", "grade"],
    }
    pairs = [each for name, value in fields.items() for each in (literal(name), value)]
    parts = select(func.jsonb_agg(func.jsonb_build_object(*pairs), type_=JSONB))
    query = (
        select(Experiment.id, Experiment.spec, parts.correlate(Experiment).scalar_subquery().label("parts"))
        .join(line, line.c.id == Experiment.id)
        .where(line.c.steps > 0, Experiment.comparison.is_not(None))
        # Rows are held in the order of their making, as below: neither waits for what the other holds.
        .order_by(line.c.steps.desc())
    )
    if held:
        query = query.with_for_update(read=True, key_share=True, of=Experiment)
    nearest_first = reversed(session.execute(query).all())
    return told_by(spec, [Told(str(row.id), row.spec, row.parts or ()) for row in nearest_first])


def forget(session: Session, experiment_id: uuid.UUID, *, deleted: bool) -> None:
    """What the answers of experiments behind this one tell of it, as it is about to be deleted or has another answer
    than before: they are made anew.
    """
    line = _line(experiment_id, back=False)
    # Rows in the order of their making, this one first: of two such deletions in one line neither waits for the other.
    told = (
        select(Experiment.id)
        .join(line, line.c.id == Experiment.id)
        .order_by(Experiment.id)
        .with_for_update(of=Experiment, key_share=not deleted)
    )
    later = [found for found in session.execute(told).scalars() if found != experiment_id]
    if later:
        session.execute(update(Experiment).where(Experiment.id.in_(later)).values(comparison=None))


def _line(experiment_id: uuid.UUID, *, back: bool) -> CTE:
    """This experiment and those before it, or behind it, by ``steps``."""
    first = select(Experiment.id, Experiment.owner, Experiment.suggested_from, literal(0).label("steps"))
    line = first.where(Experiment.id == experiment_id).cte("line", recursive=True)
    joined = Experiment.id == line.c.suggested_from if back else Experiment.suggested_from == line.c.id
    step = select(Experiment.id, Experiment.owner, Experiment.suggested_from, line.c.steps + 1)
    return line.union_all(step.join(line, joined).where(Experiment.owner == line.c.owner, line.c.steps < MOST))
