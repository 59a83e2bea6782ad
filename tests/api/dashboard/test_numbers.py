"""Figures of the pages, held against those of the pictures that the server draws."""

import itertools

import numpy as np
from playwright.sync_api import expect

from api.report.ticks import in_words, round_ticks, tick_words
from gradient_clinic.intervals import Estimate
from tests.api.dashboard.conftest import Visitor

EDGES = [
    (0.97554, 0.9661, 0.98497),
    (-26.08, -26.13, -26.03),
    (0.0, -0.434, 0.434),
    (2.0, 2.0, 2.0),
    (-0.004, -0.1, 0.1),
]


def test_an_interval_has_the_digits_of_the_pictures(visitor: Visitor) -> None:
    random = np.random.default_rng(3)
    drawn = [
        (mean, mean - half, mean + half)
        for mean, half in zip(random.normal(size=200) * 30, 10 ** random.uniform(-4, 2, 200), strict=True)
    ]
    estimates = [
        {"mean": round(mean, 6), "low": round(low, 6), "high": round(high, 6)} for mean, low, high in EDGES + drawn
    ]
    page = visitor.open()
    said = page.evaluate(
        """async all => {
            const {estimate} = await import("/dashboard/numbers.js");
            return all.map(one => estimate(one));
        }""",
        estimates,
    )
    for one, words in zip(estimates, said, strict=True):
        mean, ends = in_words(Estimate(**one, n=5, method="t"))
        assert words == (f"{mean} ({ends})" if ends else mean), one


def test_ticks_of_an_axis_are_told_apart(visitor: Visitor) -> None:
    """The first is what the loss of a network that learns nothing shows: 1.4, five times."""
    axes = [(1.376, 1.399), (0.0, 1.0), (-30.0, 4.0), (0.0002, 0.0009), (120_000.0, 120_004.0), (0.0, 350_000.0)]
    ticks = [round_ticks(*axis) for axis in axes] + [[0.0, 2.5, 5.0, 7.5]]
    page = visitor.open()
    said = page.evaluate(
        'async all => { const {tickWords} = await import("/dashboard/numbers.js"); return all.map(tickWords); }', ticks
    )
    assert all(before != after for words in said for before, after in itertools.pairwise(words))
    assert said[0] == tick_words(ticks[0])
    assert said[1:-1] == [tick_words(axis) for axis in ticks[1:-1]]
    assert said[-2] == ["0", "1e5", "2e5", "3e5"]
    assert said[-1] == ["0.0", "2.5", "5.0", "7.5"]


def test_a_setting_is_told_as_it_was_written(visitor: Visitor) -> None:
    page = visitor.open()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    told = """async () => {
        const {told} = await import("/dashboard/catalogue.js");
        const part = {kind: "orthogonal_init", gain: Math.SQRT2, rate: 1e-5};
        return told(part, {remedies: new Map()}, "remedies");
    }"""
    assert page.evaluate(told) == "orthogonal init (gain 1.41421, rate 0.00001)"
