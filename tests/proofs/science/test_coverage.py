"""Coverage against what is known exactly, and against intervals that are wrong on purpose."""

import math
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import get_args, get_type_hints

import numpy as np
import pytest
from pydantic import BaseModel
from scipy import stats

from gradient_clinic.intervals import t_intervals
from gradient_clinic.verdict.shapes import Verdict
from models.analysis.comparison.parts import Comparison
from models.analysis.statistics.effects import paired_success_difference
from proofs.science import coverage
from proofs.science.coverage_counts import exact, newcombe
from proofs.science.coverage_networks import gains
from proofs.science.coverage_over_seeds import SHIFTED, effect_sizes, service
from proofs.science.populations import POPULATIONS, bounds_of, covered

pytestmark = pytest.mark.long  # thousands of draws


def test_a_right_interval_covers_and_one_too_narrow_does_not() -> None:
    values = np.random.default_rng(1).standard_normal((5, 20_000))
    low, high = bounds_of(t_intervals(values))
    assert covered(low, high, 0.0) == pytest.approx(0.95, abs=0.006)
    half = (high - low) / 4
    middle = (high + low) / 2
    known = 2 * stats.t.cdf(stats.t.ppf(0.975, 4) / 2, 4) - 1
    assert covered(middle - half, middle + half, 0.0) == pytest.approx(known, abs=0.01)


def test_populations_have_the_means_and_spreads_that_they_say() -> None:
    for population in (*POPULATIONS, SHIFTED):
        drawn = population.draw(np.random.default_rng(2), (1000, 1000))
        error = float(drawn.std()) / 1000
        assert float(drawn.mean()) == pytest.approx(population.mean, abs=6 * error)
        assert float(stats.trim_mean(drawn.ravel(), 0.25)) == pytest.approx(population.middle, abs=6 * error)
        assert float(drawn.std()) == pytest.approx(population.spread, rel=0.05)


def test_exact_coverage_is_that_of_a_hand_count() -> None:
    # n = 2: the bounds of 0 of 2 reach to 1 − √.025 = .842. Just above, only counts 1 and 2 hold p.
    p = 1 - math.sqrt(0.025) + 1e-9
    found = exact(2)
    assert found["least"] == pytest.approx(1 - (1 - p) ** 2, abs=1e-6)
    assert found["least"] >= 0.95


def test_pairs_counted_exactly_agree_with_a_simulation() -> None:
    cell = (0.5, 0.5, 0.0)
    found = newcombe(5)
    rng = np.random.default_rng(3)
    first, second = rng.random((5, 4000)) < cell[0], rng.random((5, 4000)) < cell[1]
    intervals = tuple(
        paired_success_difference(ones.tolist(), twos.tolist()) for ones, twos in zip(first.T, second.T, strict=True)
    )
    simulated = covered(*bounds_of(intervals), 0.0)
    assert found["least"] <= simulated + 0.01
    assert found["mean"] >= 0.95


def test_layers_held_at_once_are_fewer_than_each_alone() -> None:
    rows = {(row["population"], row["layers"], row["n"]): row["coverage"] for row in coverage.simultaneous(1000)}
    assert all(rows[("normal", layers, 5)] > 0.93 for layers in (5, 30))


def test_gains_of_many_networks_are_those_of_theory() -> None:
    rows = {row["gain"].partition(",")[0]: row for row in gains(nets=250)}  # of the last batch, 64
    assert abs(rows["G"]["mean"]) < 1.0
    assert rows["G"]["one run"] > 0.85
    assert rows["gain per layer"]["mean"] == pytest.approx(0.0, abs=0.03)
    assert rows["gain per step"]["mean"] == pytest.approx(-math.log(math.sqrt(3.0)), abs=0.03)  # 1/√3 a step


def test_what_the_service_gives_is_held_against_what_it_speaks_of() -> None:
    rows = {(row["population"], row["n"]): row for row in service(50, 50, processes=1)}
    few, many = rows[("normal", 10)], rows[("normal", 20)]
    assert few["share"] == {"t": 1.0}
    assert few["coverage"] == few["t"]
    assert many["share"]["BCa"] >= 0.9
    assert all(row["coverage"] >= 0.8 for (name, _), row in rows.items() if "skewed" not in name)
    assert all(sum(row["share"].values()) == pytest.approx(1.0) for row in rows.values())
    heavy = rows[("skewed (lognormal, σ = 1)", 50)]
    assert heavy["share"]["IQM, BCa"] > 0.5
    assert heavy["coverage_by_method"]["IQM, BCa"] >= 0.8  # its mean, 1.65, lies in few of them


def test_effect_sizes_of_normal_differences_are_held_as_often_as_promised() -> None:
    rows = [row for row in effect_sizes(1_000) if row["population"].startswith("normal")]
    assert len(rows) == 10
    assert all(row["coverage"] == pytest.approx(0.95, abs=0.025) for row in rows)


def test_every_interval_of_an_answer_has_its_place_in_the_tables() -> None:
    assert fields_with_bounds(Comparison) | fields_with_bounds(Verdict) == set(coverage.GIVEN)


def fields_with_bounds(shape: type) -> set[str]:
    """Names of fields, however deep, whose values have a ``low`` and a ``high``."""
    found = set()
    for name, annotation in get_type_hints(shape).items():
        for inner in shapes_in(annotation):
            bounded = {"low", "high"} <= get_type_hints(inner).keys()
            found |= {name} if bounded else fields_with_bounds(inner)
    return found


def shapes_in(annotation: object) -> Iterator[type]:
    if isinstance(annotation, type) and (is_dataclass(annotation) or issubclass(annotation, BaseModel)):
        yield annotation
    for part in get_args(annotation):
        yield from shapes_in(part)
