"""What watching costs at its default budget: the time of a step over that of the same training which nobody watches.

In one process and on one thread; times are of the thread's CPU. Both trainings step in turns, so that the load of the
machine hits them alike; and in several pairs, as where the memory of a pair lies is worth some per cent of its steps:
of seven pairs of VGG-16 the ratios spread by 0.02 around their mean. The first steps are all recorded, whatever the
budget: they stand apart. Beside it, in blocks of their own, wandb.watch with gradients and weights, each hundredth step
as its guide has it, and gradsnitch.
"""

import contextlib
import importlib
import io
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from gradient_clinic.watcher.cadence import LEAD, UNTOLD
from proofs.promise import Promise
from proofs.watched.networks import TRAININGS, Tell, Training, drawn, untold, watched

BLOCK_S: Final = 4.0
ROUNDS: Final = 4
MOST: Final = 1.03
PAIRS: Final = 4
TURNS_S: Final = 15.0
HALF: Final = "1%"
"""The default budget of a training that has half of the time."""
WANDB_STEPS: Final = 100

After = Callable[[int], object]
Arm = Callable[[Training, ExitStack], tuple[Sequence[Tell], After]]


def nothing(training: Training, _: ExitStack) -> tuple[Sequence[Tell], After]:
    return [untold for _ in training.models], lambda _: None


def ours(training: Training, closing: ExitStack) -> tuple[Sequence[Tell], After]:
    watches = watched(training, every=HALF)
    for watch in watches:
        closing.callback(watch.close)
    return [watch.loss if training.learns else untold for watch in watches], lambda _: None


def wandb(training: Training, closing: ExitStack) -> tuple[Sequence[Tell], After]:
    """Offline, into a folder that disappears; what its own process does meanwhile is in no figure."""
    folder = closing.enter_context(tempfile.TemporaryDirectory())
    for kind in ("CACHE", "CONFIG", "DATA"):
        os.environ[f"WANDB_{kind}_DIR"] = folder  # noqa: TID251 -- its only way to leave the user's home alone
    os.environ["WANDB_ERROR_REPORTING"] = "false"  # noqa: TID251 -- nothing goes over a network
    its: Any = importlib.import_module("wandb")
    settings = its.Settings(silent=True, console="off", x_disable_stats=True)
    run = its.init(mode="offline", dir=folder, project="benchmark", settings=settings)
    closing.callback(run.finish)
    run.watch(list(training.models), log="all", log_freq=WANDB_STEPS)
    closing.callback(run.unwatch, list(training.models))
    return [untold for _ in training.models], lambda step: run.log({"step": step})


def gradsnitch(training: Training, _: ExitStack) -> tuple[Sequence[Tell], After]:
    losses = [0.0 for _ in training.models]

    def seen(index: int) -> Tell:
        def keep(loss: torch.Tensor) -> torch.Tensor:
            losses[index] = float(loss.detach())
            return loss

        return keep

    with contextlib.redirect_stdout(io.StringIO()):
        its: Any = importlib.import_module("gradsnitch")
        watches = [its.watch(*pair) for pair in zip(training.models, training.optimizers, strict=True)]

    def after(step: int) -> None:
        for snitch, loss in zip(watches, losses, strict=True):
            snitch.log(step, loss)

    return [seen(index) for index in range(len(losses))], after


NOBODY: Final = "nobody"
PEERS: Final[Mapping[str, Arm]] = {"wandb.watch": wandb, "gradsnitch": gradsnitch}
ARMS: Final[Mapping[str, Arm]] = {NOBODY: nothing, **PEERS}


def promises(name: str) -> Iterator[Promise]:
    first, of_pairs = first_steps(name), [in_turns(name) for _ in range(PAIRS)]
    of_each = [pairs[first:] for pairs in of_pairs]
    behind = [steps for pairs in of_each for steps in pairs]
    ratio, each = ratio_of(behind), [ratio_of(pairs) for pairs in of_each]
    step_ms = 1e3 * statistics.mean(before for before, _ in behind)
    what = f"{name}, a step of {step_ms:.3g} ms watched at the default budget"
    yield Promise(what, f"≤ {MOST:g}×", f"{ratio:.3f}× ({min(each):.3f} to {max(each):.3f})", ratio <= MOST)
    of_one = statistics.median(after / before for pairs in of_pairs for before, after in pairs[1:first])
    in_all = f"{of_one:.2f}×, {first * (of_one - 1.0):.1f} steps' time in all"
    yield Promise(f"{name}, each of the first {first} steps, all recorded", "", in_all)
    rounds = [{arm: block(name, ARMS[arm]) for arm in _from(list(ARMS), number)} for number in range(ROUNDS)]
    times = {arm: sum(its[arm].seconds for its in rounds) / sum(its[arm].steps for its in rounds) for arm in ARMS}
    for peer in PEERS:
        yield Promise(f"{name}, {peer}", "", f"{times[peer] / times[NOBODY]:.3f}×")


def ratio_of(pairs: Sequence[tuple[float, float]]) -> float:
    """Seconds of all steps that were watched over those of all that were not."""
    return sum(after for _, after in pairs) / sum(before for before, _ in pairs)


def in_turns(name: str) -> list[tuple[float, float]]:
    """CPU seconds of each step unwatched and watched: now the one, now the other goes first."""
    pairs: list[tuple[float, float]] = []
    with ExitStack() as closing:
        alone, watched_steps = (steps_of(drawn(name), arm, closing) for arm in (nothing, ours))
        taken = 0.0
        while taken < TURNS_S:
            if len(pairs) % 2:
                before, after = next(alone), next(watched_steps)
            else:
                after, before = next(watched_steps), next(alone)
            pairs.append((before, after))
            taken += after if len(pairs) > first_steps(name) else 0.0
    return pairs


def first_steps(name: str) -> int:
    """How many a watch records whatever they cost."""
    return LEAD if TRAININGS[name].learns else UNTOLD


def _from(names: Sequence[str], number: int) -> Sequence[str]:
    """Each round begins with another arm, so that none always follows the same one."""
    first = number % len(names)
    return [*names[first:], *names[:first]]


@dataclass(frozen=True)
class Block:
    """CPU seconds of so many steps behind the first ones."""

    seconds: float
    steps: int


def block(name: str, arm: Arm) -> Block:
    """A training of its own: the budget is one of time, in which nothing else may go on."""
    with ExitStack() as closing:
        steps = steps_of(drawn(name), arm, closing)
        for _ in range(first_steps(name)):
            next(steps)
        taken, count = 0.0, 0
        while taken < BLOCK_S:
            taken += next(steps)
            count += 1
    return Block(taken, count)


def steps_of(training: Training, arm: Arm, closing: ExitStack) -> Iterator[float]:
    """CPU seconds of one step after another, without end."""
    tell, after = arm(training, closing)
    for step in itertools.count():
        began = time.thread_time()
        training.step(step, tell)
        after(step)
        yield time.thread_time() - began


def peers_path() -> list[str]:
    """Where ``make watched`` has laid the peers, behind all else."""
    packages = Path(".clinic-peers/lib").glob("python3*/site-packages")
    return [*map(str, packages), ".clinic-diagnosers"]
