"""Lays out one network step by step: numbers its layers, follows the shape, and refuses what does not fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gradient_clinic.activations import Activation
from gradient_clinic.layers import Role
from models.plan.tree import (
    Activate,
    Dropout,
    Flatten,
    GlobalAverage,
    Kind,
    LayerPlan,
    Node,
    Normalise,
    Pool,
    Readout,
    Rows,
    Shape,
    Steps,
    Weigh,
)
from models.specs.base import Problem, SpecError
from models.specs.dataset import Target
from models.specs.init import InitSpec
from models.specs.network import WeightRule
from models.specs.normalization import NormalizationSpec

ALONG_STEPS = {"sequence", "tokens"}
_NEEDED = {"vector": "a vector", "image": "an image", "sequence": "a sequence", "tokens": "tokens"}


@dataclass(slots=True)
class Layout:
    """``where`` is the field that an error names. Layers and steps are appended in forward order."""

    input: Shape
    init: InitSpec
    weight_rule: WeightRule | None = None
    where: str = "network"
    layers: list[LayerPlan] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    shape: Shape = field(init=False)
    _last_hidden: Shape | None = None
    _norms_after: dict[str, NormalizationSpec] = field(default_factory=dict)
    """By layer, those that stand behind its activation."""

    def __post_init__(self) -> None:
        self.shape = self.input

    # --- shapes -------------------------------------------------------------------------------------------------

    def flatten(self) -> None:
        """To a vector, for what takes vectors."""
        if self.shape.form == "tokens":
            raise self.refusal(
                "takes numbers, and the data are tokens", "rnn, transformer, or sequential with an embedding"
            )
        if self.shape.form != "vector":
            self.nodes.append(Flatten())
            self.shape = Shape("vector", (self.shape.flat,))

    def as_sequence(self) -> None:
        """An image by its rows, a vector number by number; sequences and tokens stay."""
        if self.shape.form == "image":
            channels, height, width = self.shape.size
            self.nodes.append(Rows())
            self.shape = Shape("sequence", (height, channels * width))
        elif self.shape.form == "vector":
            self.nodes.append(Steps())
            self.shape = Shape("sequence", (self.shape.units, 1))

    def need(self, form: str, what: str, instead: str) -> None:
        if self.shape.form != form:
            message = f"{what} needs {_NEEDED[form]}, and gets {self.shape}"
            raise self.refusal(message, instead)

    def refusal(self, message: str, allowed: object, value: object = None) -> SpecError:
        return SpecError(Problem(self.where, value if value is not None else str(self.shape), message, allowed))

    # --- layers -------------------------------------------------------------------------------------------------

    def weigh(  # noqa: PLR0913 -- a layer has many sides, and all by name
        self,
        name: str,
        units: int,
        *,
        role: Role = "hidden",
        normalization: NormalizationSpec | None = None,
        activation: Activation | None = None,
        dropout: float = 0.0,
        init: InitSpec | None = None,
        **more: Any,
    ) -> LayerPlan:
        """A linear map over the last axis; ``more`` are fields of the LayerPlan."""
        fan_in = self.shape.units
        layer = self.layer(
            name,
            "linear",
            role,
            fan_in,
            units,
            init=init,
            normalization=normalization,
            activation=activation,
            dropout=dropout,
            positions=self.shape.size[0] if self.shape.form == "sequence" else 1,
            **more,
        )
        self._placed(layer, Shape(self.shape.form, (*self.shape.size[:-1], units)))
        return layer

    def convolve(
        self, name: str, channels: int, kernel_size: int, *, stride: int = 1, padding: int | None = None, **more: Any
    ) -> LayerPlan:
        """A two-dimensional convolution; ``more`` as in ``weigh``."""
        self.need("image", f"the convolution {name!r}", "an image data set, or another kind of network")
        pad = kernel_size // 2 if padding is None else padding
        depth, *sides = self.shape.size
        after = [(side + 2 * pad - kernel_size) // stride + 1 for side in sides]
        if min(after) < 1:
            message = f"a kernel of {kernel_size} with padding {pad} does not fit {self.shape}"
            raise self.refusal(message, "a smaller kernel, more padding, or fewer layers that shrink the image")
        # torch's fans of a convolution count its kernel, and inits draw by them.
        area = kernel_size**2
        layer = self.layer(
            name,
            "conv2d",
            more.pop("role", "hidden"),
            depth * area,
            channels * area,
            init=more.pop("init", None),
            kernel_size=kernel_size,
            stride=stride,
            padding=pad,
            positions=after[0] * after[1],
            resized_to=Shape("image", (channels, after[0], after[1])),
            **more,
        )
        self._placed(layer, Shape("image", (channels, after[0], after[1])))
        return layer

    def embed(self, name: str, width: int, role: Role, init: InitSpec | None = None, **more: Any) -> LayerPlan:
        """A row of W per token; no bias."""
        self.need("tokens", f"the embedding {name!r}", "a data set of tokens")
        # A token is one of as many inputs as the vocabulary has, which makes the table a weight matrix.
        layer = self.layer(
            name,
            "embedding",
            role,
            self.shape.vocabulary,
            width,
            init=init,
            bias=False,
            positions=self.shape.size[0],
            **more,
        )
        self._placed(layer, Shape("sequence", (self.shape.size[0], width)))
        return layer

    def output(self, units: int, target: Target, **more: Any) -> None:
        """The output layer: over every step where each is labelled, else over one vector per case."""
        if target == "class_per_step" and self.shape.form != "sequence":
            message = f"every step is labelled, and the network ends in {self.shape}"
            raise self.refusal(message, "rnn or transformer")
        if target != "class_per_step":
            self.flatten()
        self.weight_rule = None  # of hidden weights; the output's scale is the logits' own
        self.weigh("output", units, role="output", **more)

    def layer(  # noqa: PLR0913
        self,
        name: str,
        kind: Kind,
        role: Role,
        fan_in: int,
        fan_out: int,
        *,
        init: InitSpec | None = None,
        resized_to: Shape | None = None,
        normalization: NormalizationSpec | None = None,
        **more: Any,
    ) -> LayerPlan:
        # Fans count the kernel of a convolution; units do not.
        units = fan_out // more.get("kernel_size", 1) ** 2
        if normalization is not None:
            self._check_norm(normalization, units, name, image=kind == "conv2d")
        if normalization is not None and normalization.kind == "batch_norm" and normalization.position == "after":
            # Such a norm stands behind φ and belongs to no layer: h stays what the weights give.
            self._norms_after[name], normalization = normalization, None
        shape = resized_to or Shape(self.shape.form, (*self.shape.size[:-1], units))
        # Refused here, before torch divides 0 by 0 in the first pass.
        if self.weight_rule is not None and (more.get("scale", 1.0) == 0.0 or _silent(init or self.init)):
            message = f"the weights of {name!r} start at zero, and {self.weight_rule} divides by their norm"
            raise self.refusal(message, "another initialisation, or no weight rule", self.weight_rule)
        before = self._last_hidden
        # Where an image changes its size δ is spread over other numbers, and its rms says no gain of this layer.
        resized = role == "hidden" and before is not None and shape.form == "image" and shape.size != before.size
        if role == "hidden":
            self._last_hidden = shape
        layer = LayerPlan(
            len(self.layers) + 1,
            name,
            kind,
            role,
            fan_in,
            fan_out,
            init or self.init,
            normalization,
            weight_rule=self.weight_rule,
            resized=resized,
            **more,
        )
        self.layers.append(layer)
        return layer

    def _placed(self, layer: LayerPlan, shape: Shape) -> None:
        self.nodes.append(Weigh(layer))
        self.shape = shape

    # --- what stands between them -------------------------------------------------------------------------------

    def activate(self, layer: LayerPlan, *, alpha_dropout: bool = False) -> None:
        """The activation and dropout that the layer's h enters, with the norm between them where it stands there."""
        if layer.activation is None:
            return
        norm, alpha = self._norms_after.get(layer.name), alpha_dropout and layer.dropout > 0.0
        if norm is None:
            self.nodes.append(Activate(layer.name, layer.activation, layer.dropout, alpha))
            return
        if alpha:
            message = "alpha dropout keeps the mean and variance that SELU leaves, and here a norm stands between them"
            raise self.refusal(message, "batch_norm before the activation, or ordinary dropout", "batch_norm")
        self.nodes.append(Activate(layer.name, layer.activation))
        self.normalise(norm, layer.name)
        self.drop(layer.dropout, layer.name)

    def normalise(self, norm: NormalizationSpec, name: str) -> None:
        """A norm that belongs to no layer."""
        image = self.shape.form == "image"
        if self.shape.form == "tokens":
            raise self.refusal("a norm needs numbers, and gets tokens", "an embedding before it", norm.kind)
        self._check_norm(norm, self.shape.units, name, image=image)
        self.nodes.append(Normalise(norm, self.shape.units, image=image))

    def _check_norm(self, norm: NormalizationSpec, units: int, name: str, *, image: bool) -> None:
        if norm.kind == "group_norm" and units % norm.groups:
            message = f"{norm.groups} groups do not divide the {units} units of {name!r}"
            raise self.refusal(message, "a number of groups that divides them", norm.groups)
        # Of an image a group of one channel still holds all its pixels.
        if norm.kind == "group_norm" and norm.groups == units and not image:
            message = f"every group of {name!r} would hold one unit, and a single number has no variance"
            raise self.refusal(message, "fewer groups", norm.groups)
        if norm.kind == "rms_norm" and image:
            message = f"rms_norm is over the units of a vector or step, and {name!r} makes images"
            raise self.refusal(message, "batch_norm, layer_norm or group_norm", norm.kind)
        if norm.kind == "batch_norm" and self.shape.form in ALONG_STEPS:
            message = "batch_norm over the steps of sequences would mix cases of different length"
            raise self.refusal(message, "layer_norm or rms_norm", norm.kind)

    def drop(self, p: float, name: str) -> None:
        if p > 0.0:
            self.nodes.append(Dropout(p, name))

    def pool(self, how: str, size: int) -> None:
        self.need("image", f"{how} pooling", "an image data set")
        channels, height, width = self.shape.size
        if min(height, width) < size:
            message = f"a pool of {size} does not fit {self.shape}"
            raise self.refusal(message, "fewer pools, or a smaller one")
        self.nodes.append(Pool("max" if how == "max" else "average", size))
        self.shape = Shape("image", (channels, height // size, width // size))

    def average_pixels(self) -> None:
        self.need("image", "the mean over pixels", "an image data set")
        self.nodes.append(GlobalAverage())
        self.shape = Shape("vector", (self.shape.units,))

    def read_out(self, how: str) -> None:
        self.need("sequence", "the readout", "a layer over steps before it")
        self.nodes.append(Readout("last" if how == "last" else "mean"))
        self.shape = Shape("vector", (self.shape.units,))

    @contextmanager
    def aside(self) -> Iterator[list[Node]]:
        """Steps of a branch are gathered apart; the stream's go on afterwards from the branch's shape."""
        outside, self.nodes = self.nodes, []
        try:
            yield self.nodes
        finally:
            self.nodes = outside


def _silent(init: InitSpec) -> bool:
    """Whether it draws zeros only."""
    match init.kind:
        case "normal":
            return init.std == 0.0
        case "gaussian":
            return init.weight_variance == 0.0
        case "constant":
            return init.value == 0.0
    return False
