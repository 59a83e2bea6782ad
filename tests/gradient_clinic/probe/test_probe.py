"""What the probe reads is true, costs one copy, and changes nothing."""

import math
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gradient_clinic.activations import SHAPES
from gradient_clinic.layers import Layer
from gradient_clinic.probe.probe import StepRecord
from gradient_clinic.signals import SIGNALS
from gradient_clinic.values import Array
from gradient_clinic.verdict.measurements import first_nonfinite
from gradient_clinic.verdict.run_trace import RunTrace
from models.plan import NetworkPlan, Plan, Shape, expand, plan_network
from models.specs.network import RnnSpec
from models.specs.networks import NETWORKS
from models.specs.remedy import REMEDIES
from tests.networks import EVERY_KIND, MORE_KINDS, TREATABLE
from tests.worker.oracle import Oracle, tell
from tests.worker.trials import CPU, data_of, plan_of, record_of, run_of, spec_of_kind, state_of, trainer_of, treated
from worker.engine import measure
from worker.results import RunResult
from worker.trainer import Trainer

NORMS = [None, "batch_norm", "layer_norm"]
TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-4}


def normalisation(kind: str | None) -> dict[str, str] | None:
    return None if kind is None else {"kind": kind}


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", SHAPES)
def test_every_signal_is_what_its_formula_says(activation: str, norm: str | None, loss: str) -> None:
    plan = plan_of({"activation": activation, "normalization": normalisation(norm)}, loss=loss)
    for dtype, tolerance in TOLERANCE.items():
        trainer = trainer_of(plan, dtype=dtype)
        for step in range(3):
            before = state_of(trainer)
            record = trainer.step(step)
            assert record is not None
            told = tell(plan, before, state_of(trainer), trainer.batches.of(step))
            for name in SIGNALS:
                expected = [getattr(layer, name) for layer in told.layers]
                np.testing.assert_allclose(getattr(record, name), expected, rtol=tolerance, atol=1e-12, err_msg=name)
            assert record.loss == pytest.approx(told.loss, rel=tolerance)
            assert record.gradient_norm == pytest.approx(told.gradient_norm, rel=tolerance)
        trainer.close()


def told_and_recorded(trainer: Trainer, step: int) -> tuple[Oracle, StepRecord]:
    before = state_of(trainer)
    record = trainer.step(step)
    assert record is not None
    return tell(trainer.plan, before, state_of(trainer), trainer.batches.of(step)), record


def test_every_kind_of_network_is_tried() -> None:
    assert EVERY_KIND.keys() == NETWORKS.keys()


@pytest.mark.parametrize("asked", [*EVERY_KIND.values(), *MORE_KINDS.values()], ids=[*EVERY_KIND, *MORE_KINDS])
def test_every_signal_of_every_kind_of_network_is_what_its_formula_says(asked: dict[str, Any]) -> None:
    plan = expand(spec_of_kind(asked))[0].plan
    trainer = trainer_of(plan, dtype=torch.float64)
    for step in range(2):
        told, record = told_and_recorded(trainer, step)
        for name in SIGNALS:
            expected = [getattr(layer, name) for layer in told.layers]
            np.testing.assert_allclose(getattr(record, name), expected, rtol=1e-8, atol=1e-13, err_msg=name)
        assert record.times == tuple(point.name for point in plan.network.time) == tuple(told.states)
        states = np.array(list(told.states.values())).reshape(-1, 2).T
        np.testing.assert_allclose(
            np.array([record.state_rms, record.state_gradient_rms]), states, rtol=1e-8, atol=1e-13
        )
        assert record.loss == pytest.approx(told.loss, rel=1e-9)
        assert record.gradient_norm == pytest.approx(told.gradient_norm, rel=1e-9)


@pytest.mark.parametrize("kind", [*EVERY_KIND])
def test_signals_behind_dropout_are_those_of_its_masks(kind: str) -> None:
    """In the first step, where the oracle's network draws the same ones."""
    asked = {**EVERY_KIND[kind], "network": {**EVERY_KIND[kind]["network"], "dropout": 0.4}}
    told, record = told_and_recorded(trainer_of(expand(spec_of_kind(asked))[0].plan, dtype=torch.float64), 0)
    for name in SIGNALS:
        expected = [getattr(layer, name) for layer in told.layers]
        np.testing.assert_allclose(getattr(record, name), expected, rtol=1e-8, atol=1e-13, err_msg=name)


def test_the_small_trials_hold_dead_units_and_saturated_entries() -> None:
    """Else the test above would compare zeros."""
    dead = run_of(plan_of({"activation": "relu"}))[0][0].dead_fraction
    saturated = run_of(plan_of({"activation": "tanh"}))[0][0].saturated_fraction
    assert (dead[:-1] > 0).all()
    assert ((saturated[:-1] > 0) & (saturated[:-1] < 1)).all()
    assert (dead[-1], saturated[-1]) == (0.0, 0.0)


def test_a_hidden_layer_of_zeros_is_dead_and_its_norms_are_exactly_zero() -> None:
    init = {"kind": "normal", "std": 0.0}
    record = run_of(plan_of({"activation": "relu", "init": init}, steps=0))[0][0]
    np.testing.assert_array_equal(record.dead_fraction, [1.0, 1.0, 0.0])
    np.testing.assert_array_equal(record.activation_rms, 0.0)


# --- recording changes nothing ----------------------------------------------------------------------------------

TRIALS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    *(({"activation": activation}, {}) for activation in SHAPES),
    *(({"normalization": normalisation(norm)}, {}) for norm in NORMS[1:]),
    ({}, {"optimizer": {"kind": "sgd", "learning_rate": 0.1}}),
    ({}, {"optimizer": {"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9}}),
    ({"dropout": 0.3}, {}),
    ({}, {"remedies": [{"kind": "clip_norm", "max_norm": 0.1}]}),
    ({}, {"remedies": [{"kind": "l2", "strength": 0.1}]}),
    ({}, {"remedies": [{"kind": "l2", "layers": "all"}, {"kind": "clip_norm"}], "design": "add_all"}),
    ({}, {"trace": {"every": 2}}),
    ({}, {"loss": "mse"}),
]


class Watched(Trainer):
    """Keeps the loss of every step, recorded or not."""

    losses: tuple[float, ...] = ()

    def _backward(self, step: int) -> Tensor:
        loss = super()._backward(step)
        self.losses += (loss.item(),)
        return loss


def trained(plan: Plan, *, record: bool, seed: int = 0) -> tuple[Any, ...]:
    """(what a run leaves that recording may not change, how many steps it recorded)."""
    trainer = Watched(plan, data_of(plan, seed), seed=seed, device=CPU, dtype=torch.float32, record=record)
    *records, result = trainer.run(lambda: None)
    trainer.close()
    assert isinstance(result, RunResult)
    assert len(trainer.losses) == plan.steps
    return (result.weights_hash, trainer.losses, str(result.test_loss), str(result.test_metric)), len(records)


def assert_the_same_without_recording(plan: Plan, seed: int = 0) -> None:
    recorded, records = trained(plan, record=True, seed=seed)
    unrecorded, none = trained(plan, record=False, seed=seed)
    assert recorded == unrecorded
    assert (records, none) == (plan.recorded_steps, 0)


@pytest.mark.parametrize(("network", "changes"), TRIALS, ids=str)
def test_training_is_the_same_bit_by_bit_with_and_without_recording(
    network: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert_the_same_without_recording(plan_of(network, **changes))


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
@pytest.mark.parametrize("kind", NETWORKS)
def test_no_kind_of_network_trains_otherwise_when_it_is_recorded(kind: str, seed: int) -> None:
    network = {**EVERY_KIND[kind]["network"], "dropout": 0.3}
    plan = expand(spec_of_kind({**EVERY_KIND[kind], "network": network}))[0].plan
    assert_the_same_without_recording(plan, seed)


@pytest.mark.parametrize("asked", MORE_KINDS.values(), ids=MORE_KINDS)
def test_nor_does_any_other_network_of_these_tests(asked: dict[str, Any]) -> None:
    assert_the_same_without_recording(expand(spec_of_kind(asked))[0].plan)


@pytest.mark.parametrize("kind", REMEDIES)
def test_no_remedy_trains_otherwise_when_it_is_recorded(kind: str) -> None:
    """On one kind of network that it is for; another one for the next remedy."""
    kinds: tuple[str, ...] = REMEDIES[kind].about.applies_to
    network = TREATABLE[kinds[list(REMEDIES).index(kind) % len(kinds)]]
    _, variant = expand(treated(kind, network))
    assert_the_same_without_recording(variant.plan)


# --- numbers at the edge of float32 -----------------------------------------------------------------------------


def linear_network(layers: int, width: int) -> NetworkPlan:
    """Orthogonal linear layers: every rms goes through unchanged."""
    network = {"hidden": [width] * layers, "activation": "identity", "init": {"kind": "orthogonal"}}
    return plan_of(network).network


def measured(scale: float, device: torch.device, dtype: torch.dtype = torch.float32) -> StepRecord:
    """h of rms ``scale`` in front of two linear layers, and a cotangent of the same size."""
    random = torch.Generator().manual_seed(0)
    given, cotangent = torch.randn(2, 8, 16, generator=random, dtype=torch.float64)
    cotangent = cotangent[:, :10]
    plan = linear_network(2, 16)
    return measure(
        plan, input=(given * scale).to(device, dtype), cotangent=(cotangent * scale).to(device), dtype=dtype, seed=0
    )


@pytest.mark.parametrize("scale", [1e-30, 1e-36, 1e-18, 1e18])
def test_norms_neither_underflow_nor_overflow_in_float32(scale: float, device: torch.device) -> None:
    usual, small = measured(1.0, device), measured(scale, device)
    for name in ("activation_rms", "activation_gradient_rms"):
        # Entries near 1e-38 are rounded to denormal float32 numbers before anyone could measure them.
        np.testing.assert_allclose(
            getattr(small, name), getattr(usual, name) * scale, rtol=1e-5 if scale > 1e-35 else 0.1
        )


def measured_states(scale: float, device: torch.device) -> StepRecord:
    """A linear loop that keeps norms, with what comes in and the cotangent of rms ``scale``, in float32."""
    spec = {"kind": "rnn", "cell": "identity", "width": 8, "init": {"kind": "orthogonal"}}
    plan = plan_network(RnnSpec.model_validate(spec), Shape("sequence", (5, 8)), 8)
    random = torch.Generator().manual_seed(0)
    given, cotangent = torch.randn(4, 5, 8, generator=random) * scale, torch.randn(4, 8, generator=random) * scale
    return measure(plan, input=given.to(device), cotangent=cotangent.to(device), dtype=torch.float32, seed=0)


def test_the_norms_of_states_do_not_underflow_in_float32(device: torch.device) -> None:
    usual, small = measured_states(1.0, device), measured_states(1e-30, device)
    assert (small.state_rms[1:] > 0).all()
    np.testing.assert_allclose(small.state_rms, usual.state_rms * 1e-30, rtol=1e-5)
    np.testing.assert_allclose(small.state_gradient_rms, usual.state_gradient_rms * 1e-30, rtol=1e-5)


def test_large_values_do_not_overflow(device: torch.device) -> None:
    usual, large = measured(1.0, device), measured(1e25, device)
    np.testing.assert_allclose(large.activation_gradient_rms, usual.activation_gradient_rms * 1e25, rtol=1e-5)
    np.testing.assert_allclose(large.activation_rms, usual.activation_rms * 1e25, rtol=1e-5)
    # ∂L/∂W of layer 2 is a product of both, 1e50: no float32 number.
    assert large.nonfinite_count[1] > 0


def test_the_norm_of_a_float64_tensor_survives_the_square_of_its_entries(device: torch.device) -> None:
    usual = measured(1.0, device, torch.float64)
    for scale in (1e-170, 1e150):
        np.testing.assert_allclose(
            measured(scale, device, torch.float64).activation_rms, usual.activation_rms * scale, rtol=1e-9
        )


# --- what is not finite -----------------------------------------------------------------------------------------


class Spoiled(nn.Module):
    """Passes x on; writes ``forward`` and ``backward`` values into the first entries of h and of δ before it."""

    def __init__(self, forward: tuple[float, ...] = (), backward: tuple[float, ...] = ()) -> None:
        super().__init__()
        self.on_h, self.on_delta = forward, backward

    def forward(self, x: Tensor) -> Tensor:
        if self.on_h:
            x = x.clone()
            x[0, : len(self.on_h)] = torch.tensor(self.on_h)
        if self.on_delta:
            x = x.clone()
            x.register_hook(self._spoil)  # type: ignore[no-untyped-call]
        return x

    def _spoil(self, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        gradient[0, : len(self.on_delta)] = torch.tensor(self.on_delta)
        return gradient


def spoiled_model(place: int, spoiled: Spoiled) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Linear(4, 4) for _ in range(3)]
    layers.insert(place, spoiled)
    return nn.Sequential(*layers)


def broken_place(record: StepRecord) -> tuple[str | None, str] | None:
    """(layer, where), by the rule that verdicts follow, of a run of this one step with a finite loss."""
    layers = tuple(Layer(name) for name in record.layers)
    signals: dict[str, Array] = {name: getattr(record, name)[:, None] for name in SIGNALS}
    place = first_nonfinite(RunTrace(layers, np.array([record.step]), signals, {"loss": np.zeros(1)}))
    return None if place is None else (place.layer, place.where)


def test_every_nan_and_infinity_of_delta_and_weight_gradient_is_counted() -> None:
    # δ of the first layer gets NaN, +Inf and −Inf in 3 units of one case; each spoils a row of 4 in ∂L/∂W.
    spoiled = Spoiled(backward=(math.nan, math.inf, -math.inf))
    record = record_of(spoiled_model(1, spoiled), torch.ones(5, 4))
    np.testing.assert_array_equal(record.nonfinite_count, [3 + 3 * 4, 0, 0])
    assert broken_place(record) == ("0", "backward")


def test_every_nan_and_infinity_of_h_is_counted() -> None:
    # The input of layer 2 holds a NaN: its h has 4 of them in one case, its ∂L/∂W a column of 4; so has the third.
    record = record_of(spoiled_model(1, Spoiled(forward=(math.nan,))), torch.ones(5, 4))
    np.testing.assert_array_equal(record.nonfinite_count, [0, 4 + 4, 4 + 16])
    assert broken_place(record) == ("2", "forward")


def test_backward_names_the_layer_that_backward_meets_first() -> None:
    spoiled = Spoiled(backward=(math.nan,))
    record = record_of(spoiled_model(2, spoiled), torch.ones(5, 4))
    # Layer 2 has the NaN in 1 entry of δ and a row of ∂L/∂W, layer 1 in the 4 of that case and in all 16.
    np.testing.assert_array_equal(record.nonfinite_count, [4 + 16, 1 + 4, 0])
    assert broken_place(record) == ("1", "backward")


def test_a_finite_step_has_no_first_place() -> None:
    record = record_of(spoiled_model(1, Spoiled()), torch.ones(5, 4))
    assert broken_place(record) is None
    assert record.finite


# --- measure ------------------------------------------------------------------------------------------------------


def test_measure_leaves_no_gradient_on_what_it_was_given() -> None:
    given, cotangent = torch.randn(4, 16), torch.randn(4, 10)
    measure(linear_network(2, 16), input=given, cotangent=cotangent, dtype=torch.float32, seed=0)
    assert (given.requires_grad, given.grad, cotangent.grad) == (False, None, None)


def test_two_records_of_one_pass_are_equal_in_every_field() -> None:
    one, other = (measured(1.0, torch.device("cpu")) for _ in range(2))
    for field in fields(one):
        if field.name != "overhead_seconds":
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
