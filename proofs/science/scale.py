"""How much is measured: a quick look, or the published tables."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Scale:
    """``every`` = 7 trains each seventh of the cases that were chosen on, and all that are held out; an even
    number would leave one optimiser out. ``specs``: random networks of each kind. ``resampled``: samples in a cell
    where each sample is bootstrapped. ``drawn``: networks on which advice is judged; ``counted``: those of the record.
    ``families``: of faults.
    """

    seeds: int
    every: int
    specs: int
    repetitions: int
    resampled: int
    networks: int
    drawn: int
    counted: int
    families: int


SCALES: Final = {
    "quick": Scale(
        seeds=1, every=7, specs=8, repetitions=10_000, resampled=300, networks=1_000, drawn=12, counted=0, families=3
    ),
    "full": Scale(
        seeds=5,
        every=1,
        specs=40,
        repetitions=40_000,
        resampled=2_000,
        networks=10_000,
        drawn=120,
        counted=80,
        families=12,
    ),
}
