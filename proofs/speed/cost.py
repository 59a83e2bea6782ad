"""``python -m proofs.speed.cost``: what runs of random plans of all kinds take, beside what their plans say.

Random specs over all networks, data sets, optimisers and the remedies that cost, trained by ``worker.engine`` on one
thread. Their CPU time and not the clock is measured, the less of two runs, so that a busy machine does not show. Every
third spec is held out: the figures are its. ``--fit`` fits the prices to the other two thirds and writes them to
``models/plan/prices.py``; without it the prices are those that the service has, and all specs are held out.
"""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import least_squares
from threadpoolctl import threadpool_limits

from models.plan import Plan, expand
from models.plan import prices as module
from models.plan.cost import run_amounts
from models.plan.prices import PRICES
from models.plan.work import Amounts
from proofs.speed import report
from proofs.speed.cost_specs import drawn
from worker.datasets import load
from worker.trainer import Trainer

RUNS: Final = 2
HELD_OUT: Final = 3
"""Every third: kinds are drawn in turn, seven of them, so each is in both parts."""
WITHIN: Final = 0.25
EDGES: Final = (0.05, 0.95)
HELD: Final = 0.2
"""Of a price's change by e, beside a run that is e times off."""
FAR: Final = 0.15
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    kind: str
    seconds: float
    amounts: Amounts

    def estimate(self, prices: Mapping[str, float]) -> float:
        return sum(prices.get(name, 0.0) * amount for name, amount in self.amounts.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specs", type=int, default=210)
    parser.add_argument("--fit", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    measured = list(measure(asked.specs))
    held = measured[::HELD_OUT] if asked.fit else measured
    prices = fitted([one for at, one in enumerate(measured) if at % HELD_OUT]) if asked.fit else PRICES
    # Another machine is slower or faster as a whole, which the service corrects by its own runs: judged is the rest.
    scale = 1.0 if asked.fit else float(np.median([run.seconds / run.estimate(prices) for run in held]))
    figures = told(held, prices, scale)
    report.save("cost", {"specs": asked.specs, "fit": asked.fit, "seed": report.SEED}, figures)
    show(figures)
    if asked.fit:
        write(prices, figures["edges"])


def measure(count: int) -> Iterator[Measured]:
    """Of specs drawn from the seed; the first are trained once before, for whatever a process does once."""
    plans = [expand(spec)[-1].plan for spec in drawn(count, report.SEED)]
    # Two of each of the seven kinds, which are drawn in turn.
    for plan in plans[:14]:
        seconds(plan)
    for plan in plans:
        # Whatever disturbs a run adds to it, so the less of two is nearer to what it takes.
        least = min(seconds(plan) for _ in range(RUNS))
        yield Measured(plan.network.kind, least, run_amounts(plan))


def seconds(plan: Plan) -> float:
    """CPU time of a run's steps, records and evaluations: what ``device_seconds`` is of a run alone on its core."""
    data = load(plan.dataset, 0)
    trainer = Trainer(plan, data, seed=0, device=torch.device("cpu"), dtype=torch.float32, record=True)
    began = time.process_time()
    for _ in trainer.run(lambda: None):
        pass
    trainer.close()
    return time.process_time() - began


def fitted(measured: Sequence[Measured]) -> dict[str, float]:
    """The least squares of ln(measured / estimated), each price held near the one there was: what few runs do not
    tell apart stays as it is. Runs far off count less.
    """
    names = sorted(PRICES)
    shares = np.array([[run.amounts[name] * PRICES[name] for name in names] for run in measured])
    seconds = np.log([run.seconds for run in measured])

    def apart(change: Floats) -> Floats:
        # In logarithms, so that a short run that is twice off counts as a long one does; a row more holds each price.
        return np.concatenate([np.log(shares @ np.exp(change)) - seconds, HELD * change])

    def slopes(change: Floats) -> Floats:
        # The derivative by ln price is each price's share of the estimate.
        parts = shares * np.exp(change)
        return np.vstack([parts / parts.sum(axis=1, keepdims=True), HELD * np.eye(len(change))])

    # The matrices are small: a second thread would wait for the first.
    with threadpool_limits(1):
        found = least_squares(apart, np.zeros(len(names)), jac=slopes, loss="soft_l1", f_scale=FAR)
    return {name: PRICES[name] * float(np.exp(change)) for name, change in zip(names, found.x, strict=True)}


def told(held: Sequence[Measured], prices: Mapping[str, float], scale: float) -> dict[str, Any]:
    ratios = np.array([run.seconds / (scale * run.estimate(prices)) for run in held])
    kinds = {run.kind for run in held}
    of_kind = {kind: [ratio for one, ratio in zip(held, ratios, strict=True) if one.kind == kind] for kind in kinds}
    return {
        "held_out": len(held),
        "scale": scale,
        "within": {"all": _within(ratios)} | {kind: _within(np.array(of_kind[kind])) for kind in sorted(kinds)},
        "edges": [float(edge) for edge in np.quantile(ratios, EDGES)],
        "measured": [
            {"kind": one.kind, "seconds": one.seconds, "ratio": float(ratio), "amounts": dict(one.amounts)}
            for one, ratio in zip(held, ratios, strict=True)
        ],
    }


def _within(ratios: Floats) -> float:
    """The share of runs whose estimate is at most a quarter off."""
    return float(np.mean(np.abs(1.0 / ratios - 1.0) <= WITHIN))


def show(figures: Mapping[str, Any]) -> None:
    rows = [(kind, f"{share:.0%}") for kind, share in figures["within"].items()]
    rows.append(("measured / estimated, 5 to 95 %", " to ".join(f"{edge:.2f}" for edge in figures["edges"])))
    report.show("Held-out runs whose estimate is within ±25 % (CPU time)", ("", ""), rows)


def write(prices: Mapping[str, float], edges: Sequence[float]) -> None:
    lines = [f'    "{name}": {price:.3g},' for name, price in sorted(prices.items())]
    low, high = edges
    text = f'''"""{module.__doc__}"""

from typing import Final

LOW: Final = {low:.2f}
HIGH: Final = {high:.2f}
"""Measured over estimated: 90 % of the held-out runs lay between."""
PRICES: Final[dict[str, float]] = {{
{chr(10).join(lines)}
}}
'''
    Path(module.__file__).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
