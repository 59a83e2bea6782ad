"""What the rules of a verdict read of a network: its layers in forward order, and the states of its loops."""

from dataclasses import dataclass
from typing import Literal

from gradient_clinic.activations import Activation

Role = Literal["hidden", "branch", "output"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One weight tensor and what its h enters.

    ``hidden`` layers are the depth axis of G; ``branch`` layers are recorded and lie beside it; the ``output`` layer is
    the last and has no activation. ``normalization``: the kind of norm on its h. ``scale`` multiplies the weights as
    drawn; 0 starts a branch silent. ``resized``: channels or resolution differ from the hidden layer before, so that
    its increment is no gain per layer.
    """

    name: str
    role: Role = "hidden"
    activation: Activation | None = None
    normalization: str | None = None
    scale: float = 1.0
    resized: bool = False


@dataclass(frozen=True, slots=True)
class TimePoint:
    """One state of a recurrent layer on its time axis: ``step`` 0 is the state before the first input."""

    name: str
    layer: str
    step: int
