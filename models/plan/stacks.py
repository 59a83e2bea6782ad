"""Networks that are a stack of alike layers, with or without skips: ``mlp``, ``cnn`` and their residual forms.

With skips the stream is not activated. A branch is φ → W → norm, once per layer, and is added to the h that it started
from (He et al. 2016, arXiv:1603.05027). So h of a branch's last layer is the stream behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gradient_clinic.activations import Activation
from gradient_clinic.layers import Role
from models.plan.builder import Layout
from models.plan.scales import branch_scales, head_scale
from models.plan.tree import LayerPlan, NetworkPlan, Residual, Shape
from models.specs.activation import activation_of
from models.specs.dataset import Target
from models.specs.network import Activated, CnnSpec, MlpSpec, ResidualCnnSpec, ResidualMlpSpec
from models.specs.normalization import SkipSpec

LARGEST_SMALL_SIDE = 2


@dataclass(frozen=True, slots=True)
class _Layer:
    name: str
    units: int
    stride: int = 1
    pool: str | None = None
    """Pooling in front of it."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Layers in a row; ``residual`` ones are a branch of the stream."""

    layers: tuple[_Layer, ...]
    residual: bool


def plan_mlp(spec: MlpSpec, shape: Shape, outputs: int, target: Target) -> NetworkPlan:
    layers = [_Layer(f"hidden.{index}", width) for index, width in enumerate(spec.hidden_widths())]
    layout = _layout(spec, shape)
    layout.flatten()
    return _stacked(spec, layout, _grouped([layers], spec.skip), spec.skip, outputs, target)


def plan_residual_mlp(spec: ResidualMlpSpec, shape: Shape, outputs: int, target: Target) -> NetworkPlan:
    layout = _layout(spec, shape)
    layout.flatten()
    blocks = [_Block((_Layer("stem", spec.width),), residual=False)]
    blocks += [_named_block(f"block.{index}", spec.width, spec.layers_per_block) for index in range(spec.blocks)]
    return _stacked(spec, layout, blocks, spec.skip, outputs, target)


def plan_cnn(spec: CnnSpec, shape: Shape, outputs: int, target: Target) -> NetworkPlan:
    layout = _layout(spec, shape)
    stages: list[list[_Layer]] = []
    side = min(shape.size[1:]) if shape.form == "image" else 0
    for stage, channels in enumerate(spec.channels):
        names = [f"hidden.{stage * spec.layers_per_stage + index}" for index in range(spec.layers_per_stage)]
        # No stage goes below two pixels a side, however many stages are asked for.
        smaller = stage > 0 and side >= 2 * LARGEST_SMALL_SIDE and spec.pool is not None
        side = side // 2 if smaller else side
        strided = smaller and spec.pool == "stride"
        first = _Layer(names[0], channels, 2 if strided else 1, spec.pool if smaller and not strided else None)
        stages.append([first, *(_Layer(name, channels) for name in names[1:])])
    return _stacked(spec, layout, _grouped(stages, spec.skip), spec.skip, outputs, target)


def plan_residual_cnn(spec: ResidualCnnSpec, shape: Shape, outputs: int, target: Target) -> NetworkPlan:
    layout = _layout(spec, shape)
    blocks = [_Block((_Layer("stem", spec.channels[0]),), residual=False)]
    side = min(shape.size[1:]) if shape.form == "image" else 0
    for stage, channels in enumerate(spec.channels):
        for index in range(spec.blocks_per_stage):
            smaller = stage > 0 and index == 0 and side >= 2 * LARGEST_SMALL_SIDE
            side = side // 2 if smaller else side
            name = f"block.{stage * spec.blocks_per_stage + index}"
            blocks.append(_named_block(name, channels, spec.layers_per_block, 2 if smaller else 1))
    return _stacked(spec, layout, blocks, spec.skip, outputs, target)


def _layout(spec: Activated, shape: Shape) -> Layout:
    return Layout(shape, spec.init, spec.weight_rule)


def _named_block(name: str, units: int, layers: int, stride: int = 1) -> _Block:
    """The branch's last layer bears the block's name: its h is the stream after the block."""
    inner = [_Layer(f"{name}.{index}", units, stride if index == 0 else 1) for index in range(layers - 1)]
    return _Block((*inner, _Layer(name, units, stride if layers == 1 else 1)), residual=True)


def _grouped(stages: Sequence[Sequence[_Layer]], skip: SkipSpec | None) -> list[_Block]:
    """The first layer of a stage stands alone; those behind it, of one width, go in groups of ``every``."""
    blocks: list[_Block] = []
    for stage in stages:
        open_group: list[_Layer] = []
        units = None
        for layer in stage:
            if skip is None or units != layer.units:
                blocks += [_Block(tuple(open_group), residual=True)] if open_group else []
                blocks.append(_Block((layer,), residual=False))
                open_group, units = [], layer.units
                continue
            open_group.append(layer)
            if len(open_group) == skip.every:
                blocks.append(_Block(tuple(open_group), residual=True))
                open_group = []
        # A group that the end of its stage cuts short is a branch all the same.
        blocks += [_Block(tuple(open_group), residual=True)] if open_group else []
    return blocks


class _Stack:
    """Lays the blocks out one after another; ``previous`` is the layer whose h waits for its activation."""

    def __init__(self, spec: Activated, layout: Layout, skip: SkipSpec | None, branches: int) -> None:
        self.spec, self.layout, self.skip, self.branches = spec, layout, skip, branches
        self.convolutional = isinstance(spec, CnnSpec | ResidualCnnSpec)
        self.activation: Activation = activation_of(spec.activation, spec.negative_slope, spec.alpha)
        self.previous: LayerPlan | None = None

    def place(self, layer: _Layer, role: Role = "hidden", scale: float = 1.0) -> LayerPlan:
        """φ of what was before, pooling, and the layer's weights with their norm."""
        self.activate()
        if layer.pool is not None:
            self.layout.pool(layer.pool, 2)
        return self.weights(layer.name, layer.units, layer.stride, role=role, scale=scale)

    def weights(self, name: str, units: int, stride: int, **more: Any) -> LayerPlan:
        sides: dict[str, Any] = {
            "normalization": self.spec.normalization,
            "activation": self.activation,
            "dropout": self.spec.dropout,
            **more,
        }
        if not self.convolutional:
            self.previous = self.layout.weigh(name, units, **sides)
        else:
            kernel = sides.pop("kernel_size", self.spec.kernel_size)  # type: ignore[attr-defined]
            self.previous = self.layout.convolve(name, units, kernel, stride=stride, **sides)
        return self.previous

    def activate(self) -> None:
        if self.previous is not None:
            self.layout.activate(self.previous, alpha_dropout=self.spec.alpha_dropout)

    def branch(self, block: _Block) -> None:
        assert self.skip is not None  # blocks are residual where there are skips
        stream = self.layout.shape
        scales = branch_scales(self.spec.init, len(block.layers), self.branches)
        # The last layer's h is the stream after the block, which the depth axis counts (decision 5).
        inner: list[Role] = ["branch"] * (len(block.layers) - 1)
        with self.layout.aside() as body:
            placed = [
                self.place(*arguments) for arguments in zip(block.layers, [*inner, "hidden"], scales, strict=True)
            ]
        end = placed[-1]
        after, beside = self.layout.shape, {"normalization": None, "activation": None, "dropout": 0.0}
        shortcut, gate = [], None
        if after.size != stream.size:
            self.layout.shape = stream
            with self.layout.aside() as shortcut:
                # The stride from the stream's size to the branch's, rounded up as strided layers round theirs.
                stride = -(-stream.size[-1] // after.size[-1]) if self.convolutional else 1
                self.weights(f"{end.name}.shortcut", after.units, stride, role="branch", kernel_size=1, **beside)
        elif self.skip.kind == "highway":
            # Its step is no node of the stream: the sum holds the gate itself.
            with self.layout.aside():
                gate = self.weights(f"{end.name}.gate", after.units, 1, role="branch", kernel_size=1, **beside)
        # The shortcut or gate was laid out last; the stream goes on from the branch.
        self.previous, self.layout.shape = end, after
        scale = skip_scale(self.skip, self.branches)
        self.layout.nodes.append(Residual(tuple(body), self.skip, end, scale, tuple(shortcut), gate))


def skip_scale(skip: SkipSpec, branches: int) -> float:
    """The factor of a branch, or the first value of the one that is learned."""
    match skip.kind:
        case "scaled":
            return branches**-0.5 if skip.factor is None else skip.factor
        case "rezero":
            return 0.0
        case "skip_init":
            return skip.alpha
        case "layer_scale":
            return skip.value
    return 1.0


def _stacked(  # noqa: PLR0913, PLR0917 -- what a stack is made of
    spec: Activated, layout: Layout, blocks: Sequence[_Block], skip: SkipSpec | None, outputs: int, target: Target
) -> NetworkPlan:
    stack = _Stack(spec, layout, skip, sum(block.residual for block in blocks))
    for block in blocks:
        if block.residual:
            stack.branch(block)
        else:
            for layer in block.layers:
                stack.place(layer)
    # Every layer waits for what follows before its φ is laid out, and so does the last.
    stack.activate()
    if stack.convolutional:
        layout.average_pixels()
    layout.output(outputs, target, scale=head_scale(spec.init))
    kind: str = spec.kind  # type: ignore[attr-defined]  # every kind of network has one
    return NetworkPlan(kind, tuple(layout.layers), layout.input, tuple(layout.nodes))
