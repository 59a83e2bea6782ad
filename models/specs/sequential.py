"""A user's own network without sending code: a list of layers and residual blocks."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from models.specs.activation import Alpha, Function, Slope, activation_of
from models.specs.base import About, Problem, Spec, SpecError
from models.specs.init import InitSpec
from models.specs.network import Cell, Network, Width
from models.specs.normalization import (
    BatchNormSpec,
    GroupNormSpec,
    LayerNormSpec,
    NormalizationSpec,
    ResidualSkip,
    RmsNormSpec,
    SkipSpec,
)

Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]


class LinearItem(Spec):
    kind: Literal["linear"]
    units: Width
    name: Name | None = None
    init: InitSpec | None = None


class ConvItem(Spec):
    kind: Literal["conv"]
    channels: Width
    kernel_size: int = Field(default=3, ge=1, le=31)
    stride: int = Field(default=1, ge=1, le=16)
    padding: int | None = Field(default=None, ge=0, le=31)
    """By default half the kernel, so that a stride of 1 keeps the size."""
    name: Name | None = None
    init: InitSpec | None = None


class RecurrentItem(Spec):
    kind: Literal["recurrent"]
    cell: Cell = "tanh"
    width: Width
    name: Name | None = None
    init: InitSpec | None = None


class EmbeddingItem(Spec):
    kind: Literal["embedding"]
    width: Width
    name: Name | None = None
    init: InitSpec | None = None


class ActivationItem(Spec):
    kind: Literal["activation"]
    function: Function
    negative_slope: Slope | None = None
    alpha: Alpha | None = None

    @model_validator(mode="after")
    def _parameter_fits(self) -> Self:
        activation_of(self.function, self.negative_slope, self.alpha)
        return self


class DropoutItem(Spec):
    kind: Literal["dropout"]
    p: float = Field(ge=0, lt=1)


class PoolItem(Spec):
    kind: Literal["max_pool", "average_pool"]
    size: int = Field(default=2, ge=2, le=32)


class GlobalPoolItem(Spec):
    kind: Literal["global_average_pool"]


class FlattenItem(Spec):
    kind: Literal["flatten"]


class ReadoutItem(Spec):
    """From a sequence to one vector per case."""

    kind: Literal["readout"]
    how: Literal["last", "mean"] = "last"


class ResidualItem(Spec):
    """x + F(x) around its ``layers``, which have to keep the shape."""

    kind: Literal["residual"]
    layers: tuple["Item", ...] = Field(min_length=1, max_length=100)
    skip: SkipSpec = ResidualSkip(kind="residual")


Item = Annotated[
    LinearItem
    | ConvItem
    | RecurrentItem
    | EmbeddingItem
    | ActivationItem
    | BatchNormSpec
    | LayerNormSpec
    | RmsNormSpec
    | GroupNormSpec
    | DropoutItem
    | PoolItem
    | GlobalPoolItem
    | FlattenItem
    | ReadoutItem
    | ResidualItem,
    Field(discriminator="kind"),
]
ResidualItem.model_rebuild()


class SequentialSpec(Network):
    """``layers`` in order; the output layer is added behind them. What is given beside them holds for all of them."""

    kind: Literal["sequential"]
    layers: tuple[Item, ...] = Field(min_length=1, max_length=2_000)
    activation: Function | None = None
    """Replaces every activation of the list; so do remedies."""
    negative_slope: Slope | None = None
    alpha: Alpha | None = None
    normalization: NormalizationSpec | None = None
    """Stands behind every weight layer that an activation follows, in the place of a norm of the list."""
    alpha_dropout: bool = False

    about: ClassVar = About(
        title="A network of your own",
        formula="layers and residual blocks in the order of the list",
        paper="",
        fails_when="as the parts it is made of",
    )

    @model_validator(mode="after")
    def _parameter_fits(self) -> Self:
        if self.activation is not None:
            activation_of(self.activation, self.negative_slope, self.alpha)
            return self
        for name, value in (("negative_slope", self.negative_slope), ("alpha", self.alpha)):
            if value is not None:
                message = f"{name} belongs to the activation beside it, and none is given"
                raise SpecError(Problem(name, value, message, "an activation, or the parameter in the list's own"))
        return self

    @property
    def layer_count(self) -> int:
        return _count(self.layers) + 1


def _count(items: tuple[Item, ...]) -> int:
    return sum(_count(item.layers) if isinstance(item, ResidualItem) else 1 for item in items)
