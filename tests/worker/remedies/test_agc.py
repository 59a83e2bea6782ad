"""Adaptive clipping: the floor of a unit's weight, and what a run records."""

import pytest
import torch
from torch import nn

from models.specs.training_remedies import AgcRemedy
from tests.worker.trials import plan_of, run_of
from worker.remedies.agc import Agc
from worker.remedies.base import Bound
from worker.remedies.norms import norm_of


def test_a_unit_of_zeros_is_bounded_by_eps_and_the_others_by_their_weight() -> None:
    weight = nn.Parameter(torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]], dtype=torch.float64))
    weight.grad = torch.tensor([[3.0, 4.0], [30.0, 40.0], [0.03, 0.04]], dtype=torch.float64)
    output = nn.Parameter(torch.zeros(1, 2, dtype=torch.float64))
    output.grad = torch.ones_like(output)
    bound = Bound([weight], output, [weight, output])
    after = Agc(AgcRemedy(kind="agc", clipping=0.1, eps=1e-2)).clip(bound, norm_of(bound.gradients()))
    torch.testing.assert_close(weight.grad.norm(dim=1), torch.tensor([1e-3, 0.5, 0.05], dtype=torch.float64))
    assert output.grad.tolist() == [[1.0, 1.0]]
    assert float(after) == pytest.approx(float(norm_of(bound.gradients())))


@pytest.mark.parametrize(("clipping", "clipped"), [(1e-4, 1.0), (1e4, 0.0)])
def test_a_run_says_whether_it_clipped(clipping: float, clipped: float) -> None:
    records, _, _ = run_of(plan_of(remedies=[{"kind": "agc", "clipping": clipping}]))
    assert [record.clipped for record in records] == [clipped] * 3
    assert all((record.clipped_gradient_norm < record.total_gradient_norm) == bool(clipped) for record in records)
