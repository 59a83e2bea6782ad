"""A probe on other people's models: true, refused where it cannot be, and gone after ``detach``."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gradient_clinic.probe.meters.device import DeviceMeter
from gradient_clinic.probe.probe import LARGE, StepRecord, attach
from gradient_clinic.signals import SIGNALS
from tests.worker.trials import record_of


def user_model(*, inplace: bool) -> nn.Sequential:
    random = torch.Generator().manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(inplace), nn.Linear(8, 7), nn.LeakyReLU(0.1, inplace),
        nn.Sequential(nn.Linear(7, 5), nn.Hardtanh(inplace=inplace)), nn.Linear(5, 3),
    )  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=random)
    return model


def user_records(model: nn.Module, *, probed: bool = True) -> list[StepRecord]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = attach(model, optimizer) if probed else None
    x = torch.randn(9, 6, generator=torch.Generator().manual_seed(1))
    records = []
    for _ in range(3):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        if probe is not None:
            records.append(probe.record())
    if probe is not None:
        probe.detach()
    return records


def test_activations_in_place_give_the_same_records_as_others() -> None:
    for plain, inplace in zip(
        user_records(user_model(inplace=False)), user_records(user_model(inplace=True)), strict=True
    ):
        for name in SIGNALS:
            np.testing.assert_array_equal(getattr(plain, name), getattr(inplace, name), err_msg=name)


def test_h_is_read_behind_the_norm_and_delta_at_the_same_place() -> None:
    model = user_model(inplace=False)
    record = user_records(model)[0]
    model = user_model(inplace=False)
    h = model[1](model[0](torch.randn(9, 6, generator=torch.Generator().manual_seed(1))))
    (delta,) = torch.autograd.grad(model[2:](h).square().mean(), h)
    assert record.layers == ("0", "3", "5.0", "6")
    assert record.activation_rms[0] == pytest.approx(h.square().mean().sqrt().item(), rel=1e-6)
    assert record.activation_gradient_rms[0] == pytest.approx(delta.square().mean().sqrt().item(), rel=1e-6)
    assert record.dead_fraction[0] == (h <= 0).all(0).double().mean().item()


@pytest.mark.parametrize("inplace", [False, True])
def test_a_user_model_trains_bit_by_bit_as_without_a_probe(inplace: bool) -> None:  # noqa: FBT001
    with_probe, without = user_model(inplace=inplace), user_model(inplace=inplace)
    user_records(with_probe)
    user_records(without, probed=False)
    for one, other in zip(with_probe.state_dict().values(), without.state_dict().values(), strict=True):
        assert torch.equal(one, other)


class Careless(nn.Module):
    """Overwrites h by a function that no probe can find."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(self.linear(x))


def test_h_is_measured_on_the_host_before_anything_can_overwrite_it() -> None:
    model, x = Careless(), torch.randn(3, 4)
    h = model.linear(x).detach()
    record = record_of(model, x)
    assert record.activation_rms[0] == pytest.approx(h.square().mean().sqrt().item(), rel=1e-6)
    assert record.activation_gradient_rms[0] == pytest.approx((h > 0).double().mean().sqrt().item(), rel=1e-6)


def test_h_that_a_device_would_measure_too_late_is_refused() -> None:
    model = Careless()
    probe = attach(model, meter=DeviceMeter)
    with pytest.raises(RuntimeError, match="linear was overwritten"):
        model(torch.ones(3, 4)).sum().backward()
    probe.detach()


def test_a_model_that_changes_its_type_or_size_is_measured_as_it_is_now() -> None:
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    probe = attach(model, optimizer)
    for kind, units in ((torch.float32, 3), (torch.float64, 3), (torch.float32, 5)):
        model.weight.data, model.bias.data = torch.ones(units, 4, dtype=kind), torch.zeros(units, dtype=kind)
        optimizer.zero_grad()
        model(torch.ones(2, 4, dtype=model.weight.dtype)).sum().backward()
        before = model.weight.detach().clone()
        optimizer.step()
        record = probe.record()
        assert record.weight_norm[0] == pytest.approx(before.norm().item(), rel=1e-6)
        assert record.update_ratio[0] == pytest.approx(1.0 / before.square().mean().sqrt().item(), rel=1e-6)


def test_large_weights_are_read_as_small_ones_are() -> None:
    """Theirs is another path: as soon as the gradient is there."""
    large, small = nn.Linear(200, 200), nn.Linear(200, 3)
    assert [its.weight.numel() >= LARGE for its in (large, small)] == [True, False]
    model = nn.Sequential(large, nn.ReLU(), small)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = attach(model, optimizer)
    weights = [its.weight.detach().clone() for its in (large, small)]
    for _ in range(2):  # what is recorded is the sum of both passes
        model(torch.ones(2, 200)).sum().backward()
    gradients = [its.weight.grad.clone() for its in (large, small) if its.weight.grad is not None]
    optimizer.step()
    record = probe.record()
    np.testing.assert_allclose(record.weight_norm, [its.double().norm() for its in weights], rtol=1e-6)
    np.testing.assert_allclose(record.weight_gradient_norm, [its.double().norm() for its in gradients], rtol=1e-6)
    np.testing.assert_array_equal(record.weight_gradient_max, [its.abs().max() for its in gradients])
    ratios = [0.1 * float(one.norm() / other.norm()) for one, other in zip(gradients, weights, strict=True)]
    np.testing.assert_allclose(record.update_ratio, ratios, rtol=1e-5)


def test_a_layer_used_twice_is_read_at_its_last_use() -> None:
    linear = nn.Linear(4, 4)
    probe = attach(linear)
    first = linear(torch.ones(3, 4))
    last = linear(first)
    last.sum().backward()
    record = probe.record()
    assert record.activation_rms[0] == pytest.approx(last.square().mean().sqrt().item(), rel=1e-6)
    assert record.activation_gradient_rms[0] == 1.0


def test_a_model_without_weight_matrices_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to measure"):
        attach(nn.Sequential(nn.ReLU(), nn.BatchNorm1d(3)))


def test_a_record_without_a_backward_pass_is_refused() -> None:
    model = nn.Linear(3, 3)
    probe = attach(model)
    model(torch.ones(2, 3))
    with pytest.raises(RuntimeError, match="no backward pass"):
        probe.record()


def test_without_an_update_the_ratio_is_missing_and_not_zero() -> None:
    record = record_of(nn.Linear(3, 3), torch.ones(2, 3))
    assert np.isnan(record.update_ratio).all()


def test_gradients_are_read_before_the_user_clips_them() -> None:
    model = user_model(inplace=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = attach(model, optimizer)
    model(torch.randn(9, 6, generator=torch.Generator().manual_seed(1))).square().mean().backward()
    norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-3))
    optimizer.step()
    record = probe.record()
    assert norm > 1e-2
    assert record.gradient_norm == pytest.approx(norm, rel=1e-5)


def test_accumulated_gradients_are_read_whole() -> None:
    model = nn.Linear(4, 3)
    probe = attach(model)
    for _ in range(2):
        model(torch.ones(2, 4)).sum().backward()
    np.testing.assert_allclose(probe.record().weight_gradient_max, 4.0)


def test_a_weight_that_moves_between_steps_is_followed() -> None:
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    probe = attach(model, optimizer)
    ratios = []
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.ones(2, 4)).sum().backward()
        optimizer.step()
        ratios.append(probe.record())
        model.weight.data = torch.ones(3, 4)
    # ∂L/∂W is 2 everywhere, so the update is 1 everywhere, as large as the weight is.
    np.testing.assert_allclose([record.update_ratio[0] for record in ratios[1:]], 1.0)


def everything_on(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[object]:
    """What hangs on the modules, the parameters and the optimiser, in comparable form."""
    modules = [sorted(vars(module)) for module in model.modules()]
    hooks = [len(module._forward_hooks) + len(module._backward_hooks) for module in model.modules()]  # noqa: SLF001
    parameters = [(sorted(vars(one)), one._backward_hooks, one.grad) for one in model.parameters()]  # noqa: SLF001
    return [modules, hooks, parameters, sorted(vars(optimizer)), list(optimizer._optimizer_step_pre_hooks)]  # noqa: SLF001


def test_detach_leaves_no_hook_no_attribute_and_no_gradient() -> None:
    model = user_model(inplace=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = everything_on(model, optimizer)
    probe = attach(model, optimizer)
    assert everything_on(model, optimizer) != before
    probe.detach()
    assert everything_on(model, optimizer) == before


@pytest.mark.parametrize("units", [4, 200])  # read at the end of backward, and as soon as the gradient is there
def test_a_weight_that_two_layers_share_has_the_gradient_of_both(units: int) -> None:
    first, second = nn.Linear(units, units), nn.Linear(units, units)
    second.weight = first.weight
    model = nn.Sequential(first, nn.Tanh(), second)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = attach(model, optimizer)
    model(torch.ones(3, units)).square().mean().backward()
    assert first.weight.grad is not None
    norm = float(first.weight.grad.double().norm())
    optimizer.step()
    record = probe.record()
    np.testing.assert_allclose(record.weight_gradient_norm, [norm, norm], rtol=1e-6)
    assert record.update_ratio[0] == record.update_ratio[1] > 0
