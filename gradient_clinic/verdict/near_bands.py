"""How far the numbers that decide move between processors, as measured (docs/verdicts.md, On another processor)."""

from dataclasses import dataclass
from typing import Final

from gradient_clinic.verdict.shapes import Measured

STILL_UPDATE: Final = 1e-3
"""‖ΔW‖/‖W‖ of a run's largest steps: below it no number of the end moved by more than 0.05."""
UNSTEADY_UPDATE: Final = 0.03
"""Above it every sixth run that did not train failed in another way under another processor, and some trained."""


@dataclass(frozen=True, slots=True)
class Bands:
    """Of each statistic, how close to its threshold it is called near.

    ``loss``: in units of chance; ``gain``: of both limits of G, over depth and over time; ``fraction``: of dead units
    and saturated entries; ``update`` and ``level``: of ln ‖ΔW‖/‖W‖ and of ln rms δ; ``scale``: of that of all layers.
    """

    loss: float
    gain: float
    fraction: float
    update: float
    level: float


@dataclass(frozen=True, slots=True)
class StartBands:
    """The same of the untrained network, where nothing has multiplied what rounding left."""

    gain: float
    scale: float
    level: float


STILL: Final = Bands(loss=1e-4, gain=0.02, fraction=0.01, update=1e-3, level=0.03)
"""Twice the 99th percentile, and no less than the largest of the fractions, which are counted."""
MOVING: Final = Bands(loss=0.3, gain=2.0, fraction=0.12, update=0.6, level=8.0)
"""Twice the 95th percentile: the largest movements are those of runs that are torn apart."""
START: Final = StartBands(gain=2e-3, scale=2e-3, level=2e-4)
"""Twice the 99th percentile, without batch norm."""
START_BATCH_NORM: Final = StartBands(gain=1.2, scale=0.6, level=0.03)
"""The same with it: deep down it multiplies differences between samples (Yang 2019), and so those of rounding."""
START_TIME: Final = 0.04
"""Of G over time at the start; twice the 99th percentile."""
SLOPE: Final = 1e-6
"""Of the rms slope and of ln rms h in the first layer. Not seen to move by more than 4e-7."""
OFF: Final = 1e-3
"""Of the share of units that are off at the start. Not seen to move; it is counted in units."""


def bands_at_end(measured: Measured, *, starts_vanishing: bool) -> Bands:
    """Steps of the usual length let differences grow, unless hardly any gradient passes through the network."""
    update = measured.largest_update
    still = not update > STILL_UPDATE or (starts_vanishing and update <= UNSTEADY_UPDATE)
    return STILL if still else MOVING


def bands_at_start(measured: Measured) -> StartBands:
    return START_BATCH_NORM if measured.batch_norm else START
