"""What is watched of a network: a row per weight tensor and per place where h is met, in the order of a pass."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from gradient_clinic.activations import Activation
from gradient_clinic.layers import Role

Side = Literal["input", "output"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where h is met: the first tensor of what a module is given, or gives."""

    module: nn.Module
    side: Side = "output"
    unit_axis: int = -1
    """The axis of h that counts its units: a convolution's channels are axis 1."""
    changed_in_place: bool = False
    """What follows overwrites h."""


@dataclass(frozen=True, slots=True)
class Row:
    """A weight, a place or both. ``role`` None: not in the verdict, as no h is met there.

    ``note``: what a reader of ``Watch.layers`` has to know of it.
    """

    name: str
    weight: Tensor | None
    place: Place | None
    role: Role | None = None
    activation: Activation | None = None
    normalization: str | None = None
    resized: bool = False
    on_branch: bool = True
    """Of role "branch": whether it lies on one, or in a gate; else it is another layer beside the depth axis."""
    cases: int = 1
    """Of the first pass."""
    positions: int = 1
    """Pixels or steps at which h has its units."""
    entries: int = 1
    """Of h, per case."""
    outputs: int = 0
    """Of a weight that is a shard, the first axis of the whole one."""
    note: str = ""
    odd: Literal["shared", "unused"] | None = None
    """What is said of it before the first step: its weight is another's, or it took no part in the pass."""

    @property
    def described(self) -> str:
        """For ``Watch.layers``."""
        activation = "" if self.activation is None else self.activation.function
        said = ", ".join(part for part in (activation, self.normalization, self.note) if part)
        return f"{self._called:7}  {said}"

    @property
    def _called(self) -> str:
        if self.role == "branch":
            return "branch" if self.on_branch else "beside"
        return self.role or "weights"


def listed(rows: Sequence[Row]) -> str:
    """A line each."""
    if not rows:
        return "nothing yet: layers are found in the first forward pass that has gradients"
    named = max(len(row.name) for row in rows)
    return "\n".join(f"{row.name:{named}}  {row.described}".rstrip() for row in rows)


@dataclass(slots=True, eq=False)
class Held:
    """A tensor of a followed pass that may be an h: as it was made, and who wants its δ."""

    value: Tensor | None
    """A copy, once the tensor is overwritten; None once it was read, as a hook on the tensor knows this object."""
    shape: torch.Size
    requires_grad: bool
    changed_in_place: bool = False
    wanted_by: list[Callable[[Tensor], None]] = field(default_factory=list)


def name_of(module: str) -> str:
    """As the user knows it: without what DDP and ``torch.compile`` wrap around a model."""
    return ".".join(part for part in module.split(".") if part != "_orig_mod").removeprefix("module.") or "model"


def weights_of(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The weight tensors that a module itself applies: its parameters of two and more dimensions. Attention uses the
    weight of a child that it never calls.
    """
    for name, weight in module.named_parameters(recurse=isinstance(module, nn.MultiheadAttention)):
        if weight.dim() > 1:
            yield name, weight


def first_tensor(value: object) -> Tensor | None:
    """The first tensor in what a module takes or gives: by itself, or in a tuple, list or dictionary."""
    return next(tensors_in(value), None)


def tensors_in(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from (one for its in value.values() for one in tensors_in(its))
    elif isinstance(value, list | tuple):
        yield from (one for its in value for one in tensors_in(its))
