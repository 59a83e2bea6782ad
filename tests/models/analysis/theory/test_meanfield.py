"""Mean-field theory beside scipy's adaptive quadrature, published figures and samples of what it averages."""

import itertools
import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy import integrate

from gradient_clinic.activations import SHAPES, Activation
from gradient_clinic.quadrature import gaussian_moments, integrated_moments
from gradient_clinic.values import Array
from models.analysis.theory.batch_statistics import batch_norm_multiplier
from models.analysis.theory.initial_variance import initial_variance
from models.analysis.theory.meanfield import (
    LayerMap,
    Norm,
    asymptotic_multiplier,
    critical_weight_variance,
    fixed_point,
)
from models.specs.init import InitSpec

NORMS: tuple[Norm, ...] = ("none", "batch_norm", "layer_norm")
EVERY = [Activation(name, shape.default) for name, shape in sorted(SHAPES.items())]
WITH_PARAMETERS = [*EVERY, Activation("celu", 0.002), Activation("elu", 7.0), Activation("leaky_relu", -0.3)]


# --- expectations -----------------------------------------------------------------------------------------------


def adaptive_moments(activation: Activation, q: float) -> Array:
    """E φ/√q, E φ²/q and E φ'² by scipy's adaptive rule between all the scales that φ and the Gaussian have."""
    deviation = math.sqrt(q)

    def integrand(z: float) -> Array:
        h = np.array([deviation * z])
        value, slope = activation.phi(h)[0] / deviation, activation.dphi(h)[0]
        return np.array([value, value**2, slope**2]) * math.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi)

    scales = [0.0, *activation.shape.kinks, *(side * 10.0**k for side in (-1, 1) for k in range(-1, 4))]
    ends = [-13.0, -4.0, 4.0, 13.0, *(scale / deviation for scale in scales)]
    pieces = itertools.pairwise(sorted({end for end in ends if abs(end) <= 13.0}))
    return np.asarray(sum(integrate.quad_vec(integrand, a, b, epsabs=1e-11, epsrel=1e-9)[0] for a, b in pieces))


@pytest.mark.parametrize("q", [1e-12, 0.3, 1e4])
@pytest.mark.parametrize("activation", WITH_PARAMETERS, ids=str)
def test_expectations_are_those_of_adaptive_quadrature(activation: Activation, q: float) -> None:
    mean, square, slope_square = adaptive_moments(activation, q)
    ours = gaussian_moments(activation, q)
    assert ours.mean == pytest.approx(mean * math.sqrt(q), rel=1e-8, abs=1e-8 * math.sqrt(q))
    assert ours.square == pytest.approx(square * q, rel=1e-8, abs=1e-9 * q)
    assert ours.slope_square == pytest.approx(slope_square, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("activation", WITH_PARAMETERS, ids=str)
def test_expectations_read_off_a_series_have_the_digits_of_the_rule(activation: Activation) -> None:
    for q in np.geomspace(3e-9, 1e16, 61).tolist():
        read, rule = gaussian_moments(activation, q), integrated_moments(activation, q)
        assert read.mean == pytest.approx(rule.mean, rel=1e-12, abs=1e-12 * math.sqrt(q))
        assert read.variance == pytest.approx(rule.variance, rel=1e-12, abs=1e-12 * q)
        assert read.slope_square == pytest.approx(rule.slope_square, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("activation", WITH_PARAMETERS, ids=str)
def test_the_length_map_never_falls_so_that_it_has_one_nearest_fixed_point(activation: Activation) -> None:
    squares = [gaussian_moments(activation, float(q)).square for q in np.geomspace(1e-6, 1e6, 60)]
    assert all(larger >= smaller * (1.0 - 1e-12) for smaller, larger in itertools.pairwise(squares))


# --- χ ----------------------------------------------------------------------------------------------------------


def chi(layer: LayerMap, start: float | None = None) -> float:
    return asymptotic_multiplier(layer, fixed_point(layer, layer.length_of_inputs(1.0) if start is None else start))


@pytest.mark.parametrize(
    ("function", "weight_variance", "bias_variance", "expected"),
    [
        ("identity", 1 / 3, 0.0, 1 / 3),  # G1
        ("identity", 1.0, 0.0, 1.0),  # G2
        ("relu", 2.0, 0.0, 1.0),  # G3
        ("relu", 1.0, 0.0, 0.5),  # G4
        ("relu", 1 / 3, 0.0, 1 / 6),  # G5
        ("tanh", 1 / 3, 0.0, 1 / 3),  # G6
        ("tanh", 1.3, 0.05, 0.880164),  # G7
        ("tanh", 1.760955, 0.05, 1.0),  # G8
        ("tanh", 4.0, 0.05, 1.342402),  # G9
        ("sigmoid", 1.0, 0.0, 0.055721),  # G10
    ],
)
def test_chi_of_the_golden_cases(function: str, weight_variance: float, bias_variance: float, expected: float) -> None:
    layer = LayerMap(Activation(function), weight_variance, bias_variance)
    assert chi(layer) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("weight_variance", "bias_variance", "q_star"),
    [(1.3, 0.05, 0.315316), (1.7609546396069404, 0.05, 0.570048), (4.0, 0.05, 2.195494)],
)
def test_lengths_of_the_golden_tanh_cases(weight_variance: float, bias_variance: float, q_star: float) -> None:
    layer = LayerMap(Activation("tanh"), weight_variance, bias_variance)
    for start in (1e-9, 1.0, 1e6):
        assert fixed_point(layer, start) == pytest.approx(q_star, abs=1e-6)


@pytest.mark.parametrize(
    ("function", "rms_ratio"),
    [
        ("relu", 0.408248290463863),
        ("tanh", 0.5773502691896257),
        ("elu", 0.5773502691896257),
        ("softsign", 0.5773502691896257),
        ("gelu", 0.28867513459481287),
        ("silu", 0.28867513459481287),
    ],
)
def test_default_initialisation_vanishes_at_the_published_rates(function: str, rms_ratio: float) -> None:
    layer = LayerMap(Activation(function, SHAPES[function].default), 1.0 / 3.0)
    assert math.sqrt(chi(layer)) == pytest.approx(rms_ratio, abs=1e-7)


@pytest.mark.parametrize("bias_variance", [0.0, 0.3])
@pytest.mark.parametrize(("slope", "expected"), [(0.01, 1.0001), (-0.5, 1.25), (1.0, 2.0)])
def test_homogeneous_activations_have_their_closed_form_at_any_length(
    slope: float, expected: float, bias_variance: float
) -> None:
    layer = LayerMap(Activation("leaky_relu", slope), 1.9, bias_variance)
    for q in (1e-12, 1.0, 1e9):
        assert layer.gradient_multiplier(q) == pytest.approx(1.9 * expected / 2.0, rel=1e-13)


def test_relu_above_two_grows_without_bound_and_keeps_its_chi() -> None:
    layer = LayerMap(Activation("relu"), 2.1)
    assert fixed_point(layer, 1.0) == math.inf
    assert chi(layer) == pytest.approx(1.05, rel=1e-12)


def test_gelu_that_grows_without_bound_ends_as_relu() -> None:
    assert chi(LayerMap(Activation("gelu"), 4.0)) == pytest.approx(2.0, rel=1e-6)


def test_of_two_fixed_points_the_start_decides() -> None:
    layer = LayerMap(Activation("tanhshrink"), 4.0)
    assert fixed_point(layer, 0.1) == 0.0
    assert fixed_point(layer, 4.0) == math.inf
    assert chi(layer, 0.1) == 0.0
    assert chi(layer, 4.0) == pytest.approx(4.0, rel=1e-6)


def test_a_fixed_point_near_the_critical_line_is_found_and_not_taken_for_the_start() -> None:
    layer = LayerMap(Activation("tanh"), 1.0005)  # plain iteration needs thousands of steps
    q_star = fixed_point(layer, 1.0)
    assert 0.0 < q_star < 1e-3
    assert layer.length(q_star) == pytest.approx(q_star, rel=1e-9)


def test_selu_keeps_mean_zero_and_variance_one() -> None:
    moments = gaussian_moments(Activation("selu"), 1.0)
    assert (moments.mean, moments.variance) == pytest.approx((0.0, 1.0), abs=1e-6)
    assert fixed_point(LayerMap(Activation("selu"), 1.0), 3.0) == pytest.approx(1.0, abs=1e-6)


def test_chi_is_the_slope_of_the_correlation_map_at_one() -> None:
    layer = LayerMap(Activation("tanh"), 1.3, 0.05)
    q = fixed_point(layer, 1.0)
    z, weight = np.polynomial.hermite_e.hermegauss(80)
    weight = weight / weight.sum()
    gap = 1e-5
    first = np.tanh(math.sqrt(q) * z)[:, None]
    c = 1.0 - gap
    second = np.tanh(math.sqrt(q) * (c * z[:, None] + math.sqrt(1.0 - c * c) * z))
    correlation = (1.3 * float(weight @ (first * second) @ weight) + 0.05) / q
    assert (1.0 - correlation) / gap == pytest.approx(chi(layer), rel=1e-4)


def test_dropout_divides_chi_by_the_kept_share_and_feeds_the_length() -> None:
    layer = LayerMap(Activation("relu"), 1.6, dropout=0.2)
    assert chi(layer) == pytest.approx(1.0, rel=1e-12)
    assert layer.length(3.0) == pytest.approx(3.0, rel=1e-12)


# --- the critical line ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bias_variance", "weight_variance"),
    [
        (0.0, 1.0),
        (0.0025, 1.260094),
        (0.01, 1.424205),
        (0.05, 1.760955),
        (0.1, 1.986073),
        (0.2, 2.285152),
        (0.3, 2.505127),
    ],
)
def test_the_critical_line_of_tanh(bias_variance: float, weight_variance: float) -> None:
    assert critical_weight_variance(Activation("tanh"), bias_variance) == pytest.approx(weight_variance, abs=1e-6)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (Activation("relu"), 2.0),
        (Activation("leaky_relu", 0.5), 1.6),
        (Activation("elu", 1.0), 1.0),
        (Activation("gelu"), None),  # σw² = 4 has χ = 1 at q = 0, which standardised inputs run away from
        (Activation("hardshrink"), None),
        (Activation("softplus"), None),
    ],
)
def test_without_bias_some_activations_have_a_critical_point(activation: Activation, expected: float | None) -> None:
    assert critical_weight_variance(activation, 0.0) == (
        expected if expected is None else pytest.approx(expected, abs=1e-5)
    )


# --- norms ------------------------------------------------------------------------------------------------------


def test_batch_norm_of_relu_is_pi_over_pi_minus_one_at_any_weight_variance() -> None:
    for weight_variance in (0.1, 2.0):
        layer = LayerMap(Activation("relu"), weight_variance, bias_variance=5.0, norm="batch_norm")
        assert chi(layer) == pytest.approx(math.pi / (math.pi - 1.0), rel=1e-12)


def test_layer_norm_divides_by_the_mean_square_bias_included() -> None:
    without = LayerMap(Activation("relu"), 0.7, norm="layer_norm")
    biased = LayerMap(Activation("relu"), 0.5, bias_variance=0.25, norm="layer_norm")
    assert chi(without) == pytest.approx(1.0, rel=1e-12)
    assert chi(biased) == pytest.approx(0.5, rel=1e-12)


def test_dropout_widens_the_batch_by_its_own_noise() -> None:
    """Var over the batch of dropout(φ) is E φ²/(1 − p) − (E φ)²; for ReLU ½/(1 − p) − 1/(2π)."""
    layer = LayerMap(Activation("relu"), 0.7, dropout=0.3, norm="batch_norm")
    assert chi(layer) == pytest.approx((0.5 / 0.7) / (0.5 / 0.7 - 1.0 / (2.0 * math.pi)), rel=1e-12)


def test_the_first_length_counts_the_bias_but_under_batch_norm() -> None:
    layers = [LayerMap(Activation("relu"), 0.5, 1.0, norm=norm, eps=0.5) for norm in NORMS]
    assert [layer.length_of_inputs(2.0) for layer in layers] == pytest.approx([2.0, 1.0 / 1.5, 2.0 / 2.5])


@pytest.mark.parametrize("norm", ["batch_norm", "layer_norm"])
def test_a_large_epsilon_shrinks_h_and_its_gradient(norm: Norm) -> None:
    layer = LayerMap(Activation("identity"), 1.0, norm=norm, eps=0.5)
    q_star = fixed_point(layer, 1.0)
    assert q_star == pytest.approx(0.5)  # q = q/(q + ε)
    assert chi(layer) == pytest.approx(1.0)
    assert fixed_point(LayerMap(Activation("identity"), 0.4, norm=norm, eps=0.5), 1.0) == 0.0


@st.composite
def continuous_activations(draw: st.DrawFn) -> Activation:
    """All but hard shrinkage: its jump is missing from φ', and Poincaré's inequality with it."""
    function = draw(st.sampled_from(sorted(SHAPES.keys() - {"hardshrink"})))
    limits = {"negative_slope": (-10.0, 10.0), "alpha": (0.01, 100.0)}.get(SHAPES[function].parameter or "")
    return Activation(function, draw(st.floats(*limits)) if limits else 0.0)


@settings(max_examples=60, deadline=None)
@given(continuous_activations(), st.floats(0.01, 0.9))
def test_batch_norm_never_shrinks_gradients(activation: Activation, eps_free_weight: float) -> None:
    """Gaussian Poincaré: E φ'² ≥ Var φ at q = 1."""
    layer = LayerMap(activation, eps_free_weight, norm="batch_norm")
    assert layer.gradient_multiplier(1.0) >= 1.0 - 1e-9


# --- batches of finite size -------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [4, 5, 16, 128])
def test_batch_norm_of_a_linear_network_is_exact_at_any_batch(batch_size: int) -> None:
    expected = (batch_size - 2) / (batch_size - 3)
    assert batch_norm_multiplier(Activation("identity"), batch_size) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("activation", EVERY, ids=str)
def test_large_batches_reach_the_limit(activation: Activation) -> None:
    limit = LayerMap(activation, 1.0, norm="batch_norm").gradient_multiplier(1.0)
    assert batch_norm_multiplier(activation, 1_000_000) == pytest.approx(limit, rel=1e-4)


def test_below_four_cases_batch_norm_has_no_finite_mean() -> None:
    assert batch_norm_multiplier(Activation("relu"), 3) == math.inf


@lru_cache(maxsize=1)
def _standardised_batches(batch_size: int) -> tuple[Array, Array, Array]:
    """(units, B) values of h after batch norm, B before the centring's scale s, and gradients for them."""
    generator = np.random.default_rng(0)
    before = generator.normal(size=(400_000 // batch_size, batch_size))
    before -= before.mean(axis=1, keepdims=True)
    scale = np.sqrt((before**2).mean(axis=1, keepdims=True))
    from_above = generator.normal(size=before.shape)
    return before / scale, scale, from_above - from_above.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("function", ["relu", "tanh", "sigmoid", "softshrink"])
@pytest.mark.parametrize("batch_size", [8, 16])
def test_small_batches_multiply_gradients_as_sampled(batch_size: int, function: str, dropout: float) -> None:
    """One layer of infinite width, backward through φ, dropout and the norm, then φ's spread as seen from above."""
    h, scale, from_above = _standardised_batches(batch_size)
    activation = Activation(function)
    mask = (np.random.default_rng(1).random(h.shape) >= dropout) / (1.0 - dropout)
    slope, value = activation.dphi(h) * mask, activation.phi(h) * mask
    gradient = slope * from_above
    through = (gradient - gradient.mean(axis=1, keepdims=True) - h * (gradient * h).mean(axis=1, keepdims=True)) / scale
    # x = W·φ(h) has the covariance of φ(h) between cases: unit variance was assumed for ``before``
    spread = ((value - value.mean(axis=1, keepdims=True)) ** 2).sum(axis=1).mean() / (batch_size - 1)
    sampled = (through**2).mean() / (from_above**2).mean() / spread
    assert batch_norm_multiplier(activation, batch_size, dropout) == pytest.approx(sampled, rel=0.02)


# --- initialisations --------------------------------------------------------------------------------------------

Torch = torch.nn.init


def _kaiming(shape: str, mode: str, nonlinearity: str, weight: torch.Tensor) -> object:
    return getattr(Torch, f"kaiming_{shape}_")(weight, mode=mode, nonlinearity=nonlinearity)


DRAWS: list[tuple[Any, Callable[[torch.Tensor], object]]] = [
    ({"kind": "xavier_normal", "gain": 1.5}, lambda w: Torch.xavier_normal_(w, gain=1.5)),
    ({"kind": "xavier_uniform", "gain": 0.5}, lambda w: Torch.xavier_uniform_(w, gain=0.5)),
    ({"kind": "lecun_normal"}, lambda w: Torch.kaiming_normal_(w, nonlinearity="linear")),
    ({"kind": "normal", "std": 0.03}, lambda w: Torch.normal_(w, std=0.03)),
    ({"kind": "orthogonal", "gain": 2.0}, lambda w: Torch.orthogonal_(w, gain=2.0)),
    ({"kind": "torch_default"}, lambda w: Torch.kaiming_uniform_(w, a=math.sqrt(5.0))),
    *(
        ({"kind": f"kaiming_{shape}", "mode": mode, "nonlinearity": phi}, partial(_kaiming, shape, mode, phi))
        for shape, mode in (("normal", "fan_in"), ("uniform", "fan_out"))
        for phi in ("linear", "relu", "leaky_relu", "tanh", "selu", "sigmoid")
    ),
]


def _init(spec: dict[str, Any]) -> InitSpec:
    adapter: TypeAdapter[InitSpec] = TypeAdapter(InitSpec)
    return adapter.validate_python(spec)


@pytest.mark.parametrize(("fan_in", "fan_out"), [(600, 200), (200, 600)])
@pytest.mark.parametrize(("spec", "draw"), DRAWS, ids=lambda value: str(value) if isinstance(value, dict) else "")
def test_weight_variances_are_those_of_torch(
    spec: dict[str, Any], draw: Callable[[torch.Tensor], object], fan_in: int, fan_out: int
) -> None:
    weight = torch.empty(fan_out, fan_in, dtype=torch.float64)
    draw(weight)
    measured = fan_in * float((weight**2).mean())
    assert initial_variance(_init(spec), fan_in, fan_out).weight == pytest.approx(measured, rel=0.03)


def test_variances_in_mean_field_terms_and_of_default_biases() -> None:
    gaussian = initial_variance(_init({"kind": "gaussian", "weight_variance": 1.3, "bias_variance": 0.05}), 10, 99)
    assert (gaussian.weight, gaussian.bias) == (1.3, 0.05)
    default = torch.nn.Linear(300, 20_000).bias.detach()
    assert initial_variance(_init({"kind": "torch_default"}), 300, 7).bias == pytest.approx(
        float((default**2).mean()), rel=0.03
    )
