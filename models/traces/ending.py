"""What the rules read of a run at its end, out of what is stored: a tenth of it, and not the rest.

``gradient_clinic/verdict/measurements.py`` says which steps. The verdict is the same as from the whole trace.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gradient_clinic.signals import SignalName
from gradient_clinic.values import Array
from gradient_clinic.verdict.measurements import finite_maximum, steps_read
from gradient_clinic.verdict.run_trace import JUDGED, RunTrace
from gradient_clinic.verdict.shapes import RunFacts
from models.plan.watched import Recorded
from models.storage.trace_tables import TraceRollup
from models.traces.binary import array_values
from models.traces.nonfinite import deciding_curves, first_broken
from models.traces.reader import Window, extent, read_curves, read_signal, read_signals, read_states
from models.traces.rollups import ROLLUP_BUCKETS


def read_ending(session: Session, run_id: uuid.UUID, plan: Recorded, facts: RunFacts) -> RunTrace:
    """A trace that measures as the whole one does. Its steps are those that the rules look at."""
    stored = extent(session, run_id)
    if stored.records <= ROLLUP_BUCKETS:
        # It takes longer to ask for in parts than to read, and holds the largest update itself.
        return _read(session, run_id, plan, (*JUDGED, "update_ratio"), [(0, stored.last_step)])
    broken = first_broken(session, run_id, plan)
    stretches = steps_read(facts, stored.stride, None if broken is None else broken.step, stored.last_step)
    trace = _read(session, run_id, plan, JUDGED, list(_disjoint(stretches)))
    layers = [layer.index for layer in plan.layers]
    return replace(trace, largest_update=_largest_updates(session, run_id, layers, stored.last_step))


def _read(
    session: Session,
    run_id: uuid.UUID,
    plan: Recorded,
    signals: Sequence[SignalName],
    stretches: Sequence[tuple[int, int]],
) -> RunTrace:
    """Of these stretches of steps. What no rule reads is not fetched: it is an array per signal, layer and chunk."""
    layers, names = [layer.index for layer in plan.layers], deciding_curves(plan)
    curves = [read_curves(session, run_id, names, *stretch) for stretch in stretches]
    values = _joined([read_signals(session, run_id, signals, layers, *stretch) for stretch in stretches])
    return RunTrace(
        layers=plan.network.judged,
        steps=np.concatenate([window.steps for window in curves]),
        signals=dict(zip(signals, values, strict=True)),
        curves=dict(zip(names, _joined(curves), strict=True)),
        time=plan.network.time,
        state_gradient_rms=np.concatenate(
            [read_states(session, run_id, plan, *stretch) for stretch in stretches], axis=-1
        ),
    )


def _disjoint(stretches: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The same steps in order, each once."""
    reached = -1
    for first, last in sorted(stretches):
        if last > reached:
            yield max(first, reached + 1), last
            reached = last


def _joined(windows: Sequence[Window]) -> Array:
    return np.concatenate([window.values for window in windows], axis=-1)


def _largest_updates(session: Session, run_id: uuid.UUID, layers: Sequence[int], last: int) -> Array:
    """(layers,): from the rollups, whose maxima are exact, and raw values where these have none."""
    rows = session.execute(
        select(
            TraceRollup.layer_index,
            TraceRollup.first_step + TraceRollup.records * TraceRollup.stride,
            func.array_send(TraceRollup.maximum),
        ).where(
            TraceRollup.run_id == run_id,
            TraceRollup.signal == "update_ratio",
            TraceRollup.layer_index.in_(layers),
        )
    ).all()
    rolled = max((end for _, end, _ in rows), default=0)
    rest = read_signal(session, run_id, "update_ratio", layers, rolled, max(last, rolled))
    sent: dict[int, list[bytes]] = {layer: [] for layer in layers}
    for layer, _, maxima in rows:
        sent[layer].append(maxima)
    rolled_maxima = [array_values(values, np.float32) for values in sent.values()]
    # A run that ended as its rollups did has no rest, and so no row of it for any layer.
    return np.array([finite_maximum(np.append(*both)) for both in zip(rolled_maxima, rest.values, strict=True)])
