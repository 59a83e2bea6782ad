"""What a watch has found so far: the verdict by the clinic's rules, the early reading, what broke first, the cost."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from torch import nn

from gradient_clinic.gains.depth_axis import GradientFacts
from gradient_clinic.signals import SIGNALS
from gradient_clinic.values import Value, finite_or_none
from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.early import EarlyReading, read_early
from gradient_clinic.verdict.headline import FRACTION_LIMIT
from gradient_clinic.verdict.judge import judge
from gradient_clinic.verdict.measurements import first_nonfinite, measure
from gradient_clinic.verdict.run_trace import RunTrace
from gradient_clinic.verdict.shapes import FirstNonfinite, Measured, RunFacts, Verdict
from gradient_clinic.verdict.wording import gain_words, number
from gradient_clinic.watcher.answers import worth_trying
from gradient_clinic.watcher.cadence import UNTOLD
from gradient_clinic.watcher.records import Record, Records
from gradient_clinic.watcher.rows import Row
from gradient_clinic.watcher.setup import kind_of, setup_of
from gradient_clinic.watcher.trace import trace_of

RECALL: Final[Mapping[int, tuple[float, float]]] = {0: (0.25, 0.016), 10: (0.22, 0.039), 50: (0.92, 0.010)}
"""By step: the share of failed held-out runs that the early reading alarms at, and of healthy ones (science)."""
NO_LOSS: Final = "no loss was told (w.loss(loss)), so whether it trains is not judged"
DEAD: Final = SIGNALS.index("dead_fraction")
GRADIENT: Final = SIGNALS.index("weight_gradient_norm")
NO_AXIS: Final = "no h and δ on a depth axis were measured, so gradients are not judged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a watch hands on. ``chance_level`` None where no target was seen; ``values``: targets are numbers."""

    model: nn.Module
    rows: Sequence[Row]
    has_skips: bool
    records: Records
    steps: int
    skipped: int
    optimizer: str
    """Its kind."""
    conditions: str
    chance_level: float | None
    values: bool
    cost: float
    first_steps: int
    first_cost: float
    remarks: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment(Value):
    """A recorded step in a line. Sizes are the largest of all layers."""

    step: int
    loss: float | None
    gradient_norm: float | None
    largest_h: float | None
    largest_delta: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Value):
    """``verdict`` None where ``remarks`` say why. ``at_end``: gradients now, where no loss was told. ``recall`` and
    ``false_alarms`` are of the early reading. ``cost``: time that watching took, as a share of all other;
    ``first_cost``: of it that of the ``first_steps``, each of which has a record.
    """

    steps: int
    recorded: int
    skipped: int
    verdict: Verdict | None
    at_end: GradientFacts | None
    early: EarlyReading | None
    recall: float | None
    false_alarms: float | None
    first_nonfinite: FirstNonfinite | None
    before_it: tuple[Moment, ...]
    cost: float
    first_steps: int
    first_cost: float
    remarks: tuple[str, ...]

    def json(self) -> str:
        return json.dumps(plain(asdict(self)), ensure_ascii=False)

    def text(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        lines = [] if self.verdict is None else [f"{self.verdict.kind}: {self.verdict.sentence}"]
        if self.verdict is not None and (answers := worth_trying(self.verdict)):
            lines.append(answers)
        if self.at_end is not None:
            lines.append(f"G now: {gain_words(self.at_end)}.")
        if self.early is not None:
            lines.append(f"Early reading at step {self.early.step}: {self.early.kind}. {self._known(self.early)}.")
        if self.first_nonfinite is not None:
            its = self.first_nonfinite
            lines.append(f"First non-finite value: step {its.step}, {its.layer}, {its.where}. Recorded before it:")
            lines += [_line(moment) for moment in self.before_it]
        lines += [f"Note: {remark}." for remark in self.remarks]
        skipped = f", {self.skipped} of them skipped by loss scaling" if self.skipped else ""
        lines.append(f"{self.steps} steps, {self.recorded} recorded{skipped}; {self._cost()}.")
        return lines

    def _cost(self) -> str:
        cost = f"watching cost {100 * self.cost:.1f} %"
        if not UNTOLD <= self.first_steps < self.steps:
            return cost
        first = f"{100 * self.first_cost:.1f} % in the first {self.first_steps} steps, which are all recorded"
        return f"{cost}: {first}, and {100 * (self.cost - self.first_cost):.1f} % behind them"

    def _known(self, early: EarlyReading) -> str:
        """What such a reading is worth."""
        recall, alarms = (f"{100 * (its or 0.0):.2g} %" for its in (self.recall, self.false_alarms))
        found = f"{recall} of those that failed, by step {_known_at(early.step)}"
        return f"Of networks that it had not seen it found {found}, and alarmed at {alarms} of the others"


def report_of(its: Observed) -> Report:
    """Of a training that goes on or has ended."""
    records = its.records.kept()
    trace = trace_of(its.rows, records, its.records.largest_update) if records else None
    told = trace is not None and all("loss" in record.curves for record in records)
    chance, remarks = _chance(its, records, told=told)
    early = _early(its, chance) if told else None
    known = RECALL[_known_at(early.step)] if early is not None else (None, None)
    broken = its.records.first_broken is not None
    return Report(
        steps=its.steps,
        recorded=its.records.count,
        skipped=its.skipped,
        verdict=None if trace is None else judge(_case(its, trace, records[0], chance if told else None)),
        at_end=None if trace is None or told else _case(its, trace, records[0], math.inf).at_end,
        early=early,
        recall=known[0],
        false_alarms=known[1],
        first_nonfinite=first_nonfinite(_heard(trace, told=told)) if trace is not None and broken else None,
        before_it=tuple(_moment(record) for record in its.records.before_broken),
        cost=its.cost,
        first_steps=its.first_steps,
        first_cost=its.first_cost,
        remarks=(*its.remarks, *remarks, *([] if trace is not None else [NO_AXIS]), *_silent(its.rows, records)),
    )


def _chance(its: Observed, records: Sequence[Record], *, told: bool) -> tuple[float, list[str]]:
    if not told:
        return math.nan, [NO_LOSS]
    if its.chance_level is not None:
        return its.chance_level, []
    first = records[0].curves["loss"]
    return first, [f"the targets are not known, so the first loss ({number(first)}) stands for chance"]


def _silent(rows: Sequence[Row], records: Sequence[Record]) -> Iterator[str]:
    """Layers beside the depth axis, of which no verdict speaks, that have given or learned nothing so far."""
    if not records:
        return
    for index, row in enumerate(rows):
        if row.role != "branch":
            continue
        dead = float(records[-1].matrix[DEAD, index])
        where = "on a branch" if row.on_branch else "beside the depth axis"
        if dead > FRACTION_LIMIT:
            share = "all" if dead == 1.0 else f"{number(dead)} of the"
            yield f"{share} units of {row.name}, which is {where}, are dead"
        elif all(record.matrix[GRADIENT, index] == 0.0 for record in records):
            yield f"no gradient has come to {row.name}, which is {where}"


def _heard(trace: RunTrace, *, told: bool) -> RunTrace:
    """A loss that nobody told is taken as finite, and decides nothing."""
    return trace if told else replace(trace, curves={"loss": np.zeros(len(trace.steps))})


def _case(its: Observed, trace: RunTrace, first: Record, chance: float | None) -> Case:
    """``chance`` None: the untrained network alone is judged."""
    facts = RunFacts(
        steps_asked=0 if chance is None else its.steps,
        stopped_by=None,
        outcome="finished" if its.records.first_broken is None else "diverged",
        chance_level=math.nan if chance is None else chance,
        test_metric=math.nan,
        test_loss=math.nan,
        conditions=its.conditions,
        step_seconds=math.nan,
        device_seconds=math.nan,
        peak_memory_bytes=0,
        parameters=sum(one.numel() for one in its.model.parameters()),
        overhead=1.0 + its.cost,
    )
    told = chance is not None and math.isfinite(chance)
    measured: Measured = measure(_heard(trace, told=told), facts)
    setup = setup_of(its.rows, first.matrix, has_skips=its.has_skips, values=its.values)
    return Case(setup, replace(measured, network=kind_of(its.model, has_skips=its.has_skips)))


def _early(its: Observed, chance: float) -> EarlyReading | None:
    """Of the steps from the first on that all have a record, as the rules need it."""
    lead = its.records.lead()
    trace = trace_of(its.rows, lead, its.records.largest_update) if lead else None
    return None if trace is None else read_early(trace, chance, its.optimizer.lower())


def _known_at(step: int) -> int:
    return max(known for known in RECALL if known <= step)


def _moment(record: Record) -> Moment:
    def largest(signal: str) -> float | None:
        row = record.matrix[SIGNALS.index(signal)]
        return float(np.nanmax(row)) if not np.isnan(row).all() else None

    return Moment(
        step=record.step,
        loss=record.curves.get("loss"),
        gradient_norm=record.curves["gradient_norm"],
        largest_h=largest("activation_rms"),
        largest_delta=largest("activation_gradient_rms"),
    )


def _line(its: Moment) -> str:
    sizes = f"‖g‖ {number(its.gradient_norm)}, h up to {number(its.largest_h)}, δ up to {number(its.largest_delta)}"
    return f"  step {its.step}: {'' if its.loss is None else f'loss {number(its.loss)}, '}{sizes}"


def plain(value: Any) -> Any:
    """As JSON can say it."""
    if isinstance(value, float):
        return finite_or_none(value)
    if isinstance(value, Mapping):
        return {key: plain(its) for key, its in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(its) for its in value]
    return value
