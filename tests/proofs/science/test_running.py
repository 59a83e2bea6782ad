"""One real run: what was seen, that a folder returns it as it was, and that looking changes nothing."""

from pathlib import Path

import numpy as np
import pytest

from gradient_clinic.probe.probe import StepRecord
from proofs.science.cases.case import Case
from proofs.science.running import EARLY, plan_of, run, see, up_to
from proofs.science.tensor_statistics import NAMES
from tests.worker.trials import data_of
from worker.engine import train

BODY = {
    "dataset": {"kind": "digits", "test_fraction": 0.0},
    "network": {"kind": "mlp", "hidden": [8, 8], "activation": "tanh"},
    "optimizer": {"kind": "sgd", "learning_rate": 0.1},
    "steps": 60,
    "batch_size": 16,
}
CASE = Case("small", "mlp tanh", "beside", BODY)


def test_a_kept_run_returns_as_it_was(tmp_path: Path) -> None:
    first, again = see(CASE, 0, tmp_path), see(CASE, 0, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert again.outcome == first.outcome
    assert np.array_equal(again.losses, first.losses)
    for name, values in first.early.signals.items():
        assert np.array_equal(again.early.signals[name], values, equal_nan=True)
    for before, after in zip(first.tensors, again.tensors, strict=True):
        for name in NAMES:
            assert np.array_equal(getattr(before, name), getattr(after, name), equal_nan=True)


def test_statistics_are_of_the_gradients_and_updates_that_are_recorded() -> None:
    seen = run(plan_of(CASE), 0)
    assert len(seen.tensors) == 4
    assert len(seen.losses) == 60
    for moment, step in enumerate((0, 10, EARLY)):
        tensors, signals = seen.tensors[moment], seen.early.signals
        assert tensors.gradient_norm == pytest.approx(signals["weight_gradient_norm"][:, step], rel=1e-4)
        assert tensors.weight_norm == pytest.approx(signals["weight_norm"][:, step], rel=1e-4)
        assert np.isnan(tensors.not_positive[-1])
        assert (tensors.update_mean > 0).all()


def test_looking_changes_nothing() -> None:
    plan = plan_of(CASE)
    seen = run(plan, 0)
    unseen = [seen.loss for seen in train(plan, data_of(plan), seed=0) if isinstance(seen, StepRecord)]
    assert seen.losses.tolist() == unseen


def test_an_early_reading_sees_no_later_record() -> None:
    seen = run(plan_of(CASE), 0)
    short = up_to(seen.early, 10)
    assert short.steps.tolist() == list(range(11))
    assert all(values.shape[1] == 11 for values in short.signals.values())
    assert all(len(values) == 11 for values in short.curves.values())
