"""The network that is asked for. A closed union by ``kind``; today: ``mlp``."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from models.activations import SHAPES, Activation
from models.specs.base import About, Spec
from models.specs.init import InitSpec, TorchDefaultInit

MAX_DEPTH = 1_000
MAX_WIDTH = 16_384

Function = Literal[
    "identity",
    "relu",
    "leaky_relu",
    "prelu",
    "elu",
    "celu",
    "selu",
    "gelu",
    "silu",
    "mish",
    "tanh",
    "sigmoid",
    "softsign",
    "softplus",
    "logsigmoid",
    "tanhshrink",
    "hardtanh",
    "hardsigmoid",
    "hardswish",
    "relu6",
    "softshrink",
    "hardshrink",
]
Width = Annotated[int, Field(ge=1, le=MAX_WIDTH)]
Slope = Annotated[float, Field(ge=-10, le=10)]
Alpha = Annotated[float, Field(gt=0, le=100)]


class BatchNormSpec(Spec):
    kind: Literal["batch_norm"]
    eps: float = Field(default=1e-5, gt=0, le=1)
    momentum: float = Field(default=0.1, gt=0, le=1)
    affine: bool = True


class LayerNormSpec(Spec):
    kind: Literal["layer_norm"]
    eps: float = Field(default=1e-5, gt=0, le=1)
    affine: bool = True


NormalizationSpec = Annotated[BatchNormSpec | LayerNormSpec, Field(discriminator="kind")]


def activation_of(function: str, negative_slope: float | None, alpha: float | None) -> Activation:
    """The function with its parameter. ValueError where a parameter is given that it does not have."""
    shape = SHAPES[function]
    given = {"negative_slope": negative_slope, "alpha": alpha}
    for name, value in given.items():
        if value is not None and name != shape.parameter:
            owners = [other for other, its in SHAPES.items() if its.parameter == name]
            message = f"{name} belongs to {', '.join(owners)}, not to {function}"
            raise ValueError(message)
    parameter = given.get(shape.parameter or "")
    return Activation(function, shape.default if parameter is None else parameter)


class MlpSpec(Spec):
    """``depth`` weight layers of ``width`` units (the output layer included), or ``hidden`` widths."""

    kind: Literal["mlp"]
    depth: int | None = Field(default=None, ge=2, le=MAX_DEPTH)
    width: Width | None = None
    hidden: tuple[Width, ...] | None = Field(default=None, min_length=1, max_length=MAX_DEPTH)
    activation: Function = "relu"
    negative_slope: Slope | None = None
    alpha: Alpha | None = None
    init: InitSpec = TorchDefaultInit()
    normalization: NormalizationSpec | None = None
    dropout: float = Field(default=0.0, ge=0, lt=1)
    skip: None = None

    about: ClassVar = About(
        "Multilayer perceptron",
        "h = norm(W·φ(h_previous) + b), once per hidden layer; logits = W·φ(h) + b",
        "Rumelhart et al. 1986",
        "deep without the right initialisation, normalisation or skips",
    )

    @model_validator(mode="after")
    def _one_way_to_say_the_size(self) -> Self:
        if self.hidden is not None and (self.depth is not None or self.width is not None):
            message = "give either hidden, or depth with width, not both"
            raise ValueError(message)
        if self.hidden is None and (self.depth is None or self.width is None):
            message = "give depth with width, or hidden"
            raise ValueError(message)
        activation_of(self.activation, self.negative_slope, self.alpha)
        return self

    def hidden_widths(self) -> tuple[int, ...]:
        if self.hidden is not None:
            return self.hidden
        assert self.depth is not None and self.width is not None  # noqa: S101, PT018 -- validated above
        return (self.width,) * (self.depth - 1)


NetworkSpec = Annotated[MlpSpec, Field()]
NETWORKS: dict[str, type[Spec]] = {"mlp": MlpSpec}
