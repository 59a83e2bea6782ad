"""One of two processes that train together, case after case: torch takes seconds to load, a case takes a moment.

``python -m tests.gradient_clinic.watcher.rank RANK FOLDER CASE…`` writes ``FOLDER/CASE.RANK`` for each case, as JSON.
Each case has a process group of its own; the two find each other in ``FOLDER``.
"""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.parallel import DistributedDataParallel

from gradient_clinic.watcher import ranks
from gradient_clinic.watcher.listener import Listener
from gradient_clinic.watcher.watch import Watch, watch
from tests.eventually import HANGS_S

WIDTH, CASES, STEPS = 8, 12, 12
SIZE = 2
SHORT_PATIENCE = timedelta(seconds=2)
Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Case:
    """``alone``: nobody watches rank 1. ``fails``: its watch raises after so many records."""

    sharded: bool = False
    broken: int | None = None
    alone: bool = False
    fails: int | None = None


ALL = {
    "replicated-None": Case(),
    "replicated-7": Case(broken=7),
    "sharded-None": Case(sharded=True),
    "sharded-7": Case(sharded=True, broken=7),
    "alone": Case(alone=True),
    "fails": Case(fails=5),
}


def network() -> nn.Sequential:
    random = torch.Generator().manual_seed(1)
    layers = [part for kind in (nn.ReLU, nn.Tanh, nn.ReLU) for part in (nn.Linear(WIDTH, WIDTH), kind())]
    model = nn.Sequential(*layers, nn.Linear(WIDTH, 3)).double()
    with torch.no_grad():
        for its in model.parameters():
            its.normal_(0.0, 0.9, generator=random)
    return model


def batches(broken: int | None) -> list[Batch]:
    """Of step ``broken`` the last case is not finite."""
    random = torch.Generator().manual_seed(2)
    found = []
    for step in range(STEPS):
        inputs = torch.randn(CASES, WIDTH, generator=random, dtype=torch.float64)
        labels = torch.randint(3, (CASES,), generator=random)
        if step == broken:
            inputs[-1, 0] = math.inf
        found.append((inputs, labels))
    return found


def trained(model: nn.Module, given: list[Batch], share: slice, *, watched: bool = True) -> tuple[Watch | None, Any]:
    """On its share of each batch, the gradient clipped."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    its = watch(model, optimizer, every=1) if watched else None
    clip = nn.utils.clip_grad_norm_ if its is None else its.clip_grad_norm_
    for inputs, labels in given:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs[share]), labels[share])
        torch.autograd.backward(loss if its is None else its.loss(loss))
        clip(model.parameters(), 4.4)
        optimizer.step()
    return its, [float(one.detach().sum()) for one in model.parameters()]


def said(watched: Watch) -> dict[str, Any]:
    """By step, all numbers in the order of layers."""
    records = [
        {"step": its.step, "matrix": its.matrix.tolist(), "curves": dict(its.curves)} for its in watched.records.kept()
    ]
    return {"names": [row.name for row in watched.rows], "cases": watched.rows[0].cases, "records": records}


def spread(case: Case) -> nn.Module:
    model = network()
    if not case.sharded:
        return DistributedDataParallel(model)
    from torch.distributed.fsdp import fully_shard  # noqa: PLC0415 -- a second, which no process of tests needs

    mesh = init_device_mesh("cpu", (SIZE,))
    for its in model:
        if list(its.parameters()):
            fully_shard(its, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


@contextmanager
def troubled(case: Case, rank: int) -> Iterator[None]:
    """What a case asks for that no training has."""
    patience, read, records = ranks.PATIENCE, Listener.read, iter(range(STEPS))

    def failing(self: Listener, *args: Any, **kwargs: Any) -> Any:
        if next(records) == case.fails:
            raise RuntimeError("on purpose")
        return read(self, *args, **kwargs)

    if case.alone or case.fails is not None:
        ranks.PATIENCE = SHORT_PATIENCE  # type: ignore[misc]
    if case.fails is not None and rank == 1:
        Listener.read = failing  # type: ignore[method-assign]
    try:
        yield
    finally:
        ranks.PATIENCE, Listener.read = patience, read  # type: ignore[misc,method-assign]


def told(case: Case, rank: int) -> dict[str, Any]:
    share = slice(rank * CASES // SIZE, (rank + 1) * CASES // SIZE)
    with troubled(case, rank):
        alone = case.alone and rank == 1
        watched, weights = trained(spread(case), batches(case.broken), share, watched=not alone)
    if watched is None:
        return {"weights": weights}
    return {"weights": weights, "remarks": watched.remarks, "closed": watched.closed, **said(watched)}


def main(rank: int, folder: Path, names: Sequence[str]) -> None:
    for name in names:
        place = f"file://{folder / name}"
        dist.init_process_group("gloo", place, timedelta(seconds=HANGS_S), rank=rank, world_size=SIZE)
        (folder / f"{name}.{rank}").write_text(json.dumps(told(ALL[name], rank)))
        dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
