"""What became of a network: its total gain before training, and whether it trained at the best of three rates."""

import math
from dataclasses import dataclass
from typing import Final

from gradient_clinic.verdict.shapes import Verdict
from proofs.outcomes.cuts.grid import RATES, Axis, Candidate
from proofs.outcomes.running import run_all

EVERY: Final = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """``gain``: G of the untrained network, ±∞ included; NaN where it is not defined."""

    group: str
    gain: float
    trained: bool


def outcome_of(candidate: Candidate, seed: int) -> Outcome:
    """Trained at one rate after the other until one trains: a bad rate is not blamed on the gradients."""
    gain = math.nan
    for rate in RATES[candidate.optimizer]:
        run = run_all(candidate.body(rate, seed), every=EVERY)[0]
        gain = gain_at_start(run.summary.verdict, candidate.axis)
        if run.summary.trained == "yes":
            return Outcome(candidate.group, gain, trained=True)
    return Outcome(candidate.group, gain, trained=False)


def gain_at_start(verdict: Verdict, axis: Axis) -> float:
    facts = verdict.at_start if axis == "depth" else verdict.at_start.time[0]
    if facts.total_gain.mean is not None:
        return facts.total_gain.mean
    # No finite G: an exact zero or an overflow, which the kind tells apart.
    return {"vanishing": -math.inf, "exploding": math.inf}.get(facts.kind, math.nan)
