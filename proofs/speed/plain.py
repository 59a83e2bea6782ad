"""The matrix of ``proofs.speed.matrix`` as scripts without a service train it: only the data's split is the clinic's.

Networks, remedies, batches, steps, validation per epoch and the test at the end are the same; nothing is traced.
"""

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing.synchronize import Barrier
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from local.launch import die_with
from models.specs.dataset import DigitsSpec
from worker.datasets import load
from worker.datasets.split import Part, TrialData

DEPTH, WIDTH, BATCH, STEPS, RATE, MAX_NORM = 8, 128, 128, 150, 1e-3, 1.0
INPUTS, CLASSES = 64, 10

Remedies = frozenset[str]
Arm = tuple[Remedies, int]
"""Kinds of remedies, and the seed."""
Script = Literal["resident", "usual"]


@dataclass(frozen=True, slots=True)
class Trained:
    """``seconds`` for all these runs, from when every process was ready; mean ``accuracy`` on the test cases."""

    seconds: float
    accuracy: float
    runs: int


def train_all(
    script: Script, arms: Sequence[Arm], processes: int = 1, threads: int | None = 1, limit_s: float = math.inf
) -> Trained:
    """Every arm, ``processes`` side by side, each with so many of torch's threads (None: as torch has it).

    After ``limit_s`` no further run is waited for.
    """
    context = multiprocessing.get_context("spawn")  # a forked child would share torch's thread pools with its parent
    ready = context.Barrier(processes + 1)
    with context.Pool(processes, _prepare, (os.getpid(), ready, threads)) as pool:
        ready.wait()
        began = time.perf_counter()
        seconds, accuracies = 0.0, list[float]()
        for accuracy in pool.imap_unordered(SCRIPTS[script], arms):
            accuracies.append(accuracy)
            seconds = time.perf_counter() - began
            # What still trains is terminated with the pool.
            if seconds >= limit_s:
                break
        return Trained(seconds, sum(accuracies) / len(accuracies), len(accuracies))


def _prepare(parent: int, ready: Barrier, threads: int | None) -> None:
    """One step of everything: what is loaded on first use is in nobody's time. It dies with its parent."""
    die_with(parent, signal.SIGKILL)
    if threads is not None:
        torch.set_num_threads(threads)
    for script in SCRIPTS.values():
        script((frozenset({"batch_norm", "clip_norm"}), 0), steps=1)
    ready.wait()


def network(remedies: Remedies, seed: int) -> nn.Sequential:
    """As anybody writes it: Linear, perhaps BatchNorm1d, Sigmoid or ReLU; zero biases."""
    drawn = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs in (INPUTS, *[WIDTH] * (DEPTH - 2)):
        layers.append(nn.Linear(inputs, WIDTH))
        if "batch_norm" in remedies:
            layers.append(nn.BatchNorm1d(WIDTH))
        layers.append(nn.ReLU() if "activation" in remedies else nn.Sigmoid())
    layers.append(nn.Linear(WIDTH, CLASSES))
    draw = nn.init.orthogonal_ if "orthogonal_init" in remedies else nn.init.xavier_normal_
    for layer in layers:
        if isinstance(layer, nn.Linear):
            draw(layer.weight, generator=drawn)
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def resident(arm: Arm, steps: int = STEPS) -> float:
    """A good script: the data set is one tensor, a batch is an index into it, Adam is fused."""
    remedies, seed = arm
    data, model = data_of(seed), network(remedies, seed)
    optimizer = torch.optim.Adam(model.parameters(), RATE, fused=True)
    _train(model, optimizer, remedies, _slices(data.train, seed), data, steps)
    return _accuracy(model, data.test)


def usual(arm: Arm, steps: int = STEPS) -> float:
    """The script of most tutorials: a DataLoader that shuffles, all settings as they come."""
    remedies, seed = arm
    data, model = data_of(seed), network(remedies, seed)
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    cases = TensorDataset(data.train.x, data.train.y)
    generator = torch.Generator().manual_seed(seed)
    loader = DataLoader(cases, batch_size=BATCH, shuffle=True, drop_last=True, generator=generator)
    _train(model, optimizer, remedies, _epochs(loader), data, steps)
    return _accuracy(model, data.test)


SCRIPTS: dict[Script, Callable[..., float]] = {"resident": resident, "usual": usual}


@cache
def data_of(seed: int) -> TrialData:
    return load(DigitsSpec(kind="digits"), seed)


def _slices(part: Part, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    shuffled = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(part), generator=shuffled)
        for first in range(0, len(part) - BATCH + 1, BATCH):
            chosen = order[first : first + BATCH]
            yield part.x[chosen], part.y[chosen]


def _epochs(loader: DataLoader[tuple[Tensor, ...]]) -> Iterator[Sequence[Tensor]]:
    while True:
        yield from loader


def _train(  # noqa: PLR0913, PLR0917 -- a script's loop sees all of it
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    remedies: Remedies,
    batches: Iterator[Sequence[Tensor]],
    data: TrialData,
    steps: int,
) -> None:
    per_epoch = len(data.train) // BATCH
    for step in range(steps):
        x, y = next(batches)
        loss = functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if "clip_norm" in remedies:
            nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()
        if (step + 1) % per_epoch == 0:
            _accuracy(model, data.validation)


@torch.no_grad()
def _accuracy(model: nn.Module, part: Part) -> float:
    model.eval()
    right = (model(part.x).argmax(dim=1) == part.y).double().mean()
    model.train()
    return float(right)
