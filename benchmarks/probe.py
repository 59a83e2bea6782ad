"""What recording costs: the time of a traced step over that of an untraced one, in one process, taking turns.

    python -m benchmarks.probe [--rounds N]

Both networks start alike and train on alike batches with Adam in its fused form; the traced one records every signal
in every step. One thread, its CPU time, medians: others may use the machine. Prints a table and writes
``benchmarks/results/probe.json``.
"""

import argparse
import itertools
import json
import platform
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from models.plan import Plan, expand
from models.specs.experiment import ExperimentSpec
from worker.datasets import load
from worker.engine import Trainer

DEPTHS, WIDTHS, BATCH = (3, 20, 50), (64, 256), 128
RESULTS = Path(__file__).parent / "results" / "probe.json"
TURN = 5
"""Steps in a row of one kind; the first of them finds the other's data in the caches and is left out."""


@dataclass(frozen=True, slots=True)
class Measured:
    depth: int
    width: int
    activation: str
    untraced_us: float
    traced_us: float
    ratio: float
    """The median over rounds of the traced turn's median step over the untraced turn's."""
    us_per_layer: float
    rounds: int


def plan_of(depth: int, width: int, activation: str) -> Plan:
    init = {"kind": "kaiming_normal"} if activation == "relu" else {"kind": "xavier_normal"}
    asked = {
        "name": "what recording costs",
        "dataset": {"kind": "digits"},
        "network": {"kind": "mlp", "depth": depth, "width": width, "activation": activation, "init": init},
        "optimizer": {"kind": "adam", "learning_rate": 1e-4},
        "batch_size": BATCH,
        "steps": 1_000_000,
    }
    return expand(ExperimentSpec.model_validate(asked))[0].plan


def steps_of(plan: Plan, *, record: bool) -> Iterator[float]:
    """CPU seconds of one step after another, without end."""
    data = load(plan.experiment.dataset, 0)
    trainer = Trainer(plan, data, seed=0, device=torch.device("cpu"), dtype=torch.float32, record=record)
    for step in itertools.count():
        began = time.thread_time()
        trainer.step(step)
        yield time.thread_time() - began


def turn(steps: Iterator[float]) -> float:
    """The median step of one turn."""
    return statistics.median(list(itertools.islice(steps, TURN))[1:])


def measure(depth: int, width: int, activation: str, rounds: int) -> Measured:
    plan = plan_of(depth, width, activation)
    untraced, traced = steps_of(plan, record=False), steps_of(plan, record=True)
    for steps in (untraced, traced):
        turn(steps)
    pairs = [(turn(untraced), turn(traced)) for _ in range(rounds)]
    plain, recorded = (statistics.median(times) * 1e6 for times in zip(*pairs, strict=True))
    return Measured(
        depth=depth,
        width=width,
        activation=activation,
        untraced_us=round(plain, 1),
        traced_us=round(recorded, 1),
        ratio=round(statistics.median(with_probe / without for without, with_probe in pairs), 3),
        us_per_layer=round((recorded - plain) / depth, 1),
        rounds=rounds,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="what recording costs")
    parser.add_argument("--rounds", type=int, default=60)
    rounds: int = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(
        f"{'depth':>5} {'width':>5} {'activation':>10} {'untraced':>10} {'traced':>10} {'ratio':>6} {'per layer':>10}"
    )
    found = []
    for activation, width, depth in itertools.product(("relu", "sigmoid"), WIDTHS, DEPTHS):
        one = measure(depth, width, activation, rounds)
        found.append(one)
        times = f"{one.untraced_us:>7.0f} µs {one.traced_us:>7.0f} µs"
        print(f"{depth:>5} {width:>5} {activation:>10} {times} {one.ratio:>6.2f} {one.us_per_layer:>7.1f} µs")
    about = {"torch": torch.__version__, "machine": platform.machine(), "batch": BATCH, "threads": 1}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({"about": about, "cases": [asdict(one) for one in found]}, indent=2) + "\n")


if __name__ == "__main__":
    main()
