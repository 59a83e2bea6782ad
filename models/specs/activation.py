"""Activation functions as a spec names them, with the one parameter that some have."""

from typing import Annotated, Literal

from pydantic import Field

from gradient_clinic.activations import SHAPES, Activation
from models.specs.base import Problem, SpecError

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
Slope = Annotated[float, Field(ge=-10, le=10)]
Alpha = Annotated[float, Field(gt=0, le=100)]


def activation_of(function: str, negative_slope: float | None, alpha: float | None) -> Activation:
    """The function with its parameter. SpecError where a parameter is given that it does not have."""
    shape = SHAPES[function]
    given = {"negative_slope": negative_slope, "alpha": alpha}
    for name, value in given.items():
        if value is not None and name != shape.parameter:
            owners = [other for other, known in SHAPES.items() if known.parameter == name]
            message = f"{name} belongs to {', '.join(owners)}, not to {function}"
            raise SpecError(Problem(name, value, message, f"null, or one of {', '.join(owners)}"))
    parameter = given.get(shape.parameter or "")
    return Activation(function, shape.default if parameter is None else parameter)
