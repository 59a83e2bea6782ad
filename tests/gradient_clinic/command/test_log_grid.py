"""A log on the grid of records: whatever its distances, no value is invented and none is lost unsaid."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradient_clinic.command.codes import MisusedError
from gradient_clinic.command.log_grid import Laid, laid
from gradient_clinic.command.log_roles import Asked, Roles, roles_of
from gradient_clinic.command.series import Point, gathered


def on_grid(loss: Any, rate: Any = (), evaluated: Any = (), metric: Any = ()) -> Laid:
    """Each is pairs of a step and a value."""
    named = {"loss": loss, "lr": rate, "eval_loss": evaluated, "eval_accuracy": metric}
    points = (Point(name, *pair) for name, pairs in named.items() for pair in pairs)
    written = gathered(points, lambda _: True)
    roles = {"rate": "lr", "validation": "eval_loss", "metric": "eval_accuracy"}
    there = {role: name if name in written else None for role, name in roles.items()}
    known = Roles("loss", there["rate"], None, there["validation"], there["metric"], "accuracy", (), ())
    return laid({name: its.in_order() for name, its in written.items()}, known)


def test_even_distances_are_kept_value_by_value() -> None:
    """As transformers' trainer writes them: the mean of ten steps at the end of these."""
    found = on_grid([(10, 2.0), (20, 1.0), (30, 0.5)], [(10, 0.3), (20, 0.2), (30, 0.1)])
    assert (found.every, found.offset, found.steps, found.remarks) == (10, 0, 30, ())
    assert found.curves["loss"].tolist() == [2.0, 1.0, 0.5]
    assert found.curves["learning_rate"].tolist() == [0.3, 0.2, 0.1]


@pytest.mark.parametrize(
    ("steps", "made"),
    [
        ((0, 10, 20, 30), 31),  # step 30 is the 31st, and nothing says that more were made
        ((10, 20, 30, 40), 40),
        ((1, 2, 3), 3),
        ((0, 1, 2), 3),
        ((5, 15, 25), 25),
        ((5_000, 5_010), 11),
        ((0,), 1),
    ],
)
def test_as_many_steps_were_made_as_the_log_shows(steps: tuple[int, ...], made: int) -> None:
    found = on_grid([(step, 1.0) for step in steps])
    assert (found.logged, found.steps) == ((steps[0], steps[-1]), made)
    assert found.steps > (found.records - 1) * found.every  # every record is a step of the run


def test_uneven_distances_are_means_within_the_largest() -> None:
    found = on_grid([(1, 4.0), (10, 2.0), (20, 1.0), (30, 0.5)])
    assert found.every == 10
    assert found.curves["loss"].tolist() == [3.0, 1.0, 0.5]
    assert found.remarks == ("4 losses at uneven distances are 3 records: each is the mean of those within 10 steps",)


def test_steps_come_in_any_order_and_the_later_of_two_counts() -> None:
    found = on_grid([(2, 1.0), (0, 3.0), (1, 9.0), (1, 2.0)])
    assert found.curves["loss"].tolist() == [3.0, 2.0, 1.0]


def test_one_step_is_one_record() -> None:
    found = on_grid([(7, 1.5)])
    assert (found.records, found.every, found.offset) == (1, 1, 7)


def test_a_log_that_begins_late_says_so() -> None:
    found = on_grid([(5_000, 1.0), (5_010, 0.9)], evaluated=[(5_005, 1.0)])
    assert (found.offset, found.remarks) == (5_000, ("the log begins at step 5,000, which is step 0 here",))
    assert found.evaluations is not None
    assert found.evaluations.steps.tolist() == [5]


def test_a_rate_that_is_missing_somewhere_is_left_out_by_name() -> None:
    found = on_grid([(0, 2.0), (1, 1.0), (2, 0.5)], [(0, 0.1), (2, 0.1)])
    assert set(found.curves) == {"loss"}
    assert found.remarks == ("lr is left out: it has no value in some of the 3 records",)


def test_evaluations_have_intervals_of_their_own() -> None:
    losses = [(step, 1.0) for step in range(100)]
    found = on_grid(losses, evaluated=[(33, 2.0), (99, 1.0)], metric=[(33, 0.5), (99, 0.9), (66, 0.7)])
    assert found.evaluations is not None
    assert found.evaluations.steps.tolist() == [33, 99]
    assert found.evaluations.loss is not None
    assert found.evaluations.metric is not None
    assert (found.evaluations.loss.tolist(), found.evaluations.metric.tolist()) == ([2.0, 1.0], [0.5, 0.9])
    assert on_grid(losses, metric=[(5, 0.1)]).evaluations is not None
    lacking = on_grid(losses, evaluated=[(33, 2.0), (99, 1.0)], metric=[(33, 0.5)])
    assert lacking.remarks == ("eval_accuracy is left out: it lacks values at steps of eval_loss",)


@pytest.mark.parametrize(
    ("losses", "broken"),
    [([1.0, np.nan], True), ([np.nan, 1.0], False), ([1.0, np.inf], True), ([1.0, 0.5], False)],
)
def test_what_is_followed_by_finite_values_has_broken_nothing(losses: list[float], broken: bool) -> None:  # noqa: FBT001
    found = on_grid(list(enumerate(losses)))
    assert found.ends_broken == broken
    np.testing.assert_array_equal(found.curves["loss"], losses)


@given(st.lists(st.tuples(st.integers(0, 500), st.floats(-1e6, 1e6)), min_size=1, max_size=60))
def test_no_record_is_empty_and_each_is_the_mean_of_its_steps(pairs: list[tuple[int, float]]) -> None:
    """Against a dictionary and a loop."""
    found, later = on_grid(pairs), dict(pairs)
    first = min(later)
    for record, value in enumerate(found.curves["loss"]):
        inside = [its for step, its in later.items() if (step - first) // found.every == record]
        assert inside
        assert value == pytest.approx(sum(inside) / len(inside), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    ("names", "asked", "said"),
    [
        (["step_time", "a"], Asked(), "no tag is a loss; there are step_time, a: say which one by --loss"),
        (["loss", "train/loss"], Asked(), "loss, train/loss may each be the loss: say which one by --loss"),
        (["loss"], Asked(loss="b"), "--loss b: there is no such tag; there are loss"),
        (["loss", "val_acc", "eval/accuracy"], Asked(), "may each be the metric: say which one by --metric"),
    ],
)
def test_names_that_say_too_little_are_asked_for(names: list[str], asked: Asked, said: str) -> None:
    with pytest.raises(MisusedError, match=re.escape(said)):
        roles_of(names, asked, "tag")


def test_names_of_usual_trainers_are_known() -> None:
    names = ["train/loss", "train/grad_norm", "train/learning_rate", "eval/loss", "eval/accuracy", "gradients/0.weight"]
    found = roles_of(names, Asked(), "tag")
    assert (found.loss, found.norm, found.rate) == ("train/loss", "train/grad_norm", "train/learning_rate")
    assert (found.validation, found.metric) == ("eval/loss", "eval/accuracy")
    assert (found.of_layers, found.unread) == (("gradients/0.weight",), ())
    assert roles_of(["loss", "val_r2"], Asked(), "tag").metric_is == "r2"
    several = roles_of(["loss", "eval_accuracy", "eval_f1"], Asked(metric="eval_f1", metric_is="accuracy"), "entry")
    assert (several.metric, several.unread) == ("eval_f1", ("eval_accuracy",))
