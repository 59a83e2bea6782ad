"""Experiments as comparisons read them: what was asked, and whichever of its runs there are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from gradient_clinic.verdict.shapes import RunSummary, Verdict
from models.analysis.comparison.tuning import Tried
from models.analysis.verdict.variant import variant_verdict
from models.plan.watched import AnyVariant
from models.specs.experiment import ExperimentSpec
from models.specs.ingested import StoredSpec
from models.status import State

Runs = Mapping[int, RunSummary]
"""The runs of one variant that succeeded, by seed."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of the experiment, with its summary once it has succeeded."""

    variant: str
    seed: int
    state: str
    summary: RunSummary | None = None
    learning_rate: float | None = None
    """That tuning has chosen."""
    reason: str | None = None
    """Why it failed or was cancelled; None where it was asked for, and where there is none."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One experiment. ``tried``: what the runs of tuning have found, by variant."""

    experiment_id: str
    spec: StoredSpec
    variants: Sequence[AnyVariant]
    runs: Sequence[RunRow]
    tried: Mapping[str, Sequence[Tried]] = field(default_factory=dict)

    @property
    def seeds(self) -> set[int]:
        """Those asked for; of what others train, those that have come."""
        if isinstance(self.spec, ExperimentSpec):
            return set(self.spec.seed_list())
        return {row.seed for row in self.runs}

    def arms(self) -> list["Arm"]:
        """Its variants with their runs, the baseline first."""
        return [_arm(self, variant) for variant in self.variants]


@dataclass(frozen=True)  # without slots: its verdict is computed once
class Arm:
    """A variant, how many of its runs are in which state, and the summaries of those that succeeded, by seed."""

    experiment_id: str
    variant: AnyVariant
    states: Mapping[str, int]
    ended: Runs
    learning_rate: float | None
    tried: Sequence[Tried]

    @cached_property
    def verdict(self) -> Verdict | None:
        """Over the seeds that ended; None where none has."""
        return variant_verdict(list(self.ended.values())) if self.ended else None


def _arm(trial: Trial, variant: AnyVariant) -> Arm:
    rows = sorted((row for row in trial.runs if row.variant == variant.name), key=lambda row: row.seed)
    return Arm(
        trial.experiment_id,
        variant,
        Counter(row.state for row in rows),
        {row.seed: row.summary for row in rows if row.summary is not None and row.state == State.SUCCEEDED},
        next((row.learning_rate for row in rows), None),
        trial.tried.get(variant.name, ()),
    )
