"""The chance level is the least loss of a constant answer: found here by descent on torch's own loss."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.specs.loss import Objective
from worker.datasets.chance import chance_of_labels, class_weights
from worker.datasets.split import IGNORED, Part, TrialData

LABELS = torch.tensor([0] * 11 + [1] * 5 + [2] * 3 + [3])
WEIGHTS = (0.5, 1.0, 2.0, 4.0)


def least(loss: nn.Module, y: Tensor, answer: Tensor) -> float:
    """Of the loss over all constant answers, by Newton-like descent from ``answer``."""
    answer = answer.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([answer], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-16,
                                  line_search_fn="strong_wolfe")  # fmt: skip

    def closure() -> float:
        optimizer.zero_grad()
        value: Tensor = loss(answer.expand(len(y), -1), y)
        value.backward()  # type: ignore[no-untyped-call]
        return value.item()

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return closure()


def floor(y: Tensor, weights: Tensor, smoothing: float) -> float:
    """The least loss of one who knows every label: case by case, the entropy of its smoothed label."""
    classes, total = len(weights), 0.0
    for label in y.tolist():
        shares = [weights[c] * ((1 - smoothing) * (c == label) + smoothing / classes) for c in range(classes)]
        total += float(sum(-share * math.log(share / sum(shares)) for share in shares if share > 0))
    return total / float(weights[y].sum())


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("weights", [None, WEIGHTS, "balanced"])
def test_chance_is_the_least_loss_of_a_constant_answer_above_what_smoothed_labels_allow(
    weights: Any, smoothing: float
) -> None:
    objective = Objective("cross_entropy", weights, smoothing)
    counts = torch.bincount(LABELS).double()
    w = {None: torch.ones(4), WEIGHTS: torch.tensor(WEIGHTS), "balanced": 20.0 / (4.0 * counts)}[weights].double()
    loss = nn.CrossEntropyLoss(weight=None if weights is None else w, label_smoothing=smoothing)
    expected = least(loss, LABELS, torch.zeros(1, 4, dtype=torch.float64)) - floor(LABELS, w, smoothing)
    assert chance_of_labels(counts, objective) == pytest.approx(expected, rel=1e-9)


def test_balanced_classes_have_the_chance_of_equal_ones() -> None:
    for counts in ([900.0, 90.0, 10.0], [1.0, 1.0, 1.0]):
        chance = chance_of_labels(torch.tensor(counts, dtype=torch.float64), Objective("cross_entropy", "balanced"))
        assert chance == pytest.approx(math.log(3))


def test_a_class_without_a_case_counts_as_if_it_had_one() -> None:
    weights = class_weights(torch.tensor([6.0, 0.0, 2.0], dtype=torch.float64), Objective("cross_entropy", "balanced"))
    assert weights.tolist() == pytest.approx([8 / 18, 8 / 3, 8 / 6])


def test_steps_behind_an_end_have_no_label() -> None:
    y = torch.tensor([[0, 1, IGNORED], [1, 1, 1]])
    part = Part(torch.zeros(2, 3, 1), y)
    data = TrialData(part, part, part, classes=2, target="class_per_step")
    expected = -(0.2 * math.log(0.2) + 0.8 * math.log(0.8))
    assert data.chance_level(Objective("cross_entropy")) == pytest.approx(expected)


VALUES = torch.tensor([[-3.0, 0.1], [0.2, 0.15], [0.25, 900.0], [7.0, 0.4], [0.3, 0.7], [55.0, -2.0]]).double()


def data_of(y: Tensor, **changes: Any) -> TrialData:
    part = Part(torch.zeros(len(y), 1), y)
    return TrialData(part, part, part, **changes)


def test_chance_under_mae_is_the_least_mean_distance_from_one_number_for_each_output() -> None:
    """Which is reached at one of the values."""
    least_of_each = [min(float((y - c).abs().mean()) for c in y) for y in VALUES.T]
    found = data_of(VALUES, classes=2, target="value").chance_level(Objective("mae"))
    assert found == pytest.approx(sum(least_of_each) / 2, rel=1e-12)


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_chance_under_huber_is_the_least_loss_of_one_number_for_each_output(scale: float) -> None:
    y = VALUES * scale
    start = y.quantile(0.5, dim=0, keepdim=True)
    found = data_of(y, classes=2, target="value").chance_level(Objective("huber"))
    assert found == pytest.approx(least(nn.HuberLoss(), y, start), rel=1e-9)


def test_chance_under_binary_cross_entropy_is_the_least_loss_of_one_answer() -> None:
    one_hot = nn.functional.one_hot(LABELS, 4).double()
    expected = least(nn.BCEWithLogitsLoss(), one_hot, torch.zeros(1, 4, dtype=torch.float64))
    assert data_of(LABELS, classes=4).chance_level(Objective("binary_cross_entropy")) == pytest.approx(expected)


def test_a_set_of_ten_thousand_classes_needs_no_table_of_pairs() -> None:
    counts = torch.ones(10_000, dtype=torch.float64)
    found = chance_of_labels(counts, Objective("cross_entropy", None, 0.1))
    own, other = 0.9 + 0.1 / 10_000, 0.1 / 10_000
    assert found == pytest.approx(math.log(10_000) + own * math.log(own) + 9_999 * other * math.log(other))
