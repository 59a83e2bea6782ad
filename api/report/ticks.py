"""Ticks of an axis at round numbers, and numbers that stand beside each other in the same decimals."""

import itertools
import math
from collections.abc import Iterable, Sequence

from gradient_clinic.intervals import Estimate
from gradient_clinic.verdict.wording import number

MOST = 5
DIGITS = 3
"""Of the largest of several numbers."""
LEAST, LARGE = 1e-3, 1e5
"""Beyond these a number has an exponent."""


def round_ticks(low: float, high: float, most: int = MOST) -> list[float]:
    """At most ``most`` multiples of 1, 2 or 5 times a power of ten, from ``low`` to ``high``; of one value itself."""
    if not high > low:
        return [low]
    power = math.floor(math.log10((high - low) / most))
    for step in (part * 10.0**more for more in (power, power + 1) for part in (1, 2, 5)):
        # A tick is not lost to rounding at an end of the axis.
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            return [at * step for at in range(first, last + 1)]
    return [low, high]


def decades(low: float, high: float, most: int = MOST) -> list[float]:
    """Whole numbers from ``low`` to ``high``, the powers of ten on an axis of logarithms."""
    powers = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
    return [float(power) for power in powers[:: max(math.ceil(len(powers) / most), 1)]]


def power_words(powers: Sequence[float]) -> list[str]:
    """Of an axis of logarithms to base 10: all in one way of writing, so that their order is seen."""
    if all(LEAST <= 10.0**power < LARGE for power in powers):
        return [number(10.0**power, 1) for power in powers]
    return [f"1e{power:.0f}".replace("-", "−") for power in powers]


def tick_words(ticks: Sequence[float], *, signed: bool = False) -> list[str]:
    """As many decimals as tell one tick from the next, and all in one way of writing."""
    apart = min((after - before for before, after in itertools.pairwise(ticks)), default=0.0)
    if apart <= 0.0:
        return [number(tick, DIGITS, signed=signed) for tick in ticks]
    if not _is_plain(ticks):
        # A step of 1e5 is one even where rounding has left it a little less.
        places = _place(apart * (1.0 + 1e-9)) - _place(max(abs(tick) for tick in ticks))
        return [_by_power(tick, places, signed=signed) for tick in ticks]
    return [_fixed(tick, _place(apart), signed=signed) for tick in ticks]


def in_words(value: Estimate, *, signed: bool = False) -> tuple[str, str]:
    """The mean, and 'low to high' or '' without bounds. No decimal stands behind the second digit of half the interval,
    which says how little is known of it.
    """
    mean, low, high = value.mean, value.low, value.high
    if mean is None or low is None or high is None or not high > low or not _is_plain((mean, low, high)):
        ends = "" if low is None or high is None or low == high else f"{number(low)} to {number(high)}"
        return number(mean, signed=signed), ends
    most = max(abs(one) for one in (mean, low, high))
    places = min(_place((high - low) / 2.0) + 1, _place(most) + DIGITS - 1)
    shown = [_fixed(one, places, signed=signed) for one in (mean, low, high)]
    return shown[0], f"{shown[1]} to {shown[2]}"


def _is_plain(values: Iterable[float]) -> bool:
    return LEAST <= max(abs(value) for value in values) < LARGE


def _place(value: float) -> int:
    """Of its first digit: 0 of 7.3, 1 of 0.73."""
    return -math.floor(math.log10(value))


def _by_power(value: float, places: int, *, signed: bool) -> str:
    if value == 0.0:
        return "0"
    mantissa, power = f"{value:{'+' if signed else ''}.{places}e}".split("e")
    return f"{mantissa}e{int(power)}".replace("-", "−")


def _fixed(value: float, places: int, *, signed: bool) -> str:
    shown = f"{value:.{max(places, 0)}f}"
    if float(shown) == 0.0:
        return shown.removeprefix("-")
    return f"{'+' if signed and value > 0.0 else ''}{shown}".replace("-", "−")
