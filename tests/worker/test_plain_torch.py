"""Runs through the engine beside the same training as a slow loop of plain torch, in float64."""

import pytest
import torch
from torch import Tensor, nn

from tests.worker.plain_torch import perceptron, start_as, train_by_engine, train_plainly
from tests.worker.trials import plan_of
from worker.datasets import load

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


def test_standardised_targets_train_as_torch_trains_them_and_r2_is_that_of_the_targets_as_they_came() -> None:
    teacher = {"kind": "teacher_student", "cases": 80, "outputs": 2, "singular_values": [200.0, 3.0]}
    asked = {"dataset": teacher, "optimizer": SGD, "steps": 10, "remedies": [{"kind": "standardise_targets"}]}
    plan = plan_of({"init": {"kind": "kaiming_normal"}}, **asked)
    raw, data = load(plan.experiment.dataset, 0), load(plan.dataset, 0)
    mean, sd = raw.train.y.double().mean(0), raw.train.y.double().std(0, correction=0)

    model = start_as(perceptron(plan, nn.ReLU()), plan)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    expected = train_plainly(model, plan, nn.MSELoss(), optimizer)
    losses, result = train_by_engine(plan)
    assert losses == pytest.approx(expected, rel=1e-9)
    assert result.chance_level == pytest.approx(1.0, rel=1e-6)
    assert result.test_loss == pytest.approx(
        nn.MSELoss()(model(data.test.x.double()), data.test.y.double()).item(), rel=1e-9
    )
    said = model(data.test.x.double()).detach() * sd + mean
    known = raw.test.y.double()
    r2 = 1.0 - float((said - known).square().mean() / (known - known.mean(0)).square().mean())
    assert result.test_metric == pytest.approx(r2, rel=1e-5)
