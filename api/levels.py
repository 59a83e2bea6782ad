"""r of runs, as the report and the pictures draw it: ln of each row's rms gradient over the last row's."""

import numpy as np
from sqlalchemy.orm import Session

from api import queries
from api.report.heatmaps import HeatMap
from api.views.traces import LAST_STEP
from gradient_clinic.values import Array
from models.plan import NetworkPlan, expand
from models.storage.tables import Experiment, Run
from models.traces.pictures import Signal, draw

POINTS = 200
"""Columns of a heat map."""


def maps_of(session: Session, experiment: Experiment) -> dict[str, HeatMap]:
    """By variant, r of its first seed: of hidden layers over depth, or of a recurrent layer's states over time."""
    runs = queries.first_runs(session, experiment)
    found: dict[str, HeatMap] = {}
    for variant in expand(experiment.spec):
        found[variant.name] = map_of(session, runs[variant.name], variant.plan.network)
    return found


def map_of(session: Session, run: Run, network: NetworkPlan) -> HeatMap:
    """The same of one run."""
    numbers, caption = _rows_of(network)
    source = Signal(session, run.id, "activation_gradient_rms", numbers)
    drawn = draw(source, 0, LAST_STEP, POINTS, kept=run.raw_dropped_at is None)
    return HeatMap(_levels(drawn.buckets.mean), drawn.steps, caption)


def _levels(rms: Array) -> Array:
    """r of each row to the last one; an exact zero stays −∞ where the last one is zero as well."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(rms)
        return np.where(rms == 0.0, -np.inf, logs - logs[-1])


def _rows_of(network: NetworkPlan) -> tuple[list[int], str]:
    """Which rows of the trace are drawn, and what they are."""
    if not network.time:
        inside = sum(layer.role == "branch" for layer in network.layers)
        beside = f" ({inside} layers inside branches left out)" if inside else ""
        return [layer.index for layer in network.hidden], f"{len(network.hidden)} hidden layers{beside}"
    first = network.time[0].layer
    # States are numbered on behind the layers, as in the trace.
    states = enumerate(network.time, start=len(network.layers) + 1)
    numbers = [number for number, state in states if state.layer == first]
    return numbers, f"{len(numbers)} states of {first} along time"
