"""What a watch records is what a slow float64 oracle says, and a step is the optimiser's."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- as everybody calls it
from torch import Tensor, nn

from gradient_clinic.probe.meters import METERS
from gradient_clinic.signals import SIGNALS
from gradient_clinic.watcher.records import Record
from gradient_clinic.watcher.watch import Watch, watch
from tests.gradient_clinic.watcher.kinds import KINDS, Batch, batch_of, made, of_weight, told

ONLY_IN_H = ("activation_rms", "activation_gradient_rms", "dead_fraction", "saturated_fraction")


@pytest.fixture(params=["host", "device"])
def meter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With numba, and by torch alone."""
    if request.param == "device":
        monkeypatch.delitem(METERS, "cpu")


def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, watched: Watch | None = None) -> Tensor:
    optimizer.zero_grad()
    loss = F.cross_entropy(model(batch[0]), batch[1])
    if watched is not None:
        watched.loss(loss)
    torch.autograd.backward(loss)
    optimizer.step()
    return loss.detach()


def last(watched: Watch) -> Record:
    return watched.records.kept()[-1]


def compared(watched: Watch, record: Record, before: Any, batch: Batch, rtol: float = 1e-9) -> Iterator[str]:
    """The names of the rows whose every signal is the oracle's; a row without a weight, or a place, has NaN there."""
    its = told(before, batch)
    weights = [dict(model.named_parameters()) for model in (before, its.model, watched.model)]
    for index, row in enumerate(watched.rows):
        found = dict(zip(SIGNALS, record.matrix[:, index], strict=True))
        expected: dict[str, float] = {**dict.fromkeys(SIGNALS, np.nan), "nonfinite_count": 0.0}
        if row.weight is not None:
            name = next(name for name, its in watched.model.named_parameters() if its is row.weight)
            gradient = weights[1][name].grad
            assert gradient is not None
            expected.update(of_weight(weights[0][name].detach(), gradient, weights[2][name].detach()))
        if row.place is not None:
            function = None if row.activation is None else row.activation.function
            expected.update(its.of_h(row.name, function, row.place.unit_axis))
        for name in SIGNALS:
            np.testing.assert_allclose(
                found[name], expected[name], rtol=rtol, atol=1e-12, err_msg=f"{row.name}: {name}"
            )
        yield row.name
    assert record.curves["loss"] == pytest.approx(its.loss, rel=rtol)
    total = torch.cat([its.grad.flatten() for its in its.model.parameters() if its.grad is not None]).norm()
    assert record.curves["gradient_norm"] == pytest.approx(float(total), rel=rtol)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("meter")
def test_every_signal_of_every_row_is_the_oracle_s(kind: str) -> None:
    """From the first step on, which is followed, over others, which are heard."""
    model = made(kind)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    watched = watch(model, optimizer, every=1)
    for number in range(3):
        before, batch = copy.deepcopy(model), batch_of(kind, number)
        step(model, optimizer, batch, watched)
        assert not watched.closed, watched.remarks
        rows = set(compared(watched, last(watched), before, batch))
        assert rows >= told(before, batch).h.keys()
    assert watched.steps == watched.records.count == 3


# --- a step is the optimiser's --------------------------------------------------------------------------------------


def test_passes_that_accumulate_are_one_step_with_h_of_the_last() -> None:
    model = made("tanh")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watched = watch(model, optimizer, every=1)
    parts = [batch_of("tanh", number) for number in range(3)]
    before = copy.deepcopy(model)
    for inputs, labels in parts:
        torch.autograd.backward(watched.loss(F.cross_entropy(model(inputs), labels)))
    optimizer.step()
    gradients = [told(before, part).model[0].weight.grad for part in parts]
    single = told(before, parts[-1])
    found = dict(zip(SIGNALS, last(watched).matrix[:, 0], strict=True))
    assert found["weight_gradient_norm"] == pytest.approx(float(sum(gradients).norm()))
    assert found["activation_gradient_rms"] == pytest.approx(single.of_h("0", None, -1)["activation_gradient_rms"])
    assert last(watched).curves["loss"] == pytest.approx(np.mean([told(before, part).loss for part in parts]))


@pytest.mark.parametrize("kind", ["lbfgs", "sgd"])
def test_a_step_with_a_closure_is_recorded_where_it_begins(kind: str) -> None:
    model, batch = made("tanh"), batch_of("tanh", 0)
    optimizers: dict[str, Any] = {"lbfgs": torch.optim.LBFGS, "sgd": torch.optim.SGD}
    optimizer = optimizers[kind](model.parameters(), lr=0.1)
    watched = watch(model, optimizer, every=1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(batch[0]), batch[1])
        torch.autograd.backward(loss)
        return loss

    for _ in range(2):
        before = copy.deepcopy(model)
        optimizer.step(closure)
        assert set(compared(watched, last(watched), before, batch))
    assert not watched.remarks


def test_several_optimisers_that_step_in_turn_make_one_step() -> None:
    model, batch = made("tanh"), batch_of("tanh", 0)
    weights = list(model.parameters())
    first, second = (torch.optim.SGD(half, lr=0.1) for half in (weights[:4], weights[4:]))
    watched = watch(model, [first, second], every=1)
    before = copy.deepcopy(model)
    torch.autograd.backward(watched.loss(F.cross_entropy(model(batch[0]), batch[1])))
    first.step()
    assert watched.steps == 0
    second.step()
    assert set(compared(watched, last(watched), before, batch)) == {"0", "2", "4", "6", "8"}
    first.step()
    first.step()  # the other is left out
    assert watched.steps == 2


def test_of_a_pair_of_adversaries_each_has_a_watch_of_its_own() -> None:
    """The discriminator's record is of its own step, whatever passes went through it for the generator's."""
    generator, critic = made("tanh"), nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1)).double()
    of_generator, of_critic = (torch.optim.Adam(its.parameters(), lr=0.01) for its in (generator, critic))
    first, second = watch(generator, of_generator, every=1), watch(critic, of_critic, every=1)
    noise, real = batch_of("tanh", 0)[0], torch.randn(6, 3, dtype=torch.float64)
    for _ in range(3):
        made_up = generator(noise)
        of_critic.zero_grad()
        before = copy.deepcopy(critic)
        torch.autograd.backward(
            second.loss(F.softplus(-critic(real)).mean() + F.softplus(critic(made_up.detach())).mean())
        )
        of_critic.step()
        of_generator.zero_grad()
        torch.autograd.backward(first.loss(F.softplus(-critic(made_up)).mean()))
        of_generator.step()
        h = before[0](made_up.detach()).detach().requires_grad_()
        torch.autograd.backward(F.softplus(-before(real)).mean() + F.softplus(before[2](before[1](h))).mean())
        found = dict(zip(SIGNALS, last(second).matrix[:, 0], strict=True))
        assert found["activation_rms"] == pytest.approx(float(h.detach().square().mean().sqrt()))
        assert h.grad is not None
        assert found["activation_gradient_rms"] == pytest.approx(float(h.grad.square().mean().sqrt()))
    assert (first.steps, second.steps) == (3, 3)
    assert [row.activation and row.activation.function for row in second.rows] == ["leaky_relu", None]
    assert np.isfinite(last(first).matrix).all()


def test_an_optimiser_that_a_trainer_wraps_is_found() -> None:
    class Wrapped(torch.optim.Optimizer):
        def __init__(self, optimizer: torch.optim.Optimizer) -> None:  # as Accelerate does, without torch's own
            self.optimizer = optimizer

        def step(self) -> None:  # type: ignore[override]
            self.optimizer.step()

    model = made("tanh")
    wrapped = Wrapped(torch.optim.SGD(model.parameters(), lr=0.1))
    watched = watch(model, wrapped, every=1)
    torch.autograd.backward(model(batch_of("tanh", 0)[0]).sum())
    wrapped.step()
    assert watched.steps == watched.records.count == 1


@pytest.mark.parametrize("fused", [False, True])
def test_gradients_are_without_the_scale_of_the_loss_and_a_skipped_step_is_no_record(*, fused: bool) -> None:
    model, batch = made("tanh", torch.float32), batch_of("tanh", 0, torch.float32)
    optimizer = torch.optim.Adam(model.parameters(), fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    watched = watch(model, optimizer, every=1, scaler=scaler)
    for inputs in (batch[0], batch[0], batch[0] * torch.inf):
        before = copy.deepcopy(model)
        optimizer.zero_grad()
        torch.autograd.backward(scaler.scale(watched.loss(F.cross_entropy(model(inputs), batch[1]))))
        scaler.step(optimizer)
        scaler.update()
        if inputs is batch[0]:
            assert set(compared(watched, last(watched), before, batch, rtol=1e-4))
    assert watched.records.count == 2
    assert watched.reported().skipped == (1 if fused else 0)  # an ordinary optimiser is not asked to step at all
    assert watched.steps == (3 if fused else 2)
    assert last(watched).curves["loss_scale"] == 256.0


def test_gradients_are_recorded_before_clipping_by_the_drop_in() -> None:
    plain, batch = made("tanh"), batch_of("tanh", 0)
    model = copy.deepcopy(plain)
    watched = watch(model, torch.optim.SGD(model.parameters(), lr=0.1), every=1)
    before = copy.deepcopy(model)
    norms = []
    for its, clip in ((model, watched.clip_grad_norm_), (plain, nn.utils.clip_grad_norm_)):
        optimizer = watched.optimizers[0] if its is model else torch.optim.SGD(plain.parameters(), lr=0.1)
        torch.autograd.backward(watched.loss(F.cross_entropy(its(batch[0]), batch[1])))
        norms.append(float(clip(its.parameters(), 0.01)))
        optimizer.step()
    assert set(compared(watched, last(watched), before, batch))
    assert last(watched).curves["clipped"] == 1.0
    assert last(watched).curves["total_gradient_norm"] == pytest.approx(norms[0])
    assert norms[0] == norms[1]
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), plain.parameters(), strict=True))


def test_a_layer_that_a_later_pass_leaves_out_was_not_measured_there() -> None:
    class Sometimes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.extra, self.last = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
            self.short = False

        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu(self.first(x))
            logits: Tensor = self.last(x if self.short else torch.relu(self.extra(x)))
            return logits

    model = Sometimes().double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watched = watch(model, optimizer, every=1)
    for model.short in (False, True):
        step(model, optimizer, batch_of("mlp", 0), watched)
    rows = [row.name for row in watched.rows]
    assert rows == ["first", "extra", "last"]
    found = dict(zip(SIGNALS, last(watched).matrix[:, 1], strict=True))
    assert [name for name in SIGNALS if np.isnan(found[name])] == list(ONLY_IN_H)
    assert found["nonfinite_count"] == 0.0
    verdict = watched.reported().verdict
    assert verdict is not None  # the rules read it as a layer like the others


@pytest.mark.parametrize("every", [3, "1000s", "0.000001%"])
def test_other_steps_run_the_model_without_a_hook(every: float | str) -> None:
    model, batch = made("mlp"), batch_of("mlp", 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watched = watch(model, optimizer, every=every)
    hooked = []
    for _ in range(60):
        hooked.append(any(its._forward_hooks for its in model.modules()))  # noqa: SLF001 -- what is asked
        step(model, optimizer, batch, watched)
    steps = [number for number in range(60) if number % 3 == 0] if every == 3 else list(range(51))
    assert [record.step for record in watched.records.kept()] == steps
    assert [number for number, its in enumerate(hooked) if its] == steps


@pytest.mark.parametrize("every", ["1000s", "0.000001%"])
def test_a_loss_that_nobody_tells_ends_the_first_steps_sooner(every: str) -> None:
    model, (inputs, targets) = made("mlp"), batch_of("mlp", 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watched = watch(model, optimizer, every=every)
    for _ in range(60):
        optimizer.zero_grad()
        torch.autograd.backward(F.cross_entropy(model(inputs), targets))
        optimizer.step()
    assert [record.step for record in watched.records.kept()] == list(range(20))
