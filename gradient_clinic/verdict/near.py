"""Where a verdict hangs on rounding: numbers so close to a threshold that another processor may take them across.

Other instructions sum in another order, and training multiplies the difference. Each number that a rule compares is
moved just across its threshold, if that lies within its band (``near_bands.py``), and the rules are asked again: where
they say something else, the verdict is near it. Theory's numbers do not depend on training and do not move.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from gradient_clinic.values import finite_or_none
from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.causes import find_causes
from gradient_clinic.verdict.facts.of_layers import LARGEST_STEP
from gradient_clinic.verdict.headline import SHARE
from gradient_clinic.verdict.near_bands import UNSTEADY_UPDATE
from gradient_clinic.verdict.near_crossings import crossings
from gradient_clinic.verdict.shapes import Near, Outcome, Verdict

STEPS: Final = "steps"
"""The rule that names a run which failed under steps so long that how it fails, and whether, hangs on rounding."""


def outcome(case: Case) -> Outcome:
    return Outcome(kind=case.kind, trained=case.measured.trained, causes=find_causes(case)[0])


def find_near(case: Case) -> tuple[Near, ...]:
    """Of each rule and statistic the closest threshold across which the rules say something else, closest first."""
    own = outcome(case)
    closest: dict[tuple[str, str], tuple[float, Near]] = {}
    for crossing in crossings(case):
        key, share = (crossing.rule, crossing.fact.name), crossing.share_of_band
        if share > 1.0 or (key in closest and closest[key][0] <= share):
            continue
        would_be = outcome(Case(case.setup, crossing.moved))
        if would_be != own:
            closest[key] = share, crossing.near(would_be)
    found = [near for _, near in sorted(closest.values(), key=lambda its: its[0])]
    return (*_unsteady(case), *found)


def _unsteady(case: Case) -> tuple[Near, ...]:
    """Not where the untrained network already shows how it will fail."""
    measured = case.measured
    if measured.trained in {None, "yes"} or not measured.largest_update > UNSTEADY_UPDATE:
        return ()
    if case.at_start.kind == "vanishing" or (case.at_start.kind == "exploding" and measured.diverged):
        return ()
    value = measured.largest_update
    return (
        Near(
            rule=STEPS,
            layers=measured.hidden,
            statistic=LARGEST_STEP.name,
            value=value,
            threshold=UNSTEADY_UPDATE,
            distance=value - UNSTEADY_UPDATE,
            would_be=None,
        ),
    )


def near_of_seeds(verdicts: Sequence[Verdict], judge: Callable[[Sequence[Outcome]], Outcome]) -> tuple[Near, ...]:
    """What a variant's verdict hangs on: its runs near by one rule, if it says something else once they have crossed;
    or where the rules only together do, all of them.
    """
    by_rule: dict[tuple[str, str], dict[int, Near]] = defaultdict(dict)
    for run, verdict in enumerate(verdicts):
        for near in verdict.near:
            by_rule[near.rule, near.statistic].setdefault(run, near)
    own = judge([verdict.outcome for verdict in verdicts])
    found = [joined for runs in by_rule.values() if (joined := _joined(verdicts, runs, own, judge)) is not None]
    if found:
        return tuple(found)
    together = {run: verdict.near[0] for run, verdict in enumerate(verdicts) if verdict.near}
    if _crossed(verdicts, together, judge) == own:
        return ()
    return tuple(_mean(list(runs.values()), None) for runs in by_rule.values())


def _joined(
    verdicts: Sequence[Verdict], runs: dict[int, Near], own: Outcome, judge: Callable[[Sequence[Outcome]], Outcome]
) -> Near | None:
    if any(near.would_be is None for near in runs.values()):
        # They may be anything, so the verdict hangs on them as soon as the others are too few to carry it.
        return _mean(list(runs.values()), None) if len(verdicts) - len(runs) < SHARE * len(verdicts) else None
    would_be = _crossed(verdicts, runs, judge)
    return None if would_be == own else _mean(list(runs.values()), would_be)


def _crossed(
    verdicts: Sequence[Verdict], runs: dict[int, Near], judge: Callable[[Sequence[Outcome]], Outcome]
) -> Outcome:
    said = [verdict.outcome for verdict in verdicts]
    return judge([near.would_be or said[run] if (near := runs.get(run)) else said[run] for run in range(len(said))])


def _mean(items: Sequence[Near], would_be: Outcome | None) -> Near:
    """Means over the runs; all layers that any of them names."""
    means = [
        finite_or_none(float(np.mean([np.nan if value is None else value for value in values])))
        for values in zip(*((item.value, item.threshold, item.distance) for item in items), strict=True)
    ]
    return Near(
        rule=items[0].rule,
        layers=tuple(dict.fromkeys(layer for item in items for layer in item.layers)),
        statistic=items[0].statistic,
        value=means[0],
        threshold=means[1],
        distance=means[2],
        would_be=would_be,
        seeds=len(items),
    )
