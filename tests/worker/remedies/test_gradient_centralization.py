"""Centralised gradients of every shape of weight."""

import torch
from torch import Tensor, nn

from models.plan import expand
from models.specs.training_remedies import GradientCentralizationRemedy
from tests.networks import EVERY_KIND
from tests.worker.trials import spec_of_kind, state_of, trainer_of
from worker.remedies.base import Bound
from worker.remedies.gradient_centralization import GradientCentralization


def centred(*sizes: tuple[int, ...]) -> list[tuple[Tensor, Tensor]]:
    """(gradient, gradient after) of weights of those sizes."""
    random = torch.Generator().manual_seed(0)
    weights = [nn.Parameter(torch.zeros(size, dtype=torch.float64)) for size in sizes]
    for weight in weights:
        weight.grad = torch.randn(weight.shape, generator=random, dtype=torch.float64)
    bound = Bound(weights[:-1], weights[-1], weights)
    before = [its.clone() for its in bound.gradients()]
    GradientCentralization(GradientCentralizationRemedy(kind="gradient_centralization")).change(bound)
    return list(zip(before, bound.gradients(), strict=True))


def test_the_mean_over_all_axes_but_the_first_is_taken_away() -> None:
    for before, after in centred((3, 5), (4, 3, 2, 2)):
        for row, found in zip(before, after, strict=True):
            mean = sum(row.flatten().tolist()) / row.numel()
            torch.testing.assert_close(found, row - mean)


def test_biases_and_units_of_one_entry_keep_their_gradient() -> None:
    for before, after in centred((5,), (6, 1, 1), (4, 1)):
        assert torch.equal(before, after)


def test_a_convolutions_layer_scale_still_trains_under_it() -> None:
    network = {**EVERY_KIND["cnn"]["network"], "skip": {"kind": "layer_scale"}}
    asked = {"network": network, "remedies": [{"kind": "gradient_centralization"}]}
    trainer = trainer_of(expand(spec_of_kind(asked))[-1].plan)
    before = state_of(trainer)
    trainer.step(0)
    factors = [name for name in before if name.endswith("factor")]
    assert factors
    assert not any(torch.equal(state_of(trainer)[name], before[name]) for name in factors)
