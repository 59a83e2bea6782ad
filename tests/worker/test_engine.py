"""Training runs as its plan says: lengths, stops, remedies, curves, and randomness by purpose."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from gradient_clinic.signals import CURVES
from tests.worker.trials import plan_of, run_of, trainer_of
from worker import networks
from worker.results import StoppedBy

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
    left = len(trainer.batches.part) - 1400
    assert [len(trainer.batches.of(step)) for step in range(trainer.plan.steps)] == [
        *sizes[:2],
        *[left] * (not drop_last),
    ]


def test_an_epoch_shows_every_case_once_in_an_order_of_its_own() -> None:
    trainer = trainer_of(plan_of(batch_size=480, epochs=2, drop_last=False))
    epochs = [torch.cat([trainer.batches.of(3 * epoch + step).x for step in range(3)]) for epoch in range(2)]
    first, second = (epoch.flatten(1).sum(dim=1) for epoch in epochs)
    everything = trainer.batches.part.x.flatten(1).sum(dim=1)
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
    assert result.facts(plan).validation_loss == epochs[-1].loss


def test_without_a_validation_part_there_is_no_validation() -> None:
    _, epochs, result = run_of(plan_of(batch_size=700, epochs=2))
    assert epochs == []
    assert result.validation_loss is None


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
    class EnoughError(Exception):
        pass

    asked: list[None] = []

    def between() -> None:
        asked.append(None)
        if len(asked) == 3:
            raise EnoughError

    with pytest.raises(EnoughError):
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
