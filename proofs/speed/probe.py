"""``python -m proofs.speed.probe``: what recording costs, as the time of a watched step over that of an unwatched one.

All arms train the same network on the same batches with Adam in its fused form, in one process and on one thread, in
turns, so that the load of the machine hits all alike. Times are of the thread's CPU. A ratio is that of an arm's median
step to the untraced one's in the same round, and of these the median over rounds. Peers are measured on MLPs; on
networks of other kinds ours stands beside untraced alone.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch

from models import heap
from models.plan import Plan, expand
from models.specs.experiment import ExperimentSpec
from proofs.speed import arms, peers, report
from proofs.speed.arms import Arm, Look
from worker.datasets import load
from worker.trainer import Trainer

DEPTHS, WIDTHS, BATCH = (3, 20, 50), (64, 256), 128
UNTRACED, OURS = "untraced", "ours: 9 signals"
OWN: Mapping[str, Arm] = {"foreach norm of gradients": arms.foreach_norm, ".item() loop": arms.item_loop}
TURN = 5
"""Steps in a row of one arm. The first of them finds the others' data in the caches and is left out."""
FEWEST_ROUNDS = 15
"""Of long steps too, of which the time allows few: their median would be whatever the machine did just then."""

Spec = dict[str, Any]


def mlp(depth: int, width: int, activation: str = "relu") -> Spec:
    init = {"kind": "kaiming_normal" if activation == "relu" else "xavier_normal"}
    network = {"kind": "mlp", "depth": depth, "width": width, "activation": activation, "init": init}
    return {"dataset": {"kind": "digits"}, "network": network, "batch_size": BATCH}


def rnn(cell: str) -> Spec:
    network = {"kind": "rnn", "cell": cell, "width": 64}
    return {"dataset": {"kind": "sequential_digits"}, "network": network, "batch_size": BATCH}


MLPS = {f"mlp {depth} × {width}": mlp(depth, width) for width, depth in itertools.product(WIDTHS, DEPTHS)}
RECURRENT = {"rnn tanh, 64": rnn("tanh"), "lstm, 64": rnn("lstm")}
OTHERS = {
    "mlp 20 × 64, sigmoid": mlp(20, 64, "sigmoid"),
    "mlp 20 × 256, sigmoid": mlp(20, 256, "sigmoid"),
    "cnn, 3 stages × 2": {
        "dataset": {"kind": "digits"},
        "network": {"kind": "cnn", "channels": [8, 16, 32], "layers_per_stage": 2},
        "batch_size": BATCH,
    },
    **RECURRENT,
    "transformer, 4 blocks × 48": {
        "dataset": {"kind": "python_docs", "length": 48},
        "network": {"kind": "transformer", "blocks": 4, "width": 48, "heads": 4},
        "batch_size": 32,
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each MLP; other networks get half of it")
    parser.add_argument("--cases", nargs="*", default=[*MLPS, *OTHERS], choices=[*MLPS, *OTHERS], metavar="CASE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    heap.for_training()  # as a worker has it
    figures: dict[str, Any] = {}
    with ExitStack() as open_runs:
        groups = [OWN]
        if peers.installed():
            groups.append({"wandb.watch, offline": open_runs.enter_context(arms.wandb_watch())})
        for name in options.cases:
            beside = groups if name in MLPS else [{}]
            figures[name] = measure(plan_of((MLPS | OTHERS)[name]), beside, options.seconds / 2)
            show(name, figures[name])
    specs = {name: (MLPS | OTHERS)[name] for name in options.cases}
    report.save("probe", {"cases": specs, "optimizer": "adam, fused", "threads": 1, "turn": TURN}, figures)


def plan_of(spec: Spec) -> Plan:
    # So small that it never diverges, however many rounds there are: such steps would take another time.
    rest = {"name": "what recording costs", "optimizer": {"kind": "adam", "learning_rate": 1e-4}, "steps": 1_000_000}
    return expand(ExperimentSpec.model_validate(rest | spec))[0].plan


def measure(plan: Plan, groups: Sequence[Mapping[str, Arm]], seconds: float) -> dict[str, Any]:
    """Every arm's step, ratio and µs per layer. Each group takes its turns for so many seconds, beside an untraced
    trainer of its own: wandb leaves the caches full, which must not slow the other groups.
    """
    layers, figures, rounds = len(plan.layers), dict[str, dict[str, float]](), 0
    for number, group in enumerate(groups):
        steps = {UNTRACED: steps_of(plan, arms.nothing)}
        if number == 0:
            steps[OURS] = steps_of(plan, arms.nothing, record=True)
        steps |= {name: steps_of(plan, arm) for name, arm in group.items()}
        taken = list(turns(steps, seconds))
        # The first group's untraced step stands; every other group is compared with its own.
        figures |= {name: _figures(taken, name, layers) for name in steps if name not in figures}
        rounds = rounds or len(taken)
    return {"layers": layers, "rounds": rounds, "arms": figures}


def _figures(rounds: list[dict[str, float]], name: str, layers: int) -> dict[str, float]:
    over = statistics.median(times[name] - times[UNTRACED] for times in rounds)
    return {
        "step_us": round(1e6 * statistics.median(times[name] for times in rounds), 1),
        "ratio": round(statistics.median(times[name] / times[UNTRACED] for times in rounds), 3),
        "us_per_layer": round(1e6 * over / layers, 2),
    }


def turns(steps: Mapping[str, Iterator[float]], seconds: float) -> Iterator[dict[str, float]]:
    """One round after another; each begins with another arm, so that none always follows the same one."""
    names = list(steps)
    # One turn of each that counts for none: what is done once is in nobody's time.
    for arm in steps.values():
        turn(arm)
    began = time.perf_counter()
    for number in itertools.count():
        if number >= FEWEST_ROUNDS and time.perf_counter() - began >= seconds:
            return
        first = number % len(names)
        yield {name: turn(steps[name]) for name in names[first:] + names[:first]}


def steps_of(plan: Plan, arm: Arm, *, record: bool = False) -> Iterator[float]:
    """CPU seconds of one step after another, without end."""
    data = load(plan.dataset, report.SEED)
    device = torch.device("cpu")
    trainer = Trainer(plan, data, seed=report.SEED, device=device, dtype=torch.float32, record=record)
    yield from timed(trainer, arm(trainer))


def timed(trainer: Trainer, look: Look) -> Iterator[float]:
    for step in itertools.count():
        # Of this thread: wandb's own threads and processes are in no figure.
        began = time.thread_time()
        trainer.step(step)
        look(step)
        yield time.thread_time() - began


def turn(steps: Iterator[float]) -> float:
    """The median step of one turn."""
    return statistics.median(list(itertools.islice(steps, TURN))[1:])


def show(name: str, figures: dict[str, Any]) -> None:
    report.show(
        f"{name}: {figures['layers']} layers, {figures['rounds']} rounds",
        ("", "µs/step", "ratio", "µs/layer"),
        [
            (arm, cost["step_us"], cost["ratio"], cost["us_per_layer"] if arm != UNTRACED else None)
            for arm, cost in figures["arms"].items()
        ],
    )


if __name__ == "__main__":
    main()
