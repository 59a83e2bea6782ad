"""One forward pass, followed tensor by tensor: which layers ran, in which order, what each h enters, and which sums
make a residual stream.

Modules are seen by hooks, functions (``F.relu``, ``x + y``) by a mode of torch's. Nothing of the pass is changed, and
the tensors that are followed are alive until it ends, so that no address returns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial, reduce
from operator import or_
from typing import Any, Final

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from gradient_clinic.activations import SHAPES, Activation
from gradient_clinic.watcher.guard import Guard, Hook
from gradient_clinic.watcher.rows import Held, first_tensor, name_of, tensors_in, weights_of

FUNCTIONS: Final[Mapping[str, str]] = {name: name for name in SHAPES if name != "identity"} | {
    "log_sigmoid": "logsigmoid"
}
"""Activations by the name of torch's function."""
NORMS: Final[Mapping[str, str]] = {
    "BatchNorm1d": "batch_norm",
    "BatchNorm2d": "batch_norm",
    "BatchNorm3d": "batch_norm",
    "SyncBatchNorm": "batch_norm",
    "InstanceNorm1d": "instance_norm",
    "InstanceNorm2d": "instance_norm",
    "InstanceNorm3d": "instance_norm",
    "GroupNorm": "group_norm",
    "LayerNorm": "layer_norm",
    "RMSNorm": "rms_norm",
}
"""By how the name of the class ends, as everybody writes an RMSNorm of their own."""
SAME: Final = frozenset(
    {
        *("view", "reshape", "flatten", "unflatten", "permute", "transpose", "contiguous", "squeeze", "unsqueeze"),
        *("to", "float", "half", "bfloat16", "type"),
        *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"),
    }
)
"""Functions behind which h is still the same h: other shapes and types of it, and what only training adds."""
SUMS: Final = frozenset({"add", "__add__", "__radd__", "__iadd__"})
PRODUCTS: Final = frozenset({"mul", "__mul__", "__rmul__", "__imul__"})


@dataclass(frozen=True, slots=True)
class Flow:
    """What a tensor of the pass is made of."""

    ancestors: int = 0
    """The calls that it depends on, a bit each: of a thousand layers a set would take too much."""
    source: int | None = None
    """The call whose h it is."""
    raw: bool = False
    """Before a norm."""
    stream: int | None = None
    """The sum whose residual stream it is, perhaps behind a norm or an activation."""


@dataclass(slots=True)
class Called:
    """A module with weights that ran. ``h``: what it gives, or its norm, before an activation."""

    name: str
    module: nn.Module
    h: Held | None
    seen_in: nn.Module
    """The module whose output h is."""
    raw: Held | None
    """What the module itself gives."""
    activation: Activation | None = None
    normalization: str | None = None
    closed: bool = False
    """An activation has taken its h."""
    uses: int = 1


@dataclass(slots=True)
class Sum:
    """A residual sum, or (``gate``) a product of a path with another that comes from it."""

    inside: tuple[str, ...]
    """Names of the modules that were running, the innermost last."""
    order: int
    """How many calls came before."""
    branch: int
    """The calls on one of its two ways alone, a bit each."""
    gate: bool
    met_by: tuple[str, nn.Module, Held] | None = None
    """The first module that is given the stream behind it, and that."""


@dataclass(slots=True)
class Passed:
    """What was seen of a pass, in order."""

    calls: list[Called] = field(default_factory=list)
    sums: list[Sum] = field(default_factory=list)
    blocks: dict[str, tuple[nn.Module, Held]] = field(default_factory=dict)
    """By name, every module that ran a residual sum, and what it gave."""
    asked: dict[str, tuple[int, nn.Module, Held]] = field(default_factory=dict)
    """By name, the modules that the depth axis shall be: how many calls had come, and what each gave."""
    output: Held | None = None


Take = Callable[[Tensor], Held]


class Follower(TorchFunctionMode):
    """Follows one pass of ``model`` from ``begin`` to ``end``; ``take`` is shown every tensor that may be an h the
    moment it exists, and ``before_change`` one that is about to be overwritten. ``depth``: patterns of names.
    """

    def __init__(
        self,
        model: nn.Module,
        depth: Sequence[str],
        guard: Guard,
        take: Take,
        before_change: Callable[[Tensor], None],
    ) -> None:
        super().__init__()
        self._guard = guard
        self._on = False
        self.passed = Passed()
        self._depth = depth
        self._model, self._take, self._before_change = model, take, before_change
        self._flows: dict[int, Flow] = {}
        self._alive: list[Tensor] = []
        self._running: list[str] = []
        self._call_of: dict[str, int] = {}
        self._handles: list[RemovableHandle] = []

    def begin(self, inputs: object) -> None:
        for tensor in tensors_in(inputs):
            self._set(tensor, Flow())
        for name, module in self._model.named_modules():
            if module is not self._model:
                enter, leave = (partial(self._guard.run, do, name) for do in (self._enter, self._leave))
                self._handles.append(module.register_forward_pre_hook(Hook(enter), with_kwargs=True))
                self._handles.append(module.register_forward_hook(Hook(leave), with_kwargs=True))
        self._on = True
        self.__enter__()  # type: ignore[no-untyped-call]

    def end(self) -> None:
        """Leave the model and torch as they were."""
        if self._on:
            self._on = False
            self.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        for handle in self._handles:
            handle.remove()
        self._flows.clear()
        self._alive.clear()

    def seen(self, output: object) -> Passed:
        """Of a pass that has ended, and has given ``output``."""
        h = first_tensor(output)
        if is_layer(self._model):
            self._layer("", self._model, h, Flow(), output)
        self.passed.output = None if h is None else self._take(h)
        return self.passed

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if _overwrites(func, kwargs):
            self._guard.run(self._overwritten, args)
        output = func(*args, **kwargs)
        self._guard.run(self._function, getattr(func, "__name__", ""), args, kwargs, output)
        return output

    def _set(self, tensor: Tensor, flow: Flow) -> None:
        self._flows[id(tensor)] = flow
        self._alive.append(tensor)

    def _flow(self, tensor: Tensor | None) -> Flow | None:
        return None if tensor is None else self._flows.get(id(tensor))

    def _flows_in(self, value: object) -> list[Flow]:
        return [flow for tensor in tensors_in(value) if (flow := self._flow(tensor)) is not None]

    def _overwritten(self, args: tuple[Any, ...]) -> None:
        for tensor in tensors_in(args[:1]):
            self._before_change(tensor)

    # --- functions ------------------------------------------------------------------------------------------------

    def _function(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], output: object) -> None:
        flows = self._flows_in((args, kwargs))
        if not flows:
            return
        name, first = name if name.startswith("__") else name.removesuffix("_"), flows[0]
        made = Flow(_all(flows))
        if name in FUNCTIONS:
            self._activated(first, _activation(FUNCTIONS[name], args, kwargs))
            made = replace(made, stream=first.stream)
        elif name in SAME:
            made = replace(first, ancestors=made.ancestors)
        else:
            self._not_normed(flows)
            if name in SUMS | PRODUCTS and len(flows) == 2:
                made = self._joined(made, flows, _shapes(args), gate=name in PRODUCTS)
        for tensor in tensors_in(output):
            self._set(tensor, made)

    def _activated(self, flow: Flow, activation: Activation) -> None:
        if flow.source is not None and not self.passed.calls[flow.source].closed:
            call = self.passed.calls[flow.source]
            call.activation, call.closed = activation, True

    def _not_normed(self, flows: list[Flow]) -> None:
        """What is used without the norm that it enters too is a stream: the norm is the beginning of a branch."""
        for flow in flows:
            call = None if flow.source is None or not flow.raw else self.passed.calls[flow.source]
            if call is not None and call.normalization is not None:
                call.h, call.seen_in, call.normalization, call.activation = call.raw, call.module, None, None

    def _joined(self, made: Flow, flows: list[Flow], shapes: list[Any], *, gate: bool) -> Flow:
        """A sum is residual where one way has no layer that the other has not, or one that fits its shape."""
        one, other = (flow.ancestors for flow in flows)
        short, long = sorted((one & ~other, other & ~one), key=int.bit_count)
        skips = short.bit_count() < long.bit_count() and short.bit_count() <= (0 if gate else 1)
        fits = gate or (shapes[0] == shapes[1] and len(shapes[0] or ()) > 1)  # two losses have no shape
        if not (skips and fits):
            return made
        self.passed.sums.append(Sum(tuple(self._running), len(self.passed.calls), short | long, gate))
        return made if gate else replace(made, stream=len(self.passed.sums) - 1)

    # --- modules --------------------------------------------------------------------------------------------------

    def _enter(self, name: str, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._running.append(name)
        first = first_tensor((args, kwargs))
        flow = self._flow(first)
        if first is not None and flow is not None and flow.stream is not None:
            its = self.passed.sums[flow.stream]
            if its.met_by is None:
                its.met_by = name, module, self._take(first)

    def _leave(self, name: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        self._running.pop()
        flows = self._flows_in((args, kwargs))
        made = Flow(_all(flows))
        h, norm = first_tensor(output), norm_of(module)
        if is_layer(module):
            self._not_normed(flows)
            self._layer(name, module, h, made, output)
        elif norm is not None and flows:
            self._normed(module, norm, h, flows[0], output)
        else:
            for tensor in tensors_in(output):
                if id(tensor) not in self._flows:
                    self._set(tensor, made)
        self._end_of_block(name, module, h)

    def _end_of_block(self, name: str, module: nn.Module, h: Tensor | None) -> None:
        is_block = any(its.inside[-1:] == (name,) and not its.gate for its in self.passed.sums)
        is_asked = any(fnmatchcase(name_of(name), pattern) for pattern in self._depth)
        if h is None or not (is_block or is_asked):
            return
        held = self._take(h)
        if is_block:
            self.passed.blocks[name] = module, held
        if is_asked:
            self.passed.asked[name] = len(self.passed.calls), module, held

    def _layer(self, name: str, module: nn.Module, h: Tensor | None, made: Flow, output: object) -> None:
        calls, held = self.passed.calls, None if h is None else self._take(h)
        if name in self._call_of:
            index = self._call_of[name]
            calls[index].h, calls[index].raw, calls[index].uses = held, held, calls[index].uses + 1
        else:
            index = self._call_of[name] = len(calls)
            calls.append(Called(name, module, held, module, held))
        embeds = isinstance(module, nn.Embedding | nn.EmbeddingBag)
        ancestors = made.ancestors if embeds else made.ancestors | (1 << index)
        for tensor in tensors_in(output):
            self._set(tensor, Flow(ancestors))
        if h is not None:
            self._set(h, Flow(ancestors, None if embeds else index, raw=True))

    def _normed(self, module: nn.Module, norm: str, h: Tensor | None, flow: Flow, output: object) -> None:
        for tensor in tensors_in(output):
            self._set(tensor, replace(flow, raw=False))
        if h is not None and flow.source is not None and not self.passed.calls[flow.source].closed:
            call = self.passed.calls[flow.source]
            call.h, call.seen_in, call.normalization = self._take(h), module, norm


def _all(flows: Sequence[Flow]) -> int:
    return reduce(or_, (flow.ancestors for flow in flows), 0)


def norm_of(module: nn.Module) -> str | None:
    """The kind of a norm; None of other modules."""
    name = type(module).__name__
    return next((kind for ending, kind in NORMS.items() if name.endswith(ending)), None)


def is_layer(module: nn.Module) -> bool:
    """Whether a module applies weights of its own, and runs no other that has some."""
    if norm_of(module) is not None or next(weights_of(module), None) is None:
        return False
    inner = (child for child in module.children() if next(child.parameters(), None) is not None)
    return isinstance(module, nn.MultiheadAttention) or next(inner, None) is None


def _overwrites(func: Callable[..., Any], kwargs: Mapping[str, Any]) -> bool:
    name = getattr(func, "__name__", "")
    in_place = (name.endswith("_") and not name.endswith("__")) or name.startswith("__i")
    return in_place or bool(kwargs.get("inplace", False))


def _activation(function: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Activation:
    shape = SHAPES[function]
    if shape.parameter is None:
        return Activation(function)
    given = kwargs.get(shape.parameter, args[1] if len(args) > 1 else shape.default)
    return Activation(function, float(given) if isinstance(given, int | float) else shape.default)


def _shapes(args: tuple[Any, ...]) -> list[Any]:
    return [its.shape for its in args if isinstance(its, Tensor)] + [None]
