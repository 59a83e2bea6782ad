"""Both meters give the same numbers, those of the formula, and the one for devices copies once."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gradient_clinic.activations import SHAPES, Activation
from gradient_clinic.probe.meters import meter_for
from gradient_clinic.probe.meters.device import DeviceMeter
from gradient_clinic.probe.meters.host import HostMeter
from gradient_clinic.probe.meters.meter import Meter
from gradient_clinic.probe.points import Point
from gradient_clinic.probe.probe import Probe, attach
from gradient_clinic.signals import SIGNALS
from models.plan import Plan
from proofs.gpu.recording import CountOperations
from tests.worker.trials import plan_of, trainer_of

SCALES = [1e-38, 1e-30, 1e-16, 1e-3, 1.0, 1e3, 1e18, 1e25]
SIZES = [(1, 1), (7, 5), (128, 64), (130, 127)]


def tensors(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    drawn = [torch.randn(size, generator=random, dtype=torch.float64) * scale for scale in SCALES for size in SIZES]
    extreme = [torch.zeros(4, 4), torch.full((3, 3), 3e38), torch.full((2, 2), 1e-45)]
    extreme += [torch.tensor([[1.0, math.nan], [math.inf, 1.0]]), torch.tensor([[1.0, -math.inf]])]
    transposed = torch.randn(6, 4, generator=random).T
    return [its.to(dtype) for its in [*drawn, *extreme, transposed]]


def found_by(kind: type[Meter], given: list[Tensor], activation: str) -> dict[str, Any]:
    """What a meter says of layers whose h, δ, ∂L/∂W and W are all ``given``, and W is halved by an update."""
    weights = [its.clone() for its in given]
    points = [Point(str(at), weight, nn.Identity(), Activation(activation)) for at, weight in enumerate(weights)]
    meter = kind(points)
    for index, its in enumerate(given):
        weights[index].grad = its
        meter.see_delta(index, meter.see_h(index, its), its)
    total = meter.settle(given[:3])
    for weight in weights:
        weight.mul_(0.5)
    some = meter.norm(given[:12])
    matrix, numbers, _ = meter.read([total, some, 2.5, torch.tensor(3)], updated=True)
    return {"numbers": numbers, **dict(zip(SIGNALS, matrix, strict=True))}


@pytest.mark.parametrize("activation", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_meters_of_host_and_device_agree(dtype: torch.dtype, activation: str) -> None:
    host, there = (found_by(kind, tensors(dtype), activation) for kind in (HostMeter, DeviceMeter))
    for name, row in host.items():
        np.testing.assert_allclose(row, there[name], rtol=1e-6 if dtype == torch.float32 else 1e-12, err_msg=name)


def test_the_meters_agree_on_the_device_at_hand(device: torch.device) -> None:
    host = found_by(HostMeter, tensors(), "hardtanh")
    given = [its.to(device) for its in tensors()]
    there = found_by(meter_for(device), given, "hardtanh")
    for name, row in host.items():
        np.testing.assert_allclose(row, there[name], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("kind", [HostMeter, DeviceMeter])
def test_norms_maxima_and_counts_are_those_of_the_formula(kind: type[Meter]) -> None:
    given = tensors()
    found = found_by(kind, given, "relu")
    wide = [its.double().numpy() for its in given]
    norms = [math.sqrt((its * its).sum()) for its in wide]
    for name in ("weight_gradient_norm", "weight_norm"):
        np.testing.assert_allclose(found[name], norms, rtol=1e-6)
    # Halving 1e-45, the smallest number there is, gives 0.
    change = [float((its - 0.5 * its).double().square().sum().sqrt()) for its in given]
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(found["update_ratio"], np.array(change) / norms, rtol=1e-6)
    for name in ("activation_rms", "activation_gradient_rms"):
        np.testing.assert_allclose(found[name], [math.sqrt((its * its).mean()) for its in wide], rtol=1e-6)
    np.testing.assert_array_equal(found["weight_gradient_max"], [np.abs(its).max() for its in wide])
    np.testing.assert_array_equal(found["nonfinite_count"], [3 * (~np.isfinite(its)).sum() for its in wide])
    assert math.isnan(found["numbers"][0])
    expected = [math.sqrt(sum((its * its).sum() for its in wide[:12])), 2.5, 3.0]
    assert found["numbers"][1:] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", [HostMeter, DeviceMeter])
@pytest.mark.parametrize(
    ("function", "units", "dead", "saturated"),
    [
        ("relu", [[-1.0, 0.0, 1.0, math.nan], [-2.0, 0.0, -1.0, -1.0]], 0.5, 0.0),
        ("hardtanh", [[-2.0, 1.0, 0.5, math.nan], [2.0, 3.0, 2.0, 2.0]], 0.5, 6 / 8),
        ("softshrink", [[-0.5, 0.2, 0.6, math.nan], [0.5, 0.0, 0.0, 0.0]], 0.5, 0.0),
        ("hardswish", [[-4.0, -3.0, -2.0, -math.inf], [-5.0, -3.0, -9.0, math.nan]], 0.5, 0.0),
        ("tanh", [[-9.0, 0.0, 9.0, math.nan]], 0.0, 0.5),
        ("gelu", [[-90.0, 90.0]], 0.0, 0.0),
    ],
)
def test_dead_units_and_saturated_entries_are_counted_by_hand(
    kind: type[Meter], function: str, units: list[list[float]], dead: float, saturated: float
) -> None:
    found = found_by(kind, [torch.tensor(units)], function)
    assert (found["dead_fraction"][0], found["saturated_fraction"][0]) == (dead, saturated)


def test_half_precision_is_read_too() -> None:
    given = [torch.full((40, 40), 100.0, dtype=dtype) for dtype in (torch.float16, torch.bfloat16)]
    for kind in (HostMeter, DeviceMeter):
        np.testing.assert_allclose(found_by(kind, given, "relu")["weight_norm"], 4000.0)


def test_weights_of_two_types_in_one_model_lose_nothing() -> None:
    given = [torch.full((3, 3), 1e-30), torch.full((2, 2), 1e-170, dtype=torch.float64)]
    found = found_by(HostMeter, given, "identity")
    np.testing.assert_allclose(found["weight_norm"], [3e-30, 2e-170], rtol=1e-6)
    np.testing.assert_allclose(found["update_ratio"], 0.5, rtol=1e-6)


def test_an_update_of_nothing_is_exactly_zero() -> None:
    for kind, dtype in itertools.product((HostMeter, DeviceMeter), (torch.float32, torch.float64)):
        weight = torch.ones(4, 4, dtype=dtype)
        weight.grad = torch.zeros_like(weight)
        meter = kind([Point("0", weight, nn.Identity(), None)])
        meter.see_delta(0, meter.see_h(0, weight), weight)
        meter.settle([])
        matrix, _, _ = meter.read([], updated=True)
        found = dict(zip(SIGNALS, matrix[:, 0], strict=True))
        assert (found["update_ratio"], found["weight_gradient_norm"], found["weight_gradient_max"]) == (0.0, 0.0, 0.0)


def test_a_channel_is_the_unit_of_a_convolution() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU())
    convolution = model[0]
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.bias.copy_(torch.tensor([-1.0, 1.0, 1.0, 1.0]))
    probe = attach(model)
    model(torch.randn(3, 1, 5, 5)).sum().backward()
    assert probe.record().dead_fraction.tolist() == [0.25]


# --- what recording costs ---------------------------------------------------------------------------------------


REMEDIES = [{"kind": "l2"}, {"kind": "clip_norm", "max_norm": 0.1}]


def counted(kind: type[Meter] | None, plan: Plan) -> CountOperations:
    """What the second step does, measured by a meter, or by none."""
    trainer = trainer_of(plan, record=kind is not None)
    if kind is not None:
        assert isinstance(trainer.probe, Probe)
        trainer.probe.meter = kind(trainer.probe.points)
    trainer.step(0)
    step = CountOperations()
    with step:
        trainer.step(1)
    return step


@pytest.mark.parametrize("remedies", [[], REMEDIES[:1], REMEDIES[1:], REMEDIES], ids=["none", "l2", "clip", "both"])
def test_a_recorded_step_copies_to_the_host_once(remedies: list[dict[str, Any]]) -> None:
    """By the meter for devices, whose copy on a CPU is one as well."""
    network = {"hidden": [12] * 5, "normalization": {"kind": "batch_norm"}}
    step = counted(DeviceMeter, plan_of(network, remedies=remedies, design="add_all"))
    assert sum(step.copies.values()) == 1, step.copies


MOST_OPERATIONS = {"relu": 9, "tanh": 9, "hardtanh": 21}
"""Per layer: views of h, W and δ, one count of ∂L/∂W's non-finite entries, and what dead and saturated units take."""


@pytest.mark.parametrize("activation", MOST_OPERATIONS)
def test_a_recorded_step_takes_few_operations_a_layer_on_a_device_and_none_on_the_host(activation: str) -> None:
    added = {}
    for depth in (5, 10):
        plan = plan_of({"hidden": [12] * depth, "activation": activation})
        plain = counted(None, plan).operations
        added[depth] = [counted(kind, plan).operations.total() - plain.total() for kind in (DeviceMeter, HostMeter)]
    (few, one), (more, still_one) = added[5], added[10]
    assert (more - few) / 5 <= MOST_OPERATIONS[activation]
    assert (one, still_one) == (1, 1)  # the loss, as a number


def test_an_unrecorded_step_copies_nothing_and_does_nothing_else() -> None:
    plans = [plan_of({"hidden": [12] * 5}, trace={"every": 2}, remedies=[REMEDIES[1]]) for _ in range(2)]
    recorded_elsewhere, never_recorded = counted(HostMeter, plans[0]), counted(None, plans[1])
    assert not recorded_elsewhere.copies
    assert recorded_elsewhere.operations == never_recorded.operations


def test_the_counter_above_sees_a_copy() -> None:
    with CountOperations() as seen:
        torch.ones(3).sum().item()
        torch.ones(3).to("cpu", copy=True)
    assert sum(seen.copies.values()) == 2


def test_a_trial_recorded_by_the_meter_for_devices_is_the_same() -> None:
    host, device = (trainer_of(plan_of({"activation": "relu6"})) for _ in range(2))
    assert isinstance(device.probe, Probe)
    device.probe.meter = DeviceMeter(device.probe.points)
    for step in range(3):
        one, other = host.step(step), device.step(step)
        assert one is not None
        assert other is not None
        for name in one.__dataclass_fields__:
            if name not in {"layers", "times", "step_seconds", "overhead_seconds"}:
                np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-6, err_msg=name)
