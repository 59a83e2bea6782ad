"""Whether ``causes`` names what was broken: one fault at a time, put into networks that are healthy without it."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from gradient_clinic.verdict.shapes import CAUSES, Cause, RunSummary
from models.analysis.verdict.summary import summarise
from models.plan import expand
from models.specs.experiment import ExperimentSpec
from proofs.outcomes.running import trace_of
from proofs.pool import over
from proofs.promise import Promise
from proofs.science.cases.case import DEFAULT, HE, Json, optim
from proofs.science.running import finished, loaded
from proofs.science.scale import Scale
from worker.begun import laid_out
from worker.trainer import Trainer

NONE: Final = "none"
GUESSABLE: Final = [cause for cause in CAUSES if cause != "no_gradient_cause_found"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to the spec of ``base``, or to the trainer before run first step."""

    name: str
    cause: Cause
    base: str
    change: Json
    touch: Callable[[Trainer], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Judged:
    """One run with a fault. A run that is not ``harmed`` trained all the same: there is nothing to name."""

    fault: str
    cause: str
    base: str
    seed: int
    harmed: bool
    kind: str
    named: tuple[str, ...]


def _mlp(depth: int, activation: str, init: Json, **more: Any) -> Json:
    return {"kind": "mlp", "depth": depth, "width": 64, "activation": activation, "init": init, **more}


CRITICAL_TANH: Final[Json] = {"kind": "gaussian", "weight_variance": 1.760955, "bias_variance": 0.05}
SKIP: Final[Json] = {"skip": {"kind": "residual", "every": 2}}
SCALED_SKIP: Final[Json] = {"skip": {"kind": "scaled", "every": 2}}
NORM: Final[Json] = {"normalization": {"kind": "batch_norm"}}
CNN: Final[Json] = {"kind": "cnn", "channels": [12], "layers_per_stage": 6, "init": HE, "pool": None}

BASES: Final[dict[str, Json]] = {
    "relu": {"network": _mlp(12, "relu", HE), "optimizer": optim("sgd", 0.01, momentum=0.9)},
    "tanh": {"network": _mlp(12, "tanh", CRITICAL_TANH), "optimizer": optim("sgd", 0.01, momentum=0.9)},
    "gelu, adam": {"network": _mlp(10, "gelu", HE), "optimizer": optim("adam", 0.001)},
    "cnn": {"network": CNN, "optimizer": optim("sgd", 0.01, momentum=0.9)},
    "residual": {"network": _mlp(24, "relu", DEFAULT, **SKIP), "optimizer": optim("adam", 0.001)},
    "deep residual": {"network": _mlp(80, "relu", HE, **SCALED_SKIP), "optimizer": optim("sgd", 0.01, momentum=0.9)},
    "batch norm": {"network": _mlp(6, "relu", HE, **NORM), "optimizer": optim("sgd", 0.02, momentum=0.9)},
}


def _gaussian(variance: float) -> Json:
    return {"init": {"kind": "gaussian", "weight_variance": variance}}


def _unscaled(factor: float) -> Callable[[Trainer], None]:
    def touch(trainer: Trainer) -> None:
        trainer.batches.part = replace(trainer.batches.part, x=trainer.batches.part.x * factor)

    return touch


def _dead_layer(trainer: Trainer) -> None:
    """Shift the biases of a layer in the middle far below zero."""
    points = laid_out(trainer.model).points()
    with torch.no_grad():
        named = dict(trainer.model.named_parameters())
        weight = points[len(points) // 2].weight
        name = next(name for name, parameter in named.items() if parameter is weight)
        named[name.removesuffix("weight") + "bias"].fill_(-30.0)


def faults() -> Iterator[Fault]:
    for base in ("relu", "tanh", "gelu, adam", "cnn"):
        yield Fault("small init, σw² = .2", "initialisation", base, {"network": _gaussian(0.2)})
        yield Fault("large init, σw² = 30", "initialisation", base, {"network": _gaussian(30.0)})
    for base in ("relu", "tanh", "gelu, adam"):
        yield Fault("sigmoid at depth", "saturating_activation", base, {"network": {"activation": "sigmoid"}})
    for base, rate in (("relu", 1.0), ("tanh", 1.0), ("gelu, adam", 0.1), ("cnn", 2.0), ("residual", 0.1)):
        yield Fault("learning rate × 100", "learning_rate", base, {"optimizer": {"learning_rate": rate}})
    for base in ("relu", "tanh", "gelu, adam", "cnn", "batch norm"):
        yield Fault("learning rate 1e-6", "learning_rate", base, {"optimizer": {"learning_rate": 1e-6}})
    for base in ("relu", "cnn"):
        yield Fault("a layer's biases − 30", "dead_units", base, {}, _dead_layer)
    yield Fault("the skips left out", "depth_without_skip", "deep residual", {"network": {"skip": None}})
    yield Fault("6 → 60 layers", "batch_norm_at_depth", "batch norm", {"network": {"depth": 60}})
    for base in ("relu", "tanh", "gelu, adam", "cnn"):
        yield Fault("inputs × 1e30", "numeric_range", base, {}, _unscaled(1e30))
        yield Fault("inputs × 1e4", "numeric_range", base, {}, _unscaled(1e4))


def run(scale: Scale, processes: int) -> dict[str, Any]:
    """Every base as it is, and every fault in those that are healthy under that seed."""
    runs = [(number, seed) for number in range(len(_all())) for seed in range(scale.seeds)]
    judged = list(over(_judged, runs, processes))
    faulty, bases = ([run for run in judged if (run.fault == NONE) is none] for none in (False, True))
    healthy = {(run.base, run.seed) for run in bases if not run.harmed}
    return {
        "seeds": scale.seeds,
        **figures_of([run for run in faulty if (run.base, run.seed) in healthy]),
        "bases": {run.base: dict(Counter(other.kind for other in bases if other.base == run.base)) for run in bases},
    }


def _all() -> list[Fault]:
    return [*(Fault(NONE, "no_gradient_cause_found", base, {}) for base in BASES), *faults()]


def _judged(run: tuple[int, int]) -> Judged:
    """A fault is named by run number: run ``touch`` cannot be sent to another process."""
    return judge(_all()[run[0]], run[1])


def judge(fault: Fault, seed: int) -> Judged:
    summary = _trained(fault, seed)
    verdict = summary.verdict
    harmed = verdict.kind != "healthy"
    return Judged(fault.name, fault.cause, fault.base, seed, harmed, verdict.kind, verdict.causes)


def _trained(fault: Fault, seed: int) -> RunSummary:
    torch.set_num_threads(1)
    plan = expand(ExperimentSpec.model_validate({"name": fault.name, **body_of(fault)}))[0].plan
    data = loaded(plan.dataset, seed)
    trainer = Trainer(plan, data, seed=seed, device=torch.device("cpu"), dtype=torch.float32, record=True)
    fault.touch(trainer)
    records, result = finished(trainer)
    return summarise(plan, trace_of(plan, records), result.facts(plan))


def body_of(fault: Fault) -> Json:
    base = BASES[fault.base]
    changed = {part: {**base[part], **fault.change.get(part, {})} for part in ("network", "optimizer")}
    return {"dataset": {"kind": "digits"}, "steps": 250, "batch_size": 64, **changed}


def figures_of(judged: Sequence[Judged]) -> dict[str, Any]:
    """Shares over the runs that the fault harmed. A guess at random names any of the causes."""
    harmed = [run for run in judged if run.harmed]
    named = sum(len(run.named) for run in harmed) / len(harmed) if harmed else 0.0
    return {
        "runs": len(judged),
        "harmed": len(harmed),
        "named": _share(harmed, lambda run: run.cause in run.named),
        "named_alone": _share(harmed, lambda run: run.named == (run.cause,)),
        "names_a_run": named,
        # As many different causes drawn at random hold the right one with this chance.
        "guessed": named / len(GUESSABLE),
        "guessed_alone": 1.0 / len(GUESSABLE),
        "faults": {
            name: _row([run for run in judged if run.fault == name])
            for name in dict.fromkeys(run.fault for run in judged)
        },
    }


def _row(judged: Sequence[Judged]) -> dict[str, Any]:
    harmed = [run for run in judged if run.harmed]
    return {
        "cause": judged[0].cause,
        "runs": len(judged),
        "harmed": len(harmed),
        "named": _share(harmed, lambda run: run.cause in run.named),
        "named_alone": _share(harmed, lambda run: run.named == (run.cause,)),
        "kinds": dict(Counter(run.kind for run in harmed)),
        "causes": {cause: sum(cause in run.named for run in harmed) for cause in CAUSES},
        "missed_in": dict(Counter(run.base for run in harmed if run.cause not in run.named)),
    }


def _share(judged: Sequence[Judged], holds: Callable[[Judged], bool]) -> float | None:
    return sum(map(holds, judged)) / len(judged) if judged else None


def promises(figures: Mapping[str, Any]) -> Iterator[Promise]:
    """No figure is promised. Each is told beside what a guess at random would reach."""
    named, alone = (figures[key] or 0.0 for key in ("named", "named_alone"))
    yield Promise("an injected cause is named (a guess of as many)", "", f"{named:.2f} ({figures['guessed']:.2f})")
    yield Promise("and nothing else (a guess)", "", f"{alone:.2f} ({figures['guessed_alone']:.2f})")
