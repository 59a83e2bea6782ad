"""The answer of ``POST /v1/predictions``: the contract's figures, its nulls, and its caveats."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradient_clinic.activations import SHAPES
from gradient_clinic.gains.increments import kept_increments
from models.analysis.theory.prediction import Prediction, predict, predict_spec
from models.plan import plan_network
from models.specs.base import SpecError
from models.specs.network import MlpSpec


def network(**changes: Any) -> MlpSpec:
    size: dict[str, Any] = {} if changes.keys() & {"hidden", "depth"} else {"depth": 20, "width": 64}
    return MlpSpec.model_validate({"kind": "mlp", **size, **changes})


def prediction(batch_size: int = 128, **changes: Any) -> Prediction:
    return predict_spec(network(**changes), batch_size)


XAVIER = {"kind": "xavier_normal"}
HE = {"kind": "kaiming_normal"}
CRITICAL_TANH = {"kind": "gaussian", "weight_variance": 1.7609546396069404, "bias_variance": 0.05}
BATCH_NORM = {"kind": "batch_norm"}
LAYER_NORM = {"kind": "layer_norm"}


# --- lengths and the critical line --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "weight_variance", "bias_variance", "critical"),
    [
        ({"activation": "tanh", "init": CRITICAL_TANH}, 1.760955, 0.05, 1.760955),
        ({"activation": "tanh"}, 1 / 3, 1 / 192, 1.336540),  # torch's default: U(±1/8) has a variance of 1/192
        ({"activation": "relu", "init": HE}, 2.0, 0.0, 2.0),
        ({"activation": "relu"}, 1 / 3, 1 / 192, 2.0),
        ({"activation": "leaky_relu", "negative_slope": 0.5, "init": HE}, 2.0, 0.0, 1.6),
        ({"normalization": BATCH_NORM, "init": HE}, 2.0, 0.0, None),
        ({"activation": "relu", "dropout": 0.2, "init": HE}, 2.0, 0.0, None),
    ],
)
def test_a_layer_tells_its_variances_and_those_of_the_critical_line(
    changes: dict[str, Any], weight_variance: float, bias_variance: float, critical: float | None
) -> None:
    layer = prediction(**changes).layers[3]
    assert layer.weight_variance == pytest.approx(weight_variance)
    assert layer.bias_variance == pytest.approx(bias_variance)
    assert layer.critical_weight_variance == (None if critical is None else pytest.approx(critical, abs=1e-6))


def test_uniform_weights_around_0_are_told_by_their_variance() -> None:
    """U(±√(3·2/64)) has σw² = 2, as He has it; a tenth wider it is off by 1.21."""
    side = math.sqrt(6.0 / 64.0)
    answer = prediction(init={"kind": "uniform", "low": -side, "high": side})
    assert answer.layers[3].weight_variance == pytest.approx(2.0)
    assert answer.gain_per_layer == pytest.approx(1.0)
    wider = prediction(init={"kind": "uniform", "low": -1.1 * side, "high": 1.1 * side})
    assert wider.gain_per_layer == pytest.approx(1.1)


def test_weights_of_0_pass_nothing_and_those_with_a_mean_have_no_theory() -> None:
    assert prediction(init={"kind": "constant", "value": 0.0}).layers[3].chi == 0.0
    for init in ({"kind": "constant", "value": 0.1}, {"kind": "uniform", "low": 0.0, "high": 0.1}):
        answer = prediction(init=init)
        assert answer.gain_per_layer is answer.total_gain is answer.layers[3].chi is None
        assert "a mean other than 0" in answer.caveats[0]
        assert "too much work" not in " ".join(answer.caveats)


def test_q_star_is_where_the_length_map_stays() -> None:
    """tanh at σw² = 1.3, σb² = 0.05: E tanh² by a fine sum."""
    init = {"kind": "gaussian", "weight_variance": 1.3, "bias_variance": 0.05}
    q = prediction(activation="tanh", init=init).layers[3].q_star
    assert q is not None
    z = np.linspace(-10.0, 10.0, 200_001)
    density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    assert 1.3 * np.trapezoid(np.tanh(math.sqrt(q) * z) ** 2 * density, z) + 0.05 == pytest.approx(q, rel=1e-9)
    growing = {"kind": "gaussian", "weight_variance": 3.0, "bias_variance": 0.0}
    assert prediction(activation="relu", init=growing).layers[3].q_star is None


# --- increments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hidden_layers", "batch_norm", "first"),
    [(1, False, 0), (10, False, 0), (11, False, 2), (19, False, 2), (13, True, 0), (14, True, 5), (19, True, 5)],
)
def test_the_first_increments_are_left_out_where_eight_remain(
    hidden_layers: int,
    batch_norm: bool,  # noqa: FBT001 -- the contract's two cases
    first: int,
) -> None:
    increments = list(range(hidden_layers - 1))
    assert increments[kept_increments(hidden_layers, batch_norm)] == increments[first:]


# --- figures of the contract ------------------------------------------------------------------------------------


def test_the_contracts_example_of_relu_under_batch_norm() -> None:
    answer = prediction(activation="relu", normalization=BATCH_NORM)
    assert answer.gain_per_layer == pytest.approx(1.2112, abs=5e-5)
    assert answer.total_gain == pytest.approx(3.45, abs=0.005)
    assert answer.regime == "normalised"
    assert [layer.chi for layer in answer.layers] == [pytest.approx(1.46694, abs=1e-5)] * 19
    assert [layer.rms_ratio for layer in answer.layers] == [pytest.approx(1.2112, abs=5e-5)] * 19


def test_xavier_sigmoid_vanishes_as_the_fixed_case_measures() -> None:
    answer = prediction(activation="sigmoid", init=XAVIER)
    assert answer.layers[0].chi == pytest.approx(0.055721, abs=1e-6)
    assert answer.gain_per_layer == pytest.approx(0.2361, abs=1e-4)
    assert answer.total_gain == pytest.approx(-26.1, abs=0.05)  # −25.98 at q*, and the first h is longer than that
    assert answer.regime == "ordered"


def test_xavier_relu_loses_half_its_variance_per_layer() -> None:
    answer = prediction(activation="relu", init=XAVIER)
    assert answer.total_gain == pytest.approx(-18.0 * math.log(2.0) / 2.0, rel=1e-12)
    assert answer.depth_scale == pytest.approx(1.0 / math.log(2.0), rel=1e-12)
    assert answer.trainable_depth == pytest.approx(6.0 / math.log(2.0), rel=1e-12)


def test_orthogonal_relu_of_gain_two_explodes() -> None:
    answer = prediction(activation="relu", init={"kind": "orthogonal", "gain": 2.0})
    assert answer.gain_per_layer == pytest.approx(math.sqrt(2.0), rel=1e-12)
    assert answer.regime == "chaotic"


def test_lengths_beyond_every_float_leave_the_gain_as_it_is() -> None:
    answer = prediction(activation="relu", depth=200, width=64, init={"kind": "gaussian", "weight_variance": 1e6})
    assert answer.gain_per_layer == pytest.approx(math.sqrt(5e5))
    assert any("beyond float32" in caveat for caveat in answer.caveats)


@pytest.mark.parametrize(
    "changes",
    [
        {"activation": "relu", "init": HE},
        {"activation": "tanh", "init": CRITICAL_TANH},
        {"activation": "identity", "init": {"kind": "orthogonal"}},
        {"activation": "tanh", "init": XAVIER},
    ],
)
def test_at_criticality_the_depth_scale_is_unbounded(changes: dict[str, Any]) -> None:
    answer = prediction(**changes)
    assert answer.regime == "critical"
    assert answer.depth_scale is None
    assert answer.trainable_depth is None


def test_chi_is_asymptotic_and_the_total_gain_is_not() -> None:
    """tanh at σw² = 1 creeps to q* = 0, where χ = 1; over 20 layers it still loses a factor of five."""
    answer = prediction(activation="tanh", init=XAVIER)
    assert answer.layers[0].chi == pytest.approx(1.0, abs=1e-6)
    assert answer.total_gain == pytest.approx(-1.61, abs=0.01)
    assert any("asymptotic length" in note for note in answer.notes)


def test_default_initialisation_counts_its_biases() -> None:
    small = prediction(activation="tanh", hidden=[16] * 20).layers[0].chi
    large = prediction(activation="tanh", hidden=[4096] * 20).layers[0].chi
    assert small is not None
    assert large is not None
    assert small == pytest.approx(0.315, abs=0.001)
    assert 0.333 < large < 1.0 / 3.0


# --- sizes ------------------------------------------------------------------------------------------------------


def test_layers_are_the_hidden_ones_by_name_and_index_from_one() -> None:
    answer = prediction(hidden=[30, 20], activation="relu")
    assert [(layer.index, layer.name) for layer in answer.layers] == [(1, "hidden.0"), (2, "hidden.1")]
    assert answer.inverse_width_sum == pytest.approx(1 / 30 + 1 / 20)


def test_a_linear_step_between_widths_counts_its_fan_out_over_its_fan_in() -> None:
    """Var W = 1/fan_in and fan_out summands: E δ² of the layer below is fan_out/fan_in of that above."""
    answer = prediction(hidden=[100, 400, 50], activation="identity", init={"kind": "lecun_normal"})
    first, second = 0.5 * math.log(400 / 100), 0.5 * math.log(50 / 400)
    assert answer.profile == {
        "hidden.0": pytest.approx(first + second),
        "hidden.1": pytest.approx(second),
        "hidden.2": 0.0,
    }
    assert answer.total_gain == pytest.approx(first + second)
    assert [layer.chi for layer in answer.layers] == [pytest.approx(1.0)] * 3


def test_chi_is_that_of_the_layer_repeated_at_its_own_width() -> None:
    xavier = prediction(hidden=[400, 100], activation="relu", init=XAVIER)
    fixed = prediction(hidden=[400, 100], activation="identity", init={"kind": "normal", "std": 0.1})
    assert [layer.chi for layer in xavier.layers] == pytest.approx([0.5, 0.5])
    assert [layer.chi for layer in fixed.layers] == pytest.approx([4.0, 1.0])


def test_only_the_first_length_depends_on_the_data() -> None:
    spec = network(activation="sigmoid", init={"kind": "lecun_normal"})
    assert predict_spec(spec, 128, 784, 10) == predict_spec(spec, 128)
    assert predict(plan_network(spec, 784, 10), 128) == predict_spec(spec, 128, 784, 10)


def test_one_hidden_layer_has_no_gain_per_layer() -> None:
    answer = prediction(hidden=[50], activation="relu")
    assert (answer.total_gain, answer.gain_per_layer) == (0.0, None)
    assert answer.profile == {"hidden.0": 0.0}
    assert "One hidden layer" in answer.notes[0]
    assert answer.caveats == ()


# --- batches ----------------------------------------------------------------------------------------------------


def test_small_batches_explode_faster_under_batch_norm() -> None:
    small, large = (prediction(batch, activation="relu", normalization=BATCH_NORM) for batch in (8, 512))
    assert small.layers[0].chi == pytest.approx(1.788, abs=0.001)
    assert any("batches of 8" in note for note in small.notes)
    assert large.layers[0].chi == pytest.approx(1.46694, abs=1e-5)


@pytest.mark.parametrize("batch_size", [4, 32, 128])
def test_a_linear_network_under_batch_norm_has_its_exact_chi(batch_size: int) -> None:
    answer = prediction(batch_size, activation="identity", normalization=BATCH_NORM)
    assert answer.layers[0].chi == pytest.approx((batch_size - 2) / (batch_size - 3))


def test_below_four_cases_batch_norm_answers_null_and_says_why() -> None:
    answer = prediction(3, activation="relu", normalization=BATCH_NORM)
    assert (answer.total_gain, answer.gain_per_layer, answer.depth_scale) == (None, None, None)
    assert answer.layers[0].chi is None
    assert any("infinite" in caveat for caveat in answer.caveats)


def test_batch_norm_over_one_case_is_refused() -> None:
    with pytest.raises(SpecError, match="more than one case"):
        prediction(1, activation="relu", normalization=BATCH_NORM)
    assert prediction(1, activation="relu", normalization=LAYER_NORM).total_gain is not None


# --- caveats and notes ---------------------------------------------------------------------------------------------


def test_a_wide_shallow_he_network_needs_no_caveat() -> None:
    assert prediction(hidden=[512] * 10, activation="relu", init=HE).caveats == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"activation": "relu", "hidden": [8] * 60, "init": HE}, "as far as the verdict's cut"),
        ({"activation": "relu", "hidden": [8] * 10, "init": HE}, "A width of 8 is narrow"),
        ({"activation": "hardshrink", "init": HE}, "jumps"),
        (
            {"activation": "tanhshrink", "init": {"kind": "gaussian", "weight_variance": 4.0}},
            "more than one fixed point",
        ),
        ({"activation": "relu", "hidden": [8] * 10, "normalization": BATCH_NORM}, "5 % above it"),
        ({"activation": "sigmoid", "hidden": [512] * 60, "init": XAVIER}, "beyond float32"),
        ({"activation": "identity", "init": {"kind": "normal", "std": 0.0}}, "No gradient reaches"),
    ],
)
def test_a_caveat_that_applies_is_said_and_not_of_a_plain_network(changes: dict[str, Any], words: str) -> None:
    assert any(words in caveat for caveat in prediction(**changes).caveats)
    assert prediction(hidden=[512] * 10, activation="relu", init=HE).caveats == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"activation": "relu", "init": HE}, "Σ 1/width = 0.3"),
        ({"activation": "relu", "init": HE, "dropout": 0.1}, "no critical point"),
        ({"activation": "tanh", "init": {"kind": "orthogonal"}}, "Orthogonal weights"),
        ({"activation": "prelu"}, "slope is learned"),
        ({"activation": "gelu", "init": HE, "hidden": [512] * 12}, "10% larger"),
        ({"activation": "relu", "init": {"kind": "orthogonal", "gain": 2.0}}, "without bound"),
        ({"activation": "relu", "hidden": [300, 200, 100]}, "widths vary"),
        ({"activation": "relu", "normalization": BATCH_NORM}, "narrow for batches of 128"),
        (
            {"activation": "relu", "normalization": {"kind": "layer_norm", "eps": 0.1}},
            "is not small beside the variance",
        ),
    ],
)
def test_a_condition_of_a_prediction_that_holds_is_a_note_and_no_caveat(changes: dict[str, Any], words: str) -> None:
    answer = prediction(**changes)
    assert any(words in note for note in answer.notes)
    assert answer.caveats == ()
    plain = prediction(hidden=[512] * 10, activation="relu", init=HE)
    assert not any(words in note for note in plain.notes)


# --- every network has an answer --------------------------------------------------------------------------------

INITS = st.sampled_from(
    [
        {"kind": "torch_default"},
        {"kind": "xavier_uniform", "gain": 1e6},
        {"kind": "normal", "std": 0.0},
        {"kind": "normal", "std": 1e6},
        {"kind": "gaussian", "weight_variance": 1e-300, "bias_variance": 0.0},
        {"kind": "gaussian", "weight_variance": 1e6, "bias_variance": 1e6},
        {"kind": "kaiming_normal", "mode": "fan_out"},
        {"kind": "orthogonal", "gain": 1e-6},
    ]
)
NORMS = st.sampled_from(
    [None, BATCH_NORM, {"kind": "batch_norm", "eps": 1.0}, LAYER_NORM, {"kind": "layer_norm", "eps": 1.0}]
)


@settings(max_examples=150, deadline=None)
@given(
    activation=st.sampled_from(sorted(SHAPES)),
    init=INITS,
    normalization=NORMS,
    hidden=st.lists(st.integers(1, 16_384), min_size=1, max_size=40),
    dropout=st.sampled_from([0.0, 0.5, 0.999]),
    batch_size=st.integers(2, 1_000_000),
)
def test_every_network_gets_an_answer_that_json_can_hold(batch_size: int, **changes: Any) -> None:
    answer = prediction(batch_size, **changes)
    decoded = json.loads(answer.model_dump_json(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert len(decoded["layers"]) == len(decoded["profile"]) == len(answer.layers)
    assert Prediction.model_validate(decoded) == answer
    assert not any("nan" in said or "inf " in said for said in (*answer.caveats, *answer.notes))


@pytest.mark.parametrize(
    ("changes", "matters"),
    [
        (
            {"depth": 24, "width": 64, "activation": "gelu", "init": HE},
            True,
        ),  # measured 0.945 (0.893 to 1.0), not 0.842
        ({"depth": 8, "width": 64, "activation": "gelu", "init": HE}, False),
        ({"depth": 24, "width": 64, "activation": "gelu"}, False),  # toward q = 0, where χ is that of any small q
        ({"depth": 24, "width": 64, "activation": "relu", "init": HE}, False),  # at any length
        ({"depth": 24, "width": 64, "activation": "gelu", "init": HE, "normalization": LAYER_NORM}, False),
    ],
)
def test_where_gains_hang_on_a_length_that_scatters_a_caveat_says_so(changes: dict[str, Any], matters: bool) -> None:  # noqa: FBT001
    said = [caveat for caveat in prediction(**changes).caveats if caveat.startswith("The length of h matters here")]
    assert bool(said) is matters
