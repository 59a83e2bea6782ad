"""Remedies that the clinic chooses: variants of one change each that tell apart what may be wrong, the fewest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gradient_clinic.verdict.case import Setup
from gradient_clinic.verdict.shapes import Cause
from gradient_clinic.verdict.wording import words
from models.analysis.suggestion.choice import MOST_SUGGESTED, Suggested, candidates_for, chosen, described
from models.analysis.suggestion.earlier import Earlier, rates_after, suspects_after
from models.analysis.suggestion.suspects import Suspect, rates, suspects_of
from models.analysis.theory.effort import AT_ONCE
from models.analysis.verdict.setup import setup_of
from models.plan import Plan
from models.specs.remedy import RemedySpec

AT_A_RATE: Final[frozenset[Cause]] = frozenset({"missing_norm"})
"""Causes that do harm at some rates alone: where nothing else speaks, the rate is tested beside them."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The remedies, and of each what it tests and why, in one order."""

    remedies: tuple[RemedySpec, ...]
    suggested: tuple[Suggested, ...]


def suggest(baseline: Plan, *, planned: int, most: int, earlier: Earlier | None = None) -> Suggestion:
    """By what an earlier experiment leaves open, else by what the plan shows; where that is nothing a lower and a
    higher rate. ``planned`` variants are looked at, and at most ``most`` chosen. Empty where no single change is left.
    """
    # With the work of an answer and not of a trial: a client waits for it.
    setup = setup_of(baseline, AT_ONCE)
    if earlier is None:
        suspects = tuple(suspects_of(baseline, setup, AT_ONCE))
        usual = tuple(rates(baseline, setup, _why_rates(setup, suspects)))
    else:
        suspects, usual = tuple(suspects_after(earlier, baseline, setup)), rates_after(earlier, baseline, setup)
    if {suspect.cause for suspect in suspects} <= AT_A_RATE:
        return _suggested(baseline, (*suspects, *usual), planned, most)
    found = _suggested(baseline, suspects, planned, most)
    return found if found.remedies else _suggested(baseline, usual, planned, most)


def _why_rates(setup: Setup, suspects: Sequence[Suspect]) -> str:
    if suspects:
        spoken = f"what else speaks is {' and '.join(words(suspect.cause) for suspect in suspects)}"
    else:
        spoken = "nothing else speaks" + ("" if setup.predicted_gain is not None else ", as far as theory follows")
    return f"{spoken}, and a rate that does not fit is the commonest cause that no plan shows"


def _suggested(baseline: Plan, suspects: Sequence[Suspect], planned: int, most: int) -> Suggestion:
    candidates = tuple(candidates_for(baseline, suspects, planned, AT_ONCE))
    found = sorted(chosen(candidates, len(suspects))[: min(most, MOST_SUGGESTED)], key=lambda one: sorted(one.tests))
    return Suggestion(tuple(one.remedy for one in found), tuple(described(found, suspects, baseline)))
