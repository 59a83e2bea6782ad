"""What one pass through a network has to do, counted from the tree of its plan: per case where nothing else is said.

Multiply-adds are torch's own count, checked against ``torch.utils.flop_counter`` for every kind of network: products of
weights at every place where they are applied, attention's two products, a loop's product at every step. On the way
back each is done twice, once for the weights and once for what entered, which nobody asks for where that are the data.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from models.plan import tree as plan
from models.plan.tree import LayerPlan, NetworkPlan

Amounts = Counter[str]
CHEAP: Final = {"identity", "relu", "leaky_relu", "prelu", "relu6", "hardtanh", "hardshrink", "softshrink"}
"""Activations without an exponential."""


def pass_work(network: NetworkPlan) -> Amounts:
    """Amounts of one training step forward and back.

    ``…_macs`` (forward), ``back_macs``, ``…_entries`` are per case; ``…s`` such as ``linears`` count operations that
    are dispatched once for a batch, ``tanh_steps``, ``lstm_steps`` and ``gru_steps`` once for every step of a loop.
    """
    work, _ = _through(network.body, network.input.flat if network.input.form != "tokens" else 0, trained=False)
    work["values"] = network.input.flat
    return work


def forward_macs(network: NetworkPlan) -> int:
    """Multiply-adds of a case forward, as ``torch.utils.flop_counter`` counts half its operations."""
    work = pass_work(network)
    return sum(work[name] for name in ("linear_macs", "conv_macs", "attention_macs", "loop_macs"))


def backward_macs(network: NetworkPlan) -> int:
    """The same of the way back."""
    return pass_work(network)["back_macs"]


def _through(nodes: tuple[plan.Node, ...], entries: int, *, trained: bool) -> tuple[Amounts, int]:
    """The work of ``nodes`` and the numbers behind them; ``trained`` where what enters hangs on weights."""
    work = Amounts()
    for node in nodes:
        if isinstance(node, plan.Residual):
            made, entries = _residual(node, entries, trained=trained)
            # A sum that holds a branch hangs on its weights.
            trained = True
        else:
            made = Amounts(OF_NODE[type(node)](node, entries, trained))
            entries = made.pop("after", entries)
            trained = trained or isinstance(node, plan.Weigh | plan.Recur | plan.Positions)
        work += made
    return work, entries


def _residual(node: plan.Residual, entries: int, *, trained: bool) -> tuple[Amounts, int]:
    body, after = _through(node.body, entries, trained=trained)
    beside, _ = _through(node.shortcut, entries, trained=trained)
    gate = Amounts() if node.gate is None else Amounts(_weigh(plan.Weigh(node.gate), entries, trained))
    gate.pop("after", None)
    own = Amounts(others=1 if node.skip.kind == "residual" else 2, other_entries=after)
    if node.gate is not None:
        own += Amounts(activations=1, dear_entries=after, others=1)
    return body + beside + gate + own, after


Made = dict[str, int]


def _weigh(node: plan.Weigh, _: int, trained: bool) -> Made:  # noqa: FBT001 -- the table's signature
    layer = node.layer
    entries = layer.units * layer.positions
    made = {"after": entries, "rows": 1, "row_entries": entries} | _ruled(layer)
    if layer.normalization is not None:
        made |= {"norms": 1, "normed_entries": entries}
    if layer.kind == "embedding":
        return made | {"embeddings": 1, "embedded_entries": entries}
    name, macs = "conv" if layer.kind == "conv2d" else "linear", layer.weights * layer.positions
    if layer.kind == "conv2d":
        made["patch_entries"] = layer.fan_in * layer.positions
    made |= {f"{name}s": 1, f"{name}_macs": macs, f"{name}_entries": entries, "back_macs": macs * (1 + trained)}
    return made


def _ruled(layer: LayerPlan) -> Made:
    return {} if layer.weight_rule is None else {"ruled": 1, "ruled_weights": layer.weights}


def _activate(node: plan.Activate, entries: int, _: bool) -> Made:  # noqa: FBT001
    kind = "cheap" if node.activation.function in CHEAP else "dear"
    made = {"activations": 1, f"{kind}_entries": entries}
    return made | (_drop(node, entries, True) if node.dropout > 0.0 else {})  # noqa: FBT003


def _drop(_: object, entries: int, __: bool) -> Made:  # noqa: FBT001
    return {"drops": 1, "dropped_entries": entries}


def _normalise(_: plan.Normalise, entries: int, __: bool) -> Made:  # noqa: FBT001
    return {"norms": 1, "normed_entries": entries}


def _pool(node: plan.Pool, entries: int, _: bool) -> Made:  # noqa: FBT001
    return {"others": 1, "other_entries": entries, "after": entries // node.size**2}


def _other(_: object, entries: int, __: bool) -> Made:  # noqa: FBT001
    return {"others": 1, "other_entries": entries}


def _attend(node: plan.Attend, entries: int, _: bool) -> Made:  # noqa: FBT001
    """QKᵀ and the weights times V; scores are a number per head and pair of steps."""
    steps = entries // (3 * node.units)
    macs = 2 * steps**2 * node.units
    scores = node.heads * steps**2
    return {
        "attentions": 1,
        "attention_macs": macs,
        "back_macs": 2 * macs,
        "score_entries": scores,
        "other_entries": entries,
        "after": entries // 3,
    }


def _recur(node: plan.Recur, _: int, __: bool) -> Made:  # noqa: FBT001
    """Where a gradient is cut, and before the first step, no state asks for one."""
    steps, layer = node.steps, node.layer
    begins = 1 if node.truncate is None else -(-steps // node.truncate)
    cell = node.cell if node.cell in {"lstm", "gru"} else "tanh"
    return _ruled(layer) | {
        f"{cell}_steps": steps,
        "loop_macs": layer.weights * steps,
        "back_macs": layer.weights * (2 * steps - begins),
        "loop_entries": layer.fan_out * steps,
        "rows": 1,
        "row_entries": layer.fan_out * steps,
        "states": len(plan.time_steps(steps)),
        "state_entries": node.units * steps,
        "after": node.units * steps,
    }


OF_NODE: Final[dict[type, Callable[[Any, int, bool], Made]]] = {
    plan.Weigh: _weigh,
    plan.Activate: _activate,
    plan.Normalise: _normalise,
    plan.Dropout: _drop,
    plan.Flatten: lambda *_: {},
    plan.Rows: lambda *_: {},
    plan.Steps: lambda *_: {},
    plan.Pool: _pool,
    plan.GlobalAverage: _other,
    plan.Readout: _other,
    plan.Positions: _other,
    plan.Attend: _attend,
    plan.Recur: _recur,
}
