"""Published rules and ours on the same runs: who is recalled, who is alarmed for nothing, who is not judged.

The truth is how training ended, never a gradient: a run has *failed* below .5 training accuracy at the end, and is
*healthy* from .9 on. What lies between is left out.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gradient_clinic.verdict.early import read_early
from models.analysis.statistics.effects import clopper_pearson
from proofs.pool import over
from proofs.promise import Promise
from proofs.science.cases import cases
from proofs.science.cases.case import Case, Part
from proofs.science.published import RULES, SETS, Step, fires
from proofs.science.running import EARLY, Seen, see, up_to
from proofs.science.scale import Scale

MOMENTS: Final = ("step 0", "step 10", f"step {EARLY}", "end")
"""At which every rule is asked."""
STEPS: Final = (0, 10, EARLY)
FAILED: Final = 0.5
HEALTHY: Final = 0.9
OURS: Final = "ours"
HELD_OUT: Final = "held out"
ALARMING: Final = frozenset({"vanishing", "exploding", "diverged", "dead", "saturated", "stalled"})
"""Kinds of the final verdict that are alarms. ``inconclusive`` and ``slow`` are none: they count as abstained."""
Answer = str
"""``alarm``, ``healthy`` or ``abstained``."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One run: run truth, and what each rule set said at each moment."""

    case: str
    family: str
    part: Part
    seed: int
    failed: bool | None
    answers: Mapping[str, tuple[Answer, ...]]
    kinds: tuple[str, ...]
    """Our kinds at the moments."""

    @property
    def held_out(self) -> bool:
        return self.part == "unseen"


def run(scale: Scale, processes: int) -> dict[str, Any]:
    """Train every case under every seed, unless it is kept from before, and ask all rules."""
    chosen_on, held_out = ([case for case in cases() if case.held_out is held] for held in (False, True))
    chosen = [*chosen_on[:: scale.every], *held_out]
    judged = list(over(_judged, [(case, seed) for seed in range(scale.seeds) for case in chosen], processes))
    return {"seeds": scale.seeds, "cases": len(chosen), **figures_of(judged)}


def _judged(run: tuple[Case, int]) -> Judged:
    return judge(*run, see(*run))


def judge(case: Case, seed: int, seen: Seen) -> Judged:
    optimizer, rate = str(case.body["optimizer"]["kind"]), float(case.body["optimizer"]["learning_rate"])
    steps = [step_at(seen, moment, rate) for moment in range(len(MOMENTS))]
    rule_sets = SETS | {rule.title: (rule.number,) for rule in RULES}
    answers = {name: tuple(_answer(fires(rules, step)) for step in steps) for name, rules in rule_sets.items()}
    kinds = (
        *(read_early(up_to(seen.early, step), seen.outcome.chance_level, optimizer).kind for step in STEPS),
        seen.outcome.kind,
    )
    ours = tuple(_our_answer(kind, end=moment == len(STEPS)) for moment, kind in enumerate(kinds))
    return Judged(case.name, case.family, case.part, seed, truth(seen), {OURS: ours, **answers}, kinds)


def step_at(seen: Seen, moment: int, learning_rate: float) -> Step:
    """What a rule may know then. ``moment`` is a place in ``MOMENTS``."""
    step = len(seen.losses) - 1 if moment == len(STEPS) else STEPS[moment]
    return Step(step, seen.tensors[moment], seen.losses[: step + 1], seen.norms[: step + 1], learning_rate)


def truth(seen: Seen) -> bool | None:
    """Whether it failed; None in between."""
    accuracy = seen.outcome.train_accuracy
    return True if accuracy < FAILED else False if accuracy >= HEALTHY else None


def _answer(fired: bool) -> Answer:  # noqa: FBT001 -- one word for one flag
    return "alarm" if fired else "healthy"


def _our_answer(kind: str, *, end: bool) -> Answer:
    if end:
        return "alarm" if kind in ALARMING else "healthy" if kind == "healthy" else "abstained"
    return {"healthy": "healthy", "undecided": "abstained"}.get(kind, "alarm")


# --- the table ------------------------------------------------------------------------------------------------------


def figures_of(judged: Sequence[Judged]) -> dict[str, Any]:
    known_truth = [run for run in judged if run.held_out and run.failed is not None]
    parts = {
        "chosen on: the grid": [run for run in judged if run.part == "grid"],
        "chosen on: beside the grid": [run for run in judged if run.part == "beside"],
        HELD_OUT: [run for run in judged if run.held_out],
    }
    return {
        "parts": {name: part_of(runs, singly=name == HELD_OUT) for name, runs in parts.items()},
        "families": {
            name: _counts([run for run in judged if run.family == name])
            for name in dict.fromkeys(run.family for run in judged)
        },
        "missed": dict(_mistakes(judged, failed=True)),
        "false_alarms": dict(_mistakes(judged, failed=False)),
        "confusion": {
            moment: dict(Counter(f"{'failed' if run.failed else 'healthy'}: {run.kinds[at]}" for run in known_truth))
            for at, moment in enumerate(MOMENTS)
        },
    }


def _counts(judged: Sequence[Judged]) -> dict[str, int]:
    return {
        "runs": len(judged),
        "failed": sum(run.failed is True for run in judged),
        "healthy": sum(run.failed is False for run in judged),
        "between": sum(run.failed is None for run in judged),
    }


def part_of(judged: Sequence[Judged], *, singly: bool) -> dict[str, Any]:
    """With ours and the sets; ``singly`` with every published rule alone too."""
    sets = {OURS, *SETS}
    names = [name for name in (judged[0].answers if judged else {}) if singly or name in sets]
    return {
        **_counts(judged),
        "rules": {name: {moment: rates(judged, name, at) for at, moment in enumerate(MOMENTS)} for name in names},
    }


def rates(judged: Sequence[Judged], name: str, moment: int) -> dict[str, Any]:
    """Recall over failed runs, where an abstention is a miss; false alarms and abstentions over healthy ones."""
    failed = [run.answers[name][moment] for run in judged if run.failed is True]
    healthy = [run.answers[name][moment] for run in judged if run.failed is False]
    return {
        "recall": _share(failed, "alarm"),
        "recall_bounds": clopper_pearson(failed.count("alarm"), len(failed)),
        "false_alarms": _share(healthy, "alarm"),
        "false_alarms_bounds": clopper_pearson(healthy.count("alarm"), len(healthy)),
        "abstained_on_failed": _share(failed, "abstained"),
        "abstained_on_healthy": _share(healthy, "abstained"),
    }


def _share(answers: Sequence[Answer], what: Answer) -> float | None:
    return answers.count(what) / len(answers) if answers else None


def _mistakes(judged: Sequence[Judged], *, failed: bool) -> Iterator[tuple[str, dict[str, int]]]:
    """Our mistakes at each moment, by case: how many of its seeds."""
    for at, moment in enumerate(MOMENTS):
        wrong = (run for run in judged if run.failed is failed and (run.answers[OURS][at] == "alarm") is not failed)
        yield moment, dict(Counter(run.case for run in wrong))


RECALL: Final = 0.90
FALSE_ALARMS: Final = 0.02
ABSTENTIONS: Final = 0.15


def promises(figures: Mapping[str, Any]) -> Iterator[Promise]:
    """Of architectures that no threshold was chosen on, at step 50."""
    ours = figures["parts"][HELD_OUT]["rules"][OURS][MOMENTS[2]]
    for what, key, limit, at_least in (
        ("recall", "recall", RECALL, True),
        ("false alarms", "false_alarms", FALSE_ALARMS, False),
        ("healthy runs not judged", "abstained_on_healthy", ABSTENTIONS, False),
    ):
        value = ours[key]
        held = value is not None and (value >= limit if at_least else value <= limit)
        sign = "≥" if at_least else "≤"
        seen = "–" if value is None else f"{value:.3f}"
        yield Promise(f"early alarm, held out, step 50: {what}", f"{sign} {limit:.2f}", seen, held=held)
