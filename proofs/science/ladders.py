"""How faint a fault may be and still be seen: each family of faults in eight steps, ours beside published rules.

The truth is how training ended: a step *harmed* a run that ends below .9 (training accuracy; where labels are
unbalanced its mean over labels; R² of values). A step that does not is no fault, and seen all the same where a cause
or a number beyond its threshold is told of it. What is seen counts only beside what a healthy base is blamed for.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gradient_clinic.verdict.facts.of_losses import BELOW_HALF
from gradient_clinic.verdict.shapes import Verdict
from models.analysis.verdict.summary import summary_of
from models.plan import Plan, expand
from models.specs.experiment import ExperimentSpec
from proofs.pool import over
from proofs.promise import Promise
from proofs.science import diagnosers
from proofs.science.alarms import FALSE_ALARMS, HEALTHY, OURS, step_at
from proofs.science.families import FAMILIES, STEPS, Family
from proofs.science.published import SETS, fires
from proofs.science.running import Seen, see_plan
from proofs.science.scale import Scale
from proofs.science.shares import counted

BASE: Final = 0
"""The step of a network without the fault; 1 is the most blatant."""
MIDDLE: Final = (3, 4, 5, 6)
DIAGNOSED: Final = 0
"""The seed under which packages of others watch too."""
ASKED: Final = (1, 2, 3)
"""Places in ``MOMENTS`` at which published rules are asked: at step 0 most of them blame healthy networks."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One run of a family at a step: how it ended, and who blames it."""

    family: str
    step: int
    seed: int
    harmed: bool
    kind: str
    causes: tuple[str, ...]
    blamed: Mapping[str, bool]
    diagnosed: Mapping[str, bool] | None = None
    """Who else blames it, of packages that watch a training of their own; asked under the first seed."""


def run(scale: Scale, processes: int) -> dict[str, Any]:
    families = FAMILIES[: scale.families]
    runs = [
        (place, step, seed)
        for place in range(len(families))
        for seed in range(scale.seeds)
        for step in range(STEPS + 1)
    ]
    rungs = list(over(_rung, runs, processes))
    return {"seeds": scale.seeds, **figures_of(families, rungs)}


def plan_of_step(family: Family, step: int) -> Plan:
    """Nothing stops it before its end."""
    body = family.body(strength_of(family, step))
    spec = ExperimentSpec.model_validate({"name": family.name, "stop_when": {"nonfinite_steps": None}, **body})
    return expand(spec)[-1].plan


def strength_of(family: Family, step: int) -> float | None:
    return None if step == BASE else family.strengths[step - 1]


def _rung(run: tuple[int, int, int]) -> Rung:
    """A family is named by its place: what it does cannot be sent to another process."""
    place, step, seed = run
    family = FAMILIES[place]
    plan = plan_of_step(family, step)
    touch = family.touched(strength_of(family, step))
    seen = see_plan(plan, seed, touch)
    assert seen.measured is not None  # kept by this version
    verdict = summary_of(plan, seen.measured).verdict
    harmed = not seen.outcome.train_accuracy >= HEALTHY
    blamed = {OURS: blames(verdict), **_published(seen, plan.optimizer.learning_rate)}
    asked = seed == DIAGNOSED and diagnosers.there()
    diagnosed = diagnosers.blamed(plan, seed, touch) if asked else None
    return Rung(family.name, step, seed, harmed, verdict.kind, verdict.causes, blamed, diagnosed)


def blames(verdict: Verdict) -> bool:
    """A healthy run too, by any number beyond its threshold but that which makes it healthy."""
    beyond = (item.statistic for item in verdict.evidence if (item.margin or 0.0) > 0.0)
    return verdict.kind != "healthy" or any(statistic != BELOW_HALF.name for statistic in beyond)


def _published(seen: Seen, rate: float) -> dict[str, bool]:
    steps = [step_at(seen, moment, rate) for moment in ASKED]
    return {name: any(fires(rules, step) for step in steps) for name, rules in SETS.items()}


# --- the tables -----------------------------------------------------------------------------------------------------


def figures_of(families: Sequence[Family], rungs: Sequence[Rung]) -> dict[str, Any]:
    """Of runs whose base is healthy under their seed."""
    bases = [rung for rung in rungs if rung.step == BASE]
    healthy = [base for base in bases if not base.harmed]
    sound = {(base.family, base.seed) for base in healthy}
    kept = [rung for rung in rungs if rung.step != BASE and (rung.family, rung.seed) in sound]
    named = [named_first(family, [rung for rung in kept if rung.family == family.name]) for family in families]
    return {
        "bases": len(bases),
        "false_alarms": {
            name: counted(sum(base.blamed[name] for base in healthy), len(healthy)) for name in (OURS, *SETS)
        },
        "first": counted(sum(each["count"] for each in named), sum(each["of"] for each in named)),
        "families": {
            family.name: {
                "causes": family.causes,
                "first": first,
                **_steps(family, [rung for rung in kept if rung.family == family.name]),
            }
            for family, first in zip(families, named, strict=True)
        },
        "diagnosers": _diagnosers(families, healthy, kept),
    }


def _diagnosers(families: Sequence[Family], healthy: Sequence[Rung], rungs: Sequence[Rung]) -> dict[str, Any] | None:
    """What other packages blame; None where none was there."""
    bases = [base.diagnosed for base in healthy if base.diagnosed is not None]
    if not bases:
        return None
    names = bases[0].keys()
    seen = {
        family.name: [its.diagnosed for its in rungs if its.family == family.name and its.diagnosed is not None]
        for family in families
    }
    return {
        "false_alarms": {name: counted(sum(base[name] for base in bases), len(bases)) for name in names},
        "weakest_seen": {
            family: {name: weakest([float(rung[name]) for rung in rungs_of]) for name in names}
            for family, rungs_of in seen.items()
        },
    }


def named_first(family: Family, rungs: Sequence[Rung]) -> dict[str, Any]:
    """How often a right cause is the first that is named, of harmed runs of the middle steps."""
    harmed = [rung for rung in rungs if rung.harmed and rung.step in MIDDLE]
    return counted(sum(_is_right(family, rung) for rung in harmed), len(harmed))


def _is_right(family: Family, rung: Rung) -> bool:
    return bool(rung.causes) and rung.causes[0] in family.causes


def _steps(family: Family, rungs: Sequence[Rung]) -> dict[str, Any]:
    by_step = {step: [rung for rung in rungs if rung.step == step] for step in range(1, STEPS + 1)}
    return {
        "steps": [_step(family, step, by_step[step]) for step in by_step],
        "weakest_harm": weakest([sum(rung.harmed for rung in runs) / max(len(runs), 1) for runs in by_step.values()]),
        "weakest_seen": {
            name: weakest([sum(rung.blamed[name] for rung in runs) / max(len(runs), 1) for runs in by_step.values()])
            for name in (OURS, *SETS)
        },
    }


def weakest(shares: Sequence[float]) -> int:
    """The last step down to which each holds in more than half of its runs; 0 where the most blatant does not."""
    return next((step for step, share in enumerate(shares) if share <= 0.5), len(shares))


def _step(family: Family, step: int, runs: Sequence[Rung]) -> dict[str, Any]:
    harmed = [run for run in runs if run.harmed]
    return {
        "strength": family.label(family.strengths[step - 1]),
        "runs": len(runs),
        "harmed": len(harmed),
        "seen": sum(run.blamed[OURS] for run in runs),
        "first": sum(_is_right(family, run) for run in harmed),
        "named_first": dict(Counter(run.causes[0] if run.causes else run.kind for run in runs)),
    }


NAMED_FIRST: Final = 0.85


def promises(figures: Mapping[str, Any]) -> Iterator[Promise]:
    first, alarms = figures["first"]["share"], figures["false_alarms"][OURS]["share"]
    held = first is not None and first >= NAMED_FIRST
    what = "ladders, middle steps: a right cause is named first"
    yield Promise(what, f"≥ {NAMED_FIRST:.2f}", "–" if first is None else f"{first:.2f}", held=held)
    held = alarms is not None and alarms <= FALSE_ALARMS
    what = "ladders: healthy bases that are blamed"
    yield Promise(what, f"≤ {FALSE_ALARMS:.2f}", "–" if alarms is None else f"{alarms:.3f}", held=held)
