"""Runs through the engine beside the same training as a slow loop of plain torch, in float64."""

import pytest
import torch
from torch import Tensor, nn

from tests.worker.plain_torch import perceptron, start_as, train_by_engine, train_plainly
from tests.worker.trials import plan_of

SGD = {"kind": "sgd", "learning_rate": 0.1}


def test_equal_weights_train_as_torch_trains_them_and_stay_equal() -> None:
    plan = plan_of({"init": {"kind": "constant", "value": 0.05}}, optimizer=SGD, steps=20)
    model = perceptron(plan, nn.ReLU())
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.05 if parameter.dim() == 2 else 0.0)
    expected = train_plainly(model, plan, nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=0.1))
    losses, _ = train_by_engine(plan)
    assert losses == pytest.approx(expected, rel=1e-9)
    rows: Tensor = model[1].weight.detach()  # type: ignore[operator]  # a linear layer
    torch.testing.assert_close(rows, rows[:1].expand_as(rows))
    assert losses[-1] != losses[0]


def test_uniform_weights_train_as_torch_trains_them() -> None:
    plan = plan_of({"init": {"kind": "uniform", "low": -0.1, "high": 0.3}}, optimizer=SGD, steps=5)
    model = start_as(perceptron(plan, nn.ReLU()), plan)
    expected = train_plainly(model, plan, nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=0.1))
    assert train_by_engine(plan)[0] == pytest.approx(expected, rel=1e-9)
