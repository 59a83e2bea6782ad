"""A network as a spec that a clinic can try: ``describe(model, example)``."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from torch import Tensor, fx, nn

from gradient_clinic.describing.description import Description, Unsaid, UnsayableError
from gradient_clinic.describing.passing import (
    Followed,
    ancestors,
    factor_of,
    follow,
    is_sum,
    size_of,
    step_of,
    streams_into,
    unsaid,
)
from gradient_clinic.describing.starts import DEFAULT, Init, init_of
from gradient_clinic.describing.steps import Item, items_of
from gradient_clinic.spec_limits import MAX_SKIP_FACTOR

WEIGHTS: Final = {"linear", "conv", "recurrent", "embedding"}
NORMS: Final = {"batch_norm", "layer_norm", "rms_norm", "group_norm"}
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}")
FORMS: Final = {2: "vector", 3: "sequence", 4: "image"}
OVERWRITTEN: Final = "it changes in place what is used again behind it"
BLOCKS: Final = (
    "a block that keeps its shape, or the kinds residual_cnn and residual_mlp, which project where it does not"
)


def describe(model: nn.Module, example: Tensor) -> Description:
    """The network as a ``sequential`` spec, from its pass on ``example`` (cases, …): one or more cases of numbers, or
    int64 tokens. Nothing is trained or changed. Half a network is never said: where a step has no word, there is no
    spec.
    """
    whole = type(model).__name__
    try:
        given, found = _input(model, example), _Listed(follow(model, example))
    except UnsayableError as error:
        return Description(None, (Unsaid("the network", whole, error.why, error.near),))
    found.read()
    if found.unsaid:
        return Description(None, tuple(dict.fromkeys(found.unsaid)))
    return Description(found.spec(), (), tuple(found.remarks), given, found.outputs)


def _input(model: nn.Module, example: Tensor) -> dict[str, Any]:
    """As a prediction asks for it."""
    shape = list(example.shape[1:])
    if example.is_floating_point() and example.dim() in FORMS:
        return {"form": FORMS[example.dim()], "size": shape}
    tables = [module.num_embeddings for module in model.modules() if isinstance(module, nn.Embedding)]
    if not example.is_floating_point() and example.dim() == 2 and tables:
        return {"form": "tokens", "size": shape, "vocabulary": tables[0]}
    message = f"one case is {tuple(shape)} of {example.dtype}"
    raise UnsayableError(message, "a vector, an image, a sequence, or tokens that an embedding takes")


@dataclass(slots=True)
class _Listed:
    """The list of one network, as far as it can be said."""

    followed: Followed
    said: dict[fx.Node, list[Item]] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    unsaid: list[Unsaid] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    starts: dict[str, Init] = field(default_factory=dict)
    """By layer, the output's included."""
    frozen: list[str] = field(default_factory=list)
    outputs: int = 0

    # --- what there is ------------------------------------------------------------------------------------------------

    def read(self) -> None:
        """All that has no word first, so that it is told at once; then how the streams join."""
        for node in self.followed.steps():
            if is_sum(node) or factor_of(node) is not None:
                continue
            try:
                self.said[node] = self._said(node)
            except UnsayableError as error:
                self.unsaid.append(unsaid(self.followed, node, error.why, error.near))
        self.unsaid += self._used_twice()
        if self.unsaid:
            return
        try:
            self.items = list(self._back(self.followed.result, self.followed.given))
            self._end()
        except _TornError as error:
            self.unsaid.append(unsaid(self.followed, error.node, error.why, error.near))
            return
        self._look_at_pairs(self.items)

    def _said(self, node: fx.Node) -> list[Item]:
        step = step_of(self.followed, node)
        if self._overwrites(node):
            raise UnsayableError(OVERWRITTEN, "the same out of place")
        return self._named(node, items_of(step))

    def _named(self, node: fx.Node, items: list[Item]) -> list[Item]:
        """With their module; layers with their name, and how they start."""
        module, path = self.followed.module_of(node), str(node.target)
        if module is None or not items:
            return items
        said = items[0] | {"module": module, "path": path}
        if said["kind"] not in WEIGHTS:
            return [said]
        if said["kind"] != "recurrent":
            self.starts[path] = init_of(*_drawn(module))
        elif isinstance(module, nn.RNNBase) and not _starts_as_torch(module):
            self.remarks.append(f"{path} starts otherwise than torch's own, and the spec's by its init")
        if NAME.fullmatch(path) is not None and path != "output":
            return [said | {"name": path}]
        return [said]

    def _overwrites(self, node: fx.Node) -> bool:
        """Whether it changes in place what is used again, or what is used in its place as nothing takes its result."""
        if not self.followed.is_in_place(node):
            return False
        stream, used = streams_into(node)[0], not node.users
        while stream in self.said and all(item["kind"] == "flatten" for item in self.said[stream]):
            # A view, or the same tensor: what lies behind it changes too.
            used = used or any(user > node for user in stream.users)
            stream = streams_into(stream)[0]
        return used or any(user > node for user in stream.users)

    def _used_twice(self) -> Iterator[Unsaid]:
        """Of layers and norms; an activation has no weights to share."""
        nodes = [node for node in self.said if self.followed.module_of(node) is not None]
        uses = Counter(str(node.target) for node in nodes)
        for node in nodes:
            module = self.followed.module_of(node)
            if uses[str(node.target)] > 1 and module is not None and next(module.parameters(), None) is not None:
                why = f"it is used {uses[str(node.target)]} times, and layers of a list share no weights"
                yield unsaid(self.followed, node, why, "a module for each use")

    # --- how it is joined ---------------------------------------------------------------------------------------------

    def _back(self, node: fx.Node, stop: fx.Node) -> list[Item]:
        """The items between two places of one stream."""
        found: list[list[Item]] = []
        while node is not stop:
            if is_sum(node):
                before, items = self._block(node)
            elif node in self.said:
                before, items = streams_into(node)[0], self.said[node]
            elif factor_of(node) is not None:
                raise _TornError(node, "it scales the stream itself", "a branch that is scaled before it is added")
            else:
                raise _TornError(node, "it stands where a list has one stream", BLOCKS)
            # Also used elsewhere: only where a block begins.
            if len([user for user in before.users if user in self.said or is_sum(user)]) > 1 and not is_sum(node):
                self._check_fork(before, stop)
            found.append(items)
            node = before
        return [item for items in reversed(found) for item in items]

    def _check_fork(self, node: fx.Node, stop: fx.Node) -> None:
        if node is not stop and node is not self.followed.given:
            raise _TornError(node, "what it gives is used in several places", BLOCKS)

    def _block(self, node: fx.Node) -> tuple[fx.Node, list[Item]]:
        """x + s·body(x): (x, the item)."""
        one, other = streams_into(node)
        if self._overwrites(node):
            raise _TornError(node, OVERWRITTEN, "the same out of place")
        if one in ancestors(other):
            stream, end = one, other
        elif other in ancestors(one):
            stream, end = other, one
        else:
            raise _TornError(node, "both sides of the sum are computed: the shortcut has weights", BLOCKS)
        factor = factor_of(end)
        body = self._back(end if factor is None else streams_into(end)[0], stream)
        if size_of(stream) != size_of(end):
            raise _TornError(node, f"it adds {size_of(end)} to {size_of(stream)}", BLOCKS)
        if not any(item["kind"] in WEIGHTS | {"residual"} for item in body):
            raise _TornError(node, "its branch holds no weights", "a layer in it")
        if factor is not None and not 0.0 <= factor <= MAX_SKIP_FACTOR:
            raise _TornError(node, f"its branch is scaled by {factor:g}", f"a factor from 0 to {MAX_SKIP_FACTOR}")
        skip = {} if factor in {None, 1.0} else {"skip": {"kind": "scaled", "factor": factor}}
        return stream, [{"kind": "residual", "layers": body, **skip}]

    def _end(self) -> None:
        """The last item is the output layer, which a clinic adds by itself."""
        last: Item = self.items.pop() if self.items else {"kind": "nothing"}
        if last["kind"] != "linear":
            why = f"it ends in {last['kind']}, and a clinic's networks end in a linear layer"
            near = "the outputs before it, with a loss that takes them"
            raise _TornError(self.followed.result, why, near)
        if not any(item["kind"] in WEIGHTS | {"residual"} for item in self.items):
            raise _TornError(self.followed.result, "there is no layer but the output", "a hidden layer")
        module = last["module"]
        if module.bias is None:
            raise _TornError(self.followed.result, "the output layer has no bias", "bias=True")
        if _trains(last) == {False}:
            self.frozen.append("output")
        self.outputs = module.out_features
        self.starts["output"] = self.starts.pop(last["path"])

    def _look_at_pairs(self, items: list[Item], *, inside: bool = False) -> None:
        """What a layer and its follower cannot be together."""
        for item, follower in zip(items, [*items[1:], {"kind": "the end"}], strict=True):
            if item["kind"] == "residual":
                self._look_at_pairs(item["layers"], inside=True)
            elif item["kind"] in WEIGHTS:
                self._look_at_layer(item, follower, inside=inside)
        for before, item in zip([{"kind": "the start"}, *items], items, strict=False):
            alone = before["kind"] not in WEIGHTS and item["kind"] not in WEIGHTS
            if alone and _trains(item) == {False}:
                self._add(item, "it does not train, and no layer stands before it", "frozen layers, with their norms")

    def _look_at_layer(self, item: Item, follower: Item, *, inside: bool) -> None:
        module, normed = item["module"], follower["kind"] in NORMS
        if item["kind"] in {"recurrent", "embedding"} and (normed or follower["kind"] == "activation"):
            self._add(item, f"a {follower['kind']} stands directly behind it", "a linear layer between them")
        if item["kind"] == "recurrent" and inside:
            self._add(item, "it stands on a branch of a sum", "recurrent layers outside of blocks")
        if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is None:
            if follower["kind"] == "batch_norm":
                self.remarks.append(
                    f"{item['path']} has no bias; the spec's has one, which the norm behind it takes away"
                )
            else:
                self._add(item, "it has no bias", "bias=True, or batch_norm behind it")
        trains = _trains(item) | (_trains(follower) if normed else set())
        if trains == {True, False}:
            self._add(item, "it trains in part", "a layer that is frozen with its norm")
        elif trains == {False}:
            self._freeze(item)

    def _freeze(self, item: Item) -> None:
        if "name" in item:
            self.frozen.append(item["name"])
        else:
            self._add(item, "it is frozen and has no name", "another name")

    def _add(self, item: Item, why: str, near: str) -> None:
        self.unsaid.append(Unsaid(item["path"], type(item["module"]).__name__, why, near))

    # --- the spec -----------------------------------------------------------------------------------------------------

    def spec(self) -> dict[str, Any]:
        """``init`` is that of the output layer; others that differ have their own."""
        usual = self.starts["output"]
        spec: dict[str, Any] = {"kind": "sequential", "layers": _written(self.items, self.starts, usual)}
        if usual != DEFAULT:
            spec["init"] = usual
        if self.frozen:
            spec["frozen"] = self.frozen
        if usual != DEFAULT and any(item["kind"] == "recurrent" for item in self.items):
            self.remarks.append("recurrent layers start by the spec's init, and not as torch's own")
        if any(init != DEFAULT for init in self.starts.values()):
            self.remarks.append("initialisations are as the weights show them: a kind, or their variances")
        return spec


class _TornError(Exception):
    def __init__(self, node: fx.Node, why: str, near: str) -> None:
        super().__init__(why)
        self.node, self.why, self.near = node, why, near


def _drawn(module: Any) -> tuple[Tensor, Tensor | None]:
    """Of a table its rows are inputs, and so the transpose is (units, …)."""
    if isinstance(module, nn.Embedding):
        return module.weight.T, None
    return module.weight, module.bias


def _starts_as_torch(module: nn.RNNBase) -> bool:
    """Every weight and bias of U(±1/√width)."""
    pairs = [(f"weight_{which}_l0", f"bias_{which}_l0") for which in ("ih", "hh")]
    drawn = [(getattr(module, weight), getattr(module, bias)) for weight, bias in pairs]
    return all(init_of(weight, bias, module.hidden_size) == DEFAULT for weight, bias in drawn)


def _trains(item: Item) -> set[bool]:
    module = item.get("module")
    return set() if module is None else {parameter.requires_grad for parameter in module.parameters()}


def _written(items: list[Item], starts: dict[str, Init], usual: Init) -> list[Item]:
    """As JSON has them."""
    written = []
    for item in items:
        own = {key: value for key, value in item.items() if key not in {"module", "path"}}
        if own["kind"] == "residual":
            own["layers"] = _written(own["layers"], starts, usual)
        init = starts.get(item.get("path", ""), usual)
        if init != usual:
            own["init"] = init
        written.append(own)
    return written
