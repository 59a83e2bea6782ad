"""Trains one case under one seed without a service, and keeps what every rule, ours and others', may read.

A run is kept in a folder under its case's content, its seed and the versions. So rules can be read over it again
without training, and a measurement that was cut short trains only what is missing.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from pydantic import TypeAdapter

from gradient_clinic.probe.probe import StepRecord
from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.values import Array, fields_of
from gradient_clinic.verdict.run_trace import RunTrace
from gradient_clinic.verdict.shapes import Measured, RunSummary
from models.analysis.verdict.summary import summarise
from models.plan import Plan, expand
from models.specs.dataset import DatasetSpec
from models.specs.experiment import ExperimentSpec
from proofs.outcomes.running import trace_of
from proofs.science.cases.case import Case
from proofs.science.tensor_statistics import Collector, TensorStatistics, packed, unpacked
from worker.begun import laid_out
from worker.datasets import load
from worker.datasets.split import IGNORED, Part, TrialData
from worker.networks.network import Network
from worker.results import RunResult
from worker.trainer import Trainer

FOLDER = Path(".clinic-science")
EARLY = 50
"""The last step at which an early reading is made; records beyond it are not kept."""
_MEASURED: TypeAdapter[Measured | None] = TypeAdapter(Measured | None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the training ended, and the verdict of the whole run."""

    train_accuracy: float
    chance_level: float
    kind: str
    trained: str | None
    causes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """One run: its records of steps 0 … 50, the losses and gradient norms of all its steps, and its outcome."""

    early: RunTrace
    losses: Array
    norms: Array
    tensors: list[TensorStatistics]
    """At steps 0, 10, 50 and the last."""
    outcome: Outcome
    measured: Measured | None
    """What the verdict is made of, so that it can be made again; None of runs that were kept without it."""


def plan_of(case: Case) -> Plan:
    """Nothing stops a run before its end, whatever becomes of it: a rule is asked at the same steps of all runs."""
    body = {"name": case.name, "stop_when": {"nonfinite_steps": None}, **case.body}
    return expand(ExperimentSpec.model_validate(body))[0].plan


def see(case: Case, seed: int, folder: Path = FOLDER) -> Seen:
    """Trained now, or read from ``folder``."""
    return see_plan(plan_of(case), seed, folder=folder)


@torch.no_grad()
def accuracy(model: Network, part: Part) -> float:
    """Share of right labels in evaluation mode. Steps behind a case's end are not counted."""
    model.eval()
    right = model(part.x, part.lengths).argmax(dim=-1) == part.y
    model.train()
    return float(right[part.y != IGNORED].double().mean())


@dataclass(frozen=True, slots=True)
class Touch:
    """What no spec can say: done to the data as loaded, then to the trainer before its first step; and what is taken
    for the training accuracy at the end. Runs are kept apart by ``name``.
    """

    name: str = ""
    data: Callable[[TrialData], TrialData] = lambda data: data
    trainer: Callable[[Trainer], None] = lambda _: None
    score: Callable[[Network, Part], float] = accuracy


UNTOUCHED: Final = Touch()


def see_plan(plan: Plan, seed: int, touch: Touch = UNTOUCHED, folder: Path = FOLDER) -> Seen:
    """Trained now, or read from ``folder``."""
    file = folder / f"{key_of(plan, seed, touch.name)}.npz"
    if not file.is_file():
        folder.mkdir(exist_ok=True)
        draft = file.with_suffix(".part.npz")
        _keep(draft, run(plan, seed, touch))
        draft.replace(file)
    return _kept(file, plan)


def run(plan: Plan, seed: int, touch: Touch = UNTOUCHED) -> Seen:
    """Train to the end."""
    torch.set_num_threads(1)
    data = touch.data(loaded(plan.dataset, seed))
    trainer = Trainer(plan, data, seed=seed, device=torch.device("cpu"), dtype=torch.float32, record=True)
    touch.trainer(trainer)
    collector, moments = Collector(laid_out(trainer.model).points()), {0, 10, EARLY, plan.steps - 1}
    tensors: list[TensorStatistics] = []

    def before(step: int) -> None:
        if step in moments:
            collector.before()

    def after(step: int) -> None:
        if step in moments:
            tensors.append(collector.after())

    records, result = finished(trainer, before, after)
    summary = summarise(plan, trace_of(plan, records), result.facts(plan))
    return Seen(
        early=trace_of(plan, records[: EARLY + 1]),
        losses=np.array([record.loss for record in records]),
        norms=np.array([record.gradient_norm for record in records]),
        tensors=tensors,
        outcome=_outcome(summary, touch.score(laid_out(trainer.model), data.train)),
        measured=Measured(**{name: value for name, value in fields_of(summary).items() if name != "verdict"}),
    )


def _nothing(_step: int) -> None: ...


def finished(
    trainer: Trainer, before: Callable[[int], None] = _nothing, after: Callable[[int], None] = _nothing
) -> tuple[list[StepRecord], RunResult]:
    """All records of a run that is recorded in every step, and its result; ``before`` and ``after`` see each step."""
    records: list[StepRecord] = []
    for seen in trainer.run(lambda: before(len(records))):
        match seen:
            case StepRecord():
                after(seen.step)
                records.append(seen)
            case RunResult():
                trainer.close()
                return records, seen
    message = "a run ended without its result"
    raise RuntimeError(message)


@lru_cache(maxsize=8)
def loaded(dataset: DatasetSpec, seed: int) -> TrialData:
    """Read once: no run changes its data."""
    return load(dataset, seed)


def _outcome(summary: RunSummary, train_accuracy: float) -> Outcome:
    verdict = summary.verdict
    return Outcome(train_accuracy, summary.facts.chance_level, verdict.kind, verdict.trained, verdict.causes)


def key_of(plan: Plan, seed: int, touched: str = "") -> str:
    """The same for the same content, seed and versions."""
    content = [plan.experiment.model_dump_json(exclude={"name"}), str(seed), str(torch.__version__), np.__version__]
    content += [touched] if touched else []
    return hashlib.blake2b("\n".join(content).encode(), digest_size=16).hexdigest()


def _keep(file: Path, seen: Seen) -> None:
    trace = seen.early
    np.savez_compressed(
        file,
        steps=trace.steps,
        signals=np.array([trace.signals[name] for name in SIGNALS], dtype=np.float32),
        curves=np.array([trace.curves[name] for name in CURVES]),
        states=trace.state_gradient_rms.astype(np.float32),
        losses=seen.losses,
        norms=seen.norms,
        glimpses=packed(seen.tensors),  # the name under which runs were kept so far
        outcome=np.array(json.dumps(asdict(seen.outcome))),
        measured=np.array(_MEASURED.dump_json(seen.measured).decode()),
    )


def _kept(file: Path, plan: Plan) -> Seen:
    with np.load(file, allow_pickle=False) as arrays:
        outcome = json.loads(str(arrays["outcome"]))
        return Seen(
            early=_trace(plan, arrays["steps"], arrays["signals"], arrays["curves"], arrays["states"]),
            losses=arrays["losses"],
            norms=arrays["norms"],
            tensors=unpacked(arrays["glimpses"]),
            outcome=Outcome(**{**outcome, "causes": tuple(outcome["causes"])}),
            measured=_MEASURED.validate_json(str(arrays["measured"])) if "measured" in arrays else None,
        )


def _trace(plan: Plan, steps: Array, signals: Array, curves: Array, states: Array) -> RunTrace:
    return RunTrace(
        layers=plan.network.judged,
        steps=steps.astype(np.int64),
        signals=dict(zip(SIGNALS, signals.astype(np.float64), strict=True)),
        curves=dict(zip(CURVES, curves, strict=True)),
        time=plan.network.time,
        state_gradient_rms=states.astype(np.float64),
    )


def up_to(trace: RunTrace, step: int) -> RunTrace:
    """The records of steps 0 … ``step``: all that an early reading may know."""
    keep: Sequence[int] = np.flatnonzero(trace.steps <= step).tolist()
    return RunTrace(
        layers=trace.layers,
        steps=trace.steps[keep],
        signals={name: values[:, keep] for name, values in trace.signals.items()},
        curves={name: values[keep] for name, values in trace.curves.items()},
        time=trace.time,
        state_gradient_rms=trace.state_gradient_rms[:, keep],
    )
