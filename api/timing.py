"""How long a run will take on a device: arithmetic, memory traffic and dispatch counted from its plan.

The figures are one CPU thread's, fitted to 45 random plans (98 % of them within 25 %); runs that this installation
has finished correct their scale.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.trials import layers_of
from models.plan import Plan, plan_variant
from models.status import State
from models.tables import Experiment, Run

RECENT_RUNS = 30
_SMALL_TRIAL = 2_000
_EVALUATION_S = 0.01
_STEP_S = {
    "steps": 450e-6,
    "layers": 76e-6,
    "norms": 46e-6,
    "flops": 8.1e-12,
    "weights": 2.2e-9,
    "entries": 0.5e-9,
    "normed": 3.0e-9,
}
_RECORD_S = {"steps": 200e-6, "layers": 18e-6, "weights": 4.0e-9, "entries": 5.2e-9}


@dataclass(frozen=True, slots=True)
class Work:
    """What one step has to do: ``entries`` are units × cases, ``normed`` those that pass a normalisation."""

    steps: int
    layers: int
    norms: int
    flops: int
    weights: int
    entries: int
    normed: int

    @classmethod
    def of(cls, plan: Plan) -> Self:
        batch = plan.experiment.batch_size
        normed = [layer.fan_out for layer in plan.layers if layer.normalization is not None]
        weights = sum(layer.fan_in * layer.fan_out for layer in plan.layers)
        return cls(
            steps=1,
            layers=len(plan.layers),
            norms=len(normed),
            flops=6 * batch * weights,  # forward once, backward twice
            weights=weights,
            entries=batch * sum(layer.fan_out for layer in plan.layers),
            normed=batch * sum(normed),
        )

    def seconds(self, prices: dict[str, float]) -> float:
        return sum(price * float(getattr(self, name)) for name, price in prices.items())


def run_seconds(plan: Plan) -> float:
    """Device time of one run: its steps (one pass where it has none), what is recorded of them, its test at the end."""
    work = Work.of(plan)
    steps = max(plan.steps, 1)
    return _EVALUATION_S + steps * work.seconds(_STEP_S) + plan.recorded_steps * work.seconds(_RECORD_S)


def scale(session: Session, device: str) -> float:
    """Measured over modelled time: the median over recent runs on such a device; 1 without any."""
    query = (
        select(Experiment.spec, Run.variant, Run.summary)
        .join(Experiment, Experiment.id == Run.experiment_id)
        .where(Run.state == State.SUCCEEDED)
        .order_by(Run.id.desc())
        .limit(RECENT_RUNS)
    )
    if device != "auto":
        query = query.where(Run.device.startswith("cuda" if device == "gpu" else "cpu"))
    ratios = []
    for spec, variant, summary in session.execute(query):
        # Planning thousands of layers again, for each of their runs, would cost more than it tells.
        if summary is None or summary.facts.stopped_by is not None or layers_of(spec) > _SMALL_TRIAL:
            continue
        ratios.append(summary.facts.device_seconds / run_seconds(plan_variant(spec, variant)))
    known = [ratio for ratio in ratios if math.isfinite(ratio) and ratio > 0]
    return float(np.median(known)) if known else 1.0
