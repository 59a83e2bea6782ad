"""Training runs as its plan says: lengths, stops, remedies, curves, and randomness by purpose."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from models.designs import BASELINE
from models.plan import Plan, expand
from models.signals import CURVES
from models.specs.remedy import ClipNormRemedy, L2Remedy
from tests.worker.oracle import tell
from tests.worker.trials import plan_of, run_of, spec_of, state_of, trainer_of
from worker import networks
from worker.engine import StoppedBy
from worker.remedies.clip_norm import ClipNorm
from worker.remedies.l2 import L2

SGD = {"kind": "sgd", "learning_rate": 0.1}
EXPLODING: dict[str, Any] = {
    "network": {"activation": "identity"},
    "loss": "mse",
    "optimizer": {"kind": "sgd", "learning_rate": 10.0},
}


# --- how long a run is ------------------------------------------------------------------------------------------


def test_zero_steps_measure_the_untrained_network_once() -> None:
    plan = plan_of(steps=0)
    untrained = networks.build(plan.network, 0).to(torch.float32).state_dict()
    records, _, result = run_of(plan)
    (record,) = records
    assert (record.step, result.steps_done, result.outcome, result.stopped_by) == (0, 0, "finished", None)
    assert np.isnan(record.update_ratio).all()
    assert math.isfinite(record.loss)
    trainer = trainer_of(plan)
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(tensor, untrained[name])


@pytest.mark.parametrize(
    ("steps", "every", "recorded"), [(7, 1, [0, 1, 2, 3, 4, 5, 6]), (7, 3, [0, 3, 6]), (2, 5, [0])]
)
def test_every_so_many_steps_are_recorded_from_the_first_on(steps: int, every: int, recorded: list[int]) -> None:
    plan = plan_of(steps=steps, trace={"every": every})
    records, _, result = run_of(plan)
    assert [record.step for record in records] == recorded
    assert (len(records), result.steps_done) == (plan.recorded_steps, steps)


def test_a_sparse_trace_holds_the_same_records_as_a_full_one() -> None:
    full, _, _ = run_of(plan_of(steps=5))
    sparse, _, _ = run_of(plan_of(steps=5, trace={"every": 2}))
    for one, other in zip(full[::2], sparse, strict=True):
        np.testing.assert_array_equal(one.activation_gradient_rms, other.activation_gradient_rms)
        np.testing.assert_array_equal(one.update_ratio, other.update_ratio)
        assert (one.loss, one.gradient_norm) == (other.loss, other.gradient_norm)


@pytest.mark.parametrize(("drop_last", "sizes"), [(True, [700, 700]), (False, [700, 700, 38])])
def test_the_last_batch_of_an_epoch_is_dropped_or_smaller(drop_last: bool, sizes: list[int]) -> None:  # noqa: FBT001
    trainer = trainer_of(
        plan_of(batch_size=700, epochs=1, drop_last=drop_last, dataset={"kind": "digits", "test_fraction": 0.2})
    )
    left = len(trainer.train_part) - 1400
    assert [len(trainer.batch(step)[1]) for step in range(trainer.plan.steps)] == [
        *sizes[:2],
        *[left] * (not drop_last),
    ]


def test_an_epoch_shows_every_case_once_in_an_order_of_its_own() -> None:
    trainer = trainer_of(plan_of(batch_size=480, epochs=2, drop_last=False))
    epochs = [torch.cat([trainer.batch(3 * epoch + step)[0] for step in range(3)]) for epoch in range(2)]
    first, second = (epoch.sum(dim=1) for epoch in epochs)
    everything = trainer.train_part.x.sum(dim=1)
    assert len(first) == len(everything)
    assert torch.equal(first.sort().values, everything.sort().values)
    assert not torch.equal(first, second)


def test_validation_is_judged_at_the_end_of_every_epoch() -> None:
    dataset = {"kind": "digits", "validation_fraction": 0.1}
    plan = plan_of(dataset=dataset, batch_size=128, epochs=3)
    _, epochs, result = run_of(plan)
    assert [epoch.epoch for epoch in epochs] == [0, 1, 2]
    assert all(math.isfinite(epoch.loss) and 0 <= epoch.metric <= 1 for epoch in epochs)
    trainer = trainer_of(plan)
    for step in range(plan.steps):
        trainer.step(step)
    trainer.model.eval()
    logits = trainer.model(trainer.validation_part.x)
    right = (logits.argmax(1) == trainer.validation_part.y).double().mean().item()
    assert epochs[-1].metric == pytest.approx(right)
    assert epochs[-1].loss == pytest.approx(torch.nn.functional.cross_entropy(logits, trainer.validation_part.y).item())
    assert math.isfinite(result.test_loss)


def test_without_a_validation_part_there_is_no_validation() -> None:
    assert run_of(plan_of(batch_size=700, epochs=2))[1] == []


def test_validation_leaves_training_as_it_was() -> None:
    """Dropout and batch statistics are back after an evaluation, which consumed no randomness."""
    dataset = {"kind": "digits", "validation_fraction": 0.1, "split_seed": 0}
    plan = plan_of({"dropout": 0.5, "normalization": {"kind": "batch_norm"}}, dataset=dataset, batch_size=600, epochs=3)
    trainer = trainer_of(plan)
    for step in range(plan.steps):
        trainer.step(step)
    trained = trainer.result(plan.steps, 1.0)
    assert run_of(plan)[2].weights_hash == trained.weights_hash


def test_between_steps_is_asked_before_every_step_and_may_end_the_run() -> None:
    class Enough(Exception):  # noqa: N818
        pass

    asked: list[None] = []

    def between() -> None:
        asked.append(None)
        if len(asked) == 3:
            raise Enough

    with pytest.raises(Enough):
        run_of(plan_of(steps=10), between_steps=between)


# --- stopping ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stop_when", "stopped_by"),
    [({"nonfinite_steps": 2}, "nonfinite_steps"), ({"nonfinite_steps": None, "loss_above": 1e6}, "loss_above")],
)
def test_a_diverging_run_is_stopped(stop_when: dict[str, Any], stopped_by: StoppedBy) -> None:
    records, _, result = run_of(plan_of(**EXPLODING, steps=60, stop_when=stop_when))
    assert (result.outcome, result.stopped_by) == ("diverged", stopped_by)
    assert result.steps_done == len(records) < 60
    if stopped_by == "nonfinite_steps":
        finite = [record.finite and math.isfinite(record.loss) for record in records]
        assert finite[-2:] == [False, False]
        assert all(finite[:-2])
    else:
        assert records[-1].loss > 1e6 >= max(record.loss for record in records[:-1])


def test_non_finite_steps_are_counted_in_steps_whatever_the_stride() -> None:
    full = run_of(plan_of(**EXPLODING, steps=60, stop_when={"nonfinite_steps": 6}))[2]
    sparse = run_of(plan_of(**EXPLODING, steps=60, stop_when={"nonfinite_steps": 6}, trace={"every": 3}))[2]
    assert full.stopped_by == sparse.stopped_by == "nonfinite_steps"
    assert abs(full.steps_done - sparse.steps_done) <= 3


def test_a_run_that_went_non_finite_has_diverged_even_where_nothing_stops_it() -> None:
    _, _, result = run_of(plan_of(**EXPLODING, steps=20, stop_when={"nonfinite_steps": None}))
    assert (result.steps_done, result.outcome, result.stopped_by) == (20, "diverged", None)


def test_a_healthy_run_finishes() -> None:
    _, _, result = run_of(plan_of())
    assert (result.outcome, result.stopped_by, result.steps_done) == ("finished", None, 3)


# --- numbers ----------------------------------------------------------------------------------------------------


def test_every_curve_of_a_record_is_a_finite_number() -> None:
    for record in run_of(plan_of())[0]:
        assert all(math.isfinite(getattr(record, name)) for name in CURVES)


def test_the_chance_loss_of_ten_classes_is_ln_10() -> None:
    (record,) = run_of(plan_of({"init": {"kind": "normal", "std": 0.0}}, steps=0))[0]
    assert record.loss == pytest.approx(math.log(10), rel=1e-6)


def test_training_in_float64_is_float64_throughout() -> None:
    plan = plan_of({"normalization": {"kind": "batch_norm"}})
    trainer = trainer_of(plan, dtype=torch.float64)
    trainer.step(0)
    floats = [its for its in trainer.model.state_dict().values() if its.is_floating_point()]
    assert {its.dtype for its in floats} == {torch.float64}
    single, double = run_of(plan)[0], run_of(plan, dtype=torch.float64)[0]
    assert single[-1].loss != double[-1].loss
    assert single[-1].loss == pytest.approx(double[-1].loss, rel=1e-3)


def test_equal_seeds_give_equal_runs_and_other_seeds_others() -> None:
    one, again, other = (run_of(plan_of({"dropout": 0.2}), seed=seed) for seed in (0, 0, 1))
    assert one[2].weights_hash == again[2].weights_hash != other[2].weights_hash
    assert [record.loss for record in one[0]] == [record.loss for record in again[0]]
    np.testing.assert_array_equal(one[0][-1].update_ratio, again[0][-1].update_ratio)


def test_the_result_says_what_the_run_cost() -> None:
    _, _, result = run_of(plan_of())
    assert result.step_seconds > 0
    assert result.device_seconds > 0
    assert result.overhead >= 1.0
    assert result.peak_memory_bytes > 0
    assert result.chance_level == pytest.approx(math.log(10), abs=0.01)


def test_the_median_step_time_leaves_recording_out() -> None:
    records, _, result = run_of(plan_of(steps=5))
    assert result.step_seconds == pytest.approx(sorted(record.step_seconds for record in records)[2], rel=1e-3)
    assert all(record.overhead_seconds > 0 for record in records)


# --- remedies that act while training ---------------------------------------------------------------------------


@pytest.mark.parametrize("layers", ["hidden", "all"])
def test_the_l2_gradient_is_exactly_two_lambda_w_beside_the_data_gradient(layers: str) -> None:
    spec = L2Remedy.model_validate({"kind": "l2", "strength": 0.25, "layers": layers})
    hidden = [torch.nn.Parameter(torch.randn(3, 3, dtype=torch.float64)) for _ in range(2)]
    output = torch.nn.Parameter(torch.randn(2, 3, dtype=torch.float64))
    for weight in (*hidden, output):
        weight.grad = torch.full_like(weight, 4.0)
    remedy = L2(spec)
    remedy.add_gradient(hidden, output)
    for weight in hidden:
        assert weight.grad is not None
        assert torch.equal(weight.grad, 4.0 + 2 * 0.25 * weight.detach())
    assert output.grad is not None
    reached = [*hidden, *[output] * (layers == "all")]
    assert torch.equal(output.grad, 4.0 + (0.5 if layers == "all" else 0.0) * output.detach())
    penalty = remedy.penalty(hidden, output)
    assert penalty is not None
    assert float(penalty) == pytest.approx(0.25 * sum(weight.detach().square().sum().item() for weight in reached))


def test_l2_trains_as_if_the_penalty_were_in_the_loss_and_is_recorded_apart() -> None:
    plan = plan_of(optimizer=SGD, remedies=[{"kind": "l2", "strength": 0.5}])
    trainer, plain = trainer_of(plan, dtype=torch.float64), trainer_of(plan_of(optimizer=SGD), dtype=torch.float64)
    before = state_of(trainer)
    record, unpenalised = trainer.step(0), plain.step(0)
    assert record is not None
    assert unpenalised is not None
    oracle = tell(plan, before, state_of(trainer), *trainer.batch(0))
    np.testing.assert_allclose(record.weight_gradient_norm, unpenalised.weight_gradient_norm, rtol=1e-12)
    weights = [before[f"layers.hidden_{index}.linear.weight"] for index in range(2)]
    assert record.loss == pytest.approx(oracle.loss, rel=1e-9)
    assert record.gradient_norm == pytest.approx(oracle.gradient_norm, rel=1e-9)
    assert record.penalty == pytest.approx(0.5 * sum(its.square().sum().item() for its in weights), rel=1e-9)
    for name, other in state_of(plain).items():
        expected = (
            other - 0.1 * 2 * 0.5 * before[name] if "hidden" in name and name.endswith("linear.weight") else other
        )
        torch.testing.assert_close(state_of(trainer)[name], expected, rtol=1e-12, atol=1e-14)
    total = sum(((before[name] - its) / 0.1).square().sum().item() for name, its in state_of(trainer).items())
    assert record.total_gradient_norm == pytest.approx(math.sqrt(total), rel=1e-9)
    assert record.clipped_gradient_norm == record.total_gradient_norm


def test_clipping_a_norm_of_5_to_1_is_the_case_of_the_book() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(n, dtype=torch.float64)) for n in (1, 2)]
    parameters[0].grad = torch.tensor([3.0], dtype=torch.float64)
    parameters[1].grad = torch.tensor([0.0, 4.0], dtype=torch.float64)
    remedy = ClipNorm(ClipNormRemedy(kind="clip_norm", max_norm=1.0))
    after = remedy.clip(parameters, torch.tensor(5.0, dtype=torch.float64))
    assert float(after) == pytest.approx(0.99999980000004, abs=1e-14)
    assert parameters[0].grad.tolist() == pytest.approx([0.6 * 0.99999980000004], abs=1e-14)
    assert parameters[1].grad.tolist() == pytest.approx([0.0, 0.8 * 0.99999980000004], abs=1e-14)


def test_clipping_is_torchs_own() -> None:
    ours, theirs = ([torch.nn.Parameter(torch.zeros(50))] for _ in range(2))
    gradient = torch.randn(50, generator=torch.Generator().manual_seed(0))
    for parameters in (ours, theirs):
        parameters[0].grad = gradient.clone()
    norm = torch.nn.utils.clip_grad_norm_(theirs, 0.5)
    ClipNorm(ClipNormRemedy(kind="clip_norm", max_norm=0.5)).clip(ours, norm.double())
    assert ours[0].grad is not None
    assert theirs[0].grad is not None
    torch.testing.assert_close(ours[0].grad, theirs[0].grad, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize(("max_norm", "clipped"), [(1e-3, 1.0), (1e3, 0.0)])
def test_clipping_is_recorded_as_it_happened(max_norm: float, clipped: float) -> None:
    plan = plan_of(optimizer=SGD, remedies=[{"kind": "clip_norm", "max_norm": max_norm}])
    trainer = trainer_of(plan, dtype=torch.float64)
    before = state_of(trainer)
    record = trainer.step(0)
    assert record is not None
    norm = record.gradient_norm
    expected = norm * min(1.0, max_norm / (norm + 1e-6))
    assert (record.clipped, record.total_gradient_norm) == (clipped, norm)
    assert record.clipped_gradient_norm == pytest.approx(expected, rel=1e-12)
    moved = sum((its - before[name]).square().sum().item() for name, its in state_of(trainer).items())
    assert math.sqrt(moved) / 0.1 == pytest.approx(expected, rel=1e-6)
    # The layers' gradients are read before clipping.
    oracle = tell(plan, before, state_of(trainer), *trainer.batch(0))
    expected_norms = [layer.weight_gradient_norm for layer in oracle.layers]
    np.testing.assert_allclose(record.weight_gradient_norm, expected_norms, rtol=1e-9)


def test_the_penalty_is_clipped_with_the_data_gradient() -> None:
    remedies = [{"kind": "clip_norm", "max_norm": 0.5}, {"kind": "l2", "strength": 10.0}]
    (record, *_), _, _ = run_of(plan_of(remedies=remedies, design="add_all", optimizer=SGD))
    assert record.total_gradient_norm > 2 * record.gradient_norm
    assert record.clipped_gradient_norm == pytest.approx(0.5, rel=1e-4)


# --- randomness by purpose --------------------------------------------------------------------------------------


def weights_of(plan: Plan) -> dict[str, torch.Tensor]:
    return {name: its for name, its in networks.build(plan.network, 0).state_dict().items() if "linear" in name}


def test_a_layer_more_leaves_the_weights_of_the_others() -> None:
    small, large = weights_of(plan_of({"hidden": [12, 12]})), weights_of(plan_of({"hidden": [12, 12, 12]}))
    assert len(large) == len(small) + 2
    for name, tensor in small.items():
        assert torch.equal(large[name], tensor), name


REMEDIES: list[dict[str, Any]] = [
    {"kind": "batch_norm"},
    {"kind": "activation", "function": "prelu"},
    {"kind": "l2"},
    {"kind": "clip_norm"},
    {"kind": "learning_rate", "value": 0.5},
]


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda remedy: str(remedy["kind"]))
def test_a_remedy_leaves_weights_and_data_order_as_they_were(remedy: dict[str, Any]) -> None:
    variants = expand(spec_of(remedies=[remedy]))
    assert (len(variants), variants[0].name) == (2, BASELINE)
    baseline, treated = (variant.plan for variant in variants)
    assert baseline != treated
    for name, tensor in weights_of(baseline).items():
        assert torch.equal(weights_of(treated)[name], tensor), name
    batches = [trainer_of(plan).batch(0) for plan in (baseline, treated)]
    assert torch.equal(batches[0][0], batches[1][0])
    assert torch.equal(batches[0][1], batches[1][1])


def test_inits_of_one_family_differ_by_a_factor_only() -> None:
    one, other = (weights_of(plan_of({"init": {"kind": kind}})) for kind in ("xavier_normal", "lecun_normal"))
    ratio = one["layers.output.linear.weight"] / other["layers.output.linear.weight"]
    torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio))


def test_dropout_of_one_layer_never_shifts_that_of_another() -> None:
    def mask(hidden: list[int]) -> torch.Tensor:
        model = networks.build(plan_of({"hidden": hidden, "dropout": 0.5}).network, 0)
        dropout = model.blocks[0].dropout
        assert dropout is not None
        model(torch.randn(5, 64, dtype=torch.float64))
        masked: torch.Tensor = dropout(torch.ones(5, 12))
        return masked

    assert torch.equal(mask([12, 9]), mask([12, 9, 7]))
