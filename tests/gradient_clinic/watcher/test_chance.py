"""The chance level is that of the targets which the loss itself holds."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- as everybody calls it
from torch import Tensor

from gradient_clinic.watcher.chance import Targets

LABELS = torch.tensor([0, 0, 1, 2])
IMAGES = LABELS.reshape(1, 2, 2)
VALUES = torch.tensor([1.0, 2.0, 6.0])
ENTROPY = 1.5 * math.log(2.0)


def given(*shape: int) -> Tensor:
    return torch.randn(*shape, requires_grad=True)


@pytest.mark.parametrize(
    ("loss", "level"),
    [
        (F.cross_entropy(given(4, 5), LABELS), ENTROPY),
        (F.cross_entropy(given(1, 5, 2, 2), IMAGES), ENTROPY),
        (F.cross_entropy(given(6, 5), torch.cat([LABELS, torch.tensor([-100, -100])])), ENTROPY),
        (F.nll_loss(given(4, 5).log_softmax(1), LABELS), ENTROPY),
        (F.mse_loss(given(3), VALUES), 14.0 / 3.0),
        (
            F.binary_cross_entropy_with_logits(given(4), torch.tensor([1.0, 0.0, 0.0, 0.0])),
            -0.25 * math.log(0.25) - 0.75 * math.log(0.75),
        ),
        (given(3).sum(), None),
        (F.cross_entropy(given(4, 5), LABELS * 0), None),
    ],
)
def test_the_level_is_the_entropy_of_labels_or_the_variance_of_values(loss: Tensor, level: float | None) -> None:
    targets = Targets()
    targets.see(loss)
    assert targets.chance_level() == (None if level is None else pytest.approx(level, rel=1e-6))


def test_batches_are_summed_and_a_freed_graph_is_passed_over() -> None:
    targets = Targets()
    for label in (0, 1):
        targets.see(F.cross_entropy(given(2, 5), torch.full((2,), label)))
    freed = F.cross_entropy(given(2, 5), torch.full((2,), 3))
    torch.autograd.backward(freed)
    targets.see(freed)
    assert targets.chance_level() == pytest.approx(math.log(2.0))
