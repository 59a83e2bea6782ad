"""The report's rows of variants: every mark where its figure is, and the figures beside it."""

import dataclasses
import datetime as dt
import re
import uuid

import pytest

from api.report.forest import caption, forest, reached
from api.report.numbers import in_words
from api.report.page import render
from api.report.table import table
from models.analysis.comparison.compare import Comparison, RunRow, Trial, compare
from models.plan import expand
from models.specs.experiment import ExperimentSpec
from models.storage.tables import Experiment
from tests.models.analysis.compared import BASE, FIRST, MODEL, SECOND, SPEC, compared, part, run, with_metrics
from tests.models.analysis.shown_cases import CASES, Case

DEAD = [run(trained="no", test_metric=metric) for metric in (0.10, 0.11, 0.12)]


def circles(drawn: str, kind: str) -> list[float]:
    return [float(x) for x in re.findall(rf'<circle cx="([0-9.]+)" cy="[0-9.]+" r="4" class="{kind}"/>', drawn)]


def test_two_groups_are_two_marks_and_one_group_is_one() -> None:
    comparison = compared({BASE: [*DEAD, *with_metrics(0.95, 0.97)], FIRST: with_metrics(0.90, 0.91, 0.92, 0.93, 0.94)})
    drawn = reached(comparison.variants, "accuracy")
    lower, upper = circles(drawn, "mode")
    (one,) = circles(drawn, "measured")
    # The axis runs from 0.10 at 202 to 0.97 at 545.
    assert [lower, upper, one] == pytest.approx([202 + 343 * (v - 0.10) / 0.87 for v in (0.11, 0.96, 0.92)], abs=0.06)
    assert "3 near 0.11, 2 near 0.96: no one mean" in drawn
    assert "2 of 5 train" in drawn
    assert "0.920 (0.900 to 0.940)" in drawn


def test_a_variant_of_which_nothing_trains_has_a_pale_mark_of_what_its_runs_reached() -> None:
    comparison = compared({BASE: DEAD, FIRST: with_metrics(0.9, 0.92)})
    drawn = reached(comparison.variants, "accuracy")
    # Student's at two degrees of freedom: 4.3027 · 0.01/√3.
    assert "no run trains; all 3: 0.110 (0.085 to 0.135)<" in drawn
    assert len(circles(drawn, "measured")) == 1
    assert len(circles(drawn, "all")) == 1
    dead = reached(compared({BASE: DEAD}).variants, "accuracy")
    assert circles(dead, "measured") == []
    assert circles(dead, "all") == pytest.approx([373.5], abs=0.06)  # alone on its axis, in the middle of 202 to 545
    assert reached(compared({}).variants, "accuracy") == ""


def test_where_some_runs_train_those_and_all_are_marked() -> None:
    some = [run(trained="partly", test_metric=0.5), *with_metrics(0.6, 0.7)]
    drawn = reached(compared({BASE: some, FIRST: with_metrics(0.6, 0.7)}).variants, "accuracy")
    assert len(circles(drawn, "measured")) == 2
    assert len(circles(drawn, "all")) == 1
    assert "0.65 (0.01 to 1.00); all 3: 0.60 (0.35 to 0.85)<" in drawn


def test_a_mark_beside_a_prediction_is_told_below_and_to_screen_readers() -> None:
    comparison = compared({BASE: [run()], FIRST: [run()], SECOND: [run()]})
    sure = comparison.variants[0].gradient.predicted.model_copy(update={"caveats": ()})
    unsure = sure.model_copy(update={"caveats": ("Theory is of <wide> layers.",)})
    given = zip(comparison.variants, (sure, unsure, unsure), strict=True)
    variants = tuple(
        its.model_copy(update={"gradient": its.gradient.model_copy(update={"predicted": theory})})
        for its, theory in given
    )
    drawn = table(comparison.model_copy(update={"variants": variants}), None)
    marks = re.findall(r"<span role=img aria-label=\"([^\"]+)\" title=\"\1\">\?</span>", drawn)
    assert marks == ["may be off, as is said below"] * 2
    assert f"<li>{FIRST}, {SECOND}: Theory is of &lt;wide&gt; layers.</li>" in drawn
    without = table(comparison.model_copy(update={"variants": variants[:1]}), None)
    assert "?" not in without
    assert "may be off" not in without


def test_one_hidden_layer_has_a_dash_in_the_place_of_a_gain() -> None:
    comparison = compared({BASE: [run()]})
    baseline = comparison.variants[0]
    start = baseline.gradient.at_start
    assert start is not None
    assert "G at start" in table(comparison, None)
    alone = baseline.gradient.model_copy(
        update={"at_start": start.model_copy(update={"judged": False, "gain_per_layer": None}), "at_end": None}
    )
    page = table(comparison.model_copy(update={"variants": (baseline.model_copy(update={"gradient": alone}),)}), None)
    assert "G at start" not in page


def test_no_drawn_accuracy_lies_beyond_1() -> None:
    drawn = reached(compared({BASE: with_metrics(0.95, 0.975), FIRST: with_metrics(0.9, 0.99)}).variants, "accuracy")
    assert "0.95 (0.37 to 1.00)<" in drawn  # 0.945 − 12.706 · 0.045
    ticks = [float(tick) for tick in re.findall(r'text-anchor="middle">([0-9.]+)</text>', drawn)]
    assert ticks == [0.4, 0.6, 0.8, 1.0]


def test_the_forest_says_by_which_method_its_intervals_are() -> None:
    dead, alive = DEAD, with_metrics(0.9, 0.92, 0.91)
    shares = caption(compared({BASE: dead, FIRST: alive, SECOND: dead}).variants, "accuracy")
    assert "Newcombe's score interval" in shares
    assert shares.count("share that trains") == 1
    better = with_metrics(0.93, 0.94, 0.95)
    both = caption(compared({BASE: alive, FIRST: better, SECOND: dead}).variants, "accuracy")
    assert "accuracy: mean difference over the seeds that train with and without the remedy" in both
    assert "Student's paired t" in both
    assert "Newcombe" in both
    base = [0.90 + 0.001 * (seed % 7) for seed in range(24)]
    higher = [value + 0.02 + 0.0005 * (seed % 5) for seed, value in enumerate(base)]
    many = compared({BASE: with_metrics(*base), FIRST: with_metrics(*higher)})
    assert "the paired BCa bootstrap" in caption(many.variants, "accuracy")
    assert caption(compared({BASE: alive}).variants, "accuracy") == ""


def test_the_forest_shows_what_the_grade_rests_on() -> None:
    """Nothing trains, so both shares are 0; one variant comes further by its loss, and says so of itself."""
    chance = MODEL.facts.chance_level
    stuck, falling = (
        [
            dataclasses.replace(run(trained="no", test_metric=0.1), final_loss=chance * (share + spread * seed))
            for seed in range(6)
        ]
        for share, spread in ((0.9, 0.0), (0.6, 0.01))
    )
    comparison = compared({BASE: stuck, FIRST: falling, SECOND: stuck})
    versus = part(comparison, FIRST).versus_baseline
    assert versus is not None
    assert versus.grade is not None
    assert (versus.grade.by, versus.primary) == ("loss", "success_difference")
    drawn, below = (drawing(comparison.variants, "accuracy") for drawing in (forest, caption))
    assert "way closed by loss +0.27" in re.sub("<[^>]+>", " ", drawn).replace("  ", " ")
    assert "share that trains 0" in re.sub("<[^>]+>", " ", drawn)
    first, second = circles(drawn, "measured")
    assert first - second > 50.0
    assert "way closed by loss: share of the way from chance to the best possible, mean difference" in below
    alone = [one for one in comparison.variants if one.name != SECOND]
    assert "difference in way closed by loss<" in forest(alone, "accuracy", 340)
    assert "difference to the baseline<" in forest(comparison.variants, "accuracy", 340)


AXES = {
    "success_difference": "difference in share that trains",
    "metric_difference": "difference in accuracy",
    "metric_progress": "difference in way closed by accuracy",
    "loss_progress": "difference in way closed by loss",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_forest_draws_what_a_variant_is_shown_by(case: Case) -> None:
    comparison = case.compared()
    versus = comparison.variants[1].versus_baseline
    assert versus is not None
    drawn = forest(comparison.variants, "accuracy")
    assert bool(drawn) == (case.shown_by in AXES)
    if versus.shown_difference is not None:
        assert f">{AXES[versus.shown_by or '']}<" in drawn
        assert f">{in_words(versus.shown_difference, signed=True)}<" in drawn


def test_the_method_is_named_where_it_is_not_students() -> None:
    base = [0.90 + 0.001 * (seed % 7) for seed in range(24)]
    better = [value + 0.02 + 0.0005 * (seed % 5) for seed, value in enumerate(base)]
    comparison = compared({BASE: with_metrics(*base), FIRST: with_metrics(*better)})
    assert re.search(r"0\.903 \(0\.902 to 0\.904\) BCa<", reached(comparison.variants, "accuracy"))
    drawn = forest(comparison.variants, "accuracy")
    assert re.search(r">\+0\.0210 \(\+0\.0207 to \+0\.0213\) paired BCa<", drawn)
    assert "difference in accuracy<" in drawn
    few = compared({BASE: with_metrics(*base[:5]), FIRST: with_metrics(*better[:5])})
    assert "BCa" not in reached(few.variants, "accuracy") + forest(few.variants, "accuracy")


def test_rates_of_their_own_stand_beside_the_names() -> None:
    drawn = forest(tuned().variants, "accuracy")
    assert "2 of 2 train, learning rate 0.1<" in drawn
    assert "learning rate" not in forest(compared({BASE: [run()] * 2, FIRST: [run()] * 2}).variants, "accuracy")


def test_the_pages_table_gives_rates_successes_and_bounds_that_are_not_symmetric() -> None:
    page = page_of(tuned())
    assert f"<td>{FIRST} <span class=dim>rate 0.1</span></td>" in page
    assert "2/2 <span class=dim>16% to 100%</span>" in page  # by hand: 0.025^½
    assert "<h2>What the runs reached</h2><div class=wide><svg" in page
    many = compared({BASE: with_metrics(*(0.90 + 0.001 * (seed % 7) for seed in range(24)))})
    assert "0.903 <span class=dim>0.902 to 0.904, BCa</span>" in page_of(many)


def test_the_answer_has_a_line_for_each_sentence() -> None:
    page = page_of(compared({BASE: DEAD, FIRST: with_metrics(0.9, 0.92)}))
    told = re.search(r"<p class=answer>(.*?)</p>", page)
    assert told is not None
    lines = told.group(1).split("<br>")
    trains = f"use {FIRST}, and confirm it on more than 2 seeds"
    assert lines[0] == f"The network trains without a remedy; to improve it, {trains}."
    assert len(lines) >= 2
    assert all(line.endswith(".") and ". " not in line for line in lines)


def test_the_table_has_both_ends_and_no_empty_column() -> None:
    moved = [run(start=-8.0, end=-2.0, step_seconds=0.001), run(start=-6.0, end=-1.0, step_seconds=0.001)]
    page = page_of(compared({BASE: [run()] * 2, FIRST: moved}))
    titles = re.findall(r"<th[^>]*>([^<]*)</th>", page)
    assert titles == ["variant", "verdict", "G at start", "G at end", "gain per layer", "in theory", *titles[6:]]
    assert titles[6:] == ["learned", "accuracy", "step time"]
    assert "<td>-7.0 <span class=dim>±12.7</span></td><td>-1.5 <span class=dim>±6.4</span></td>" in page
    empty = re.findall(r"<th[^>]*>([^<]*)</th>", page_of(compared({})))
    assert empty == ["variant", "verdict", "in theory"]


def test_the_table_shows_what_runs_reached_that_have_not_learned() -> None:
    page = page_of(compared({BASE: DEAD, FIRST: with_metrics(0.9, 0.92)}))
    assert "<td><span class=dim>all 3 runs: 0.110 <span class=dim>±0.025</span></span></td>" in page
    groups = page_of(compared({BASE: [*DEAD, *with_metrics(0.95, 0.97)]}))
    assert "<span class=dim>3 near 0.11, 2 near 0.96</span>" in groups


def test_bounds_that_are_not_even_are_a_range() -> None:
    assert "0.960 <span class=dim>0.833 to 1.000</span>" in page_of(compared({BASE: with_metrics(0.95, 0.97)}))
    slower = [run(step_seconds=MODEL.facts.step_seconds * factor) for factor in (2.0, 8.0)]
    page = page_of(compared({BASE: [run()] * 2, FIRST: slower}))
    # ln of the factors is 1.386 ± 12.706 · 0.693: a range of factors.
    assert "×4 <span class=dim>×0.000599 to ×2.67e+04</span>" in page
    assert "<td>×1</td>" in page


def page_of(comparison: Comparison) -> str:
    now = dt.datetime.now(dt.UTC)
    return render(Experiment(id=uuid.uuid4(), name="e", state="succeeded", created_at=now, spec=SPEC), comparison, {})


def tuned() -> Comparison:
    asked = SPEC.model_dump(mode="json") | {"dataset": {"kind": "digits"}}
    spec = ExperimentSpec.model_validate(asked | {"tune": {"learning_rate": [0.001, 0.01, 0.1]}})
    rates = {BASE: 0.01, FIRST: 0.1, SECOND: 0.01}
    rows = [RunRow(name, seed, "succeeded", run(), rate) for name, rate in rates.items() for seed in (0, 1)]
    return compare(Trial("e", spec, expand(spec), rows))
