"""``sequential``: a user's list of layers and residual blocks, its shapes checked step by step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gradient_clinic.activations import Activation
from gradient_clinic.layers import Role
from models.plan.builder import Layout
from models.plan.sequences import recur
from models.plan.stacks import skip_scale
from models.plan.tree import Activate, LayerPlan, NetworkPlan, Residual, Shape
from models.specs.activation import activation_of
from models.specs.dataset import Target
from models.specs.normalization import BatchNormSpec, GroupNormSpec, LayerNormSpec, NormalizationSpec, RmsNormSpec
from models.specs.sequential import (
    ActivationItem,
    ConvItem,
    DropoutItem,
    EmbeddingItem,
    FlattenItem,
    GlobalPoolItem,
    Item,
    LinearItem,
    PoolItem,
    ReadoutItem,
    RecurrentItem,
    ResidualItem,
    SequentialSpec,
)

NORMS = BatchNormSpec | LayerNormSpec | RmsNormSpec | GroupNormSpec
WEIGHTS = LinearItem | ConvItem | RecurrentItem | EmbeddingItem


def plan_sequential(spec: SequentialSpec, given: Shape, outputs: int, target: Target) -> NetworkPlan:
    layout = Layout(given, spec.init, spec.weight_rule)
    _List(spec, layout, _branches(spec.layers)).place(spec.layers, "network.layers", "layer")
    layout.where = "network.layers"
    if target != "class_per_step" and layout.shape.form == "sequence":
        layout.read_out("last")
    if not any(layer.role == "hidden" for layer in layout.layers):
        raise layout.refusal("the list holds no layer with weights", "linear, conv, recurrent or embedding")
    layout.output(outputs, target)
    return NetworkPlan("sequential", tuple(layout.layers), layout.input, tuple(layout.nodes))


def _branches(items: Sequence[Item]) -> int:
    return sum(1 + _branches(item.layers) for item in items if isinstance(item, ResidualItem))


@dataclass(frozen=True, slots=True)
class _End:
    """What the sum is whose branch ends here: on the depth ``axis``, and followed by the activation ``then``."""

    axis: bool
    then: Activation | None


class _List:
    def __init__(self, spec: SequentialSpec, layout: Layout, branches: int) -> None:
        self.spec, self.layout, self.branches = spec, layout, branches
        self.taken: set[str] = {"output"}

    def place(self, items: Sequence[Item], where: str, prefix: str, branch: _End | None = None) -> None:
        """Every item in order; norms and the activation behind weights belong to them."""
        # The last weights of a branch end it: their h is the sum (decision 5).
        last = max((at for at, item in enumerate(items) if isinstance(item, WEIGHTS | ResidualItem)), default=-1)
        index = 0
        while index < len(items):
            item, end = items[index], branch if index == last else None
            self.layout.where = f"{where}[{index}]"
            # The next one too: weights take the norm behind them along, so it is not met on its own.
            self.in_its_place(items[index : index + 2])
            if isinstance(item, WEIGHTS):
                on_axis = branch is None or (end is not None and end.axis)
                role: Role = "hidden" if on_axis else "branch"
                index = self.weights(items, index, prefix, role, end, inside=branch is not None)
                continue
            if isinstance(item, ResidualItem):
                axis = branch is None or (end is not None and end.axis)
                block = _End(axis, self.behind(items, index, end))
                self.residual(item, f"{prefix}.{index}", f"{where}[{index}]", block)
            else:
                self.between(item, f"{prefix}.{index}")
            index += 1

    def in_its_place(self, items: Sequence[Item]) -> None:
        if any(isinstance(item, BatchNormSpec) and item.position == "after" for item in items):
            message = "in a list a norm stands where it is written"
            raise self.layout.refusal(message, "position before, and the norm behind the activation", "after")

    def behind(self, items: Sequence[Item], index: int, end: _End | None) -> Activation | None:
        """The activation that the sum of the block at ``index`` enters."""
        follower = items[index + 1] if index + 1 < len(items) else None
        if isinstance(follower, ActivationItem):
            return self.activation(follower)
        return end.then if follower is None and end is not None else None

    def weights(  # noqa: PLR0913 -- a place in a list has these sides
        self, items: Sequence[Item], index: int, prefix: str, role: Role, end: _End | None, *, inside: bool
    ) -> int:
        """The weights at ``index`` with the norm, activation and dropout behind them; the index of what follows.

        Where they ``end`` a branch, h is its sum, and what follows them in the branch does not belong to them.
        """
        item = items[index]
        rest = iter(items[index + 1 :])
        after, follower = index + 1, next(rest, None)
        norm, activation, dropout = None, None, 0.0
        if isinstance(follower, NORMS):
            norm, after, follower = follower, after + 1, next(rest, None)
        if isinstance(follower, ActivationItem) and end is None:
            # What the spec gives beside the list holds for all of it, so that remedies act on lists too.
            activation, norm = self.activation(follower), self.spec.normalization or norm
            after, follower, dropout = after + 1, next(rest, None), self.spec.dropout
            if isinstance(follower, DropoutItem):
                dropout, after = max(dropout, follower.p), after + 1
        name = self.named(item, f"{prefix}.{index}")
        if isinstance(item, RecurrentItem) and inside:
            message = f"the recurrent layer {name!r} stands inside a branch"
            raise self.layout.refusal(message, "recurrent layers outside of branches")
        shown = activation if end is None else end.then
        layer = self.weighed(item, name, role, norm, shown, dropout)
        if end is None:
            self.layout.activate(layer, alpha_dropout=self.spec.alpha_dropout)
        return after

    def weighed(  # noqa: PLR0913, PLR0917 -- a layer has these sides
        self,
        item: Item,
        name: str,
        role: Role,
        norm: NormalizationSpec | None,
        activation: Activation | None,
        dropout: float,
    ) -> LayerPlan:
        layout = self.layout
        sides: dict[str, Any] = {
            "role": role,
            "normalization": norm,
            "activation": activation,
            "dropout": dropout,
            "init": getattr(item, "init", None),
        }
        match item:
            case LinearItem() if layout.shape.form in {"vector", "sequence"}:
                return layout.weigh(name, item.units, **sides)
            case LinearItem():
                message = f"the linear layer {name!r} needs a vector or a sequence, and gets {layout.shape}"
                raise layout.refusal(message, "flatten or global_average_pool before it (an embedding for tokens)")
            case ConvItem():
                kernel, stride = item.kernel_size, item.stride
                return layout.convolve(name, item.channels, kernel, stride=stride, padding=item.padding, **sides)
        self.unactivated(name, norm, activation)
        if isinstance(item, EmbeddingItem):
            return layout.embed(name, item.width, role, item.init)
        assert isinstance(item, RecurrentItem)  # the last kind that has weights
        layout.need("sequence", f"the recurrent layer {name!r}", "a sequence, or an embedding before it")
        return recur(layout, name, item.cell, item.width, recurrent_init=item.init)

    def unactivated(self, name: str, norm: NormalizationSpec | None, activation: Activation | None) -> None:
        if norm is not None or activation is not None:
            message = f"{name!r} has no norm or activation of its own behind it"
            raise self.layout.refusal(message, "a linear layer between them")

    def activation(self, item: ActivationItem) -> Activation:
        if self.spec.activation is not None:
            return activation_of(self.spec.activation, self.spec.negative_slope, self.spec.alpha)
        return activation_of(item.function, item.negative_slope, item.alpha)

    def named(self, item: Item, fallback: str) -> str:
        # A recurrent layer is two weight tensors, of which the second name is made here (decision 5).
        name = getattr(item, "name", None) or fallback
        names = [name, f"{name}.input"] if isinstance(item, RecurrentItem) else [name]
        if twice := self.taken.intersection(names):
            message = f"two layers are named {twice.pop()!r}"
            raise self.layout.refusal(message, "a name of its own for each", name)
        self.taken.update(names)
        return name

    def between(self, item: Item, name: str) -> None:
        """What holds no weights of its own layer."""
        layout = self.layout
        if layout.shape.form == "tokens":
            message = f"{item.kind} needs numbers, and gets {layout.shape}"
            raise layout.refusal(message, "an embedding before it")
        match item:
            case ActivationItem():
                layout.nodes.append(Activate(name, self.activation(item)))
            case DropoutItem():
                layout.drop(item.p, name)
            case PoolItem():
                layout.pool("max" if item.kind == "max_pool" else "average", item.size)
            case GlobalPoolItem():
                layout.average_pixels()
            case FlattenItem():
                layout.flatten()
            case ReadoutItem():
                layout.read_out(item.how)
            case BatchNormSpec() | LayerNormSpec() | RmsNormSpec() | GroupNormSpec():
                layout.normalise(item, name)

    def residual(self, item: ResidualItem, name: str, where: str, end: _End) -> None:
        layout, stream = self.layout, self.layout.shape
        # The body is laid out aside, but its layers are numbered with all others.
        known = len(layout.layers)
        with layout.aside() as body:
            self.place(item.layers, f"{where}.layers", name, end)
        # Placing the body has moved it, and what is refused below is the block.
        layout.where = where
        if len(layout.layers) == known:
            raise layout.refusal("a residual block without weights changes nothing", "a linear or conv layer in it")
        if layout.shape.size != stream.size:
            message = f"the block is added to its input, but takes {stream} and gives {layout.shape}"
            raise layout.refusal(message, f"layers that end in {stream}")
        if item.skip.kind == "highway":
            raise layout.refusal(
                "a highway gate is not built for lists", "residual, scaled, rezero, skip_init, layer_scale"
            )
        layout.nodes.append(Residual(tuple(body), item.skip, layout.layers[-1], skip_scale(item.skip, self.branches)))
