"""What is recorded of runs, as rows: chunks, the rollups beside them, and the figures of epochs."""

import uuid

from sqlalchemy import ARRAY, DOUBLE_PRECISION, REAL, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from models.storage.tables import Base

# Signals take half the room of doubles so; the recorder counts what a float4 does not hold.
Reals = ARRAY(REAL, dimensions=1)
# One row of curves beside those of all layers: here the digits cost next to nothing.
Doubles = ARRAY(DOUBLE_PRECISION, dimensions=1)


class TraceChunk(Base):
    """Up to 200 records of one layer: step of record i = ``first_step + i·stride``; an array per signal.

    The newest chunk of a layer is open (``sealed`` false) and replaced as it grows.
    """

    __tablename__ = "trace_chunk"

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    layer_index: Mapped[int] = mapped_column(primary_key=True)
    chunk: Mapped[int] = mapped_column(primary_key=True)
    layer: Mapped[str]
    first_step: Mapped[int]
    stride: Mapped[int]
    sealed: Mapped[bool]
    activation_rms: Mapped[list[float]] = mapped_column(Reals)
    activation_gradient_rms: Mapped[list[float]] = mapped_column(Reals)
    weight_gradient_norm: Mapped[list[float]] = mapped_column(Reals)
    weight_gradient_max: Mapped[list[float]] = mapped_column(Reals)
    weight_norm: Mapped[list[float]] = mapped_column(Reals)
    update_ratio: Mapped[list[float] | None] = mapped_column(Reals)
    dead_fraction: Mapped[list[float]] = mapped_column(Reals)
    saturated_fraction: Mapped[list[float]] = mapped_column(Reals)
    nonfinite_count: Mapped[list[float]] = mapped_column(Reals)


class CurveChunk(Base):
    """Up to 200 records of a run's curves, laid out as a trace chunk. Null: the log of a finished training had none."""

    __tablename__ = "curve_chunk"

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    chunk: Mapped[int] = mapped_column(primary_key=True)
    first_step: Mapped[int]
    stride: Mapped[int]
    sealed: Mapped[bool]
    loss: Mapped[list[float]] = mapped_column(Doubles)
    penalty: Mapped[list[float] | None] = mapped_column(Doubles)
    learning_rate: Mapped[list[float] | None] = mapped_column(Doubles)
    gradient_norm: Mapped[list[float] | None] = mapped_column(Doubles)
    total_gradient_norm: Mapped[list[float] | None] = mapped_column(Doubles)
    clipped_gradient_norm: Mapped[list[float] | None] = mapped_column(Doubles)
    clipped: Mapped[list[float] | None] = mapped_column(Doubles)
    step_seconds: Mapped[list[float] | None] = mapped_column(Doubles)
    loss_scale: Mapped[list[float] | None] = mapped_column(Doubles)


class TraceRollup(Base):
    """Buckets of one layer's signal, for pictures of long runs: extremes and non-finite counts survive.

    ``part`` groups some buckets of ``bucket_records`` records each (the newest may hold fewer: ``records`` counts
    those of the part). Runs of at most 500 records have none: their trace is its own picture.
    """

    __tablename__ = "trace_rollup"

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    signal: Mapped[str] = mapped_column(primary_key=True)
    layer_index: Mapped[int] = mapped_column(primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True)
    first_step: Mapped[int]
    stride: Mapped[int]
    bucket_records: Mapped[int]
    records: Mapped[int]
    minimum: Mapped[list[float]] = mapped_column(Reals)
    mean: Mapped[list[float]] = mapped_column(Reals)
    maximum: Mapped[list[float]] = mapped_column(Reals)
    last: Mapped[list[float]] = mapped_column(Reals)
    nonfinite: Mapped[list[float]] = mapped_column(Reals)


class CurveRollup(Base):
    """Buckets of one curve, laid out as those of a signal."""

    __tablename__ = "curve_rollup"

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    curve: Mapped[str] = mapped_column(primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True)
    first_step: Mapped[int]
    stride: Mapped[int]
    bucket_records: Mapped[int]
    records: Mapped[int]
    minimum: Mapped[list[float]] = mapped_column(Doubles)
    mean: Mapped[list[float]] = mapped_column(Doubles)
    maximum: Mapped[list[float]] = mapped_column(Doubles)
    last: Mapped[list[float]] = mapped_column(Doubles)
    nonfinite: Mapped[list[float]] = mapped_column(Doubles)


class EpochValue(Base):
    """Validation loss and metric at the end of an epoch (from 0); of a log its evaluations in order, with steps."""

    __tablename__ = "epoch_value"

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    step: Mapped[int | None]
    validation_loss: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)
    validation_metric: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)
