"""A network as plain records: its weight layers in forward order, and the tree of steps that a pass goes through.

The worker builds the tree, theory walks it, ``validate`` counts it; nobody else knows what a kind of network is.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gradient_clinic.activations import Activation
from gradient_clinic.gains.increments import SETTLING_FIRST, SETTLING_LAST
from gradient_clinic.layers import Layer, Role, TimePoint
from models.specs.dataset import Form
from models.specs.init import InitSpec
from models.specs.network import Cell, WeightRule
from models.specs.normalization import NormalizationSpec, SkipSpec

Kind = Literal["linear", "conv2d", "embedding", "recurrent"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What one case looks like between two layers.

    vector (units,); image (channels, height, width); sequence (steps, features); tokens (steps,) below ``vocabulary``.
    """

    form: Form
    size: tuple[int, ...]
    vocabulary: int = 0
    alike: tuple[float, ...] = ()
    """Of inputs with steps, or rows: the correlation of a case's numbers 1, 2, … steps apart, the last for all beyond;
    of tokens the share of equal ones. Empty: as if independent. Only theory asks."""

    lengths: tuple[int, ...] = ()
    """Of cases that end before the last step: some of them, each standing for as many cases. Only theory asks."""
    loudness: tuple[float, ...] = ()
    """Of steps of other mean squares than all together: some of them, each standing for as many. Only theory asks."""

    @property
    def units(self) -> int:
        """Numbers per case, per step, or per pixel: what one weight vector meets."""
        if self.form == "tokens":
            return self.vocabulary
        return self.size[0] if self.form == "image" else self.size[-1]

    @property
    def flat(self) -> int:
        return math.prod(self.size)

    def __str__(self) -> str:
        return f"{self.form} ({', '.join(map(str, self.size))})"


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """One weight tensor with its normalisation and the activation that h enters; ``index`` from 1 in forward order.

    ``hidden`` layers are the depth axis of G; ``branch`` layers are recorded and lie beside it; the ``output`` layer is
    the last and has no activation. ``fan_in`` and ``fan_out`` are torch's (a convolution counts its kernel).
    """

    index: int
    name: str
    kind: Kind
    role: Role
    fan_in: int
    fan_out: int
    init: InitSpec
    normalization: NormalizationSpec | None = None
    activation: Activation | None = None
    dropout: float = 0.0
    kernel_size: int = 1
    stride: int = 1
    padding: int = 0
    gates: int = 1
    """``fan_out`` units are so many gates side by side, each initialised as a matrix of its own."""
    bias: bool = True
    bias_init: InitSpec | None = None
    """Of the bias, where it does not follow the weights' ``init``."""
    weight_rule: WeightRule | None = None
    default_fan: int | None = None
    """What PyTorch's default draws by where it is not ``fan_in``: recurrent cells take their width."""
    scale: float = 1.0
    """Multiplies the weights as drawn: GPT-2's and Fixup's factor for residual branches; 0 starts the branch silent."""
    resized: bool = False
    """Channels or resolution differ from the hidden layer before: its increment is no gain per layer."""
    positions: int = 1
    """Places in one case where the weights are applied: pixels of the output, or steps."""

    @property
    def units(self) -> int:
        """Outputs of one application: a convolution's channels."""
        return self.fan_out // self.kernel_size**2 if self.kind == "conv2d" else self.fan_out

    @property
    def weights(self) -> int:
        return self.fan_in * self.units

    @property
    def judged(self) -> Layer:
        norm = None if self.normalization is None else self.normalization.kind
        return Layer(self.name, self.role, self.activation, norm, self.scale, self.resized)

    @property
    def parameters(self) -> int:
        """Trainable numbers: weights, biases, the norm's γ and β, weight norm's g."""
        g = self.units if self.weight_rule == "weight_norm" else 0
        return self.weights + self.bias * self.units + norm_parameters(self.normalization, self.units) + g


def norm_parameters(norm: NormalizationSpec | None, units: int) -> int:
    """γ and β of a norm over ``units``; the root mean square norm has no β."""
    if norm is None or not norm.affine:
        return 0
    return units if norm.kind == "rms_norm" else 2 * units


# --- the tree ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Weigh:
    """W·x + b, then the layer's norm. Its output is the layer's h unless a ``Residual`` or ``Normalise`` shows it."""

    layer: LayerPlan


@dataclass(frozen=True, slots=True)
class Activate:
    """φ, then dropout; ``name`` is that of the layer whose h it takes."""

    name: str
    activation: Activation
    dropout: float = 0.0
    alpha_dropout: bool = False


@dataclass(frozen=True, slots=True)
class Normalise:
    """A norm that stands alone, before a branch or after a sum; ``shows`` the layer whose h it makes."""

    norm: NormalizationSpec
    units: int
    shows: LayerPlan | None = None
    image: bool = False


@dataclass(frozen=True, slots=True)
class Dropout:
    p: float
    name: str


@dataclass(frozen=True, slots=True)
class Flatten:
    """All numbers of a case side by side."""


@dataclass(frozen=True, slots=True)
class Rows:
    """An image as a sequence of its rows: (channels, height, width) → (height, channels·width)."""


@dataclass(frozen=True, slots=True)
class Steps:
    """A vector as a sequence of single numbers: (units,) → (units, 1)."""


@dataclass(frozen=True, slots=True)
class Pool:
    how: Literal["max", "average"]
    size: int


@dataclass(frozen=True, slots=True)
class GlobalAverage:
    """(channels, height, width) → (channels,)."""


@dataclass(frozen=True, slots=True)
class Readout:
    """A sequence's last step, or the mean over its steps; what lies behind a case's end never counts."""

    how: Literal["last", "mean"]


@dataclass(frozen=True, slots=True)
class Positions:
    """A learned vector per step, added."""

    steps: int
    units: int
    init_std: float = 0.02


@dataclass(frozen=True, slots=True)
class Attend:
    """Scaled dot-product attention over queries, keys and values side by side (steps, 3·units) → (steps, units)."""

    heads: int
    causal: bool
    units: int


@dataclass(frozen=True, slots=True)
class Recur:
    """The loop over steps: what ``Weigh`` of the input's layer made, plus W_hh·h, through the cell. (steps, units)."""

    layer: LayerPlan
    cell: Cell
    units: int
    truncate: int | None
    forget_bias: float
    steps: int


@dataclass(frozen=True, slots=True)
class Residual:
    """x + s·body(x), or highway's T·body(x) + (1 − T)·x; its output is h of the layer that it ``shows``.

    ``shortcut`` maps x to the body's shape where they differ. ``scale`` is the fixed factor, or where s is learned its
    first value.
    """

    body: tuple["Node", ...]
    skip: SkipSpec
    shows: LayerPlan
    scale: float = 1.0
    shortcut: tuple["Node", ...] = ()
    gate: LayerPlan | None = None


Node = (
    Weigh
    | Activate
    | Normalise
    | Dropout
    | Flatten
    | Rows
    | Steps
    | Pool
    | GlobalAverage
    | Readout
    | Positions
    | Attend
    | Recur
    | Residual
)


def walk(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Every node, in forward order, a residual before its body and shortcut."""
    for node in nodes:
        yield node
        if isinstance(node, Residual):
            yield from walk((*node.body, *node.shortcut))


def _own_parameters(node: Node) -> int:
    """Trainable numbers of a node that belong to no layer."""
    match node:
        case Normalise():
            return norm_parameters(node.norm, node.units)
        case Activate() if node.activation.function == "prelu":
            return 1
        case Positions():
            return node.steps * node.units
        case Residual() if node.skip.kind in {"rezero", "skip_init"}:
            return 1
        case Residual() if node.skip.kind == "layer_scale":
            return node.shows.units
    return 0


@dataclass(frozen=True)  # without slots: what is asked of a thousand layers again and again is found once
class NetworkPlan:
    """The layers in forward order, the output layer last, and the steps of a pass, ``body``, from ``input`` on."""

    kind: str
    layers: tuple[LayerPlan, ...]
    input: Shape
    body: tuple[Node, ...]
    frozen: tuple[str, ...] = ()
    """Names of layers that do not train."""

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        # Kept, and without the body: networks are keys of caches, and hashing a deep tree at each look-up costs more.
        return hash((self.kind, self.layers, self.input, len(self.body)))

    @cached_property
    def parameters(self) -> int:
        """Of all layers, frozen ones too."""
        return sum(layer.parameters for layer in self.layers) + sum(map(_own_parameters, walk(self.body)))

    @cached_property
    def hidden(self) -> tuple[LayerPlan, ...]:
        return tuple(layer for layer in self.layers if layer.role == "hidden")

    @property
    def has_matrices(self) -> bool:
        """Whether Muon has something to orthogonalise: kernels are none, and of a plug-in nobody knows."""
        hidden = (layer for layer in self.layers if layer.role != "output" and layer.name not in self.frozen)
        return self.kind == "plugin" or any(layer.kind in {"linear", "recurrent"} for layer in hidden)

    @property
    def judged(self) -> tuple[Layer, ...]:
        """The layers as the rules of a verdict read them."""
        return tuple(layer.judged for layer in self.layers)

    @cached_property
    def recurrent(self) -> tuple[Recur, ...]:
        return tuple(node for node in walk(self.body) if isinstance(node, Recur))

    @property
    def time(self) -> tuple[TimePoint, ...]:
        """The recorded states of every recurrent layer, in order."""
        return tuple(
            TimePoint(f"{node.layer.name}@{step}", node.layer.name, step)
            for node in self.recurrent
            for step in time_steps(node.steps)
        )

    @property
    def rows(self) -> tuple[str, ...]:
        """What a trace has a row for: the layers, then the states, numbered on behind the output layer."""
        return tuple([layer.name for layer in self.layers] + [point.name for point in self.time])


MAX_TIME_POINTS = 129


def time_steps(steps: int) -> list[int]:
    """Which states of 0 … ``steps`` are recorded: all, or on long axes some at even distances.

    The ends and the limits of ``gain_per_step`` are always among them, so that thinning changes neither figure.
    """
    if steps < MAX_TIME_POINTS:
        return list(range(steps + 1))
    # Room for the four that are always among them.
    stride = -(-steps // (MAX_TIME_POINTS - 5))
    kept = {0, SETTLING_FIRST, steps - SETTLING_LAST, steps, *range(0, steps, stride)}
    return sorted(kept)
