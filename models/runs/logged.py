"""Runs without layers: what is known of one from all its records, and the evaluations that its log has."""

import math
import uuid

import numpy as np
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from gradient_clinic.signals import CurveName
from gradient_clinic.values import Array
from gradient_clinic.verdict.shapes import LogFacts
from models.plan.watched import WatchedPlan
from models.specs.ingested import Evaluations
from models.storage.trace_tables import EpochValue
from models.traces.pictures import Curves, draw
from models.traces.reader import Extent, read_curves

POINTS = 5_000
"""Buckets in which the whole of a curve is looked at; extremes and means are exact in any number of them."""


def log_facts(
    session: Session, run_id: uuid.UUID, plan: WatchedPlan, stored: Extent, chance_level: float | None
) -> tuple[LogFacts, float]:
    """Those of a run with at least one record, and the chance level that its loss is held against."""
    lowest, highest, _, _ = _course(session, run_id, "loss")
    rate = _course(session, run_id, "learning_rate") if "learning_rate" in plan.told else None
    facts = LogFacts(
        records=stored.records,
        lowest_loss=lowest,
        highest_loss=highest,
        from_first_loss=chance_level is None,
        highest_rate=None if rate is None else rate[1],
        mean_rate=None if rate is None else rate[2],
        last_rate=None if rate is None else rate[3],
    )
    return facts, _first_loss(session, run_id, stored) if chance_level is None else chance_level


def _course(session: Session, run_id: uuid.UUID, curve: CurveName) -> tuple[float, float, float, float]:
    """(lowest, highest, mean, last) of the finite values; NaN where there are none."""
    drawn = draw(Curves(session, run_id, (curve,)), 0, np.iinfo(np.int32).max, POINTS).buckets
    finite = drawn.records - drawn.nonfinite[0]
    known = finite > 0
    if not known.any():
        return math.nan, math.nan, math.nan, math.nan
    mean = float(np.average(drawn.mean[0][known], weights=finite[known]))
    return float(drawn.minimum[0][known].min()), float(drawn.maximum[0][known].max()), mean, float(drawn.last[0, -1])


def _first_loss(session: Session, run_id: uuid.UUID, stored: Extent) -> float:
    """The first finite one; NaN where there is none."""
    records = 1
    while True:  # mostly it is the first record, and of a broken log the chunks are not read at once
        losses: Array = read_curves(session, run_id, ["loss"], 0, (records - 1) * stored.stride).values[0]
        finite = losses[np.isfinite(losses)]
        if finite.size or records >= stored.records:
            return float(finite[0]) if finite.size else math.nan
        records *= 100


def keep_evaluations(session: Session, run_id: uuid.UUID, sent: Evaluations) -> None:
    """In the order of their steps, as validation. Nothing where they are stored already."""
    if session.execute(select(EpochValue.epoch).where(EpochValue.run_id == run_id).limit(1)).scalar() is not None:
        return
    rows = [
        {"run_id": run_id, "epoch": number, "step": step, "validation_loss": loss, "validation_metric": metric}
        for number, (step, loss, metric) in enumerate(sent.in_order())
    ]
    session.execute(insert(EpochValue), rows)
