"""AutoTrainer's repairs, beside which ours are measured: a fixed order for each problem; the first that passes wins.

Zhang, Zhai, Ma and Shen, "AutoTrainer: An Automatic DNN Training Problem Detection and Repair System", ICSE 2021. The
orders are those of its default strategy (``balance`` in its ``repair.py``), the problem is decided as in its
``monitor.py``. What our specs cannot say has the nearest that they can: lecun_normal for lecun_uniform. Of optimisers
that it draws at random we take those that are not in use in the order of its list, with Keras's rates; Adamax is
left out.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from proofs.science.published import Step, fires
from proofs.science.repairs import Remedies

Problem = str
EXPLODE, VANISH, DYING = 11, 10, 12
"""Rows of the table of published rules."""


def _activation(function: str, init: str) -> Remedies:
    return [{"kind": "activation", "function": function}, {"kind": "init", "init": {"kind": init}}]


def _init(kind: str) -> Remedies:
    return [{"kind": "init", "init": {"kind": kind}}]


def _optimizer(kind: str, rate: float) -> Remedies:
    return [{"kind": "optimizer", "optimizer": {"kind": kind, "learning_rate": rate}}]


SELU: Final = _activation("selu", "lecun_normal")
RELU: Final = _activation("relu", "kaiming_uniform")
TANH: Final = _activation("tanh", "kaiming_uniform")
BATCH_NORM: Final[Remedies] = [{"kind": "batch_norm"}]
CLIP: Final[Remedies] = [{"kind": "clip_value", "max_value": 9.5}]
OPTIMIZERS: Final[Mapping[str, float]] = {"sgd": 0.01, "adam": 0.001, "nadam": 0.002, "rmsprop": 0.001}
ORDERS: Final[Mapping[Problem, tuple[Remedies, ...]]] = {
    "vanish": (SELU, RELU, BATCH_NORM),
    "explode": (SELU, RELU, CLIP, TANH, BATCH_NORM),
    "dying": (SELU, BATCH_NORM, _init("kaiming_uniform"), _init("xavier_normal"), _init("xavier_uniform")),
}


def problem(step: Step) -> Problem:
    """What it would repair, of a run whose training accuracy stays below .7."""
    for name, rule in (("dying", DYING), ("explode", EXPLODE), ("vanish", VANISH)):
        if fires((rule,), step):
            return name
    return "not converging"


def solutions(found: Problem, optimizer: Mapping[str, Any]) -> Iterator[Remedies]:
    """In its order. Where no gradient is at fault: other optimisers, then 10, 100 and 1,000 times the rate."""
    if found in ORDERS:
        yield from ORDERS[found]
        return
    yield from (_optimizer(kind, rate) for kind, rate in OPTIMIZERS.items() if kind != optimizer["kind"])
    for power in (1, 2, 3):
        yield [{"kind": "learning_rate", "value": optimizer["learning_rate"] * 10.0**power}]
