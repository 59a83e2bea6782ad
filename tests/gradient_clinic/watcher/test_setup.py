"""What a watched network's weights start at, as the rules ask for it."""

import math

import pytest
import torch
from torch import Tensor, nn

from gradient_clinic.watcher.setup import setup_of
from gradient_clinic.watcher.watch import watch

WIDTH, WIDER = 16, 48


class Lying(nn.Module):
    """A layer whose weight is (inputs, outputs), as ``Conv1D`` of transformers has it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((inputs, outputs), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = x @ self.weight
        return h


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(WIDTH), Lying(WIDTH, WIDER), Lying(WIDER, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        stream: Tensor = x + self.down(torch.tanh(self.up(self.norm(x))))
        return stream


def test_the_gain_of_a_branch_is_of_a_unit_s_weights_however_they_lie() -> None:
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), Block(), nn.Linear(WIDTH, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    watched = watch(model, optimizer, every=1)
    torch.autograd.backward(watched.loss(model(torch.randn(8, WIDTH, generator=torch.Generator())).square().mean()))
    optimizer.step()
    (record,) = watched.records.kept()
    setup = setup_of(watched.rows, record.matrix, has_skips=True, values=False)
    gains = {name: gain for name, gain, _ in setup.weight_gains}
    assert gains == pytest.approx({"1.up": 0.1 * math.sqrt(WIDTH), "1.down": 0.1 * math.sqrt(WIDER)})
