"""The fewest variants of one change each that tell suspected causes apart: for each cause one that nothing else
explains, where there is such a change; else one that covers as many as it can (greedy set cover, Johnson 1974).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict

from gradient_clinic.gains.limits import LIMIT
from gradient_clinic.verdict.shapes import Cause
from gradient_clinic.verdict.wording import capital, number, words
from models.analysis.comparison.causes_by_trial import changed_cause
from models.analysis.suggestion.suspects import Suspect
from models.analysis.theory.propagation import worst_gain
from models.analysis.theory.what_if import is_worth
from models.plan import Plan, Variant, plan_with, runs_per_variant
from models.plan.cost import run_seconds
from models.plan.designs import remedy_names
from models.plan.idle import without_effect
from models.specs.base import SpecError
from models.specs.remedy import RemedySpec

MOST_SUGGESTED: Final = 6
OF_GAIN: Final[frozenset[Cause]] = frozenset({
    "initialisation", "saturating_activation", "depth_without_skip", "batch_norm_at_depth", "exploding_over_time"
})  # fmt: skip
"""Causes of which theory knows whether a change of the network mends them: it has to bring G inside, or halve it."""


class Suggested(BaseModel):
    """A variant that the clinic has chosen: the name of its ``remedy``, the causes that it ``tests`` (it comes further
    where one of them holds), and how many ``runs`` it takes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    remedy: str
    tests: tuple[Cause, ...]
    why: str
    runs: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """``tests``: the places of the suspects that it would mend. ``speaks``: a comparison will read the cause off it.

    ``gain``: theory's G with it, None where it leaves the network as it is. ``seconds``: of one run, as estimated.
    """

    remedy: RemedySpec
    tests: frozenset[int]
    speaks: bool
    gain: float | None
    seconds: float

    @property
    def rank(self) -> tuple[bool, bool, bool, float, float]:
        """What theory leaves beyond the cut comes last; what shows its cause before what does not; then what theory
        puts nearest to G = 0, then the cheapest.
        """
        size = abs(self.gain or 0.0)
        return size > LIMIT, not self.speaks, self.gain is None, size, self.seconds


def chosen(candidates: Sequence[Candidate], suspects: int) -> list[Candidate]:
    """For ``suspects`` places; what tests a place alone comes first."""
    ranked = sorted(candidates, key=lambda one: one.rank)
    alone = (next((one for one in ranked if one.tests == {place}), None) for place in range(suspects))
    found = [one for one in alone if one is not None]
    left = set(range(suspects)).difference(*(one.tests for one in found))
    while any(one.tests & left for one in ranked):
        widest = max(ranked, key=lambda one: len(one.tests & left))
        found.append(widest)
        left -= widest.tests
    return found


def candidates_for(baseline: Plan, suspects: Sequence[Suspect], planned: int, most: float) -> Iterator[Candidate]:
    """What can stand in this network, does something there and is worth trying. At most ``planned`` are looked at, and
    theory does no more than ``most`` work for each.
    """
    now = worst_gain(baseline.network, baseline.experiment.batch_size, most)
    remedies = dict.fromkeys(change for suspect in suspects for change in suspect.changes)
    applying = [one for one in remedies if baseline.network.kind in one.about.applies_to]
    for remedy in applying[:planned]:
        plan = _planned(baseline, remedy)
        if plan is None:
            continue
        same = plan.network == baseline.network
        gain = None if same else _to_hundredths(worst_gain(plan.network, plan.experiment.batch_size, most))
        mends = {suspect.cause for suspect in suspects if same or _is_worth(gain, now) or suspect.cause not in OF_GAIN}
        places = (place for place, its in enumerate(suspects) if remedy in its.changes and its.cause in mends)
        if tests := frozenset(places):
            cause = changed_cause(baseline, Variant(remedy.kind, (remedy,), plan))
            speaks = {suspects[place].cause for place in tests} == {cause}
            yield Candidate(remedy, tests, speaks, gain, run_seconds(plan))


def _planned(baseline: Plan, remedy: RemedySpec) -> Plan | None:
    """None where it cannot be, changes nothing, or sets the rate that tuning chooses."""
    if baseline.experiment.tune is not None and "learning_rate" in remedy.slots:
        return None
    try:
        plan = plan_with(baseline, remedy)
    except SpecError:
        return None
    return plan if without_effect(plan, baseline) is None else None


def _to_hundredths(gain: float | None) -> float | None:
    """What theory's rounding would decide is a tie; and 0 has no sign."""
    return None if gain is None else round(gain, 2) + 0.0


def _is_worth(gain: float | None, now: float | None) -> bool:
    if now is None or gain is None:
        return now is None
    return is_worth(gain, now)


def described(found: Sequence[Candidate], suspects: Sequence[Suspect], baseline: Plan) -> Iterator[Suggested]:
    """Each with what speaks for it, under the name that its variant will have."""
    names = remedy_names([one.remedy for one in found])
    for name, one in zip(names, found, strict=True):
        tested = [suspects[place] for place in sorted(one.tests)]
        reasons = "; ".join(f"{words(suspect.cause)}: {suspect.why}" for suspect in tested)
        theory = "" if one.gain is None else f" Theory puts its total gain at {number(one.gain, signed=True)}."
        causes = tuple(dict.fromkeys(suspect.cause for suspect in tested))
        runs = runs_per_variant(baseline.experiment)
        yield Suggested(remedy=name, tests=causes, why=f"{capital(reasons)}.{theory}", runs=runs)
