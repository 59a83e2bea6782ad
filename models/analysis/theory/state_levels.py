"""The time axis in theory: ln rms ∂L/∂state of a recurrent layer, state by state, as the probe records it."""

from dataclasses import dataclass

from gradient_clinic.gains.time_axis import time_of_run
from models.plan.tree import Recur, time_steps


@dataclass(frozen=True, slots=True)
class StateLevels:
    """``levels`` from the state before the first input to the last one; ``breaks`` says whether theory has them."""

    node: Recur
    levels: tuple[float, ...]
    breaks: int

    def gains(self) -> tuple[float | None, float | None]:
        """(gain per step back, total gain) as a measurement computes them from the recorded states."""
        if self.breaks:
            return None, None
        steps = time_steps(self.node.steps)
        facts = time_of_run(self.node.layer.name, [self.levels[step] for step in steps], steps)
        return facts.gain_per_step.mean, facts.total_gain.mean


def from_logs(node: Recur, logs: list[float], scale: float, breaks: int) -> StateLevels:
    """``logs`` of mean squares, in units of e^``scale``."""
    return StateLevels(node, tuple(0.5 * (log + scale) for log in logs), breaks)
