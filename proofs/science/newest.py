"""Alarms of today's rules on the newest draw: networks of architectures that no list had before, looked at once.

At the end a failure counts as named where its verdict's kind is an alarm, or where it is *slow* and a cause says why.
That no cause of gradients was found, and that steps may have been too few, name none.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from gradient_clinic.verdict.shapes import Verdict
from models.analysis.verdict.summary import summary_of
from proofs.pool import over
from proofs.promise import Promise
from proofs.science.alarms import ALARMING, MOMENTS, OURS, STEPS, Answer, Judged, judge, part_of
from proofs.science.cases import newest
from proofs.science.cases.case import Case
from proofs.science.running import plan_of, see
from proofs.science.scale import Scale

NO_NAME: Final = frozenset({"no_gradient_cause_found", "too_few_steps"})


def run(scale: Scale, processes: int) -> dict[str, Any]:
    cases = newest()[: scale.drawn]
    judged = list(over(_judged, [(case, seed) for seed in range(scale.seeds) for case in cases], processes))
    return {"seeds": scale.seeds, "cases": len(cases), **figures_of(judged)}


def _judged(run: tuple[Case, int]) -> Judged:
    case, _ = run
    seen = see(*run)
    assert seen.measured is not None  # kept by this version
    return at_end(judge(*run, seen), summary_of(plan_of(case), seen.measured).verdict)


def at_end(judged: Judged, verdict: Verdict) -> Judged:
    """With the verdict of today's rules for that of the code that trained it."""
    early = judged.answers[OURS][: len(STEPS)]
    named = f"{verdict.kind}, {verdict.causes[0]}" if verdict.causes else verdict.kind
    answers = {**judged.answers, OURS: (*early, answer_of(verdict))}
    return replace(judged, answers=answers, kinds=(*judged.kinds[: len(STEPS)], named))


def answer_of(verdict: Verdict) -> Answer:
    """What the verdict says of a run that has ended, as an alarm is counted."""
    if verdict.kind in ALARMING or (verdict.kind == "slow" and set(verdict.causes) - NO_NAME):
        return "alarm"
    return "healthy" if verdict.kind == "healthy" else "abstained"


def figures_of(judged: Sequence[Judged]) -> dict[str, Any]:
    known = [run for run in judged if run.failed is not None]
    return {
        "part": part_of(judged, singly=False),
        "said": {
            moment: dict(Counter(f"{'failed' if run.failed else 'healthy'}: {run.kinds[at]}" for run in known))
            for at, moment in enumerate(MOMENTS)
            if at >= len(STEPS) - 1
        },
        "missed": {
            moment: dict(Counter(run.case for run in known if run.failed and run.answers[OURS][at] != "alarm"))
            for at, moment in enumerate(MOMENTS)
            if at >= len(STEPS) - 1
        },
    }


RECALL: Final = 0.95
FALSE_ALARMS: Final = 0.01


def promises(figures: Mapping[str, Any]) -> Iterator[Promise]:
    for moment in MOMENTS[len(STEPS) - 1 :]:
        ours = figures["part"]["rules"][OURS][moment]
        for what, limit, at_least, runs in (
            ("recall", RECALL, True, figures["part"]["failed"]),
            ("false_alarms", FALSE_ALARMS, False, figures["part"]["healthy"]),
        ):
            value = ours[what]
            held = value is not None and (value >= limit if at_least else value <= limit)
            seen = "–" if value is None else f"{value:.3f} of {runs}"
            name = f"newest draw, {moment}: {what.replace('_', ' ')}"
            yield Promise(name, f"{'≥' if at_least else '≤'} {limit:.2f}", seen, held=held)
