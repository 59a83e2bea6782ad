"""The report's rows of variants: every mark where its figure is, and the figures beside it."""

import datetime as dt
import re
import uuid

import pytest

from api.report.page import render
from api.report.rows import forest, reached
from models.analysis.comparison import Comparison, RunRow, Trial, compare
from models.plan import expand
from models.specs.experiment import ExperimentSpec
from models.tables import Experiment
from tests.models.analysis.compared import BASE, FIRST, SECOND, SPEC, compared, run, with_metrics

DEAD = [run(trained="no", test_metric=metric) for metric in (0.10, 0.11, 0.12)]


def circles(drawn: str, kind: str) -> list[float]:
    return [float(x) for x in re.findall(rf'<circle cx="([0-9.]+)" cy="[0-9.]+" r="4" class="{kind}"/>', drawn)]


def test_two_groups_are_two_marks_and_one_group_is_one() -> None:
    comparison = compared({BASE: [*DEAD, *with_metrics(0.95, 0.97)], FIRST: with_metrics(0.90, 0.91, 0.92, 0.93, 0.94)})
    drawn = reached(comparison.variants, "accuracy")
    lower, upper = circles(drawn, "mode")
    (one,) = circles(drawn, "measured")
    # The axis runs from 0.10 at 202 to 0.97 at 600.
    assert [lower, upper, one] == pytest.approx([202 + 398 * (v - 0.10) / 0.87 for v in (0.11, 0.96, 0.92)], abs=0.06)
    assert "3 near 0.11, 2 near 0.96: no one mean" in drawn
    assert "2 of 5 train" in drawn
    assert "0.92 (0.9 to 0.94)" in drawn


def test_a_variant_of_which_nothing_trains_has_no_mark() -> None:
    comparison = compared({BASE: DEAD, FIRST: with_metrics(0.9, 0.92)})
    drawn = reached(comparison.variants, "accuracy")
    assert "no run trains" in drawn
    assert len(circles(drawn, "measured")) == 1
    assert reached(compared({BASE: DEAD}).variants, "accuracy") == ""
    assert reached(compared({}).variants, "accuracy") == ""


def test_the_method_is_named_where_it_is_not_students() -> None:
    base = [0.90 + 0.001 * (seed % 7) for seed in range(24)]
    better = [value + 0.02 + 0.0005 * (seed % 5) for seed, value in enumerate(base)]
    comparison = compared({BASE: with_metrics(*base), FIRST: with_metrics(*better)})
    assert re.search(r"0\.903 \(0\.902 to 0\.904\) BCa<", reached(comparison.variants, "accuracy"))
    assert re.search(
        r"accuracy \+0\.021 \(\+0\.0207 to \+0\.0213\) paired BCa<", forest(comparison.variants, "accuracy")
    )
    few = compared({BASE: with_metrics(*base[:5]), FIRST: with_metrics(*better[:5])})
    assert "BCa" not in reached(few.variants, "accuracy") + forest(few.variants, "accuracy")


def test_rates_of_their_own_stand_beside_the_names() -> None:
    drawn = forest(tuned().variants, "accuracy")
    assert "2 of 2 train, learning rate 0.1<" in drawn
    assert "learning rate" not in forest(compared({BASE: [run()] * 2, FIRST: [run()] * 2}).variants, "accuracy")


def test_the_pages_table_gives_rates_successes_and_bounds_that_are_not_symmetric() -> None:
    experiment = Experiment(id=uuid.uuid4(), name="e", state="succeeded", created_at=dt.datetime.now(dt.UTC))
    page = render(experiment, tuned(), {})
    assert f"<td>{FIRST} <span class=dim>rate 0.1</span></td>" in page
    assert "2/2 <span class=dim>16% to 100%</span>" in page  # by hand: 0.025^½
    assert "<h2>What the runs reached</h2><svg" in page
    many = compared({BASE: with_metrics(*(0.90 + 0.001 * (seed % 7) for seed in range(24)))})
    assert "0.903 <span class=dim>0.902 to 0.904, BCa</span>" in render(experiment, many, {})


def tuned() -> Comparison:
    asked = SPEC.model_dump(mode="json") | {"dataset": {"kind": "digits"}}
    spec = ExperimentSpec.model_validate(asked | {"tune": {"learning_rate": [0.001, 0.01, 0.1]}})
    rates = {BASE: 0.01, FIRST: 0.1, SECOND: 0.01}
    rows = [RunRow(name, seed, "succeeded", run(), rate) for name, rate in rates.items() for seed in (0, 1)]
    return compare(Trial("e", spec, expand(spec), rows))
