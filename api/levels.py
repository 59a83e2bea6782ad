"""r of runs, as the report and the pictures draw it: ln of each row's rms gradient over the last row's."""

from typing import Final

import numpy as np
from sqlalchemy.orm import Session

from api import queries
from api.views.traces import LAST_STEP
from gradient_clinic.maps.heatmaps import HeatMap
from gradient_clinic.values import Array
from models.plan.watched import Recorded
from models.runs.planned import plan_of
from models.storage.tables import Experiment, Run
from models.traces.pictures import Signal, draw

POINTS = 200
"""Columns of a heat map."""
NO_LAYERS: Final = "no layers were recorded: there is nothing to map"


def maps_of(session: Session, experiment: Experiment) -> dict[str, HeatMap]:
    """By variant, r of its first seed: of hidden layers over depth, or of a recurrent layer's states over time."""
    runs = queries.first_runs(session, experiment)
    return {name: map_of(session, run, experiment) for name, run in runs.items()}


def map_of(session: Session, run: Run, experiment: Experiment) -> HeatMap:
    """The same of one run."""
    plan = plan_of(experiment.spec, run)
    if not plan.layers:
        return HeatMap(np.zeros((0, 0)), np.zeros((0, 2), dtype=np.int64), NO_LAYERS)
    numbers, caption = _rows_of(plan)
    source = Signal(session, run.id, "activation_gradient_rms", numbers)
    drawn = draw(source, 0, LAST_STEP, POINTS, kept=run.raw_dropped_at is None)
    levels = _levels(drawn.buckets.mean)
    absent = bool(np.isnan(levels).any()) and queries.first_nonfinite_of(session, run, experiment) is None
    return HeatMap(levels, drawn.steps, caption, absent)


def _levels(rms: Array) -> Array:
    """r of each row to the last one; an exact zero stays −∞ where the last one is zero as well. There may be no row."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(rms)
        return np.where(rms == 0.0, -np.inf, logs - logs[-1:])


def _rows_of(plan: Recorded) -> tuple[list[int], str]:
    """Which rows of the trace are drawn, and what they are."""
    time = plan.network.time
    if not time:
        inside = sum(layer.role == "branch" for layer in plan.layers)
        beside = f" ({inside} layers inside branches left out)" if inside else ""
        hidden = [layer.index for layer in plan.layers if layer.role == "hidden"]
        return hidden, f"{len(hidden)} hidden layers{beside}"
    first = time[0].layer
    # States are numbered on behind the layers, as in the trace.
    states = enumerate(time, start=len(plan.layers) + 1)
    numbers = [number for number, state in states if state.layer == first]
    return numbers, f"{len(numbers)} states of {first} along time"
