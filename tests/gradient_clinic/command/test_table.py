"""A comparison in a terminal: complete where there is room, never mangled where there is none."""

import io
from typing import Any

import pytest
from rich.console import Console

from gradient_clinic.command import table


def shown(value: dict[str, Any], width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    table.show(console, value)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def variant(name: str, **parts: Any) -> dict[str, Any]:
    return {"name": name, "sentence": f"What {name} did.", **parts}


def estimate(mean: float, low: float | None = None, high: float | None = None, method: str = "t") -> dict[str, Any]:
    return {"mean": mean, "low": low, "high": high, "n": 5, "method": method}


COMPARISON = {
    "metric": "accuracy",
    "notes": ["at this learning rate only"],
    "variants": [
        variant(
            "baseline",
            verdict={"kind": "vanishing", "at_start": {"total_gain": estimate(-26.1, -26.6, -25.6)}},
            outcomes={"success": {"count": 0, "of": 5}, "metric": None},
            versus_baseline=None,
        ),
        variant(
            "batch_norm",
            verdict={"kind": "healthy", "at_start": {"total_gain": estimate(3.45)}},
            outcomes={"success": {"count": 5, "of": 5}, "metric": estimate(0.951, 0.94, 0.962)},
            gradient={"at_start": {"gain_per_layer": estimate(1.21)}, "predicted": {"gain_per_layer": 1.2112}},
            cost={"step_time_ratio": estimate(1.42)},
            versus_baseline={"layers": [{}, {}], "repaired_layers": ["hidden.0"]},
        ),
    ],
}


def test_figures_come_with_their_uncertainty_and_what_is_missing_is_a_dash() -> None:
    lines = [line.split() for line in shown(COMPARISON).splitlines()]
    assert ["baseline", "vanishing", "-26.1", "±0.5", "–", "–", "0/5", "–", "–", "–"] in lines
    healthy = ["batch_norm", "healthy", "+3.5", "1.210", "1.211", "5/5", "0.951", "±0.011", "1/2", "1.42×"]
    assert healthy in lines


def test_the_gain_of_one_hidden_layer_is_a_dash() -> None:
    """G is 0 by definition there."""
    alone = {"judged": False, "total_gain": estimate(0.0, 0.0, 0.0)}
    text = shown({"variants": [variant("baseline", verdict={"kind": "stalled", "at_start": alone})]})
    assert next(line.split()[:3] for line in text.splitlines() if "stalled" in line) == ["baseline", "stalled", "–"]


def test_every_variant_has_its_sentence_and_the_notes_follow() -> None:
    text = shown(COMPARISON)
    assert "What baseline did." in text
    assert text.rstrip().endswith("Note: at this learning rate only")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_a_narrow_terminal_loses_columns_and_no_letters(width: int) -> None:
    text = shown(COMPARISON, width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "…" not in text
    assert "vanishing" in text
    assert "batch_norm" in text


def test_a_variant_of_which_nothing_is_known_is_still_shown() -> None:
    bare: dict[str, Any] = {
        "variants": [{"name": "l2", "verdict": None, "outcomes": None, "gradient": {}, "cost": None}]
    }
    assert ["l2", "–", "–", "–", "–", "–", "–", "–", "–"] in [line.split() for line in shown(bare).splitlines()]


def test_a_refusal_names_field_value_reason_and_what_is_allowed() -> None:
    console = Console(file=io.StringIO(), width=100, highlight=False)
    errors = [
        {"field": "network.depth", "value": 0, "message": "is too small", "allowed": {"ge": 2}},
        {"field": "loss", "value": "l3", "message": "is not known", "allowed": ["cross_entropy", "mse"]},
    ]
    table.show_refusal(console, {"title": "Unprocessable", "detail": "two values cannot be", "errors": errors})
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "The spec was refused: two values cannot be",
        "  network.depth = 0: is too small (allowed: ≥ 2)",
        "  loss = l3: is not known (allowed: cross_entropy, mse)",
    ]


def test_a_refusal_is_told_once() -> None:
    """The API's detail is the messages of its fields in one line."""
    console = Console(file=io.StringIO(), width=100, highlight=False)
    errors = [{"field": "loss", "value": "l3", "message": "is not known", "allowed": ["mse"]}]
    table.show_refusal(console, {"title": "Unprocessable", "detail": "loss: is not known", "errors": errors})
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == ["The spec was refused:", "  loss = l3: is not known (allowed: mse)"]


def test_an_interval_that_ends_at_what_is_possible_is_shown_by_its_ends() -> None:
    metric = estimate(0.96, 0.8329, 1.0)
    cut = shown({"metric": "accuracy", "variants": [variant("l2", outcomes={"success": {}, "metric": metric})]})
    assert "0.833 to 1.000" in cut
    assert "±" not in cut


def test_rates_two_groups_and_bootstrap_intervals_are_shown_where_there_are_any() -> None:
    modes = [{"n": 3, "mean": 0.11}, {"n": 2, "mean": 0.96}]
    metric = estimate(0.951, 0.93, 0.962, "IQM, BCa")
    two = variant(
        "baseline", tuned={"learning_rate": 0.003}, outcomes={"success": {}, "metric": metric, "modes": modes}
    )
    one = variant("l2", tuned={"learning_rate": 0.01}, outcomes={"success": {}, "metric": metric, "modes": None})
    text = shown({"metric": "accuracy", "variants": [two, one]}, width=120)
    for said in ("rate", "0.003", "0.01", "3 near 0.110", "2 near 0.960", "0.930 to 0.962", "IQM, BCa"):
        assert said in text
    assert "rate" not in shown(COMPARISON | {"notes": []})
