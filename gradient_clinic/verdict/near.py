"""Where a verdict hangs on rounding: numbers so close to a threshold that another processor may take them across.

Other instructions sum in another order, and training multiplies the difference. Each number that a rule compares is
moved just across its threshold, if that lies within its band (``near_bands.py``), and the rules are asked again: where
they say something else, the verdict is near it. Theory's numbers do not depend on training and do not move.
"""

from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.causes import find_causes
from gradient_clinic.verdict.facts.of_steps import LARGEST_STEP
from gradient_clinic.verdict.near_bands import UNSTEADY_UPDATE
from gradient_clinic.verdict.near_crossings import crossings
from gradient_clinic.verdict.shapes import STEPS, Near, Outcome


def outcome(case: Case) -> Outcome:
    return Outcome(kind=case.kind, trained=case.measured.trained, causes=find_causes(case)[0])


def find_near(case: Case) -> tuple[Near, ...]:
    """Of each rule and statistic the closest threshold across which the rules say something else, closest first."""
    if not case.measured.has_layers:  # how far steps carry what rounding leaves is not known of a log
        return ()
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
