"""A log as the records of a run: at even distances, a value in each.

The distance is the largest one between two steps with a loss: then no record is empty. A log at even distances is kept
value by value; of another one record is the mean of the values within its distance.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from gradient_clinic.command.log_roles import Roles
from gradient_clinic.command.series import Series, Steps
from gradient_clinic.signals import CurveName
from gradient_clinic.values import Array

MOST_EVALUATIONS: Final = 20_000
"""That a clinic takes of a run."""


@dataclass(frozen=True, slots=True)
class Evaluations:
    """(n,) each; None: the log has none, or not at each of these steps."""

    steps: Steps
    loss: Array | None
    metric: Array | None


@dataclass(frozen=True, slots=True)
class Laid:
    """Record i stands for the steps ``i · every`` … of the run. ``curves``: by name, (records,).

    ``offset``: which step of the log is step 0; ``logged``: the first and the last one that it has a loss of;
    ``remarks``: what a reader of the run would not know.
    """

    every: int
    offset: int
    logged: tuple[int, int]
    curves: Mapping[CurveName, Array]
    evaluations: Evaluations | None
    remarks: tuple[str, ...]

    @property
    def records(self) -> int:
        return len(self.curves["loss"])

    @property
    def steps(self) -> int:
        """Those that were made when the last loss was logged: its own number where the log counts from 1."""
        first, last = self.logged
        return last - self.offset + (first == self.offset)

    @property
    def ends_broken(self) -> bool:
        """A value that is not finite and is followed by finite ones has not been taken into the weights."""
        return not all(
            np.isfinite(self.curves[name][-1]) for name in ("loss", "total_gradient_norm") if name in self.curves
        )


def laid(series: Mapping[str, Series], roles: Roles) -> Laid:
    """``series``: by name, the loss among them."""
    loss = series[roles.loss]
    gaps = np.diff(loss.steps)
    every = int(gaps.max()) if gaps.size else 1
    first = int(loss.steps[0])
    cells = (loss.steps - first) // every
    records = int(cells[-1]) + 1
    curves: dict[CurveName, Array] = {"loss": _means(cells, loss.values, records)}
    remarks = [] if not gaps.size or gaps.min() == every else [_averaged(len(loss.steps), records, every)]
    kept: tuple[tuple[CurveName, str | None], ...] = (
        ("learning_rate", roles.rate),
        ("total_gradient_norm", roles.norm),
    )
    for curve, name in kept:
        if name is None:
            continue
        its = (series[name].steps - first) // every
        inside = (its >= 0) & (its < records)
        if len(np.unique(its[inside])) == records:
            curves[curve] = _means(its[inside], series[name].values[inside], records)
        else:
            remarks.append(f"{name} is left out: it has no value in some of the {records:,} records")
    # Trainers that count from 1, or write at the end of each distance, are no more than one distance away from 0.
    offset = first if first > every else 0
    if offset:
        remarks.append(f"the log begins at step {first:,}, which is step 0 here")
    logged = (first, int(loss.steps[-1]))
    return Laid(every, offset, logged, curves, _evaluations(series, roles, offset, remarks), tuple(remarks))


def _means(cells: Steps, values: Array, records: int) -> Array:
    """Of the values in each cell, none of which is empty. One that is not finite stays so."""
    with np.errstate(invalid="ignore"):  # +∞ and −∞ in one cell are NaN together
        means: Array = np.bincount(cells, weights=values, minlength=records) / np.bincount(cells, minlength=records)
    return means


def _averaged(losses: int, records: int, every: int) -> str:
    each = f"each is the mean of those within {every:,} steps"
    return f"{losses:,} losses at uneven distances are {records:,} records: {each}"


def _evaluations(series: Mapping[str, Series], roles: Roles, offset: int, remarks: list[str]) -> Evaluations | None:
    """At the steps of the validation loss, or where there is none of the metric."""
    loss, metric = (None if name is None else series[name] for name in (roles.validation, roles.metric))
    found = loss or metric
    if found is None:
        return None
    if loss is not None and metric is not None and not np.isin(loss.steps, metric.steps).all():
        remarks.append(f"{roles.metric} is left out: it lacks values at steps of {roles.validation}")
        metric = None
    chosen = np.arange(len(found.steps))
    if len(chosen) > MOST_EVALUATIONS:
        chosen = chosen[:: -(-len(chosen) // MOST_EVALUATIONS)]
        remarks.append(f"{len(chosen):,} of {len(found.steps):,} evaluations are kept, at even distances")
    steps = found.steps[chosen]
    values = [None if its is None else its.values[np.searchsorted(its.steps, steps)] for its in (loss, metric)]
    return Evaluations(np.maximum(steps - offset, 0), *values)
