"""Runs through the engine beside the same training as a slow loop of plain torch, in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.plan import expand
from tests.networks import EVERY_KIND
from tests.worker.plain_torch import batches, perceptron, start_as, train_by_engine, train_plainly
from tests.worker.trials import plan_of, run_of, spec_of_kind, trainer_of
from worker.datasets import load
from worker.datasets.split import Part
from worker.evaluation import balanced_accuracy, evaluate
from worker.objective import Objective

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


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, "balanced", [1.0, 5.0, 0.2, 1.0, 1.0, 3.0, 1.0, 0.5, 1.0, 1.0]])
def test_weighted_classes_and_smoothed_labels_train_as_torch_trains_them(
    weights: list[float] | str | None, smoothing: float
) -> None:
    """With the loss of torch less the least that smoothed labels allow, which is a constant of each batch."""
    plan = plan_of(optimizer=SGD, steps=8, class_weights=weights, label_smoothing=smoothing)
    data = load(plan.dataset, 0)
    counts = torch.bincount(data.train.y).double()
    w = counts.sum() / (10 * counts) if weights == "balanced" else torch.tensor(weights or [1.0] * 10).double()
    theirs = nn.CrossEntropyLoss(weight=w, label_smoothing=smoothing)

    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        smoothed = (1 - smoothing) * nn.functional.one_hot(y, 10).double() + smoothing / 10
        shares = smoothed * w
        least = -torch.special.xlogy(shares, shares / shares.sum(dim=1, keepdim=True)).sum() / w[y].sum()
        above: Tensor = theirs(outputs, y) - least
        return above

    model = start_as(perceptron(plan, nn.ReLU()), plan)
    expected = train_plainly(model, plan, loss, torch.optim.SGD(model.parameters(), lr=0.1))
    losses, result = train_by_engine(plan)
    assert losses == pytest.approx(expected, rel=1e-9)
    outputs = model(data.test.x.double())
    assert result.test_loss == pytest.approx(loss(outputs, data.test.y).item(), rel=1e-9)
    assert result.test_metric == pytest.approx(float((outputs.argmax(dim=1) == data.test.y).double().mean()))


def test_a_part_that_is_evaluated_in_stretches_has_the_loss_of_the_whole() -> None:
    """Stretches differ in the weights of their labels, and the mean is over weights."""
    trainer = trainer_of(plan_of(class_weights="balanced", label_smoothing=0.1), record=False)
    whole, _ = evaluate(trainer.model, trainer.objective, trainer.test_part)
    again, _ = evaluate(trainer.model, trainer.objective, trainer.test_part, at_once=50)
    assert again == pytest.approx(whole, rel=1e-6)


def test_balanced_accuracy_is_the_mean_over_the_classes_that_occur() -> None:
    plan = plan_of(optimizer=SGD, steps=60, metric="balanced_accuracy", class_weights="balanced")
    _, result = train_by_engine(plan)
    model = perceptron(plan, nn.ReLU())
    trainer = trainer_of(plan, dtype=torch.float64, record=False)
    for step in range(plan.steps):
        trainer.step(step)
    with torch.no_grad():
        for its, other in zip(model.parameters(), trainer.model.parameters(), strict=True):
            its.copy_(other)
    part = load(plan.dataset, 0).test
    said, y = model(part.x.double()).argmax(dim=1).tolist(), part.y.tolist()
    shares = [
        sum(one == label for one, other in zip(said, y, strict=True) if other == label) / y.count(label)
        for label in set(y)
    ]
    assert result.test_metric == pytest.approx(sum(shares) / len(shares))
    assert result.majority_share is None
    assert 0.1 < result.test_metric < 1.0


def test_a_class_that_does_not_occur_takes_no_part_in_balanced_accuracy() -> None:
    plan = plan_of(metric="balanced_accuracy")
    data = load(plan.dataset, 0)
    objective = Objective(plan, data, torch.device("cpu"))
    outputs = nn.functional.one_hot(torch.tensor([0, 0, 1, 5]), 10).double()
    tally = objective.tally(outputs, torch.tensor([0, 1, 1, 1])) + objective.tally(outputs, torch.tensor([0, 0, 1, 1]))
    assert objective.metric(tally, data.test) == pytest.approx((3 / 3 + 2 / 5) / 2)


@pytest.mark.parametrize(("loss", "theirs"), [("mae", nn.L1Loss()), ("huber", nn.HuberLoss())])
def test_losses_of_values_train_as_torch_trains_them(loss: str, theirs: nn.Module) -> None:
    teacher = {"kind": "teacher_student", "cases": 80, "outputs": 2, "singular_values": [4.0, 1.0]}
    plan = plan_of(dataset=teacher, optimizer=SGD, steps=10, loss=loss)
    data = load(plan.dataset, 0)
    model = start_as(perceptron(plan, nn.ReLU()), plan)
    expected = train_plainly(model, plan, theirs, torch.optim.SGD(model.parameters(), lr=0.1))
    losses, result = train_by_engine(plan)
    assert losses == pytest.approx(expected, rel=1e-9)
    outputs, y = model(data.test.x.double()).detach(), data.test.y.double()
    assert result.test_loss == pytest.approx(theirs(outputs, y).item(), rel=1e-9)
    r2 = 1.0 - float((outputs - y).square().mean() / (y - y.mean(0)).square().mean())
    assert result.test_metric == pytest.approx(r2, rel=1e-6)


def test_binary_cross_entropy_of_one_hot_labels_trains_as_torch_trains_it() -> None:
    plan = plan_of(optimizer=SGD, steps=10, loss="binary_cross_entropy")
    theirs = nn.BCEWithLogitsLoss()

    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        value: Tensor = theirs(outputs, nn.functional.one_hot(y, 10).double())
        return value

    model = start_as(perceptron(plan, nn.ReLU()), plan)
    expected = train_plainly(model, plan, loss, torch.optim.SGD(model.parameters(), lr=0.1))
    losses, result = train_by_engine(plan)
    assert losses == pytest.approx(expected, rel=1e-9)
    part = load(plan.dataset, 0).test
    assert result.test_loss == pytest.approx(loss(model(part.x.double()), part.y).item(), rel=1e-9)


@pytest.mark.parametrize("listed", [False, True])
def test_batch_norm_behind_the_activation_trains_as_torch_trains_it(listed: bool) -> None:  # noqa: FBT001
    network: dict[str, Any] = {"kind": "mlp", "hidden": [12, 9]}
    if listed:
        layers: list[dict[str, Any]] = [{"kind": "flatten"}]
        for units in (12, 9):
            layers += [{"kind": "linear", "units": units}, {"kind": "activation", "function": "relu"}]
        network = {"kind": "sequential", "layers": layers}
    after = {"kind": "batch_norm", "position": "after"}
    asked = {"remedies": [after], "optimizer": SGD, "steps": 12, "batch_size": 20}
    plan = expand(spec_of_kind({"network": network, **asked}))[1].plan
    model = nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(64, 12), nn.ReLU(), nn.BatchNorm1d(12)),
        *(nn.Linear(12, 9), nn.ReLU(), nn.BatchNorm1d(9)),
        nn.Linear(9, 10),
    ).double()
    start_as(model, plan)
    expected = train_plainly(model, plan, nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=0.1))
    losses, result = train_by_engine(plan)
    assert losses == pytest.approx(expected, rel=1e-8)
    model.eval()
    part = load(plan.dataset, 0).test
    assert result.test_loss == pytest.approx(nn.CrossEntropyLoss()(model(part.x.double()), part.y).item(), rel=1e-6)


FROZEN: list[tuple[list[str], dict[str, Any]]] = [
    (["hidden.0"], {}),
    (["hidden.1", "output"], {"remedies": [{"kind": "clip_norm", "max_norm": 0.05}]}),
    (["output"], {"remedies": [{"kind": "l2", "strength": 0.1, "layers": "all"}]}),
    (["hidden.0"], {"remedies": [{"kind": "weight_decay", "strength": 0.5, "layers": "all"}]}),
]


@pytest.mark.parametrize(("names", "changes"), FROZEN, ids=str)
def test_frozen_layers_keep_their_weights_and_the_others_train_as_torch_trains_them(
    names: list[str], changes: dict[str, Any]
) -> None:
    plan = plan_of({"frozen": names}, optimizer=SGD | {"momentum": 0.9}, steps=8, **changes)
    model = start_as(perceptron(plan, nn.ReLU()), plan)
    linears = dict(
        zip(("hidden.0", "hidden.1", "output"), (its for its in model if isinstance(its, nn.Linear)), strict=True)
    )
    held = [its for name, linear in linears.items() if name not in names for its in linear.parameters()]
    weights = [linear.weight for name, linear in linears.items() if name not in names]
    optimizer = torch.optim.SGD(held, lr=0.1, momentum=0.9)
    remedy = changes.get("remedies", [{"kind": None}])[0]
    expected = []
    for x, y in batches(plan):
        model.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        seen = [float(linear.weight.grad.norm()) for linear in linears.values() if linear.weight.grad is not None]
        with torch.no_grad():
            for weight in weights:
                if remedy["kind"] == "l2" and weight.grad is not None:
                    weight.grad += 2 * remedy["strength"] * weight
                if remedy["kind"] == "weight_decay":
                    weight.mul_(1.0 - 0.1 * remedy["strength"])
        total = torch.cat([its.grad.flatten() for its in held if its.grad is not None]).norm().item()
        if remedy["kind"] == "clip_norm":
            nn.utils.clip_grad_norm_(held, remedy["max_norm"])
        optimizer.step()
        expected.append((loss.item(), seen, total))
    records, _, _ = run_of(plan, dtype=torch.float64)
    for record, (value, seen, total) in zip(records, expected, strict=True):
        assert record.loss == pytest.approx(value, rel=1e-8)
        assert record.weight_gradient_norm == pytest.approx(seen, rel=1e-6)
        assert record.total_gradient_norm == pytest.approx(total, rel=1e-6)
        still = [ratio == 0.0 for ratio in record.update_ratio]
        assert still == [name in names for name in linears]


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_of_every_network_all_layers_but_one_can_be_frozen(kind: str) -> None:
    asked = EVERY_KIND[kind]
    (free,) = expand(spec_of_kind(asked))
    names = [layer.name for layer in free.plan.layers[:-1]]
    plan = expand(spec_of_kind({**asked, "network": {**asked["network"], "frozen": names}}))[0].plan
    records, _, _ = run_of(plan)
    for record in records:
        assert (record.update_ratio[:-1] == 0.0).all()
        assert record.update_ratio[-1] > 0.0
        assert (record.weight_gradient_norm[-1:] > 0.0).all()


def test_a_balanced_accuracy_counts_every_label_alike_among_the_first_cases() -> None:
    class Zero(nn.Module):
        def forward(self, x: Tensor, _lengths: Tensor | None) -> Tensor:
            return torch.tensor([1.0, 0.0]).expand(len(x), 2)

    part = Part(torch.zeros(5, 1), torch.tensor([0, 0, 0, 1, 1]))
    assert balanced_accuracy(Zero(), part) == 0.5
    assert balanced_accuracy(Zero(), part, most=3) == 1.0


def test_a_run_tells_its_balanced_accuracy_where_labels_are_uneven() -> None:
    """Four first names of five are female; digits has as many of each."""
    for dataset, network, told in (
        ({"kind": "names"}, {"kind": "rnn", "width": 4}, True),
        ({"kind": "digits"}, {"kind": "mlp", "hidden": [4]}, False),
    ):
        spec = spec_of_kind({"dataset": dataset, "network": network}, steps=1)
        found = run_of(expand(spec)[0].plan)[2].balanced_accuracy
        assert (found is not None) == told
