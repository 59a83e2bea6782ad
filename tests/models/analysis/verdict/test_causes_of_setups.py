"""Causes that lie in what a network, its data and its weights bring: where each holds, and where it does not."""

import math
from typing import Any

import numpy as np
import pytest

from gradient_clinic.verdict.shapes import Verdict
from models.analysis.suggestion.suspects import suspects_of
from models.analysis.theory.correlations import correlations
from models.analysis.verdict.setup import setup_of
from models.analysis.verdict.summary import summarise
from models.plan import Plan, expand
from tests.models.analysis.synthetic import CHANCE, even, experiment, facts_of, plan_of, supported, trace_of

HE = {"kind": "kaiming_normal"}
TEACHER = {"kind": "teacher_student", "cases": 200, "singular_values": [150.0]}


def judged(plan: Plan, loss: float = CHANCE, rms: dict[int, float] | None = None, **facts: Any) -> Verdict:
    """A run whose gradients keep their size, by steps that do too; ``rms`` of h by layer, 1 where it is not said."""
    trace = trace_of(plan, even(len(plan.layers) - 1, 0.0), loss=loss)
    trace.signals["update_ratio"][:] = 0.02
    for layer, size in (rms or {}).items():
        trace.signals["activation_rms"][layer] = size
    return summarise(plan, trace, facts_of(plan, **{"test_metric": 0.1, **facts})).verdict


# --- equal weights --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("init", [{"kind": "normal", "std": 0.0}, {"kind": "constant", "value": 0.1}])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_equal_units_are_the_only_cause_and_random_weights_the_only_answer(
    init: dict[str, object], activation: str
) -> None:
    found = judged(plan_of(hidden=[32, 16], activation=activation, init=init))
    assert found.causes == ("symmetric_weights",)
    assert supported(found) == ["init"]
    assert "All units of hidden.0 and hidden.1 start with the same weights" in found.sentence


@pytest.mark.parametrize(("spread", "named"), [(1e-4, True), (1e-3, True), (0.01, False), (0.2, False)])
def test_units_that_start_nearly_alike_are_told_by_the_spread_of_their_weights(spread: float, named: bool) -> None:  # noqa: FBT001
    """U(low, high) has a spread of (high − low)/√12 around its mean, whatever the fan is."""
    init = {"kind": "uniform", "low": 0.1 - spread, "high": 0.1}
    plan = plan_of(hidden=[32, 16], activation="tanh", init=init)
    own, shared = spread / math.sqrt(12.0), 0.1 - spread / 2.0
    for _, told in setup_of(plan).nearly_equal:
        assert told == pytest.approx(own / math.hypot(own, shared))
    found = judged(plan)
    assert ("symmetric_weights" in found.causes) == named
    assert ("start nearly alike" in found.sentence) == named
    assert not named or found.causes == ("symmetric_weights",)


def test_random_weights_around_zero_have_no_spread_to_tell() -> None:
    assert setup_of(plan_of(hidden=[32, 16], init=HE)).nearly_equal == ()


def test_weights_that_differ_or_silence_a_branch_on_purpose_are_not_equal() -> None:
    assert setup_of(plan_of(hidden=[32, 16], init={"kind": "normal", "std": 0.01})).equal_units == ()
    fixup = {"kind": "residual_mlp", "blocks": 4, "width": 16, "init": {"kind": "fixup"}}
    assert setup_of(plan_of(**fixup)).equal_units == ()


# --- scales ---------------------------------------------------------------------------------------------------------


def test_inputs_out_of_scale_are_told_by_the_first_layer_and_its_weights() -> None:
    """He's weights multiply the rms of the inputs by √2 = √σw²; digits has 64 of them."""
    raw = experiment(network={"hidden": [32, 32], "init": HE}, dataset={"kind": "digits", "standardise": "none"})
    plan = expand(raw)[0].plan
    assert setup_of(plan).first_layer_gain == pytest.approx(math.sqrt(2.0))
    found = judged(plan, rms={0: 50.0 * math.sqrt(2.0)})
    assert found.causes == ("input_scale",)
    assert supported(found)[0] == "standardise"
    shown = next(item for item in found.evidence if item.statistic == "input_rms")
    assert shown.value == pytest.approx(50.0)
    assert "input_scale" not in judged(plan, rms={0: 4.0 * math.sqrt(2.0)}).causes


def test_a_network_that_trains_on_inputs_out_of_scale_may_be_improved() -> None:
    raw = experiment(network={"hidden": [32, 32], "init": HE}, dataset={"kind": "digits", "standardise": "none"})
    found = judged(expand(raw)[0].plan, loss=0.1, rms={0: 50.0})
    assert (found.kind, supported(found)) == ("healthy", ["standardise"])


def test_targets_out_of_scale_are_named_with_a_rate_as_many_times_lower() -> None:
    """Their variance is the chance level of a squared error."""
    sgd = {"kind": "sgd", "learning_rate": 0.01}
    plan = expand(experiment(network={"hidden": [25]}, dataset=TEACHER, optimizer=sgd))[0].plan
    found = judged(plan, math.nan, chance_level=150.0**2, outcome="diverged")
    assert found.causes == ("target_scale", "learning_rate")
    assert supported(found)[:2] == ["standardise_targets", "learning_rate"]
    rate = next(answer for answer in found.answers if answer.remedy == "learning_rate")
    assert rate.spec["value"] == pytest.approx(0.01 / 150.0, rel=1e-2)
    assert rate.direction == "lower"
    assert "target_scale" not in judged(plan, math.nan, chance_level=4.0, outcome="diverged").causes


@pytest.mark.parametrize(("deviation", "named"), [(0.01, True), (0.1, False), (1.0, False)])
def test_targets_far_below_one_are_out_of_scale_and_no_rate_is_blamed(deviation: float, named: bool) -> None:  # noqa: FBT001
    """What the untrained network says has a size of its own: the loss is above chance from the first step on."""
    plan = expand(experiment(network={"hidden": [25]}, dataset=TEACHER, optimizer={"kind": "adam"}))[0].plan
    found = judged(plan, 2.0 * deviation**2, chance_level=deviation**2)
    assert (found.causes == ("target_scale",)) == named
    assert not named or supported(found) == ["standardise_targets"]


def test_weights_too_large_for_a_bounded_activation_are_the_cause_of_its_saturation() -> None:
    """N(0, 1) over 64 inputs: √σw² = 8, and 1 keeps a tanh's signals in size."""
    tanh = {"hidden": [64], "activation": "tanh"}
    found = judged(plan_of(**tanh, init={"kind": "normal", "std": 1.0}), rms={0: 8.0}, loss=2 * CHANCE)
    assert "initialisation" in found.causes
    assert "learning_rate" not in found.causes
    assert supported(found)[0] == "init"
    assert "Weights of hidden.0 start 8 times as large" in found.sentence
    assert "initialisation" not in judged(plan_of(**tanh, init={"kind": "xavier_normal"}), rms={0: 8.0}).causes


@pytest.mark.parametrize(
    ("gain", "grown", "step", "cause"),
    [
        (0.06, 8.0, 1.0, "initialisation"),
        (0.06, 100.0, 1.0, "learning_rate"),
        (0.6, 1.5, 1.0, "learning_rate"),
        (0.06, 8.0, 0.05, "no_gradient_cause_found"),
    ],
)
def test_steps_that_are_long_beside_a_small_start_alone_are_not_the_rates_fault(
    gain: float, grown: float, step: float, cause: str
) -> None:
    """Weights that grow toward a usual size have started too small; too high a rate takes them beyond it."""
    tanh = {"hidden": [32, 16], "activation": "tanh"}
    found = _grown(plan_of(**tanh, init={"kind": "gaussian", "weight_variance": gain**2}), grown, step)
    assert found.causes == (cause,)
    shown = {item.statistic: item.value for item in found.evidence}
    if cause == "initialisation":
        assert shown["gain_at_start"] == pytest.approx(gain)
        assert shown["gain_at_end"] == pytest.approx(gain * grown)
        assert "init" in supported(found)
        assert "learning_rate" not in supported(found)
        assert "Weights start too small: their √σw² is 0.06" in found.sentence
        assert "Training has grown it to 0.48" in found.sentence
    else:
        assert "gain_at_start" not in shown


def test_weights_under_a_norm_have_no_size_to_start_too_small_at() -> None:
    layers = {"hidden": [32, 16], "activation": "tanh", "normalization": {"kind": "layer_norm"}}
    found = _grown(plan_of(**layers, init={"kind": "gaussian", "weight_variance": 0.0036}), 8.0, 1.0)
    assert found.causes == ("learning_rate",)


@pytest.mark.parametrize(
    ("gain", "step", "loss", "cause"),
    [
        (0.05, 0.2, CHANCE, "initialisation"),
        (0.05, 0.2, 0.7 * CHANCE, "too_few_steps"),
        (0.05, 6.0, CHANCE, "learning_rate"),
        (0.05, 6.0, 0.7 * CHANCE, "learning_rate"),
        (0.05, 0.05, CHANCE, "no_gradient_cause_found"),
        (0.58, 0.2, 0.7 * CHANCE, "no_gradient_cause_found"),
        (0.58, 0.5, 0.7 * CHANCE, "learning_rate"),
        (1.8, 0.15, 0.7 * CHANCE, "learning_rate"),
    ],
)
@pytest.mark.parametrize("position", ["pre", "post"])
def test_a_step_beside_a_transformer_s_branches_is_as_long_as_it_would_be_beside_usual_ones(
    gain: float, step: float, loss: float, cause: str, position: str
) -> None:
    """Those that start small and stay at chance have to be drawn larger; those that have left it lack steps alone."""
    blocks = {"kind": "transformer", "blocks": 2, "width": 8, "heads": 2, "norm_position": position}
    plan = plan_of(**blocks, init={"kind": "gaussian", "weight_variance": gain**2})
    found = _grown(plan, 2.0, step, loss)
    assert found.causes == (cause,)
    shown = {item.statistic: (item.value, item.threshold) for item in found.evidence}
    small = cause in {"initialisation", "too_few_steps"}
    assert shown.get("gain_of_branches_at_start") == (pytest.approx((gain, 0.4)) if small else None)
    assert ("Weights on the branches start with a √σw² of 0.05" in found.sentence) == small
    if cause == "initialisation":
        assert supported(found)[0] == "init"
    if cause == "too_few_steps":
        assert [its.direction for its in found.answers if its.remedy == "learning_rate"] == ["higher"]
    if cause == "learning_rate":
        assert shown["median_of_largest_steps"] == pytest.approx((step, max(0.1, 0.15 / gain)))


def test_branches_without_a_norm_bear_no_longer_steps() -> None:
    blocks = {"kind": "transformer", "blocks": 2, "width": 8, "heads": 2, "normalization": None}
    plan = plan_of(**blocks, init={"kind": "gaussian", "weight_variance": 0.0025})
    assert "missing_norm" in _grown(plan, 200.0, 0.2).causes


def test_a_plan_says_of_branches_what_their_weights_start_at_and_suspects_none() -> None:
    plan = plan_of(kind="transformer", blocks=1, width=16, heads=2, init={"kind": "gaussian", "weight_variance": 9.0})
    gains = {name: gain for name, gain, _ in setup_of(plan).weight_gains}
    named = ("block.0.attention.qkv", "block.0.attention.out", "block.0.mlp.up")
    assert gains == pytest.approx(dict.fromkeys(named, 3.0))
    assert "initialisation" not in {its.cause for its in suspects_of(plan, setup_of(plan), math.inf)}


def _grown(plan: Plan, grown: float, step: float, loss: float = CHANCE) -> Verdict:
    """A run of this loss, whose weights grow by this factor, and by this share of themselves at first. Inputs have an
    rms of 1, which the first layer's weights multiply.
    """
    trace = trace_of(plan, even(len(plan.layers) - 1, 0.0), loss=loss)
    trace.signals["activation_rms"][0] = setup_of(plan).first_layer_gain or 1.0
    trace.signals["weight_norm"][:] = np.geomspace(1.0, grown, 20)[np.arange(len(trace.steps)).clip(max=19)]
    trace.signals["update_ratio"][:, 0] = step
    return summarise(plan, trace, facts_of(plan, test_metric=0.1)).verdict


# --- cases that can no longer be told apart -------------------------------------------------------------------------


def test_the_correlation_of_two_cases_is_that_of_the_arc_cosine_kernel() -> None:
    """Cho & Saul 2009, degree 1; the first layer's h are those of uncorrelated inputs."""
    cosine = 0.0
    for _ in range(50):
        cosine = (math.sqrt(1.0 - cosine**2) + (math.pi - math.acos(cosine)) * cosine) / math.pi
    found = correlations(plan_of(depth=51, width=16, init=HE).network)
    assert found is not None
    assert found.of_two == pytest.approx(cosine, abs=1e-9)
    assert found.of_one == 1.0


def test_what_dropout_leaves_is_what_random_networks_show() -> None:
    """Two masks of one case, and two cases, through 4 tanh layers at their critical scale, p = 0.3; 8 networks."""
    seen = np.mean([_drawn(np.random.default_rng(seed), width=1_500, p=0.3) for seed in range(8)], axis=0)
    plan = plan_of(depth=5, width=16, activation="tanh", dropout=0.3, init={"kind": "lecun_normal"})
    found = correlations(plan.network)
    assert found is not None
    assert [found.of_one, found.of_two] == pytest.approx(seen, abs=0.06)  # four standard errors


def _drawn(rng: np.random.Generator, width: int, p: float) -> list[float]:
    """Correlations behind 4 layers; h is brought back to variance 1, as theory has it."""
    first, second = rng.normal(size=width), rng.normal(size=width)
    passes = [first, first, second]
    for _ in range(4):
        weights = rng.standard_normal((width, width), dtype=np.float32)
        passes = [weights @ (np.tanh(h) * (rng.random(width) > p)) for h in passes]
        passes = [h / h.std() for h in passes]
    return [float(np.corrcoef(passes[0], other)[0, 1]) for other in passes[1:]]


def test_dropouts_noise_at_depth_is_the_cause_and_less_of_it_the_answer() -> None:
    selu = {"width": 64, "activation": "selu", "init": {"kind": "lecun_normal"}, "dropout": 0.5}
    found = judged(plan_of(depth=16, **selu), loss=2 * CHANCE)
    assert found.causes == ("dropout_noise",)
    assert supported(found) == ["dropout"]
    assert found.answers[0].direction == "lower"
    assert "dropout_noise" not in judged(plan_of(depth=3, **selu), loss=2 * CHANCE).causes


def test_a_plain_network_in_which_all_cases_become_alike_is_too_deep() -> None:
    found = judged(plan_of(depth=50, width=64, activation="relu", init=HE), loss=0.8 * CHANCE)
    assert found.causes == ("depth_without_skip",)
    assert {"scaled", "rezero"} & set(supported(found))
    assert judged(plan_of(depth=20, width=64, activation="relu", init=HE), loss=0.8 * CHANCE).causes == (
        "no_gradient_cause_found",
    )


# --- norms and streams ----------------------------------------------------------------------------------------------

BLOCK = [
    {"kind": "batch_norm"},
    {"kind": "activation", "function": "relu"},
    {"kind": "linear", "units": 32},
]
STREAM = [{"kind": "linear", "units": 32}, *[{"kind": "residual", "layers": BLOCK}] * 4]


def test_a_stream_that_breaks_without_a_final_norm_lacks_it() -> None:
    bare = {"kind": "sequential", "init": HE, "layers": [{"kind": "flatten"}, *STREAM]}
    normed = {**bare, "layers": [*bare["layers"], BLOCK[0], BLOCK[1]]}
    broken = judged(plan_of(**bare), 2 * CHANCE, outcome="diverged")
    assert broken.causes == ("missing_norm", "learning_rate")
    assert supported(broken) == ["learning_rate"]  # batch norm is in the branches already
    assert judged(plan_of(**normed), 2 * CHANCE, outcome="diverged").causes == ("learning_rate",)
    assert judged(plan_of(**bare), loss=0.1).causes == ()


def test_post_norm_at_depth_asks_for_pre_norm_or_warm_up() -> None:
    text = {"dataset": {"kind": "python_docs", "length": 16}, "steps": 100, "epochs": None}
    post = {"kind": "transformer", "blocks": 12, "width": 16, "heads": 2, "norm_position": "post"}

    def causes(network: dict[str, object], *remedies_of: dict[str, object]) -> tuple[str, ...]:
        variant = expand(experiment(remedies_of, network, **text))[-1]
        return judged(variant.plan, 3.0, chance_level=3.0).causes

    assert causes(post) == ("post_norm_at_depth",)
    assert "post_norm_at_depth" not in causes({**post, "norm_position": "pre"})
    assert "post_norm_at_depth" not in causes({**post, "blocks": 4})
    assert "post_norm_at_depth" not in causes(post, {"kind": "warm_up", "steps": 40})
    found = judged(expand(experiment((), post, **text))[0].plan, 3.0, chance_level=3.0)
    assert supported(found) == ["pre_norm", "warm_up", "learning_rate"]


RESIDUAL: dict[str, Any] = {"kind": "residual_mlp", "blocks": 8, "width": 32, "init": {"kind": "lecun_normal"}}


def test_a_stream_that_shrinks_is_told_though_skips_carry_the_gradient() -> None:
    """By e³ from the first to the last of the stem and its eight blocks, in a run that does not train."""

    def causes(per_block: float, loss: float = 0.7 * CHANCE, **network: object) -> tuple[str, ...]:
        plan = plan_of(**RESIDUAL | network)
        return judged(plan, loss, {layer: per_block ** (layer / 2) for layer in range(len(plan.layers))}).causes

    assert causes(0.6) == ("initialisation",)  # e^(-3/8) is 0.687, and two layers make a block
    assert causes(0.75) == causes(1.6) == ("no_gradient_cause_found",)
    assert causes(0.6, 0.2) == ()
    assert causes(0.6, normalization={"kind": "layer_norm"}) == ("no_gradient_cause_found",)


@pytest.mark.parametrize(
    ("activation", "more", "named"),
    [
        ("sigmoid", {}, True),  # a slope of ¼ at most
        ("tanh", {}, False),  # 0.6 at an rms of 1
        ("relu", {}, False),
        ("softplus", {}, False),  # flat on one side alone
        ("sigmoid", {"normalization": {"kind": "batch_norm"}}, False),
    ],
)
def test_branches_that_hand_back_little_are_told_though_skips_carry_the_gradient(
    activation: str,
    more: dict[str, object],
    named: bool,  # noqa: FBT001 -- what has to be seen
) -> None:
    plan = plan_of(**RESIDUAL, activation=activation, **more)
    for loss in (CHANCE, 0.7 * CHANCE):
        assert ("saturating_activation" in judged(plan, loss).causes) == named
    assert judged(plan, 0.2).causes == ()


# --- data and steps -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "causes"), [(0.88, ("class_imbalance",)), (0.3, ("no_gradient_cause_found",))])
def test_a_network_that_says_the_commonest_label_is_a_matter_of_the_data(share: float, causes: tuple[str, ...]) -> None:
    found = judged(plan_of(hidden=[16, 16], init=HE), majority_share=share, test_cases=500, test_metric=share)
    assert found.causes == causes


@pytest.mark.parametrize(
    ("loss", "metric", "cause"),
    [
        (0.6 * CHANCE, 0.79, "overlapping_classes"),
        (0.6 * CHANCE, 0.7, "no_gradient_cause_found"),  # more can be had
        (CHANCE, 0.79, "no_gradient_cause_found"),  # nothing was learned, whatever luck has made of the test cases
    ],
)
def test_a_network_that_does_as_well_as_the_nearest_cases_is_a_matter_of_the_data(
    loss: float, metric: float, cause: str
) -> None:
    vote: dict[str, Any] = {"neighbour_accuracy": 0.8, "test_cases": 400, "test_metric": metric}
    found = judged(plan_of(hidden=[16, 16], init=HE), loss, **vote)
    assert found.causes == (cause,)
    assert bool(found.answers) == (cause != "overlapping_classes")
    sick = judged(plan_of(hidden=[16, 16], init={"kind": "normal", "std": 0.0}), loss, **vote)
    assert sick.causes == ("symmetric_weights",)


@pytest.mark.parametrize(("balanced", "causes"), [(0.5, ("class_imbalance",)), (0.95, ()), (None, ())])
def test_a_run_that_trains_by_its_loss_may_lose_rare_labels(balanced: float | None, causes: tuple[str, ...]) -> None:
    found = judged(plan_of(hidden=[16, 16], init=HE), loss=0.2, balanced_accuracy=balanced, test_metric=0.98)
    assert (found.kind, found.causes) == ("healthy", causes)
    assert found.sentence.startswith("The network trains, but cases of rare labels are lost") == bool(causes)
    assert [answer.remedy for answer in found.answers] == ["class_weights"] * len(causes)


@pytest.mark.parametrize(("balanced", "causes"), [(0.51, ("class_imbalance",)), (0.7, ("no_gradient_cause_found",))])
def test_one_label_alone_is_told_by_the_balanced_accuracy_where_no_metric_tells_it(
    balanced: float, causes: tuple[str, ...]
) -> None:
    plan = plan_of(hidden=[16, 16], init=HE)
    assert judged(plan, loss=1.5, balanced_accuracy=balanced, majority_share=None).causes == causes


@pytest.mark.parametrize(("offset", "named"), [(1000.0, True), (1.0, False), (None, False)])
def test_targets_far_from_zero_are_out_of_scale(offset: float | None, named: bool) -> None:  # noqa: FBT001
    teacher = {**TEACHER, "singular_values": [1.0]}
    plan = expand(experiment(network={"hidden": [16], "init": HE}, dataset=teacher))[0].plan
    found = judged(plan, loss=1.0, chance_level=1.0, target_offset=offset)
    assert ("target_scale" in found.causes) == named
    assert [answer.remedy for answer in found.answers][:1] == ["standardise_targets"] * named or not named


@pytest.mark.parametrize(("size", "named"), [(0.001, True), (0.3, False), (1.0, False), (50.0, True)])
def test_inputs_far_below_one_are_out_of_scale_as_those_far_above(size: float, named: bool) -> None:  # noqa: FBT001
    raw = experiment(network={"hidden": [32, 32], "init": HE}, dataset={"kind": "digits", "standardise": "none"})
    found = judged(expand(raw)[0].plan, rms={0: size * math.sqrt(2.0)})
    assert ("input_scale" in found.causes) == named


# --- numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "lost"), [(2.0**-26, True), (2.0**-22, False)])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_what_float16_loses_is_told_by_the_scale_of_the_loss(scale: float, lost: bool, dtype: str) -> None:  # noqa: FBT001
    """δ has rms 1 here, and 2⁻²⁴ is the smallest number of float16."""
    half = [{"kind": "mixed_precision", "dtype": dtype, "initial_scale": scale}]
    plan = expand(experiment(half, {"hidden": [16, 16], "init": HE}))[1].plan
    named = lost and dtype == "float16"
    found = judged(plan)
    assert ("numeric_range" in found.causes) == named
    answers = [answer for answer in found.answers if answer.remedy == "mixed_precision"]
    assert [answer.spec["dtype"] for answer in answers] == ["bfloat16"] * named


@pytest.mark.parametrize(("update", "direction"), [(1e-6, "higher"), (0.5, "lower")])
def test_a_rate_is_too_low_or_too_high_by_what_its_steps_move(update: float, direction: str) -> None:
    """An untrained network may start above chance: that a loss stays there is not what its steps have done."""
    plan = expand(experiment(network={"hidden": [16, 16], "init": HE}, optimizer={"kind": "sgd", "learning_rate": 0.1}))
    trace = trace_of(plan[0].plan, even(2, 0.0), loss=1.3 * CHANCE)
    trace.signals["update_ratio"][:] = update
    found = summarise(plan[0].plan, trace, facts_of(plan[0].plan, test_metric=0.1)).verdict
    assert found.causes == ("learning_rate",)
    (rate,) = [answer for answer in found.answers if answer.remedy == "learning_rate"]
    assert rate.direction == direction
    assert ("clip_norm" in supported(found)) == (direction == "lower")


def test_a_loss_that_still_falls_lacks_steps() -> None:
    plan = plan_of(hidden=[16, 16], init=HE)
    falling = np.linspace(2.2, 1.3, plan.steps)
    trace = trace_of(plan, even(2, 0.0), loss=falling)
    trace.signals["update_ratio"][:] = 0.02
    assert summarise(plan, trace, facts_of(plan, test_metric=0.4)).verdict.causes == ("too_few_steps",)


@pytest.mark.parametrize(
    ("update", "loss", "causes"),
    [
        (0.004, 2.2, ("learning_rate", "too_few_steps")),
        (0.02, 2.2, ("too_few_steps",)),
        (0.004, CHANCE, ("no_gradient_cause_found",)),  # labels that nobody can learn stay there too
        (0.004, 0.5, ()),
        (0.0004, 2.2, ("learning_rate",)),
    ],
)
def test_short_steps_are_told_of_a_run_that_is_on_its_way(update: float, loss: float, causes: tuple[str, ...]) -> None:
    layers, sgd = {"hidden": [16, 16], "init": HE}, {"kind": "sgd", "learning_rate": 0.1}
    plan = expand(experiment(network=layers, optimizer=sgd))[0].plan
    falling = loss if loss in {CHANCE, 0.5} else np.linspace(loss, 1.3, plan.steps)
    trace = trace_of(plan, even(2, 0.0), loss=falling)
    trace.signals["update_ratio"][:] = update
    found = summarise(plan, trace, facts_of(plan, test_metric=0.4)).verdict
    assert found.causes == causes
    short = causes[:1] == ("learning_rate",)
    assert ("steps are short beside what is left to learn" in found.sentence.lower()) == (short and update > 0.001)
    if short:
        rate = next(its for its in found.answers if its.remedy == "learning_rate")
        assert rate.spec["value"] == pytest.approx(0.1 * max(0.01 / update, 3.0))
        assert "clip_norm" not in supported(found)


def test_short_steps_are_not_blamed_where_dropout_slows_a_run_too() -> None:
    for dropout, cause in ((0.0, "learning_rate"), (0.1, "no_gradient_cause_found")):
        plan = plan_of(hidden=[16, 16], init=HE, dropout=dropout)
        trace = trace_of(plan, even(2, 0.0), loss=0.7 * CHANCE)
        trace.signals["update_ratio"][:] = 0.004
        assert summarise(plan, trace, facts_of(plan, test_metric=0.4)).verdict.causes == (cause,)


def test_a_rate_that_takes_no_weights_is_no_answer() -> None:
    """Kernels are no matrices, and so AdamW's in a network under Muon, at a rate of its own."""
    kernels, muon = {"kind": "cnn", "channels": [4], "layers_per_stage": 2}, {"kind": "muon", "learning_rate": 0.02}
    for network, told in ((kernels, False), ({"kind": "mlp", "hidden": [16, 16]}, True)):
        plan = expand(experiment(network={**network, "init": HE}, optimizer=muon))[0].plan
        trace = trace_of(plan, even(2, 0.0), loss=0.7 * CHANCE)
        trace.signals["update_ratio"][:] = 0.004
        found = summarise(plan, trace, facts_of(plan, test_metric=0.4)).verdict
        assert ("learning_rate" in supported(found)) == told
        assert "optimizer" in supported(found)
