"""Whether the verdict's advice makes a network train that does not, beside random remedies and AutoTrainer's order.

Networks are drawn at random from the whole catalogue. One has *failed* as in the part on alarms: its training accuracy
at the end is below .5. An answer, one remedy or several that belong together, *repairs* it where the same network,
data, seed and steps with it end at .9 or more: what is called healthy. So one that only moves a failure is none, and
neither is one that needs more steps. Advice *harms* where a healthy network no longer ends at .9.
"""

import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np

from gradient_clinic.verdict.shapes import Verdict
from models.analysis.verdict.record import FILE, counts
from models.analysis.verdict.summary import summary_of
from models.specs.remedy import REMEDIES
from proofs.pool import over
from proofs.promise import Promise
from proofs.science.alarms import FAILED, HEALTHY, MOMENTS, step_at, truth
from proofs.science.autotrainer import problem, solutions
from proofs.science.cases import advised
from proofs.science.cases.case import Case, Part
from proofs.science.cases.random import FUNCTIONS, INITS, OPTIMIZERS
from proofs.science.repairs import Remedies, Tried, plan_with, tried
from proofs.science.running import Seen, plan_of, see
from proofs.science.scale import Scale
from proofs.science.shares import counted

FIRST: Final = (1, 2, 3)
"""So many pieces of advice are taken, one after the other, each alone."""
BUDGET: Final = FIRST[-1]
SEED: Final = 0
OURS: Final = "ours"
RANDOM: Final = "random"
"""As many remedies at once as ours takes in the same place."""
AUTOTRAINER: Final = "AutoTrainer"
NAMES: Final = (OURS, RANDOM, AUTOTRAINER)
FACTORS: Final = (0.01, 0.1, 10.0, 100.0)
"""By which a random learning rate differs from that of the run."""


@dataclass(frozen=True, slots=True)
class Advised:
    """One drawn network, its verdict, and what was put into it by whose advice, in order."""

    case: str
    family: str
    part: Part
    accuracy: float
    kind: str
    causes: tuple[str, ...]
    tried: Mapping[str, tuple[Tried, ...]]

    @property
    def failed(self) -> bool:
        return self.accuracy < FAILED

    @property
    def healthy(self) -> bool:
        return self.accuracy >= HEALTHY

    @property
    def headline(self) -> str:
        """The kind of its verdict, and the cause that is named first."""
        return f"{self.kind}, {self.causes[0]}" if self.causes else self.kind


def run(scale: Scale, processes: int) -> dict[str, Any]:
    """Judge advice on networks that are held out, then count repairs on those that the record is made of. A scale that
    counts any writes it where the product reads it; of one that counts none it is as the product has it.
    """
    draws = advised()
    cases = [*draws["unseen"][: scale.drawn], *draws["beside"][: scale.counted]]
    runs = list(over(_advised, cases, processes))
    judged, of_record = ([each for each in runs if each.part == part] for part in ("unseen", "beside"))
    record = record_of(of_record) if of_record else counts()
    if of_record:
        rows = (f" {json.dumps(stands)}: {json.dumps(remedies)}" for stands, remedies in record.items())
        FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")
    return {**figures_of(judged), "record": record, "record_networks": len(of_record)}


def _advised(case: Case) -> Advised:
    seen = see(case, SEED)
    assert seen.measured is not None  # kept by this version
    verdict = summary_of(plan_of(case), seen.measured).verdict
    kept = {name: tuple(tried(case, SEED, each) for each in given) for name, given in _given(case, seen, verdict)}
    accuracy = seen.outcome.train_accuracy
    return Advised(case.name, case.family, case.part, accuracy, verdict.kind, verdict.causes, kept)


def _given(case: Case, seen: Seen, verdict: Verdict) -> Iterator[tuple[str, Sequence[Remedies]]]:
    """Whose remedies, in order. All of ours for the record, where a network did not end healthy."""
    ours = [answer.specs for answer in verdict.answers]
    failed = truth(seen)
    if case.part == "beside":
        yield OURS, [] if failed is False else ours
        return
    yield OURS, [] if failed is None else ours[:BUDGET]
    if failed:
        optimizer = case.body["optimizer"]
        last = step_at(seen, len(MOMENTS) - 1, optimizer["learning_rate"])
        sizes = [len(each) for each in ours[:BUDGET]]
        yield RANDOM, list(sets_at_random(case, [*sizes, *[1] * (BUDGET - len(sizes))]))
        yield AUTOTRAINER, list(islice(_fitting(case, solutions(problem(last), optimizer)), BUDGET))


def _fitting(case: Case, remedies: Iterator[Remedies]) -> Iterator[Remedies]:
    """A tool that cannot be applied goes on to its next solution."""
    return (each for each in remedies if plan_with(case, each) is not None)


# --- remedies at random ---------------------------------------------------------------------------------------------


def sets_at_random(case: Case, sizes: Sequence[int]) -> Iterator[Remedies]:
    """Sets of such sizes; what contradicts another of its set is passed over, and no remedy comes twice."""
    left = [remedy for [remedy] in at_random(case)]
    for size in sizes:
        chosen: list[Mapping[str, Any]] = []
        for remedy in left:
            if len(chosen) < size and plan_with(case, [*chosen, remedy]) is not None:
                chosen.append(remedy)
        left = [remedy for remedy in left if remedy not in chosen]
        if chosen:
            yield chosen


def at_random(case: Case) -> Iterator[Remedies]:
    """Every kind that changes this network, once, in an order and with parameters of the case's own seed."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    for kind in rng.permutation(sorted(REMEDIES)):
        draw = PARAMETERS.get(str(kind), _defaults)
        remedy = [{"kind": str(kind), **draw(rng, case)}]
        if plan_with(case, remedy) is not None:
            yield remedy


Drawn = Mapping[str, Any]


def _defaults(_: np.random.Generator, __: Case) -> Drawn:
    return {}


def _rate(rng: np.random.Generator, case: Case) -> Drawn:
    return {"value": case.body["optimizer"]["learning_rate"] * float(rng.choice(FACTORS))}


PARAMETERS: Final[Mapping[str, Callable[[np.random.Generator, Case], Drawn]]] = {
    "init": lambda rng, _: {"init": INITS[rng.integers(len(INITS))]},
    "activation": lambda rng, _: {"function": FUNCTIONS[rng.integers(len(FUNCTIONS))]},
    "optimizer": lambda rng, _: {"optimizer": OPTIMIZERS[rng.integers(len(OPTIMIZERS))]},
    "learning_rate": _rate,
}
"""Of remedies that have a parameter without a default."""


# --- the tables -----------------------------------------------------------------------------------------------------


def figures_of(judged: Sequence[Advised]) -> dict[str, Any]:
    failed, healthy = ([run for run in judged if its(run)] for its in (_failed, _healthy))
    return {
        "networks": len(judged),
        "failed": len(failed),
        "healthy": len(healthy),
        "repaired": {name: _first(failed, name, HEALTHY) for name in NAMES},
        "sets": {name: sum("+" in its.remedy for run in failed for its in run.tried[name]) for name in NAMES},
        "tried": {name: sum(len(run.tried[name]) for run in failed) for name in NAMES},
        "out_of_failure": {name: _first(failed, name, FAILED) for name in NAMES},
        "by_any": counted(
            sum(any(reached(run, name, BUDGET, HEALTHY) for name in run.tried) for run in failed), len(failed)
        ),
        "advised_healthy": sum(bool(run.tried[OURS]) for run in healthy),
        "harmed": {str(first): counted(sum(harmed(run, first) for run in healthy), len(healthy)) for first in FIRST},
        "by_verdict": _by_verdict(failed),
        "unrepaired": [_unrepaired(run) for run in failed if not reached(run, OURS, BUDGET, HEALTHY)],
    }


def _failed(run: Advised) -> bool:
    return run.failed


def _healthy(run: Advised) -> bool:
    return run.healthy


def reached(run: Advised, name: str, first: int, accuracy: float) -> bool:
    """Whether one of the first so many remedies took the network there."""
    return any((its.accuracy or 0.0) >= accuracy for its in run.tried[name][:first])


def harmed(run: Advised, first: int) -> bool:
    """A healthy network, by one of the first so many pieces of advice. What changes nothing does no harm."""
    return any(its.accuracy is not None and its.accuracy < HEALTHY for its in run.tried[OURS][:first])


def _first(failed: Sequence[Advised], name: str, accuracy: float) -> dict[str, Any]:
    return {
        str(first): counted(sum(reached(run, name, first, accuracy) for run in failed), len(failed)) for first in FIRST
    }


def _by_verdict(failed: Sequence[Advised]) -> dict[str, dict[str, int]]:
    """By the kind and the first cause of the verdict: how many failed, and by how many pieces of advice they train."""
    rows = {}
    for headline, count in Counter(run.headline for run in failed).most_common():
        runs = [run for run in failed if run.headline == headline]
        first = {str(first): sum(reached(run, OURS, first, HEALTHY) for run in runs) for first in FIRST}
        others = {name: sum(reached(run, name, BUDGET, HEALTHY) for run in runs) for name in NAMES[1:]}
        rows[headline] = {"failed": count, **first, **others}
    return rows


def _unrepaired(run: Advised) -> dict[str, Any]:
    repaired_by = [
        f"{name}: {its.remedy}" for name in NAMES[1:] for its in run.tried[name] if (its.accuracy or 0.0) >= HEALTHY
    ]
    ours = [f"{its.remedy} {'–' if its.accuracy is None else f'{its.accuracy:.2f}'}" for its in run.tried[OURS]]
    return {"case": run.case, "verdict": run.headline, "causes": run.causes, "ours": ours, "others": repaired_by}


def record_of(runs: Sequence[Advised]) -> dict[str, dict[str, list[int]]]:
    """[repaired, of] by the verdict's first cause, or its kind where it names none, and by remedy: what the product
    tells beside an answer.
    """
    record: dict[str, dict[str, list[int]]] = {}
    for run in runs:
        stands = run.causes[0] if run.causes else run.kind
        for its in run.tried[OURS]:
            counts = record.setdefault(stands, {}).setdefault(its.remedy, [0, 0])
            counts[0] += (its.accuracy or 0.0) >= HEALTHY
            counts[1] += 1
    return {stands: dict(sorted(remedies.items())) for stands, remedies in sorted(record.items())}


REPAIRED: Final = 0.80
HARMED: Final = 0.01


def promises(figures: Mapping[str, Any]) -> Iterator[Promise]:
    """Of networks that no rule was chosen on."""
    at = str(BUDGET)
    ours, others = figures["repaired"][OURS][at], [figures["repaired"][name][at] for name in NAMES[1:]]
    beside = ", ".join(_shown(each) for each in others)
    held = ours["share"] is not None and ours["share"] >= REPAIRED
    what = "one of three repairs a failed network (at random, AutoTrainer)"
    yield Promise(what, f"≥ {REPAIRED:.2f}", f"{_shown(ours)} ({beside})", held=held)
    harm = figures["harmed"][at]
    held = harm["share"] is not None and harm["share"] <= HARMED
    yield Promise("advice on a healthy network that no longer trains", f"≤ {HARMED:.2f}", _shown(harm), held=held)


def _shown(counts: Mapping[str, Any]) -> str:
    return "–" if counts["share"] is None else f"{counts['share']:.2f}"
