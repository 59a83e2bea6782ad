"""Whatever a spec asks for, the plan says what is built: its numbers, its shapes, its names. What cannot be is refused
with its place, and never built.
"""

import functools
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from torch import Tensor

from gradient_clinic.activations import SHAPES
from gradient_clinic.probe.meters.host import HostMeter
from gradient_clinic.probe.probe import attach
from models.plan import NetworkPlan, Shape, plan_network
from models.specs.base import SpecError
from models.specs.dataset import Target
from models.specs.networks import NETWORKS, NetworkSpec
from worker import networks

SPEC: TypeAdapter[NetworkSpec] = TypeAdapter(NetworkSpec)
CASES = 3
Body = dict[str, Any]


def small(most: int, least: int = 1) -> st.SearchStrategy[int]:
    return st.integers(least, most)


def perhaps(some: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | some


def bodies(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Body]:
    """What is drawn as None is left to its default."""
    return st.fixed_dictionaries(fields).map(lambda body: {key: its for key, its in body.items() if its is not None})


def of_kind(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Body]:
    return bodies(kind=st.just(kind), **fields)


# --- what networks are made of --------------------------------------------------------------------------------------

VECTORS = st.builds(lambda units: Shape("vector", (units,)), small(7))
SEQUENCES = st.builds(lambda steps, features: Shape("sequence", (steps, features)), small(6), small(4))
TOKENS = st.builds(lambda steps, vocabulary: Shape("tokens", (steps,), vocabulary), small(6), small(7, 2))
IMAGES = st.builds(lambda *size: Shape("image", size), small(3), small(9), small(9))

INITS = st.sampled_from(
    [
        *({"kind": kind} for kind in ("torch_default", "xavier_uniform", "orthogonal", "identity", "lsuv", "gpt2")),
        {"kind": "fixup"},
        {"kind": "delta_orthogonal"},
        {"kind": "gaussian", "weight_variance": 1.5, "bias_variance": 0.1},
    ]
)
FUNCTIONS = st.sampled_from(sorted(SHAPES))
NORMS = {
    kind: of_kind(kind, affine=perhaps(st.booleans()))
    for kind in ("batch_norm", "layer_norm", "rms_norm", "group_norm")
} | {"group_norm": of_kind("group_norm", groups=st.sampled_from([1, 2]))}
SKIP_KINDS = ["residual", "scaled", "rezero", "skip_init", "layer_scale", "highway"]
EVEN = small(5, 2).map(lambda half: 2 * half)
"""Widths that both numbers of groups divide, into groups of more than one unit."""


def skips(*, but: str = "") -> st.SearchStrategy[Body]:
    kinds = st.sampled_from([kind for kind in SKIP_KINDS if kind != but])
    return bodies(kind=kinds, every=perhaps(small(3)))


def norms(*kinds: str) -> st.SearchStrategy[Body]:
    return st.one_of([NORMS[kind] for kind in kinds])


def common() -> dict[str, st.SearchStrategy[Any]]:
    return {
        "init": perhaps(INITS),
        "weight_rule": perhaps(st.sampled_from(["weight_norm", "spectral_norm"])),
        "dropout": perhaps(st.just(0.4)),
    }


def activated(*kinds: str) -> dict[str, st.SearchStrategy[Any]]:
    return {
        **common(),
        "activation": perhaps(FUNCTIONS),
        "normalization": perhaps(norms(*kinds)),
        "alpha_dropout": perhaps(st.booleans()),
    }


FOR_VECTORS = ("batch_norm", "layer_norm", "rms_norm", "group_norm")
FOR_IMAGES = ("batch_norm", "layer_norm", "group_norm")
WIDTHS = st.lists(EVEN, min_size=1, max_size=4)
SPECS: dict[str, tuple[st.SearchStrategy[Shape], st.SearchStrategy[Body]]] = {
    "mlp": (
        VECTORS | SEQUENCES | IMAGES,
        of_kind("mlp", hidden=WIDTHS, skip=perhaps(skips()), **activated(*FOR_VECTORS)),
    ),
    "residual_mlp": (
        VECTORS | SEQUENCES | IMAGES,
        of_kind(
            "residual_mlp",
            blocks=small(3),
            width=EVEN,
            layers_per_block=perhaps(small(3)),
            skip=perhaps(skips()),
            **activated(*FOR_VECTORS),
        ),
    ),
    "cnn": (
        IMAGES,
        of_kind(
            "cnn",
            channels=WIDTHS,
            layers_per_stage=perhaps(small(3)),
            kernel_size=perhaps(st.sampled_from([1, 3, 5, 7])),
            pool=st.sampled_from(["max", "average", "stride"]),
            skip=perhaps(skips()),
            **activated(*FOR_IMAGES),
        ),
    ),
    "residual_cnn": (
        IMAGES,
        of_kind(
            "residual_cnn",
            channels=WIDTHS,
            blocks_per_stage=perhaps(small(2)),
            layers_per_block=perhaps(small(3)),
            kernel_size=perhaps(st.sampled_from([1, 3, 5])),
            skip=perhaps(skips()),
            **activated(*FOR_IMAGES),
        ),
    ),
    "rnn": (
        VECTORS | SEQUENCES | IMAGES | TOKENS,
        of_kind(
            "rnn",
            cell=st.sampled_from(["tanh", "relu", "identity", "lstm", "gru"]),
            width=small(5),
            layers=perhaps(small(3)),
            input_init=perhaps(INITS),
            recurrent_init=perhaps(INITS),
            truncate=perhaps(small(4)),
            **common(),
        ),
    ),
    "transformer": (
        VECTORS | SEQUENCES | IMAGES | TOKENS,
        of_kind(
            "transformer",
            blocks=small(2),
            width=EVEN,
            heads=st.sampled_from([1, 2]),
            mlp_ratio=perhaps(small(3)),
            activation=perhaps(FUNCTIONS),
            norm_position=perhaps(st.sampled_from(["pre", "post"])),
            normalization=perhaps(norms("layer_norm", "rms_norm")),
            skip=perhaps(skips(but="highway")),
            **common(),
        ),
    ),
}
PER_STEP = {"rnn", "transformer"}


def steps_of(shape: Shape) -> int:
    return shape.size[1] if shape.form == "image" else shape.size[0]


def cases_of(shape: Shape) -> Tensor:
    random = torch.Generator().manual_seed(0)
    if shape.form == "tokens":
        return torch.randint(shape.vocabulary, (CASES, *shape.size), generator=random)
    return torch.randn(CASES, *shape.size, generator=random, dtype=torch.float64)


class Sized(HostMeter):
    """Keeps how many numbers each layer showed."""

    def see_h(self, index: int, h: Tensor) -> int:
        self.sizes[self.points[index].name] = h.numel()
        return super().see_h(index, h)

    def forget(self) -> None:
        super().forget()
        self.sizes: dict[str, int] = {}


def run_as_planned(plan: NetworkPlan, shape: Shape, outputs: int, *, per_step: bool) -> None:
    """Build it, pass cases through it both ways, and hold what is there against what the plan says."""
    model = networks.build(plan, 0)
    assert sum(its.numel() for its in model.parameters()) == plan.parameters
    names = [layer.name for layer in plan.layers]
    assert [point.name for point in model.points()] == names
    assert len(set(plan.rows)) == len(plan.rows)
    assert [point.weight.numel() for point in model.points()] == [layer.weights for layer in plan.layers]
    assert [layer.index for layer in plan.layers] == list(range(1, len(names) + 1))
    assert [layer.role == "output" for layer in plan.layers] == [False] * (len(names) - 1) + [True]
    probe = attach(model, points=model.points(), meter=Sized)
    found = model(cases_of(shape))
    assert found.shape == (CASES, *([steps_of(shape)] if per_step else []), outputs)
    found.sum().backward()
    assert isinstance(probe.meter, Sized)
    assert probe.meter.sizes == {layer.name: CASES * layer.units * layer.positions for layer in plan.layers}
    assert probe.record().times == tuple(point.name for point in plan.time)


def test_every_kind_of_network_is_drawn() -> None:
    assert SPECS.keys() | {"sequential"} == NETWORKS.keys()


@pytest.mark.parametrize("kind", SPECS)
@settings(max_examples=60)
@given(st.data())
def test_a_network_is_what_its_plan_says(kind: str, data: st.DataObject) -> None:
    shapes, specs = SPECS[kind]
    shape, body, outputs = data.draw(shapes), data.draw(specs), data.draw(small(4))
    per_step = kind in PER_STEP and data.draw(st.booleans())
    # A weight that starts at zero has no norm to divide by; refusing it has a test of its own.
    assume(not (body.get("weight_rule") and (body.get("init") or {}).get("kind") == "fixup"))
    plan = plan_network(SPEC.validate_python(body), shape, outputs, "class_per_step" if per_step else "class")
    run_as_planned(plan, shape, outputs, per_step=per_step)


# --- lists ------------------------------------------------------------------------------------------------------------

NAMED = perhaps(st.sampled_from(["first", "second", "third"]))
LINEAR = of_kind("linear", units=EVEN, init=perhaps(INITS))
ACTIVATION = of_kind("activation", function=FUNCTIONS)
DROPOUT = of_kind("dropout", p=st.just(0.3))
FLATTEN: st.SearchStrategy[Body] = st.just({"kind": "flatten"})
BETWEEN = ACTIVATION | DROPOUT
RECURRENT = of_kind("recurrent", cell=st.sampled_from(["tanh", "lstm", "gru"]), width=EVEN, init=perhaps(INITS))
CONV = of_kind(
    "conv",
    channels=EVEN,
    kernel_size=perhaps(small(4)),
    stride=perhaps(small(2)),
    padding=perhaps(st.integers(0, 2)),
    init=perhaps(INITS),
)
POOL = bodies(kind=st.sampled_from(["max_pool", "average_pool"]), size=perhaps(small(3, 2)))


def alike(shape: Shape) -> st.SearchStrategy[Body]:
    """A residual block that keeps the shape: weights of as many units, perhaps a norm, an activation before."""
    units = shape.size[0] if shape.form == "image" else shape.size[-1]
    weights = {"kind": "conv", "channels": units} if shape.form == "image" else {"kind": "linear", "units": units}
    norm = norms(*(("layer_norm", "batch_norm") if shape.form == "image" else ("layer_norm", "rms_norm")))
    inner = st.tuples(ACTIVATION, st.just(weights), norm).map(list) | st.just([weights, {"kind": "dropout", "p": 0.2}])
    return of_kind("residual", layers=inner, skip=perhaps(skips(but="highway")))


def next_items(shape: Shape) -> st.SearchStrategy[Body]:
    """What may stand where numbers of this shape arrive."""
    match shape.form:
        case "tokens":
            return of_kind("embedding", width=EVEN, init=perhaps(INITS))
        case "vector":
            return LINEAR | BETWEEN | FLATTEN | alike(shape) | norms("batch_norm", "layer_norm", "rms_norm")
        case "sequence":
            readout = of_kind("readout", how=perhaps(st.just("mean")))
            return LINEAR | BETWEEN | FLATTEN | RECURRENT | readout | alike(shape) | norms("layer_norm", "rms_norm")
    fitting = CONV.filter(lambda its: min(after_conv(shape, its)) >= 1)
    smaller = POOL.filter(lambda its: its.get("size", 2) <= min(shape.size[1:]))
    pools = smaller if min(shape.size[1:]) >= 2 else st.nothing()
    mean: st.SearchStrategy[Body] = st.just({"kind": "global_average_pool"})
    return fitting | pools | mean | BETWEEN | FLATTEN | alike(shape) | norms("batch_norm", "layer_norm")


def after_conv(shape: Shape, item: Body) -> list[int]:
    kernel, stride = item.get("kernel_size", 3), item.get("stride", 1)
    padding = item.get("padding", kernel // 2)
    return [(side + 2 * padding - kernel) // stride + 1 for side in shape.size[1:]]


def after(shape: Shape, item: Body) -> Shape:
    """The shape behind the item, by arithmetic of its own."""
    form, size = shape.form, shape.size
    match item["kind"]:
        case "linear":
            size = (*size[:-1], item["units"])
        case "embedding" | "recurrent":
            form, size = "sequence", (size[0], item["width"])
        case "conv":
            size = (item["channels"], *after_conv(shape, item))
        case "max_pool" | "average_pool":
            size = (size[0], *(side // item.get("size", 2) for side in size[1:]))
        case "global_average_pool":
            form, size = "vector", size[:1]
        case "readout":
            form, size = "vector", size[1:]
        case "flatten":
            form, size = "vector", (shape.flat,)
    return Shape(form, size)


def follows(before: Body | None, item: Body) -> bool:
    """Behind recurrent layers and embeddings there is no norm or activation of their own."""
    own = before is not None and before["kind"] in {"recurrent", "embedding"}
    return not (own and item["kind"] in {"activation", "layer_norm", "rms_norm", "batch_norm"})


@st.composite
def lists(draw: st.DrawFn) -> tuple[Shape, list[Body], list[Shape]]:
    """(what arrives, a list that fits it, the shape in front of each item and behind the last)."""
    shapes = [draw(VECTORS | SEQUENCES | TOKENS | IMAGES)]
    items: list[Body] = []
    for _ in range(draw(small(6))):
        items.append(draw(next_items(shapes[-1]).filter(functools.partial(follows, items[-1] if items else None))))
        shapes.append(after(shapes[-1], items[-1]))
    if not any(its["kind"] in {"linear", "conv", "recurrent", "embedding", "residual"} for its in items):
        items += [{"kind": "flatten"}, {"kind": "linear", "units": 2}]
        shapes += [Shape("vector", (shapes[-1].flat,)), Shape("vector", (2,))]
    return shapes[0], items, shapes


def sequential(items: list[Body], **more: Any) -> NetworkSpec:
    return SPEC.validate_python({"kind": "sequential", "layers": items, **more})


@settings(max_examples=100)
@given(drawn=lists(), more=bodies(**common()), outputs=small(4), labelled=st.booleans())
def test_a_list_that_fits_is_built_as_planned(
    *, drawn: tuple[Shape, list[Body], list[Shape]], more: Body, outputs: int, labelled: bool
) -> None:
    shape, items, shapes = drawn
    per_step = labelled and shapes[-1].form == "sequence"
    plan = plan_network(sequential(items, **more), shape, outputs, "class_per_step" if per_step else "class")
    run_as_planned(plan, shape, outputs, per_step=per_step)


def unfit(shape: Shape) -> st.SearchStrategy[Body]:
    """What cannot stand where this shape arrives."""
    too_wide = {"kind": "conv", "channels": 2, "kernel_size": 31, "padding": 0}
    taking: dict[str, Body] = {
        "linear": {"kind": "linear", "units": 3},
        "conv": {"kind": "conv", "channels": 2},
        "recurrent": {"kind": "recurrent", "width": 3},
        "embedding": {"kind": "embedding", "width": 3},
        "pool": {"kind": "max_pool"},
        "mean": {"kind": "global_average_pool"},
        "readout": {"kind": "readout"},
        "large pool": {"kind": "average_pool", "size": min(32, max(2, min(shape.size[-2:]) + 1))},
        "large kernel": too_wide,
        "other shape": {"kind": "residual", "layers": [{"kind": "linear", "units": shape.size[-1] + 1}]},
    }
    fits = {
        "vector": {"linear"},
        "sequence": {"linear", "recurrent", "readout"},
        "image": {"conv", "mean", *(["pool"] if min(shape.size[-2:]) >= 2 else [])},
        "tokens": {"embedding"},
    }
    names = sorted(taking.keys() - fits[shape.form])
    return st.sampled_from(names).map(taking.__getitem__)


@settings(max_examples=100)
@given(lists(), st.data())
def test_an_item_that_does_not_fit_is_refused_at_its_place_with_what_it_gets(
    drawn: tuple[Shape, list[Body], list[Shape]], data: st.DataObject
) -> None:
    shape, items, shapes = drawn
    at = data.draw(st.integers(0, len(items)))
    item = data.draw(unfit(shapes[at]))
    with pytest.raises(SpecError) as refused:
        plan_network(sequential([*items[:at], item]), shape, 2)
    (problem,) = refused.value.problems
    inside = ".layers[0]" if item["kind"] == "residual" and shapes[at].form in {"image", "tokens"} else ""
    assert problem.field == f"network.layers[{at}]{inside}"
    assert str(shapes[at]) in problem.message
    assert problem.allowed


ANY: st.SearchStrategy[Body] = st.deferred(
    lambda: (
        LINEAR
        | CONV
        | RECURRENT
        | POOL
        | BETWEEN
        | FLATTEN
        | norms(*NORMS)
        | of_kind("embedding", width=EVEN)
        | of_kind("readout", how=perhaps(st.just("mean")))
        | st.just({"kind": "global_average_pool"})
        | of_kind("residual", layers=st.lists(ANY, min_size=1, max_size=3), skip=perhaps(skips()))
    )
)


def refused_or_planned(items: list[Body], shape: Shape, target: Target, **more: Any) -> NetworkPlan | SpecError:
    try:
        return plan_network(sequential(items, **more), shape, 2, target)
    except SpecError as refused:
        return refused


@settings(max_examples=200)
@given(
    shape=VECTORS | SEQUENCES | TOKENS | IMAGES,
    items=st.lists(ANY, min_size=1, max_size=5),
    more=bodies(**activated(*FOR_VECTORS)),
    labelled=st.booleans(),
)
def test_any_list_is_built_as_planned_or_refused_at_a_place(
    *, shape: Shape, items: list[Body], more: Body, labelled: bool
) -> None:
    done = refused_or_planned(items, shape, "class_per_step" if labelled else "class", **more)
    if isinstance(done, NetworkPlan):
        run_as_planned(done, shape, 2, per_step=labelled)
    else:
        assert all(its.field.startswith("network.layers") and its.allowed for its in done.problems)


# --- lists that once slipped through ----------------------------------------------------------------------------------

REFUSED = [
    pytest.param(
        [{"kind": kind, **more}, {"kind": "embedding", "width": 4}],
        Shape("tokens", (4,), 5),
        "network.layers[0]",
        id=f"{kind} on tokens",
    )
    for kind, more in (("dropout", {"p": 0.5}), ("activation", {"function": "tanh"}))
]
REFUSED += [
    pytest.param(
        [{"kind": "residual", "layers": [{"kind": "recurrent", "width": 2}]}],
        Shape("sequence", (3, 2)),
        "network.layers[0].layers[0]",
        id="a loop that ends a branch",
    ),
    pytest.param(
        [{"kind": "recurrent", "width": 3, "name": "a"}, {"kind": "linear", "units": 3, "name": "a.input"}],
        Shape("sequence", (3, 2)),
        "network.layers[1]",
        id="the name of a loop's input",
    ),
    pytest.param(
        [{"kind": "linear", "units": 3, "name": "a.input"}, {"kind": "recurrent", "width": 3, "name": "a"}],
        Shape("sequence", (3, 2)),
        "network.layers[1]",
        id="the name of a loop's input, taken before",
    ),
]


@pytest.mark.parametrize(("items", "shape", "field"), REFUSED)
def test_a_list_that_could_not_be_recorded_or_run_is_refused(items: list[Body], shape: Shape, field: str) -> None:
    refused = refused_or_planned(items, shape, "class")
    assert isinstance(refused, SpecError)
    assert refused.problems[0].field == field


def test_what_lies_inside_a_branch_is_no_part_of_the_depth_axis() -> None:
    linear, relu = {"kind": "linear", "units": 4}, {"kind": "activation", "function": "relu"}
    nested = {"kind": "residual", "layers": [linear, relu, {"kind": "residual", "layers": [linear]}]}
    before = {"kind": "residual", "layers": [{"kind": "residual", "layers": [linear]}, linear]}
    plan = refused_or_planned([nested, before], Shape("vector", (4,)), "class")
    assert isinstance(plan, NetworkPlan)
    assert [layer.role for layer in plan.layers] == ["branch", "hidden", "branch", "hidden", "output"]


def test_the_activation_behind_a_block_belongs_to_the_layer_that_shows_its_sum() -> None:
    block = {"kind": "residual", "layers": [{"kind": "linear", "units": 4}]}
    plan = refused_or_planned([block, {"kind": "activation", "function": "relu"}], Shape("vector", (4,)), "class")
    assert isinstance(plan, NetworkPlan)
    activation = plan.layers[0].activation
    assert activation is not None
    assert activation.function == "relu"


@pytest.mark.parametrize("rule", ["weight_norm", "spectral_norm"])
def test_a_network_that_begins_at_zero_is_finite_or_refused_under_a_weight_rule(rule: str) -> None:
    body = {"kind": "residual_mlp", "blocks": 2, "width": 4, "init": {"kind": "fixup"}, "weight_rule": rule}
    shape = Shape("vector", (4,))
    try:
        plan = plan_network(SPEC.validate_python(body), shape, 2)
    except SpecError:
        return
    assert networks.build(plan, 0)(cases_of(shape)).isfinite().all()
