"""How an estimate from plans fares here: its scale by the runs that this installation has finished, and its range."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.variants import layers_of
from models.plan import plan_variant
from models.plan.cost import run_seconds
from models.plan.prices import HIGH, LOW
from models.specs.experiment import ExperimentSpec
from models.status import Source, State
from models.storage.tables import Experiment, Run

RECENT_RUNS = 30
_SMALL_TRIAL = 2_000
UNKNOWN_MACHINE: Final = 2.0
"""By which the range is wider on both sides while no run has finished here: other processors are so much apart."""


class SecondsRange(BaseModel):
    """Nine of ten held-out runs lay within; wider where nothing has run here yet."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Scale:
    """Measured over modelled time: the median over recent ``runs`` on such a device; 1 without any."""

    factor: float = 1.0
    runs: int = 0

    def range_of(self, seconds: float) -> SecondsRange:
        """Around an estimate of so many seconds, the factor included."""
        wider = 1.0 if self.runs else UNKNOWN_MACHINE
        return SecondsRange(low=round(seconds * LOW / wider, 3), high=round(seconds * HIGH * wider, 3))


def scale(session: Session, device: str) -> Scale:
    query = (
        select(Experiment.spec, Run.variant, Run.summary)
        .join(Experiment, Experiment.id == Run.experiment_id)
        # What a watch sends was trained on a machine of somebody else's, and says nothing of this one.
        .where(Run.state == State.SUCCEEDED, Run.source == Source.TRAINED)
        .order_by(Run.id.desc())
        .limit(RECENT_RUNS)
    )
    if device != "auto":
        query = query.where(Run.device.startswith("cuda" if device == "gpu" else "cpu"))
    ratios = []
    for spec, variant, summary in session.execute(query):
        # Planning thousands of layers again, for each of their runs, would cost more than it tells.
        assert isinstance(spec, ExperimentSpec)  # it was trained here
        # A run that was ended early took less than its plan says.
        if summary is None or summary.facts.stopped_by is not None or layers_of(spec) > _SMALL_TRIAL:
            continue
        if spec.network.kind == "plugin":  # its amounts of work are not known
            continue
        ratios.append(summary.facts.device_seconds / run_seconds(plan_variant(spec, variant)))
    known = [ratio for ratio in ratios if math.isfinite(ratio) and ratio > 0]
    # The median: one run beside a busy program says nothing of the machine.
    return Scale(float(np.median(known)), len(known)) if known else Scale()
