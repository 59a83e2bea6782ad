"""Where a run first met a value that is not finite, from what is stored, without reading all of it.

Rollups name the bucket, the chunks in it are looked through in SQL, and one chunk is read. What the rollups do not
hold yet, or a run without them, is few chunks.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from gradient_clinic.signals import CurveName, SignalName
from gradient_clinic.verdict.measurements import first_nonfinite
from gradient_clinic.verdict.run_trace import RunTrace
from gradient_clinic.verdict.shapes import FirstNonfinite
from models.plan.watched import Recorded
from models.storage.trace_tables import CurveRollup
from models.traces.reader import extent, read_curves, read_signals
from models.traces.rollups import CHUNK_RECORDS

DECIDING: Sequence[SignalName] = ("activation_rms", "activation_gradient_rms", "nonfinite_count")
"""With the loss, what says that a record is broken (``gradient_clinic/verdict/measurements.py``)."""
OF_A_LOG: Sequence[CurveName] = ("loss", "total_gradient_norm")
"""The same where there are no layers."""


def first_broken(session: Session, run_id: uuid.UUID, plan: Recorded, *, kept: bool = True) -> FirstNonfinite | None:
    """The earliest recorded step with a non-finite value, and the layer; None where all is finite so far.

    Where retention has dropped the raw values (not ``kept``) the step is the first of its bucket.
    """
    bucket = _bucket(session, run_id, plan)
    if bucket is not None and not kept:
        return _place_in_bucket(session, run_id, plan, bucket)
    chunk = _chunk(session, run_id, plan, bucket)
    if chunk is None:
        return None
    stride = extent(session, run_id).stride
    first = chunk * CHUNK_RECORDS * stride
    return first_nonfinite(_deciding(session, run_id, plan, first, first + (CHUNK_RECORDS - 1) * stride))


def _deciding(session: Session, run_id: uuid.UUID, plan: Recorded, first: int, last: int) -> RunTrace:
    window = read_signals(session, run_id, DECIDING, [layer.index for layer in plan.layers], first, last)
    names = deciding_curves(plan)
    curves = read_curves(session, run_id, names, first, last)
    signals = dict(zip(DECIDING, window.values, strict=True))
    return RunTrace(plan.network.judged, window.steps, signals, dict(zip(names, curves.values, strict=True)))


def deciding_curves(plan: Recorded) -> Sequence[CurveName]:
    """The curves that say whether a record is broken."""
    if plan.layers:
        return ("loss",)
    return [name for name in OF_A_LOG if name in plan.told]


def _bucket(session: Session, run_id: uuid.UUID, plan: Recorded) -> int | None:
    """The first step of the earliest broken bucket."""
    buckets = [
        session.execute(text(query), {"run": run_id, "layers": len(plan.layers)}).scalar()
        for query in (_BROKEN_SIGNAL, _BROKEN_LOSS)
    ]
    return min((bucket for bucket in buckets if bucket is not None), default=None)


def _chunk(session: Session, run_id: uuid.UUID, plan: Recorded, bucket: int | None) -> int | None:
    """The earliest broken chunk: in the bucket that begins with this step, or else behind what the rollups hold."""
    columns = func.min(CurveRollup.stride), func.min(CurveRollup.bucket_records), func.sum(CurveRollup.records)
    losses = (CurveRollup.run_id == run_id) & (CurveRollup.curve == "loss")
    # Signals have rollups of the same parts, written by the same transaction.
    stride, size, rolled = session.execute(select(*columns).where(losses)).one()
    parameters: dict[str, Any] = {"run": run_id, "layers": len(plan.layers)}
    if bucket is None:
        # The rollups found nothing, so only what they do not hold yet is left to look through.
        parameters |= {"first": (rolled or 0) // CHUNK_RECORDS, "last": None}
    else:
        record = bucket // stride
        parameters |= {"first": record // CHUNK_RECORDS, "last": (record + size - 1) // CHUNK_RECORDS}
    chunk: int | None = session.execute(text(_BROKEN_CHUNK), parameters).scalar()
    return chunk


def _place_in_bucket(session: Session, run_id: uuid.UUID, plan: Recorded, bucket: int) -> FirstNonfinite:
    """By the rule of ``first_nonfinite``, for all records of the bucket at once."""
    parameters = {"run": run_id, "layers": len(plan.layers), "step": bucket}
    if not plan.layers:
        broken = session.execute(text(_LOSS_OF_BUCKET), parameters).scalar()
        return FirstNonfinite(step=bucket, layer=None, where="forward" if broken else "backward")
    forward, backward = session.execute(text(_LAYERS_OF_BUCKET), parameters).one()
    if forward is None and backward is not None:
        return FirstNonfinite(step=bucket, layer=plan.layers[backward - 1].name, where="backward")
    return FirstNonfinite(step=bucket, layer=plan.layers[(forward or 0) - 1].name, where="forward")


_SIGNALS = ", ".join(f"'{name}'" for name in DECIDING)
# A count of something is broken although it is finite. NaN differs from 0 as well.
_BUCKETS_BROKEN = (
    "(0 <> ANY (nonfinite) OR (signal = 'nonfinite_count' AND (0 <> ANY (maximum) OR 0 <> ANY (minimum))))"
)
_BUCKET_BROKEN = "(bucket.nonfinite <> 0 OR (signal = 'nonfinite_count' AND (bucket.high <> 0 OR bucket.low <> 0)))"
_SIGNAL_ROWS = f"run_id = :run AND signal IN ({_SIGNALS}) AND layer_index <= :layers"
_UNNESTED = (
    "trace_rollup CROSS JOIN LATERAL unnest(nonfinite, maximum, minimum) "
    "WITH ORDINALITY AS bucket(nonfinite, high, low, position)"
)
_FIRST_STEP = "first_step + (bucket.position - 1) * bucket_records * stride"
_BROKEN_SIGNAL = f"""
SELECT min({_FIRST_STEP}) FROM {_UNNESTED} WHERE {_SIGNAL_ROWS} AND {_BUCKET_BROKEN}
AND part = (SELECT min(part) FROM trace_rollup WHERE {_SIGNAL_ROWS} AND {_BUCKETS_BROKEN})
"""  # noqa: S608 -- built from the constants above
_CURVES_UNNESTED = "curve_rollup CROSS JOIN LATERAL unnest(nonfinite) WITH ORDINALITY AS bucket(nonfinite, position)"
_BROKEN_LOSS = f"""
SELECT min({_FIRST_STEP}) FROM {_CURVES_UNNESTED} WHERE run_id = :run AND bucket.nonfinite <> 0
AND (curve = 'loss' OR (:layers = 0 AND curve = 'total_gradient_norm'))
"""  # noqa: S608 -- as above
_LOSS_OF_BUCKET = f"""
SELECT bucket.nonfinite <> 0 FROM {_CURVES_UNNESTED} WHERE run_id = :run AND curve = 'loss' AND {_FIRST_STEP} = :step
"""  # noqa: S608 -- as above
_LAYERS_OF_BUCKET = f"""
SELECT min(layer_index) FILTER (WHERE signal = 'activation_rms'),
    max(layer_index) FILTER (WHERE signal <> 'activation_rms')
FROM {_UNNESTED} WHERE {_SIGNAL_ROWS} AND {_BUCKET_BROKEN} AND {_FIRST_STEP} = :step
"""  # noqa: S608 -- as above


def _any_nonfinite(column: str) -> str:
    return f"('NaN' = ANY ({column}) OR 'Infinity' = ANY ({column}) OR '-Infinity' = ANY ({column}))"


_CHUNKS = "run_id = :run AND chunk >= :first AND (CAST(:last AS integer) IS NULL OR chunk <= :last)"
_BROKEN_CHUNK = f"""
SELECT min(chunk) FROM (
    SELECT chunk FROM trace_chunk WHERE {_CHUNKS} AND layer_index <= :layers AND (
        0 <> ANY (nonfinite_count) OR {_any_nonfinite("activation_rms")} OR {_any_nonfinite("activation_gradient_rms")}
    )
    UNION ALL SELECT chunk FROM curve_chunk WHERE {_CHUNKS} AND (
        {_any_nonfinite("loss")} OR (:layers = 0 AND {_any_nonfinite("total_gradient_norm")})
    )
) broken
"""  # noqa: S608 -- as above
