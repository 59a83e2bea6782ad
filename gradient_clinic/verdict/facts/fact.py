"""What a fact of a run is: its name, its number against a threshold, and its words, in one place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gradient_clinic.verdict.case import Case
from gradient_clinic.verdict.shapes import Evidence

START: Final = (0, 0)
"""The steps of what is read in the untrained network."""
FLAT_SLOPE: Final = 0.5
"""A bounded φ is called saturating where its rms slope at the measured rms of h is below: each layer then halves δ
at unit weight variance. A sigmoid never exceeds 0.25; tanh starts at 1 and passes ½ at an rms of h of about 1.9."""
CORRELATION: Final = 0.97
"""Where half the layers see more, samples are taken for one point. Of plain He-ReLUs none of 64 with 12 or 20 layers
lies above, and they learn; 2 of 32 with 30 layers, 27 of 32 with 60, 30 of 32 with 80. Of what was tried alone there,
only skips and fewer layers let them learn."""
LEAST_RATE: Final = 0.15
"""Of the learning rate, as a mean over the steps: a cosine leaves 0.5, a tenth after each third 0.37, a warm-up over
all steps 0.5."""

LARGE_UPDATE: Final = 0.1
"""‖ΔW‖/‖W‖ of one step; 0.001 is usual (Karpathy)."""
SMALL_WEIGHTS: Final = 0.4
"""√σw² at the start. Of LSTMs and GRUs whose default weights (0.58) are halved a step is longer than 0.1 of them at a
rate at which they learn; of the default ones none is."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A number against its threshold, where it was read. ``margin``: how far it lies beyond."""

    value: float | None
    threshold: float
    margin: float | None
    layers: tuple[str, ...] = ()
    steps: tuple[int, int] | None = None


def above(
    value: float, threshold: float, layers: tuple[str, ...] = (), steps: tuple[int, int] | None = None
) -> Reading:
    """A value that counts where it is above its threshold."""
    return Reading(value, threshold, value - threshold, layers, steps)


def below(
    value: float, threshold: float, layers: tuple[str, ...] = (), steps: tuple[int, int] | None = None
) -> Reading:
    """A value that counts where it is below its threshold."""
    return Reading(value, threshold, threshold - value, layers, steps)


def unsaid(_: Evidence) -> None:
    """The words of a fact that the sentence of a verdict leaves to its list of evidence."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact. Its ``signal`` and its ``name``, which an evidence has as its ``statistic``, tell it from all others.

    ``number``: None where the fact does not hold or was not measured. ``words``: a clause of the evidence's own
    numbers; None where they are no news. ``called``: its number in words, where that is not its name. ``of_most``:
    told of a variant where most seeds have it and not of some, which luck alone brings. ``limit``: its threshold in
    words, where that has a name.
    """

    signal: str
    name: str
    number: Callable[[Case], Reading | None]
    words: Callable[[Evidence], str | None] = unsaid
    called: str | None = None
    of_most: bool = False
    limit: str | None = None

    def of(self, case: Case) -> Evidence | None:
        """What shows it in this run."""
        found = self.number(case)
        return None if found is None else self.shown_by(found)

    def shown_by(self, found: Reading, seeds: int = 1) -> Evidence:
        return Evidence(
            signal=self.signal,
            layers=found.layers,
            steps=found.steps,
            statistic=self.name,
            value=found.value,
            threshold=found.threshold,
            margin=found.margin,
            seeds=seeds,
        )
