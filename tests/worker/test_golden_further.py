"""Golden cases that ``science.md`` does not have, each against an oracle of its own.

χ comes from adaptive integration in scipy, gains from explicit networks that are drawn and differentiated by autograd
in float64. Neither shares a line with quadrature, plans, engine or probe.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from scipy import integrate
from torch import Tensor
from torch.nn import functional

from gradient_clinic.gains.depth_axis import gradient_of_run
from gradient_clinic.gains.limits import CUTS, STANDARD
from models.analysis.theory.prediction import Prediction, predict
from models.plan import NetworkPlan, Shape, plan_network
from models.specs.networks import NetworkSpec
from worker.engine import measure

Phi = Callable[[Tensor], Tensor]
Json = dict[str, Any]
SEEDS = 6
OUTPUTS = 48


def planned(spec: Json, given: Shape) -> NetworkPlan:
    adapter: TypeAdapter[NetworkSpec] = TypeAdapter(NetworkSpec)
    return plan_network(adapter.validate_python(spec), given, OUTPUTS)


# --- χ by adaptive integration ------------------------------------------------------------------------------------


def expectation(f: Callable[[float], float]) -> float:
    """E f(z), z ~ N(0, 1), cut at the kinks that any of the activations below has."""
    density = lambda z: f(z) * math.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi)  # noqa: E731 -- an integrand
    return float(sum(integrate.quad(density, a, b, limit=400)[0] for a, b in itertools.pairwise(KINKS)))


KINKS = (-12.0, -3.0, -1.0, -0.3, 0.0, 0.3, 1.0, 3.0, 12.0)


def value(phi: Phi, at: float) -> float:
    return float(phi(torch.tensor(at, dtype=torch.float64)))


def slope(phi: Phi, at: float) -> float:
    h = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    return float(torch.autograd.grad(phi(h), h)[0])


def chi(phi: Phi, weight: float, bias: float) -> float:
    """σw²·E φ'² at the length that the map settles on, iterated from 1."""
    q = 1.0
    for _ in range(400):
        before, root = q, math.sqrt(q)
        q = weight * expectation(lambda z, root=root: value(phi, root * z) ** 2) + bias  # type: ignore[misc]
        if math.isclose(q, before, rel_tol=1e-9):
            break
    return weight * expectation(lambda z: slope(phi, math.sqrt(q) * z) ** 2)


@pytest.mark.parametrize(
    ("function", "phi", "weight", "bias"),
    [
        ("mish", functional.mish, 1.7, 0.1),
        ("softsign", functional.softsign, 3.0, 0.2),
        ("softplus", functional.softplus, 0.8, 0.0),
        ("hardtanh", functional.hardtanh, 2.0, 0.3),
    ],
)
def test_chi_is_that_of_adaptive_integration(function: str, phi: Phi, weight: float, bias: float) -> None:
    init = {"kind": "gaussian", "weight_variance": weight, "bias_variance": bias}
    network = planned({"kind": "mlp", "depth": 12, "width": 64, "activation": function, "init": init}, vector(64))
    rel = 1e-4 if function == "hardtanh" else 1e-6  # its kink at √q moves through the integrand
    assert predict(network, 128).layers[-1].chi == pytest.approx(chi(phi, weight, bias), rel=rel)


def test_chi_under_norms_is_a_ratio_of_moments() -> None:
    """Layer norm: E φ'²/E φ² where φ has mean 0, and over Var φ where it has not: a mean is no length. Root mean
    square: over E φ².
    """
    steep = expectation(lambda z: slope(functional.elu, z) ** 2)
    square = expectation(lambda z: value(functional.elu, z) ** 2)
    for norm in ("layer_norm", "rms_norm"):
        spec = {"kind": "mlp", "depth": 12, "width": 4096, "activation": "elu", "normalization": {"kind": norm}}
        network = planned({**spec, "init": {"kind": "lecun_normal"}}, vector(64))
        assert predict(network, 128).layers[-1].chi == pytest.approx(steep / square, rel=1e-3)


# --- gains of explicit networks -----------------------------------------------------------------------------------


def vector(width: int) -> Shape:
    return Shape("vector", (width,))


@dataclass(frozen=True)
class Drawing:
    """Weights of one explicit network, drawn one after another."""

    random: torch.Generator

    def normal(self, *shape: int, sd: float = 1.0) -> Tensor:
        return sd * torch.randn(*shape, generator=self.random, dtype=torch.float64)

    def uniform(self, *shape: int, bound: float) -> Tensor:
        return bound * (2.0 * torch.rand(*shape, generator=self.random, dtype=torch.float64) - 1.0)

    def orthogonal(self, size: int) -> Tensor:
        basis, triangle = torch.linalg.qr(self.normal(size, size))
        return torch.mul(basis, triangle.diagonal().sign())


Made = tuple[list[Tensor], Tensor]
"""The points whose δ is asked for, in forward order, and the output."""


def increments(make: Callable[[Drawing], Made]) -> np.ndarray[Any, Any]:
    """(points − 1,): mean over seeds of ln rms δ(point) − ln rms δ(the next one), for a random cotangent."""
    found = []
    for seed in range(SEEDS):
        drawing = Drawing(torch.Generator().manual_seed(7000 + seed))
        points, output = make(drawing)
        deltas = torch.autograd.grad(output, points, drawing.normal(*output.shape))
        levels = [float(delta.square().mean().log()) / 2.0 for delta in deltas]
        found.append(-np.diff(levels))
    return np.asarray(np.mean(found, axis=0))


def stack(
    drawing: Drawing,
    widths: Sequence[int],
    phi: Phi,
    layer: Callable[[Drawing, int, int], tuple[Tensor, Tensor]],
    norm: Phi = lambda h: h,
    batch: int = 64,
) -> Made:
    """A multilayer perceptron over ``widths``, the first that of the inputs."""
    values, points = drawing.normal(batch, widths[0]), list[Tensor]()
    for fan_in, fan_out in itertools.pairwise(widths):
        weight, bias = layer(drawing, fan_in, fan_out)
        h = norm(values @ weight.T + bias)
        h.requires_grad_()
        points.append(h)
        values = phi(h)
    head = drawing.normal(OUTPUTS, widths[-1], sd=widths[-1] ** -0.5)
    return points, values @ head.T


def gaussian(weight: float, bias: float) -> Callable[[Drawing, int, int], tuple[Tensor, Tensor]]:
    def draw(drawing: Drawing, fan_in: int, fan_out: int) -> tuple[Tensor, Tensor]:
        return drawing.normal(fan_out, fan_in, sd=(weight / fan_in) ** 0.5), drawing.normal(fan_out, sd=bias**0.5)

    return draw


def fan_out_uniform(drawing: Drawing, fan_in: int, fan_out: int) -> tuple[Tensor, Tensor]:
    return drawing.uniform(fan_out, fan_in, bound=(6.0 / fan_out) ** 0.5), torch.zeros(fan_out, dtype=torch.float64)


def orthogonal(gain: float) -> Callable[[Drawing, int, int], tuple[Tensor, Tensor]]:
    def draw(drawing: Drawing, fan_in: int, _: int) -> tuple[Tensor, Tensor]:
        return gain * drawing.orthogonal(fan_in), torch.zeros(fan_in, dtype=torch.float64)

    return draw


def over_batch(h: Tensor) -> Tensor:
    return functional.batch_norm(h, None, None, training=True)


def over_units(h: Tensor) -> Tensor:
    return functional.layer_norm(h, h.shape[-1:])


def over_units_uncentred(h: Tensor) -> Tensor:
    return h / (h.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def relu_with_dropout(drawing: Drawing) -> Phi:
    def phi(h: Tensor) -> Tensor:
        kept = torch.rand(h.shape, generator=drawing.random) >= 0.3
        return functional.relu(h) * kept / 0.7

    return phi


WAIST = [320, 320, 160, 80, 80, 160, 320, 320]


def mlp(activation: str, init: Json, depth: int, width: int, **more: Any) -> Json:
    return {"kind": "mlp", "hidden": [width] * depth, "activation": activation, "init": init, **more}


@dataclass(frozen=True)
class Case:
    """``spec`` as a client asks for it; ``make`` the same network by hand; the kind that a measurement must say."""

    name: str
    spec: Json
    make: Callable[[Drawing], Made]
    kind: str
    batch: int = 64
    tolerance: float = 0.02


def gaussian_spec(weight: float, bias: float = 0.0) -> Json:
    return {"kind": "gaussian", "weight_variance": weight, "bias_variance": bias}


def branch(drawing: Drawing, width: int, phi: Phi, x: Tensor, layers: int) -> Tensor:
    for _ in range(layers):
        bound = width**-0.5
        x = phi(x) @ drawing.uniform(width, width, bound=bound).T + drawing.uniform(width, bound=bound)
    return x


def halves(drawing: Drawing) -> Made:
    """x + ½·F(x), 12 blocks of three GELU layers at torch's defaults."""
    width, bound = 256, 256**-0.5
    x = drawing.normal(64, width) @ drawing.uniform(width, width, bound=bound).T + drawing.uniform(width, bound=bound)
    points = [x.requires_grad_()]
    for _ in range(12):
        points.append(points[-1] + 0.5 * branch(drawing, width, functional.gelu, points[-1], 3))
    return points, functional.gelu(points[-1]) @ drawing.normal(OUTPUTS, width).T


def pixel_by_pixel(drawing: Drawing) -> Made:
    """1×1 convolutions are a multilayer perceptron at each of 25 pixels; the mean over them ends it."""
    channels, values, points = 192, drawing.normal(16, 192, 5, 5), list[Tensor]()
    for _ in range(14):
        weight = drawing.normal(channels, channels, 1, 1, sd=(1.2 / channels) ** 0.5)
        h = functional.conv2d(values, weight)
        h.requires_grad_()
        points.append(h)
        values = functional.silu(h)
    return points, values.mean((2, 3)) @ drawing.normal(OUTPUTS, channels).T


CASES = [
    Case(
        "mish, chaotic side", mlp("mish", gaussian_spec(2.6, 0.1), 24, 320),
        lambda its: stack(its, [320] * 25, functional.mish, gaussian(2.6, 0.1)), "exploding",
    ),
    Case(
        "softsign, ordered", mlp("softsign", gaussian_spec(1.5, 0.05), 24, 320),
        lambda its: stack(its, [320] * 25, functional.softsign, gaussian(1.5, 0.05)), "vanishing",
    ),
    Case(
        "hardtanh, orthogonal 1.3", mlp("hardtanh", {"kind": "orthogonal", "gain": 1.3}, 24, 320),
        lambda its: stack(its, [320] * 25, functional.hardtanh, orthogonal(1.3)), "healthy",
    ),
    Case(
        "leaky, uniform by fan out, through a waist",
        {"kind": "mlp", "hidden": WAIST, "activation": "leaky_relu", "negative_slope": 0.3,
         "init": {"kind": "kaiming_uniform", "mode": "fan_out"}},
        lambda its: stack(its, [320, *WAIST], lambda h: functional.leaky_relu(h, 0.3), fan_out_uniform), "healthy",
    ),
    Case(
        "batch norm and tanh", mlp("tanh", gaussian_spec(1.0), 20, 512, normalization={"kind": "batch_norm"}),
        lambda its: stack(its, [320] + [512] * 20, torch.tanh, gaussian(1.0, 0.0), over_batch, 128),
        "healthy", 128, 0.03,
    ),
    Case(
        "layer norm and softplus", mlp("softplus", gaussian_spec(1.0), 16, 320, normalization={"kind": "layer_norm"}),
        lambda its: stack(its, [320] * 17, functional.softplus, gaussian(1.0, 0.0), over_units), "vanishing",
    ),
    Case(
        "root mean square norm and ELU", mlp("elu", gaussian_spec(3.0), 24, 320, normalization={"kind": "rms_norm"}),
        lambda its: stack(its, [320] * 25, functional.elu, gaussian(3.0, 0.0), over_units_uncentred), "healthy",
    ),
    Case(
        "dropout that mends a variance of 1.4", mlp("relu", gaussian_spec(1.4), 24, 320, dropout=0.3),
        lambda its: stack(its, [320] * 25, relu_with_dropout(its), gaussian(1.4, 0.0)),
        "healthy",
    ),
    Case(
        "three-layer branches by halves",
        {"kind": "residual_mlp", "blocks": 12, "width": 256, "layers_per_block": 3, "activation": "gelu",
         "skip": {"kind": "scaled", "factor": 0.5}},
        halves, "healthy",
    ),
]  # fmt: skip
IMAGES = Case(
    "1×1 convolutions",
    {"kind": "cnn", "channels": [192], "layers_per_stage": 14, "kernel_size": 1, "pool": None, "activation": "silu",
     "init": gaussian_spec(1.2)},
    pixel_by_pixel, "vanishing", 16,
)  # fmt: skip


def told(case: Case, given: Shape) -> tuple[Prediction, np.ndarray[Any, Any], str]:
    """(theory, the explicit network's increments, the kind that the engine's own record of this network leads to)."""
    network = planned(case.spec, given)
    hidden = [index for index, layer in enumerate(network.layers) if layer.role == "hidden"]
    random = torch.Generator().manual_seed(5)
    first, size = network.layers[0], given.size[1:] if given.form == "image" else ()
    length = float(make_first(case).square().mean())
    h = torch.randn(case.batch, first.units, *size, generator=random, dtype=torch.float64) * math.sqrt(length)
    cotangent = torch.randn(case.batch, OUTPUTS, generator=random, dtype=torch.float64)
    record = measure(network, input=h, cotangent=cotangent, dtype=torch.float64, seed=3)
    levels = np.log(record.activation_gradient_rms[hidden]).tolist()
    batch_norm = case.spec.get("normalization") == {"kind": "batch_norm"}
    facts = gradient_of_run(levels, batch_norm=batch_norm, cut=CUTS.get(network.kind, STANDARD))
    return predict(network, case.batch), increments(case.make), facts.kind


def make_first(case: Case) -> Tensor:
    return case.make(Drawing(torch.Generator().manual_seed(1)))[0][0].detach()


@pytest.mark.long
@pytest.mark.parametrize("case", [*CASES, IMAGES], ids=lambda case: case.name)
def test_theory_and_engine_agree_with_explicit_networks(case: Case) -> None:
    given = Shape("image", (192, 5, 5)) if case is IMAGES else vector(256 if "blocks" in case.spec else 320)
    theory, measured, kind = told(case, given)
    drop = 5 if "batch_norm" in str(case.spec) else 2
    drop = drop if len(measured) - drop >= 8 else 0
    assert theory.gain_per_layer == pytest.approx(math.exp(measured[drop:].mean()), rel=case.tolerance)
    assert theory.total_gain == pytest.approx(measured.sum(), abs=0.02 * len(measured) + 0.1)
    assert kind == case.kind


# --- over time ----------------------------------------------------------------------------------------------------


def test_a_gru_of_zero_weights_halves_the_gradient_at_every_step() -> None:
    """z = σ(0) = ½ and n = 0, so ∂h_t/∂h_(t−1) = ½ exactly."""
    spec = {"kind": "rnn", "cell": "gru", "width": 24, "init": {"kind": "normal", "std": 0.0}}
    network = planned(spec, Shape("sequence", (30, 4)))
    h = torch.zeros(8, 30, network.layers[0].units, dtype=torch.float64)
    record = measure(
        network, input=h, cotangent=torch.ones(8, OUTPUTS, dtype=torch.float64), dtype=torch.float64, seed=0
    )
    states = record.state_gradient_rms
    theory = predict(network, 8).time[0]
    assert theory.gain_per_step == pytest.approx(0.5, rel=1e-12)
    # The output's weights are zero too: nothing comes down, and no ratio is invented.
    assert not states.any()


def test_a_linear_recurrence_has_exactly_its_gain_per_step() -> None:
    gain, steps = 0.93, 70
    recurrent = {"kind": "orthogonal", "gain": gain}
    spec = {"kind": "rnn", "cell": "identity", "width": 40, "recurrent_init": recurrent}
    network = planned(spec, Shape("sequence", (steps, 4)))
    random = torch.Generator().manual_seed(2)
    h = torch.randn(8, steps, network.layers[0].units, generator=random, dtype=torch.float64)
    cotangent = torch.randn(8, OUTPUTS, generator=random, dtype=torch.float64)
    states = measure(network, input=h, cotangent=cotangent, dtype=torch.float64, seed=0).state_gradient_rms
    assert states[0] / states[-1] == pytest.approx(gain**steps, rel=1e-12)
    assert predict(network, 8).time[0].total_gain == pytest.approx(steps * math.log(gain), rel=1e-12)
