"""The trace of a run that is sent in messages: each lengthens what is stored. Nothing is kept between two of them."""

import uuid
from collections.abc import Sequence
from functools import partial

import numpy as np
from sqlalchemy.orm import Session

from gradient_clinic.signals import CURVES, SIGNALS
from models.plan.watched import WatchedPlan
from models.traces.reader import read_block, read_curves, read_signals
from models.traces.rollups import CHUNK_RECORDS, ROLLUP_BUCKETS
from models.traces.writer import Block, TraceWriter


def _writer(run_id: uuid.UUID, plan: WatchedPlan) -> TraceWriter:
    return TraceWriter(run_id, [layer.name for layer in plan.layers], plan.every, plan.expected, plan.told)


def grow(session: Session, run_id: uuid.UUID, plan: WatchedPlan, new: Block) -> None:
    """The open chunk grows by the new records; each that is full goes to the rollups."""
    begin = new.first // CHUNK_RECORDS * CHUNK_RECORDS
    if begin < new.first and new.first + new.records < begin + CHUNK_RECORDS:
        _writer(run_id, plan).grow(session, new)
        return
    opened = _open_block(session, run_id, plan, begin, new.first)
    signals = np.concatenate([opened.signals, new.signals], axis=2)
    curves = np.concatenate([opened.curves, new.curves], axis=1)
    cuts = [slice(first, first + CHUNK_RECORDS) for first in range(0, curves.shape[1], CHUNK_RECORDS)]
    blocks = [Block(begin + cut.start, signals[..., cut], curves[..., cut]) for cut in cuts]
    writer = _writer(run_id, plan)
    if blocks[0].records == CHUNK_RECORDS:
        _go_on(session, run_id, plan, writer, begin)
    writer.write(session, blocks)


def _open_block(session: Session, run_id: uuid.UUID, plan: WatchedPlan, begin: int, stored: int) -> Block:
    """The records of the newest chunk, where it is not full; none where it is."""
    if begin == stored:
        return Block(begin, np.zeros((len(SIGNALS), len(plan.layers), 0)), np.zeros((len(CURVES), 0)))
    steps = begin * plan.every, (stored - 1) * plan.every
    layers = [layer.index for layer in plan.layers]
    signals = read_signals(session, run_id, SIGNALS, layers, *steps)
    return Block(begin, signals.values, read_curves(session, run_id, CURVES, *steps).values)


def _go_on(session: Session, run_id: uuid.UUID, plan: WatchedPlan, writer: TraceWriter, records: int) -> None:
    writer.go_on(records, partial(read_block, session, run_id, layers=len(plan.layers), stride=plan.every))


def close_rollups(session: Session, run_id: uuid.UUID, plan: WatchedPlan, stored: int) -> None:
    """What no rollup has taken in yet; a run as short as a picture has none."""
    if stored <= ROLLUP_BUCKETS:
        return
    begin = stored // CHUNK_RECORDS * CHUNK_RECORDS
    writer = _writer(run_id, plan)
    _go_on(session, run_id, plan, writer, begin)
    left: Sequence[Block] = [_open_block(session, run_id, plan, begin, stored)] if stored > begin else []
    writer.write(session, left, ended=True)
