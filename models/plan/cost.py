"""What a run will cost: amounts of work counted from its plan, times prices that were fitted to measured runs.

One function for estimates, admission and benchmarks. Prices are seconds of one CPU thread per unit of an amount
(``prices.py``, made by ``proofs.speed.cost``); what an installation has measured corrects their scale.
"""

import math
from collections import Counter
from collections.abc import Mapping

from models.plan.prices import PRICES
from models.plan.tree import NetworkPlan
from models.plan.variants import Plan
from models.plan.work import Amounts, forward_macs, pass_work

EVALUATED_AT_ONCE = 4096
"""Cases of one pass of an evaluation."""
PER_BATCH = {
    "linears", "convs", "embeddings", "norms", "activations", "drops", "others", "attentions",
    "tanh_steps", "lstm_steps", "gru_steps", "ruled", "ruled_weights", "rows", "states",
}  # fmt: skip
"""Amounts that a batch has once; of all others every case has its own."""
ONLY_RECORDED = {"rows", "states", "row_entries", "state_entries"}
FUSED = {"sgd", "adam", "adamw"}


def run_seconds(plan: Plan, prices: Mapping[str, float] = PRICES) -> float:
    """Device time of one run: its steps (one pass where it has none), what is recorded of them, its evaluations."""
    return sum(prices[name] * amount for name, amount in run_amounts(plan).items() if name in prices)


def run_amounts(plan: Plan) -> Amounts:
    """Every amount of work of a run, by what it is for: ``step.…``, ``record.…``, ``evaluation.…``, ``update.…``."""
    # A run of no steps makes one pass all the same.
    steps, batch = max(plan.steps, 1), plan.experiment.batch_size
    work = pass_work(plan.network)
    passed = Amounts({name: amount * (1 if name in PER_BATCH else batch) for name, amount in work.items()})
    # A run takes something whatever it does, and at its end the digest of all weights.
    total = Amounts({"runs": 1, "hashed": plan.network.parameters})
    for name, amount in passed.items():
        if name not in ONLY_RECORDED:
            total[f"step.{name}"] = amount * steps
        else:
            total[f"record.{name}"] = amount * plan.recorded_steps
    total["step.steps"] = steps
    total["record.steps"] = plan.recorded_steps
    total["record.weights"] = plan.recorded_steps * sum(layer.weights for layer in plan.layers)
    total.update(_update(plan, steps))
    total.update(_evaluation(plan, work))
    return total


def _update(plan: Plan, steps: int) -> Amounts:
    """The optimiser's step, and the remedies that act on gradients, weights or precision."""
    network, kind = plan.network, plan.optimizer.kind
    made = Amounts() if plan.steps == 0 else _optimizer(network, kind, steps)
    # A warm-up changes one number a step, and has no price.
    for remedy in plan.run_time if plan.steps else ():
        if remedy.kind == "mixed_precision":
            made["mixed.layers"] += steps * len(network.layers)
            made["mixed.macs"] += steps * plan.experiment.batch_size * forward_macs(network)
        elif remedy.kind != "warm_up":
            made["treat.tensors"] += steps * _tensors(network)
            made["treat.weights"] += steps * network.parameters
            made["treat.steps"] += steps
        if remedy.kind == "orthogonal_penalty":
            made["treat.macs"] += steps * _square_macs(network)
    return made


def _optimizer(network: NetworkPlan, kind: str, steps: int) -> Amounts:
    how = "fused" if kind in FUSED else "foreach"
    made = Amounts({f"update.{how}_tensors": steps * _tensors(network)})
    made[f"update.{how}_weights"] = steps * network.parameters
    if kind == "muon":  # five Newton-Schulz steps of three products each
        made["update.muon_macs"] = steps * 5 * _square_macs(network)
        made["update.muon_layers"] = steps * len(network.layers)
    return made


def _tensors(network: NetworkPlan) -> int:
    # The weight, perhaps a bias, perhaps γ and β.
    return sum(1 + layer.bias + 2 * (layer.normalization is not None) for layer in network.layers)


def _square_macs(network: NetworkPlan) -> int:
    """Of the products of every matrix with itself."""
    return sum(layer.weights * min(layer.fan_in, layer.units) for layer in network.layers)


def _evaluation(plan: Plan, work: Amounts) -> Amounts:
    """Validation after each epoch and at the end, the test at the end: forward only."""
    epochs = plan.steps // plan.steps_per_epoch + 1
    made = Counter[str]()
    for cases, times in ((plan.sizes.validation, epochs if plan.sizes.validation else 0), (plan.sizes.test, 1)):
        passes = times * math.ceil(cases / EVALUATED_AT_ONCE)
        made["evaluation.passes"] += passes
        for name, amount in work.items():
            if name in ONLY_RECORDED or name in {"back_macs", "values"}:
                continue
            made[f"evaluation.{name}"] += amount * (passes if name in PER_BATCH else times * cases)
    return made
