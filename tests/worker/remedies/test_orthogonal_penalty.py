"""The orthogonality penalty in training: added to the gradient, recorded apart from the data's loss."""

import pytest
import torch

from tests.worker.trials import plan_of, state_of, trainer_of

SGD = {"kind": "sgd", "learning_rate": 0.1}
HIDDEN = ("body.steps.1.linear.weight", "body.steps.3.linear.weight")


def test_a_step_is_the_data_gradient_and_autograds_of_the_penalty() -> None:
    remedy = {"kind": "orthogonal_penalty", "strength": 0.02}
    ours = trainer_of(plan_of(optimizer=SGD, remedies=[remedy]), dtype=torch.float64)
    plain = trainer_of(plan_of(optimizer=SGD), dtype=torch.float64)
    weights = {name: its.requires_grad_() for name, its in state_of(ours).items() if name in HIDDEN}
    grams = [its @ its.T if len(its) <= its.shape[1] else its.T @ its for its in weights.values()]
    value = sum(
        (0.02 * (its - torch.eye(len(its), dtype=torch.float64)).square().sum() for its in grams), torch.zeros(())
    )
    torch.autograd.backward(value)
    record, expected = ours.step(0), plain.step(0)
    assert record is not None
    assert expected is not None
    assert record.penalty == pytest.approx(value.item(), rel=1e-9)
    assert (record.loss, record.gradient_norm) == (expected.loss, expected.gradient_norm)
    for name, its in state_of(plain).items():
        pulled = its if name not in weights else its - 0.1 * weights[name].grad  # type: ignore[operator]  # it has one
        torch.testing.assert_close(state_of(ours)[name], pulled, rtol=1e-9, atol=1e-12)
