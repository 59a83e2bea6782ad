"""From spec to plan: names of variants, what contradicts, what cannot be, what layers a network has."""

import itertools
import re
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from pydantic import ValidationError

from gradient_clinic.activations import Activation
from models.plan import REWRITES, Plan, expand, plan_variant, rewrites
from models.plan.designs import contradict, contradiction, remedy_names
from models.plan.tree import Activate, Dropout, Normalise, Residual, walk
from models.specs.base import SpecError
from models.specs.experiment import ExperimentSpec
from models.specs.init import INITS, NormalInit, OrthogonalInit
from models.specs.loss import Objective
from models.specs.networks import NETWORKS
from models.specs.optimizer import RmspropSpec, SgdSpec
from models.specs.remedy import REMEDIES
from models.specs.schedule import CosineSchedule, StepSchedule
from tests.networks import REQUIRED, TREATABLE

N = TypeVar("N")

FOUR = [
    {"kind": "orthogonal_init"},
    {"kind": "l2", "strength": 0.0001},
    {"kind": "batch_norm"},
    {"kind": "activation", "function": "relu"},
]


def spec(**changes: Any) -> ExperimentSpec:
    return ExperimentSpec.model_validate(
        {
            "name": "plan",
            "dataset": {"kind": "digits"},
            "network": {"kind": "mlp", "depth": 20, "width": 64, "activation": "sigmoid"},
            "optimizer": {"kind": "adam"},
            "epochs": 10,
            **changes,
        }
    )


def names(**changes: Any) -> list[str]:
    return [variant.name for variant in expand(spec(**changes))]


def test_one_at_a_time_has_the_baseline_and_each_remedy() -> None:
    assert names(remedies=FOUR) == ["baseline", "orthogonal_init", "l2", "batch_norm", "activation"]


def test_add_all_has_all_of_them_beside_each() -> None:
    assert names(remedies=FOUR[:2], design="add_all") == ["baseline", "orthogonal_init", "l2", "all"]


def test_leave_one_out_has_all_and_all_but_each() -> None:
    assert names(remedies=FOUR[:2], design="leave_one_out") == ["baseline", "all", "all-orthogonal_init", "all-l2"]


def test_full_factorial_has_every_subset_in_the_order_of_the_spec() -> None:
    got = names(remedies=FOUR[:3], design="full_factorial")
    assert got == [
        "baseline",
        "orthogonal_init",
        "l2",
        "batch_norm",
        "orthogonal_init+l2",
        "orthogonal_init+batch_norm",
        "l2+batch_norm",
        "all",
    ]


def test_explicit_variants_stand_beside_the_baseline() -> None:
    assert names(variants=[{"name": "mine", "remedies": FOUR[:2]}]) == ["baseline", "mine"]


@pytest.mark.parametrize(
    ("remedies", "expected"),
    [
        (
            [{"kind": "activation", "function": "relu"}, {"kind": "activation", "function": "tanh"}],
            ("activation(relu)", "activation(tanh)"),
        ),
        ([{"kind": "clip_norm"}, {"kind": "clip_norm", "max_norm": 5}], ("clip_norm(1.0)", "clip_norm(5.0)")),
        (
            [{"kind": "l2", "layers": "all"}, {"kind": "l2", "layers": "hidden"}],
            ("l2(all)", "l2(hidden)"),
        ),
        ([{"kind": "batch_norm"}, {"kind": "batch_norm"}], ("batch_norm", "batch_norm#2")),
        (
            [
                {"kind": "init", "init": {"kind": "gaussian", "weight_variance": 1}},
                {"kind": "init", "init": {"kind": "gaussian", "weight_variance": 2}},
            ],
            ("init(1.0)", "init(2.0)"),
        ),
        (
            [
                {"kind": "init", "init": {"kind": "xavier_normal"}},
                {"kind": "init", "init": {"kind": "kaiming_normal"}},
            ],
            ("init(xavier_normal)", "init(kaiming_normal)"),
        ),
        (
            [
                {"kind": "clip_norm", "max_norm": 1},
                {"kind": "clip_norm", "max_norm": 1},
                {"kind": "clip_norm", "max_norm": 2},
            ],
            ("clip_norm(1.0)", "clip_norm(1.0)#2", "clip_norm(2.0)"),
        ),
    ],
)
def test_a_remedy_is_named_by_its_kind_and_what_sets_it_apart(remedies: Any, expected: tuple[str, ...]) -> None:
    assert remedy_names(spec(remedies=remedies).remedies) == expected


def problem(**changes: Any) -> str:
    with pytest.raises(SpecError) as caught:
        expand(spec(**changes))
    return f"{caught.value.problems[0].field}: {caught.value.problems[0].message}"


def test_remedies_that_set_the_same_thing_contradict_each_other_in_one_variant() -> None:
    said = problem(remedies=[{"kind": "batch_norm"}, {"kind": "layer_norm"}], design="add_all")
    assert said == (
        "remedies: variant 'all' holds batch_norm and layer_norm, which contradict each other: "
        "both set the normalization"
    )


def test_they_do_not_contradict_in_different_variants() -> None:
    assert names(remedies=[{"kind": "batch_norm"}, {"kind": "layer_norm"}]) == ["baseline", "batch_norm", "layer_norm"]


def test_a_contradiction_in_an_explicit_variant_names_its_place() -> None:
    both = [{"kind": "init", "init": {"kind": "xavier_normal"}}, {"kind": "orthogonal_init"}]
    assert problem(variants=[{"name": "a", "remedies": []}, {"name": "b", "remedies": both}]).startswith("variants[1]")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"batch_size": 1439}, "batch_size"),
        ({"remedies": [{"kind": "batch_norm"}], "batch_size": 1}, "remedies"),
        ({"remedies": [{"kind": "batch_norm"}], "batch_size": 479, "drop_last": False}, "remedies"),
        ({"dataset": {"kind": "digits", "test_fraction": 0.9, "validation_fraction": 0.2}}, "dataset"),
        ({"remedies": [{"kind": "l2", "strength": s} for s in (1, 2, 3, 4, 5, 6)], "design": "full_factorial"}, "rem"),
        ({"remedies": FOUR[:1], "design": "leave_one_out"}, "design"),
        ({"variants": [{"name": "a", "remedies": []}, {"name": "a", "remedies": []}]}, "variants"),
        ({"variants": [{"name": "baseline", "remedies": FOUR[:1]}]}, "variants[0].name"),
        ({"network": {"kind": "mlp", "depth": 900, "width": 16000}}, "network"),
        ({"remedies": [{"kind": "l2", "strength": s} for s in range(1, 64)], "seeds": {"count": 1000}}, "seeds"),
        ({"epochs": 100_000, "batch_size": 1}, "epochs"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(changes: dict[str, Any], field: str) -> None:
    assert problem(**changes).startswith(field)


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 10},
        {"epochs": None},
        {"network": {"kind": "mlp", "depth": -1, "width": 64}},
        {"network": {"kind": "mlp", "depth": 3, "width": 64, "hidden": [3]}},
        {"network": {"kind": "mlp", "width": 64}},
        {"network": {"kind": "mlp", "depth": 3, "width": 64, "activation": "tanh", "negative_slope": 0.1}},
        {"network": {"kind": "perceptron"}},
        {"seeds": {"count": 10**9}},
        {"seeds": [1, 1]},
        {"seeds": []},
        {"optimizer": {"kind": "adam", "learning_rate": float("nan")}},
        {"tune": {"learning_rate": [0.1]}},
        {"budget": {"device_seconds": 0}},
        {"not_before": "2026-01-02T00:00:00Z", "deadline": "2026-01-01T00:00:00Z"},
        {"deadline": "tomorrow"},
        {"max_parallel": 0},
        {"remedies": FOUR, "variants": []},
        {"colour": "red"},
    ],
)
def test_a_spec_that_is_not_well_formed_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spec(**changes)


def test_layers_are_named_and_numbered_as_the_contract_says() -> None:
    plan = expand(spec())[0].plan
    assert [(layer.index, layer.name, layer.fan_in, layer.fan_out) for layer in plan.layers][:2] == [
        (1, "hidden.0", 64, 64),
        (2, "hidden.1", 64, 64),
    ]
    assert (plan.layers[-1].index, plan.layers[-1].name, plan.layers[-1].fan_out) == (20, "output", 10)
    assert plan.layers[-1].activation is None


def test_batch_norm_costs_two_parameters_a_unit() -> None:
    baseline, normed = (variant.plan.network.parameters for variant in expand(spec(remedies=[FOUR[2]])))
    assert (baseline, normed) == (79_690, 82_122)  # the contract's example, and 2·64 for each of 19 hidden layers less


def test_steps_follow_the_split_of_the_contract() -> None:
    plan = expand(spec())[0].plan
    assert (plan.sizes.train, plan.sizes.test) == (1438, 359)  # round(1797·0.8)
    assert (plan.steps_per_epoch, plan.steps) == (11, 110)
    assert expand(spec(drop_last=False))[0].plan.steps == 120


def test_a_remedy_rewrites_the_network_and_nothing_else() -> None:
    baseline, relu = expand(spec(remedies=[FOUR[3]]))
    assert {layer.activation.function for layer in relu.plan.network.hidden if layer.activation} == {"relu"}
    assert [layer.init for layer in relu.plan.layers] == [layer.init for layer in baseline.plan.layers]
    assert relu.plan.optimizer == baseline.plan.optimizer


# --- what each remedy does to the plan --------------------------------------------------------------------------------

SGD = {"kind": "sgd", "learning_rate": 0.1}
VALUES = {
    "kind": "uploaded",
    "name": "amounts",
    "facts": {"cases": 2000, "shape": [1, 8, 8], "classes": 1, "form": "image", "task": "regression"},
}
OF_VALUES = {"standardise_targets"}
"""Remedies for data whose target is a value."""


def treated(remedy: str, network: dict[str, Any], **parameters: Any) -> tuple[Plan, Plan]:
    """(the baseline's plan, the remedy's)."""
    remedies = [{"kind": remedy, **REQUIRED.get(remedy, {}), **parameters}]
    data = {"dataset": VALUES} if remedy in OF_VALUES else {}
    baseline, variant = expand(spec(network=network, remedies=remedies, optimizer=SGD, **data))
    return baseline.plan, variant.plan


def inits(plan: Plan) -> dict[str, str]:
    return {layer.name: layer.init.kind for layer in plan.layers}


def nodes(plan: Plan, kind: type[N]) -> list[N]:
    return [its for its in walk(plan.network.body) if isinstance(its, kind)]


def scales(plan: Plan) -> list[float]:
    return [its.scale for its in nodes(plan, Residual)]


def norms(plan: Plan) -> set[str | None]:
    return {None if its.normalization is None else its.normalization.kind for its in plan.network.hidden}


Sees = Callable[[Plan], object]
MLP = {**TREATABLE["mlp"], "hidden": [16] * 5}
RNN, TRANSFORMER = {**TREATABLE["rnn"], "layers": 2}, {**TREATABLE["transformer"], "blocks": 2}
ALL = {**TREATABLE, "rnn": RNN}
"""Of two recurrent layers: dropout stands between them."""
LEAKY = {"function": "leaky_relu", "negative_slope": 0.25}
CHANGES: list[tuple[str, dict[str, Any], dict[str, Any], Sees, object]] = [
    ("orthogonal_init", MLP, {"gain": 1.5}, lambda p: {its.init for its in p.layers},
     {OrthogonalInit(kind="orthogonal", gain=1.5)}),
    ("orthogonal_init", RNN, {}, inits,
     {"recurrent.0.input": "torch_default", "recurrent.0": "orthogonal", "recurrent.1.input": "torch_default",
      "recurrent.1": "orthogonal", "output": "torch_default"}),
    ("init", MLP, {}, lambda p: {its.init.kind for its in p.layers}, {"xavier_normal"}),
    *((norm, MLP, {}, norms, {norm}) for norm in ("batch_norm", "layer_norm", "rms_norm", "group_norm")),
    *((norm, TREATABLE["cnn"], {}, norms, {norm}) for norm in ("batch_norm", "layer_norm", "group_norm")),
    ("batch_norm", MLP, {}, lambda p: p.layers[-1].normalization, None),
    ("rms_norm", TRANSFORMER, {}, lambda p: {its.norm.kind for its in nodes(p, Normalise)}, {"rms_norm"}),
    *((rule, network, {}, lambda p: [its.weight_rule for its in p.layers], [rule] * hidden + [None])
      for rule in ("weight_norm", "spectral_norm") for network, hidden in ((MLP, 5), (RNN, 4))),
    ("activation", MLP, LEAKY, lambda p: {its.activation for its in p.network.hidden},
     {Activation("leaky_relu", 0.25)}),
    ("activation", TREATABLE["sequential"], LEAKY, lambda p: {its.activation for its in nodes(p, Activate)},
     {Activation("leaky_relu", 0.25)}),
    ("selu", {**MLP, "dropout": 0.1}, {},
     lambda p: {(its.activation.function, its.alpha_dropout) for its in nodes(p, Activate)}, {("selu", True)}),
    ("selu", MLP, {}, lambda p: {its.init.kind for its in p.layers}, {"lecun_normal"}),
    ("residual", MLP, {}, lambda p: [(len(its.body), its.shows.name, its.scale) for its in nodes(p, Residual)],
     [(4, "hidden.2", 1.0), (4, "hidden.4", 1.0)]),
    ("residual", MLP, {"every": 1}, scales, [1.0] * 4),
    ("scaled", {**TREATABLE["residual_mlp"], "blocks": 4}, {}, scales, [0.5] * 4),
    ("scaled", TRANSFORMER, {}, scales, [0.5] * 4),
    ("scaled", MLP, {"factor": 0.1}, scales, [0.1, 0.1]),
    ("rezero", TREATABLE["residual_mlp"], {}, scales, [0.0] * 2),
    ("skip_init", TRANSFORMER, {"alpha": 0.25}, scales, [0.25] * 4),
    ("layer_scale", TREATABLE["residual_cnn"], {"value": 0.01}, scales, [0.01, 0.01]),
    ("highway", MLP, {}, lambda p: [its.gate.name for its in nodes(p, Residual) if its.gate],
     [f"hidden.{index}.gate" for index in range(1, 5)]),
    ("pre_norm", TRANSFORMER, {}, lambda p: [type(its.body[0]) for its in nodes(p, Residual)], [Normalise] * 4),
    ("pre_norm", TRANSFORMER, {}, lambda p: {its.shows for its in nodes(p, Normalise)}, {None}),
    ("dropout", MLP, {"p": 0.3}, lambda p: {its.dropout for its in nodes(p, Activate)}, {0.3}),
    ("dropout", RNN, {"p": 0.3}, lambda p: [its.p for its in nodes(p, Dropout)], [0.3]),
    ("dropout", TRANSFORMER, {"p": 0.3}, lambda p: [its.p for its in nodes(p, Dropout)], [0.3] * 4),
    ("lstm", {**RNN, "cell": "tanh"}, {}, lambda p: {(its.cell, its.forget_bias) for its in p.network.recurrent},
     {("lstm", 1.0)}),
    ("gru", RNN, {}, lambda p: {(its.cell, its.layer.gates) for its in p.network.recurrent}, {("gru", 3)}),
    ("irnn", RNN, {}, lambda p: {(its.cell, its.layer.init.kind, its.layer.gates) for its in p.network.recurrent},
     {("relu", "identity", 1)}),
    ("irnn", RNN, {}, lambda p: p.layers[0].init, NormalInit(kind="normal", std=0.001)),
    ("irnn", RNN, {}, lambda p: p.layers[1].bias_init, NormalInit(kind="normal", std=0.001)),
    ("forget_bias", RNN, {"value": 3.0}, lambda p: {its.forget_bias for its in p.network.recurrent}, {3.0}),
    ("truncated_bptt", RNN, {"steps": 5}, lambda p: {its.truncate for its in p.network.recurrent}, {5}),
    ("standardise", MLP, {}, lambda p: p.dataset.standardise, "feature"),
    ("standardise_targets", MLP, {}, lambda p: p.dataset.standardise_targets, True),
    ("learning_rate", MLP, {}, lambda p: p.optimizer, SgdSpec(kind="sgd", learning_rate=0.5)),
    ("optimizer", MLP, {}, lambda p: p.optimizer, RmspropSpec(kind="rmsprop")),
    ("schedule", MLP, {}, lambda p: p.optimizer.schedule, CosineSchedule(kind="cosine")),
    ("schedule", MLP, {"schedule": {"kind": "step", "every": 3}}, lambda p: (p.optimizer.schedule, p.conditions),
     (StepSchedule(kind="step", every=3), "sgd 0.1 step, batch 128, 110 steps")),
    ("class_weights", MLP, {}, lambda p: p.objective, Objective("cross_entropy", "balanced")),
    ("class_weights", MLP, {"weights": [1.0] * 9 + [2.0]}, lambda p: p.objective.class_weights, (*[1.0] * 9, 2.0)),
    ("label_smoothing", MLP, {"value": 0.2}, lambda p: p.objective, Objective("cross_entropy", None, 0.2)),
    ("momentum", MLP, {}, lambda p: p.optimizer, SgdSpec(kind="sgd", learning_rate=0.1, momentum=0.9)),
]  # fmt: skip


def test_every_remedy_has_its_effect_tested() -> None:
    assert ALL.keys() == NETWORKS.keys()
    at_run_time = {kind for kind, effect in REWRITES.items() if effect is rewrites.at_run_time}
    assert {kind for kind, *_ in CHANGES} | at_run_time == REMEDIES.keys() == REWRITES.keys()


@pytest.mark.parametrize(
    ("remedy", "network", "parameters", "sees", "expected"), CHANGES, ids=[f"{it[0]} {it[1]['kind']}" for it in CHANGES]
)
def test_a_remedy_changes_the_plan_as_its_text_says(
    remedy: str, network: dict[str, Any], parameters: dict[str, Any], sees: Sees, expected: object
) -> None:
    baseline, variant = treated(remedy, network, **parameters)
    assert sees(variant) == expected
    assert variant != baseline


def kinds_in(module: str) -> set[str]:
    return {kind for kind, remedy in REMEDIES.items() if remedy.__module__ == f"models.specs.{module}"}


OF_NETWORKS = kinds_in("structural_remedies") | kinds_in("recurrent_remedies")
OF_DATA = kinds_in("data_remedies")


@pytest.mark.parametrize("remedy", REMEDIES)
def test_a_remedy_changes_its_own_part_of_the_plan_alone(remedy: str) -> None:
    kinds: tuple[str, ...] = REMEDIES[remedy].about.applies_to
    for kind in kinds:
        baseline, variant = treated(remedy, ALL[kind])
        differing = {
            name for name in ("network", "dataset", "optimizer", "objective", "run_time")
            if getattr(baseline, name) != getattr(variant, name)
        }  # fmt: skip
        expected = (
            {"dataset"} if remedy in OF_DATA else {"network"} if remedy in OF_NETWORKS
            else {"optimizer"} if remedy in {"learning_rate", "optimizer", "momentum", "schedule"}
            else {"objective"} if remedy in {"class_weights", "label_smoothing"} else {"run_time"}
        )  # fmt: skip
        assert differing <= expected, kind
        assert differing == expected or (remedy, kind) in WITHOUT_EFFECT, kind


WITHOUT_EFFECT = {("residual", "residual_mlp"), ("residual", "residual_cnn"), ("residual", "transformer"),
                  ("layer_norm", "transformer"), ("lstm", "rnn"), ("truncated_bptt", "rnn")}  # fmt: skip
"""The network is so already, or its sequences are shorter than what is cut."""


@pytest.mark.parametrize("remedy", REMEDIES)
def test_a_remedy_for_other_networks_is_refused_with_the_kinds_that_would_do(remedy: str) -> None:
    kinds: tuple[str, ...] = REMEDIES[remedy].about.applies_to
    for kind in ALL.keys() - set(kinds):
        with pytest.raises(SpecError) as refused:
            treated(remedy, ALL[kind])
        (said,) = refused.value.problems
        assert (said.field, said.value) == ("remedies", remedy)
        assert said.message == f"{remedy} does not apply to the network kind {kind}"
        assert said.allowed == f"a network of kind {', '.join(kinds)}"


def test_a_remedy_in_a_variant_of_its_own_is_refused_at_that_variant() -> None:
    variants = [{"name": "a", "remedies": []}, {"name": "b", "remedies": [{"kind": "irnn"}]}]
    assert problem(variants=variants) == "variants[1]: irnn does not apply to the network kind mlp"


def test_momentum_is_refused_where_the_optimiser_has_its_own() -> None:
    said = problem(remedies=[{"kind": "momentum"}])
    assert said.startswith("remedies: ")
    assert "sgd" in said
    assert "adam" in said


@pytest.mark.parametrize("order", [1, -1])
def test_another_optimiser_keeps_the_schedule_whichever_remedy_comes_first(order: int) -> None:
    remedies = [{"kind": "schedule"}, REQUIRED["optimizer"] | {"kind": "optimizer"}][::order]
    plan = expand(spec(remedies=remedies, design="leave_one_out"))[1].plan
    assert plan.optimizer == RmspropSpec(kind="rmsprop", schedule=CosineSchedule(kind="cosine"))


def test_a_warm_up_as_long_as_the_run_is_refused_and_one_of_an_untrained_network_is_not() -> None:
    warm = {"kind": "schedule", "schedule": {"kind": "cosine", "warm_up": 5}}
    said = problem(remedies=[warm], epochs=None, steps=5)
    assert said == "remedies: a warm-up of 5 steps is as long as the run, which has 5"
    expand(spec(remedies=[warm], epochs=None, steps=6))
    expand(spec(remedies=[warm], epochs=None, steps=0))


def test_a_forget_bias_is_refused_where_there_is_no_gate_with_the_reason() -> None:
    said = problem(network={"kind": "rnn", "width": 8}, remedies=[{"kind": "forget_bias"}])
    assert said == "remedies: forget_bias belongs to the lstm cell"


def test_two_remedies_contradict_each_other_where_they_share_a_slot_and_nowhere_else() -> None:
    asked = [REMEDIES[kind].model_validate({"kind": kind, **REQUIRED.get(kind, {})}) for kind in REMEDIES]
    for one, other in itertools.combinations(asked, 2):
        shared = set(one.slots) & set(other.slots)  # type: ignore[attr-defined]  # every remedy has some
        said = contradiction("both", "remedies", [one, other])  # type: ignore[list-item]  # of the union
        assert (said is not None) == bool(shared), (one, other)
        assert contradict([one.kind], [other.kind]) == bool(shared), (one, other)  # type: ignore[attr-defined]
        if said is not None:
            assert said.field == "remedies"
            assert any(slot.replace("_", " ") in said.message for slot in shared)


@pytest.mark.parametrize(
    ("remedy", "expected"),
    [
        ({"kind": "lstm"}, {"cell": "lstm", "forget_bias": 1.0, "gates": 4}),
        ({"kind": "gru"}, {"cell": "gru", "forget_bias": 0.0, "gates": 3}),
        ({"kind": "irnn"}, {"cell": "relu", "forget_bias": 0.0, "gates": 1}),
        ({"kind": "truncated_bptt", "steps": 3}, {"cell": "tanh", "truncate": 3}),
        ({"kind": "orthogonal_init", "gain": 1.1}, {"cell": "tanh", "truncate": None}),
    ],
)
def test_recurrent_remedies_change_the_loop(remedy: dict[str, Any], expected: dict[str, Any]) -> None:
    (loop,) = expand(spec(network={"kind": "rnn", "width": 8}, remedies=[remedy]))[1].plan.network.recurrent
    found = {"cell": loop.cell, "forget_bias": loop.forget_bias, "gates": loop.layer.gates, "truncate": loop.truncate}
    assert expected.items() <= found.items()
    if remedy["kind"] == "irnn":
        assert loop.layer.init.kind == "identity"
    if remedy["kind"] == "orthogonal_init":
        assert (loop.layer.init.kind, loop.layer.bias_init and loop.layer.bias_init.kind) == (
            "orthogonal",
            "torch_default",
        )


# --- lists and data that do not fit ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "where", "said"),
    [
        ([{"kind": "conv", "channels": 4}, {"kind": "linear", "units": 5}], "network.layers[1]", "image (4, 8, 8)"),
        ([{"kind": "linear", "units": 5}], "network.layers[0]", "image (1, 8, 8)"),
        ([{"kind": "flatten"}, {"kind": "conv", "channels": 4}], "network.layers[1]", "vector (64)"),
        ([{"kind": "conv", "channels": 4, "kernel_size": 11, "padding": 0}], "network.layers[0]", "image (1, 8, 8)"),
        (
            [{"kind": "conv", "channels": 4}, {"kind": "residual", "layers": [{"kind": "conv", "channels": 5}]}],
            "network.layers[1]",
            "image (5, 8, 8)",
        ),
        ([{"kind": "conv", "channels": 4}, {"kind": "group_norm", "groups": 3}], "network.layers[0]", "3 groups"),
        ([{"kind": "flatten"}], "network.layers", "no layer with weights"),
        ([{"kind": "recurrent", "width": 4}], "network.layers[0]", "a sequence"),
        ([{"kind": "max_pool", "size": 9}], "network.layers[0]", "image (1, 8, 8)"),
        (
            [{"kind": "conv", "channels": 4, "name": "a"}, {"kind": "conv", "channels": 4, "name": "a"}],
            "network.layers[1]",
            "two layers",
        ),
    ],
)
def test_a_list_that_does_not_fit_is_refused_at_the_layer_with_its_shape(
    layers: list[dict[str, Any]], where: str, said: str
) -> None:
    assert problem(network={"kind": "sequential", "layers": layers}).startswith(f"{where}: ")
    assert said in problem(network={"kind": "sequential", "layers": layers})


def test_a_group_of_one_unit_has_nothing_to_be_normalised_by() -> None:
    network = {"kind": "mlp", "hidden": [8], "normalization": {"kind": "group_norm", "groups": 8}}
    assert "a single number has no variance" in problem(network=network)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss": "mse", "class_weights": "balanced"}, "class_weights: it is for cross_entropy, and the loss is mse"),
        ({"loss": "mse", "label_smoothing": 0.1}, "label_smoothing: it is for cross_entropy, and the loss is mse"),
        ({"class_weights": [1.0, 2.0]}, "there are 2 weights, and 10 classes; let it be balanced, or 10 weights"),
        ({"dataset": {"kind": "adding"}, "network": {"kind": "rnn", "width": 4}, "loss": "cross_entropy"},
         "loss: the data set's target is a value; let it be left out, or mse or mae or huber"),
        ({"loss": "huber"}, "let it be left out, or cross_entropy or mse or binary_cross_entropy"),
        ({"dataset": {"kind": "adding"}, "network": {"kind": "rnn", "width": 4}, "loss": "binary_cross_entropy"},
         "loss: the data set's target is a value"),
        ({"dataset": {"kind": "copy_memory"}, "network": {"kind": "rnn", "width": 4}, "loss": "mse"},
         "loss: the data set's target is a class per step; let it be left out, or cross_entropy"),
        ({"metric": "r2"}, "metric: the data set's target is a class; let it be left out, or accuracy or balanced_ac"),
        ({"class_weights": [0.0] * 10}, "greater than 0"),
        ({"class_weights": "equal"}, "balanced"),
        ({"label_smoothing": 1.0}, "less than 1"),
    ],
)  # fmt: skip
def test_a_loss_that_cannot_be_is_refused_with_what_can(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        spec(**changes)


@pytest.mark.parametrize(
    ("remedy", "changes", "said"),
    [
        ({"kind": "class_weights"}, {"loss": "mse"}, "remedies: class_weights: it is for cross_entropy"),
        ({"kind": "label_smoothing"}, {"loss": "mse"}, "remedies: label_smoothing: it is for cross_entropy"),
        ({"kind": "class_weights", "weights": [1.0] * 3}, {}, "remedies: class_weights: there are 3 weights"),
    ],
)
def test_a_remedy_of_a_loss_that_cannot_be_is_refused_where_the_remedy_is(
    remedy: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    assert problem(remedies=[remedy], **changes).startswith(said)


@pytest.mark.parametrize("kind", ["mlp", "residual_mlp", "cnn", "residual_cnn", "sequential"])
def test_a_norm_may_stand_behind_every_activation_and_dropout_behind_it(kind: str) -> None:
    network = {**TREATABLE[kind], "dropout": 0.2}
    _, variant = treated("batch_norm", network, position="after")
    flat = list(walk(variant.network.body))
    found = [type(two) for one, two in itertools.pairwise(flat) if isinstance(one, Activate)]
    assert found
    assert set(found) == {Normalise}
    dropped = [type(three) for one, three in zip(flat, flat[2:], strict=False) if isinstance(one, Activate)]
    assert set(dropped) == {Dropout}
    assert {layer.normalization for layer in variant.layers} == {None}
    assert variant.network.parameters == treated("batch_norm", network)[1].network.parameters
    assert "more than one case in every batch" in problem(network=network, remedies=[AFTER], batch_size=1)


def test_a_norm_behind_an_activation_is_refused_where_it_cannot_be() -> None:
    selu = {"kind": "mlp", "hidden": [8], "activation": "selu", "dropout": 0.1, "alpha_dropout": True}
    assert "alpha dropout keeps" in problem(network={**selu, "normalization": AFTER})
    expand(spec(network={**selu, "dropout": 0.0, "normalization": AFTER}))
    items = [{"kind": "flatten"}, {"kind": "linear", "units": 4}, AFTER, {"kind": "activation", "function": "relu"}]
    assert "stands where it is written" in problem(network={"kind": "sequential", "layers": items})


def test_layers_are_frozen_by_the_names_that_they_have() -> None:
    network = {"kind": "mlp", "hidden": [8, 8]}
    (variant,) = expand(spec(network={**network, "frozen": ["hidden.1"]}))
    assert variant.plan.network.frozen == ("hidden.1",)
    assert problem(network={**network, "frozen": ["hidden.7"]}) == "network.frozen: no layer has this name"
    assert "nothing is left to train" in problem(network={**network, "frozen": ["hidden.0", "hidden.1", "output"]})


AFTER = {"kind": "batch_norm", "position": "after"}


@pytest.mark.parametrize("rule", ["weight_norm", "spectral_norm"])
def test_weights_of_0_have_no_norm_to_divide_by(rule: str) -> None:
    network = {"kind": "mlp", "hidden": [8], "weight_rule": rule}
    assert "start at zero" in problem(network={**network, "init": {"kind": "constant", "value": 0.0}})
    expand(spec(network={**network, "init": {"kind": "constant", "value": 0.1}}))


def test_networks_are_refused_data_that_they_cannot_take() -> None:
    tokens = {"kind": "names", "standardise": "none"}
    assert "takes numbers, and the data are tokens" in problem(dataset=tokens)
    assert "needs an image" in problem(network={"kind": "cnn"}, dataset={"kind": "japanese_vowels"})
    labelled = {"kind": "python_docs", "standardise": "none"}
    assert "every step is labelled" in problem(
        network={
            "kind": "sequential",
            "layers": [{"kind": "embedding", "width": 4}, {"kind": "recurrent", "width": 4}, {"kind": "readout"}],
        },
        dataset=labelled,
    )


def test_every_kind_of_the_catalogue_has_its_text() -> None:
    for table in (REMEDIES, INITS):
        for kind, model in table.items():
            assert model.about.title, kind
            assert model.model_fields["kind"].annotation.__args__ == (kind,)  # type: ignore[union-attr]


def test_one_variant_alone_is_planned_as_beside_the_others() -> None:
    asked = spec(network=MLP, remedies=[{"kind": kind, **REQUIRED.get(kind, {})} for kind in ("l2", "activation")])
    for variant in expand(asked):
        assert plan_variant(asked, variant.name) == variant.plan
        assert variant.plan.remedies == variant.remedies
    with pytest.raises(LookupError, match="no variant 'dropout'"):
        plan_variant(asked, "dropout")


def test_theory_is_told_of_the_data_that_the_variant_reads() -> None:
    """Two steps of the adding problem share their means, and nothing once each feature is centred."""
    raw = {"kind": "adding", "length": 8, "standardise": "none"}
    asked = spec(dataset=raw, network={"kind": "rnn", "width": 8}, remedies=[{"kind": "standardise"}])
    baseline, centred = expand(asked)
    assert baseline.plan.network.input.alike == (0.67,)
    assert centred.plan.network.input.alike == (0.0,)
