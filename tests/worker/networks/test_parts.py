"""Activations are those of theory, dropout and norms do what their formulas say."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gradient_clinic.activations import SHAPES, Activation
from models.specs.normalization import GroupNormSpec, LayerNormSpec, RmsNormSpec
from worker.networks.parts import ACTIVATIONS, Dropout, norm_module

PARAMETERS = {"leaky_relu": 0.2, "prelu": 0.3, "elu": 0.7, "celu": 1.4}


def random(*size: int) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("function", SHAPES)
def test_the_trained_function_is_the_one_of_theory(function: str) -> None:
    parameter = PARAMETERS.get(function, 0.0)
    shape = Activation(function, parameter)
    grid = np.linspace(-8, 8, 1601) + 0.0013  # off every kink, where torch picks a side
    z = torch.from_numpy(grid).requires_grad_()
    value = ACTIVATIONS[function](parameter).double()(z)
    (slope,) = torch.autograd.grad(value.sum(), z)
    # torch keeps some constants in float32: the slope of a PReLU, 1/alpha of a CELU, the sixth of a hard sigmoid.
    tolerance = 1e-6 if function in {"prelu", "celu", "hardsigmoid"} else 1e-10
    np.testing.assert_allclose(value.detach().numpy(), shape.phi(grid), rtol=tolerance, atol=1e-12)
    np.testing.assert_allclose(slope.numpy(), shape.dphi(grid), rtol=tolerance, atol=1e-12)


def test_dropout_is_inverted_and_acts_in_training_only() -> None:
    dropout = Dropout(0.25, 0, "hidden.0")
    ones = torch.ones(200, 200)
    values = dropout(ones)
    assert values.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert float(values.mean()) == pytest.approx(1.0, abs=0.02)
    assert not torch.equal(dropout(ones), values)
    dropout.eval()
    assert torch.equal(dropout(ones), ones)


def test_alpha_dropout_keeps_mean_and_variance_of_self_normalised_units() -> None:
    dropout = Dropout(0.3, 0, "hidden.0", alpha=True)
    values = dropout(torch.nn.functional.selu(random(400, 400)))
    assert float(values.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(values.var()) == pytest.approx(1.0, abs=0.03)
    assert float(values.min()) == pytest.approx(float(values[values < 0].mode().values), abs=1e-6)


def test_norms_of_vectors_steps_and_images_are_torchs() -> None:
    image = random(3, 8, 4, 4)
    layer, group = LayerNormSpec(kind="layer_norm"), GroupNormSpec(kind="group_norm", groups=2)
    torch.testing.assert_close(norm_module(layer, 8, image=True)(image), nn.functional.layer_norm(image, (8, 4, 4)))
    torch.testing.assert_close(norm_module(group, 8, image=True)(image), nn.functional.group_norm(image, 2))
    steps = random(3, 5, 8)
    expected = nn.functional.layer_norm(steps.view(3, 5, 2, 4), (4,)).view(3, 5, 8)
    torch.testing.assert_close(norm_module(group, 8)(steps), expected)
    torch.testing.assert_close(norm_module(layer, 8)(steps), nn.functional.layer_norm(steps, (8,)))
    rms = norm_module(RmsNormSpec(kind="rms_norm"), 8)(steps)
    torch.testing.assert_close(rms, steps / (steps.square().mean(-1, keepdim=True) + 1e-5).sqrt())
