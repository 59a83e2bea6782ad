"""One pass of a network, followed symbolically: its steps, their sizes, and where a sum joins two streams."""

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from gradient_clinic.describing.description import Unsaid, UnsayableError
from gradient_clinic.describing.steps import Size, Step

SUMS: Final = {operator.add, operator.iadd, torch.add, "add", "add_"}
IN_PLACE: Final = {operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow}
"""Beside methods and functions whose name ends in _."""
PRODUCTS: Final = {operator.mul, operator.imul, torch.mul, "mul", "mul_"}


@dataclass(frozen=True, slots=True)
class Followed:
    """The graph of a pass, run once on an example so that every node knows its size."""

    traced: fx.GraphModule
    given: fx.Node
    result: fx.Node

    def steps(self) -> Iterator[fx.Node]:
        """Every call that the result depends on and that gives a tensor, in order; and what changes one in place."""
        live = {self.result, *ancestors(self.result)}
        for node in self.traced.graph.nodes:
            if node.op.startswith("call") and is_stream(node) and (node in live or self.is_in_place(node)):
                yield node

    def is_in_place(self, node: fx.Node) -> bool:
        module = self.module_of(node)
        asked = getattr(module, "inplace", False) or node.kwargs.get("inplace", False)
        if asked or "out" in node.kwargs:
            return True
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
        return node.op != "call_module" and (node.target in IN_PLACE or name.endswith("_"))

    def module_of(self, node: fx.Node) -> nn.Module | None:
        return self.traced.get_submodule(str(node.target)) if node.op == "call_module" else None


@torch.no_grad()
def follow(model: nn.Module, example: Tensor) -> Followed:
    """UnsayableError where the pass depends on values, takes more than one tensor, or cannot be run."""
    trained = {module: module.training for module in model.modules()}
    try:
        training = _calls(fx.symbolic_trace(model.train()))
        # No mask is drawn then, and no running moment moved.
        traced = fx.symbolic_trace(model.eval())
        ShapeProp(traced).propagate(example)
    except Exception as error:  # whatever tracing or the model itself raises
        why = f"its pass cannot be followed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise UnsayableError(why.strip(": "), "a forward without decisions by value, of one tensor") from error
    finally:
        for module, was in trained.items():
            module.training = was
    if _calls(traced) != training:
        raise UnsayableError("its pass is another one while it trains", "one pass, with dropout and norms as modules")
    given = [node for node in traced.graph.nodes if node.op == "placeholder" and node.users]
    (end,) = (node for node in traced.graph.nodes if node.op == "output")
    if len(given) != 1 or not isinstance(end.args[0], fx.Node):
        raise UnsayableError("it takes or gives more than one tensor", "one input and one output")
    return Followed(traced, given[0], end.args[0])


def _calls(traced: fx.GraphModule) -> list[tuple[str, object]]:
    return [(node.op, node.target) for node in traced.graph.nodes]


def size_of(node: fx.Node) -> Size:
    """Of what a recurrent module gives it is that of its first part."""
    meta = node.meta["tensor_meta"]
    while not hasattr(meta, "shape"):
        meta = meta[0]
    return tuple(meta.shape)


def is_stream(node: object) -> bool:
    """Whether it is a tensor, and no parameter or number."""
    return isinstance(node, fx.Node) and node.op != "get_attr" and "tensor_meta" in node.meta


def streams_into(node: fx.Node) -> list[fx.Node]:
    return [its for its in node.all_input_nodes if is_stream(its)]


def is_sum(node: fx.Node) -> bool:
    plain = node.op != "call_module" and node.target in SUMS and not node.kwargs
    return plain and len(node.args) == 2 and len(streams_into(node)) == 2


def factor_of(node: fx.Node) -> float | None:
    """Where it multiplies a stream by a number."""
    if node.op == "call_module" or node.target not in PRODUCTS or len(node.args) != 2:
        return None
    numbers = [its for its in node.args if isinstance(its, int | float) and not isinstance(its, bool)]
    return float(numbers[0]) if len(numbers) == 1 and len(streams_into(node)) == 1 else None


def step_of(followed: Followed, node: fx.Node) -> Step:
    """UnsayableError where the call looks at a parameter that no module holds, or at several streams."""
    streams = streams_into(node)
    if len(streams) != 1 or node.args[:1] != (streams[0],):
        raise UnsayableError("it joins several streams, or begins one", "a sum with what came before")
    before = streams[0]
    if any(its.op == "get_attr" for its in node.all_input_nodes):
        raise UnsayableError("it takes a parameter that stands beside the layers", "a layer with it")
    module = followed.module_of(node)
    return Step(module, node.target, tuple(node.args[1:]), dict(node.kwargs), size_of(before), size_of(node))


def unsaid(followed: Followed, node: fx.Node, why: str, near: str = "") -> Unsaid:
    module = followed.module_of(node)
    kind = type(module).__name__ if module is not None else getattr(node.target, "__name__", str(node.target))
    return Unsaid(str(node.target) if module is not None else node.name, kind, why, near)


def ancestors(node: fx.Node) -> set[fx.Node]:
    found: set[fx.Node] = set()
    open_nodes = [node]
    while open_nodes:
        for its in streams_into(open_nodes.pop()):
            if its not in found:
                found.add(its)
                open_nodes.append(its)
    return found
