"""From spec to plan: names of variants, what contradicts, what cannot be, what layers a network has."""

from typing import Any

import pytest
from pydantic import ValidationError

from models.designs import remedy_names
from models.plan import Plan, expand
from models.specs.base import SpecError
from models.specs.experiment import ExperimentSpec
from models.specs.init import INITS
from models.specs.remedy import REMEDIES

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


NEEDED: dict[str, dict[str, Any]] = {
    "init": {"init": {"kind": "xavier_normal"}},
    "activation": {"function": "tanh"},
    "learning_rate": {"value": 0.5},
    "optimizer": {"optimizer": {"kind": "sgd"}},
}
"""The parameters that a remedy cannot do without."""
ILL: dict[str, dict[str, Any]] = {
    "mlp": {"kind": "mlp", "depth": 20, "width": 64, "activation": "sigmoid"},
    "rnn": {"kind": "rnn", "width": 8},
    "transformer": {"kind": "transformer", "blocks": 2, "width": 8, "norm_position": "post"},
}
"""A network for every remedy to change."""


def two_plans(kind: str, network: dict[str, Any]) -> tuple[Plan, Plan]:
    changes: dict[str, Any] = {"network": network}
    if kind == "forget_bias" and network["kind"] == "rnn":
        changes["network"] = {**network, "cell": "lstm"}
    if kind == "momentum":
        changes["optimizer"] = {"kind": "sgd"}
    if kind == "standardise":
        changes["dataset"] = {"kind": "digits", "standardise": "none"}
    baseline, variant = expand(spec(remedies=[{"kind": kind, **NEEDED.get(kind, {})}], **changes))
    return baseline.plan, variant.plan


@pytest.mark.parametrize("kind", REMEDIES)
def test_every_remedy_of_the_catalogue_has_an_effect_in_the_plan(kind: str) -> None:
    takes = REMEDIES[kind].about.applies_to  # type: ignore[attr-defined]
    baseline, variant = two_plans(kind, next(network for name, network in ILL.items() if name in takes))
    assert (variant.network, variant.dataset, variant.optimizer, variant.run_time) != (
        baseline.network,
        baseline.dataset,
        baseline.optimizer,
        baseline.run_time,
    )


@pytest.mark.parametrize("kind", REMEDIES)
def test_a_remedy_is_refused_where_it_does_not_apply_and_the_networks_it_is_for_are_named(kind: str) -> None:
    takes = REMEDIES[kind].about.applies_to  # type: ignore[attr-defined]
    for name in ILL.keys() - set(takes):
        with pytest.raises(SpecError) as caught:
            two_plans(kind, ILL[name])
        (problem,) = caught.value.problems
        assert problem.value == kind
        assert takes[0] in str(problem.allowed)


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
    (loop,) = expand(spec(network=ILL["rnn"], remedies=[remedy]))[1].plan.network.recurrent
    found = {"cell": loop.cell, "forget_bias": loop.forget_bias, "gates": loop.layer.gates, "truncate": loop.truncate}
    assert expected.items() <= found.items()
    if remedy["kind"] == "irnn":
        assert loop.layer.init.kind == "identity"
    if remedy["kind"] == "orthogonal_init":
        assert (loop.layer.init.kind, loop.layer.bias_init and loop.layer.bias_init.kind) == (
            "orthogonal",
            "torch_default",
        )


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
            assert model.about.title, kind  # type: ignore[attr-defined]
            assert model.model_fields["kind"].annotation.__args__ == (kind,)  # type: ignore[union-attr]
