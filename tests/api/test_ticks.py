"""Axes have round numbers, and figures no more digits than their intervals leave them."""

import itertools
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.report.ticks import MOST, decades, in_words, round_ticks, tick_words
from gradient_clinic.intervals import Estimate

ends = st.tuples(st.floats(-1e3, 1e3), st.floats(1e-2, 1e4)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(ends)
def test_ticks_are_round_inside_and_evenly_apart(axis: tuple[float, float]) -> None:
    low, high = axis
    ticks = round_ticks(low, high)
    assert 1 <= len(ticks) <= MOST
    slack = 1e-6 * (high - low)
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    for before, after in itertools.pairwise(ticks):
        digit = Decimal(f"{after - before:.4e}").normalize().as_tuple().digits
        assert digit in {(1,), (2,), (5,)}


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        ((-1.05, 1.05), ["−1.0", "−0.5", "0.0", "+0.5", "+1.0"]),
        ((-0.021, 0.021), ["−0.02", "−0.01", "0.00", "+0.01", "+0.02"]),
        ((0.9, 0.9), ["+0.9"]),
        ((1.376, 1.399), ["+1.380", "+1.385", "+1.390", "+1.395"]),
        ((0.0, 4.3), ["0", "+1", "+2", "+3", "+4"]),
    ],
)
def test_words_tell_one_tick_from_the_next(axis: tuple[float, float], words: list[str]) -> None:
    assert tick_words(round_ticks(*axis), signed=True) == words


def test_powers_of_ten_are_never_too_many() -> None:
    assert decades(-2.3, 2.9) == [-2.0, -1.0, 0.0, 1.0, 2.0]
    assert decades(-2.0, 17.4) == [-2.0, 2.0, 6.0, 10.0, 14.0]


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        ((0.97554, 0.9661, 0.98497), ("0.976", "0.966 to 0.985")),
        ((-26.08, -26.13, -26.03), ("−26.1", "−26.1 to −26.0")),
        ((-0.0629, -0.207, 0.0811), ("−0.06", "−0.21 to 0.08")),
        ((0.0, -0.434, 0.434), ("0.00", "−0.43 to 0.43")),
        ((0.9, 0.9, 0.9), ("0.9", "")),
        ((2e-9, 1e-9, 3e-9), ("2e-09", "1e-09 to 3e-09")),
    ],
)
def test_a_figure_ends_where_its_interval_says_nothing_more(
    estimate: tuple[float, float, float], said: tuple[str, str]
) -> None:
    mean, low, high = estimate
    shown = in_words(Estimate(mean=mean, low=low, high=high, n=5, method="t"))
    assert shown == (said[0].replace("-", "−"), said[1].replace("-", "−"))
