"""Two processes that train together record what one would record with the cases of both."""

import json
import math
import sys
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gradient_clinic.signals import SIGNALS
from gradient_clinic.watcher.ranks import NotWatchableError
from gradient_clinic.watcher.watch import Watch, watch
from local.ports import free_port
from tests.processes import PIPE, ROOT, process

WIDTH, CASES, STEPS = 8, 12, 12
Batch = tuple[torch.Tensor, torch.Tensor]


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


SCRIPT = """
import json, sys
from datetime import timedelta
sys.path.insert(0, {root!r})
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from gradient_clinic.watcher import ranks
from gradient_clinic.watcher.listener import Listener
from tests.gradient_clinic.watcher.test_ranks import CASES, batches, network, said, trained
rank, port, case = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{{port}}", rank=rank, world_size=2)
if case in ("alone", "fails"):
    ranks.PATIENCE = timedelta(seconds=2)
if case == "fails" and rank == 1:
    read, count = Listener.read, iter(range(100))
    def failing(self, *args, **kwargs):
        if next(count) == 5:
            raise RuntimeError("on purpose")
        return read(self, *args, **kwargs)
    Listener.read = failing
model = network()
if case == "sharded":
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    mesh = init_device_mesh("cpu", (2,))
    for its in model:
        if list(its.parameters()):
            fully_shard(its, mesh=mesh)
    fully_shard(model, mesh=mesh)
else:
    model = DistributedDataParallel(model)
share = slice(rank * CASES // 2, (rank + 1) * CASES // 2)
broken = int(sys.argv[4]) if len(sys.argv) > 4 else None
watched, weights = trained(model, batches(broken), share, watched=not (case == "alone" and rank == 1))
found = {{"weights": weights}}
if watched is not None:
    found |= said(watched) | {{"remarks": watched.remarks, "closed": watched.closed}}
print("said " + json.dumps(found), flush=True)
dist.destroy_process_group()
"""


def together(case: str, *more: str) -> list[dict[str, Any]]:
    """What each of two ranks says at its end."""
    port, code = str(free_port("127.0.0.1")), SCRIPT.format(root=str(ROOT))
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                process(
                    sys.executable, "-W", "ignore", "-c", code, str(rank), port, case, *more, stdout=PIPE, stderr=PIPE
                )
            )
            for rank in range(2)
        ]
        ended = [its.communicate() for its in started]
    lines = [[line for line in out.splitlines() if line.startswith("said ")] for out, _ in ended]
    assert all(len(its) == 1 for its in lines), ended
    return [json.loads(its[0].removeprefix("said ")) for its in lines]


@pytest.mark.parametrize("broken", [None, 7])
@pytest.mark.parametrize("how", ["replicated", "sharded"])
def test_records_of_two_ranks_are_those_of_one_process(how: str, broken: int | None) -> None:
    alone, _ = trained(network(), batches(broken), slice(None))
    assert alone is not None
    expected = said(alone)
    both = together(how, *([] if broken is None else [str(broken)]))
    for found in both:
        assert found["names"] == expected["names"]
        assert found["cases"] == expected["cases"] == CASES
        assert len(found["records"]) == len(expected["records"]) == STEPS
        for ours, theirs in zip(found["records"], expected["records"], strict=True):
            np.testing.assert_allclose(ours["matrix"], theirs["matrix"], rtol=1e-6)
            for name, value in theirs["curves"].items():
                np.testing.assert_allclose(ours["curves"][name], value, rtol=1e-6, err_msg=name)
    assert {its["curves"]["clipped"] for its in expected["records"]} == {0.0, 1.0}  # as above
    dead = np.array([its["matrix"] for its in expected["records"]])[:, SIGNALS.index("dead_fraction")]
    assert (dead > 0).any()  # and so it was compared


def test_a_rank_that_nobody_watches_is_not_waited_for_again() -> None:
    first, second = together("alone")
    assert [its for its in first["remarks"] if "the other ranks are not watched" in its]
    assert len(first["records"]) == STEPS
    np.testing.assert_allclose(first["weights"], second["weights"], rtol=1e-12)


def test_a_rank_whose_watch_fails_ends_the_others_watch_and_no_training() -> None:
    first, second = together("fails")
    for found in (first, second):
        assert found["closed"]
        assert len(found["records"]) == 5
        assert len([its for its in found["remarks"] if "watching has ended by an error" in its]) == 1
    _, expected = trained(network(), batches(None), slice(None), watched=False)
    np.testing.assert_allclose(first["weights"], expected, rtol=1e-9)
    np.testing.assert_allclose(second["weights"], expected, rtol=1e-9)


class Engine(nn.Linear):
    """As DeepSpeed's is known by: where its class is from."""

    __module__ = "deepspeed.runtime.engine"


class Sharded(nn.Parameter):
    _local_tensor = None


class FullyShardedDataParallel(nn.Linear):
    """By its name."""


def test_what_cannot_be_watched_is_refused_by_name() -> None:
    engine = Engine(2, 2)
    with pytest.raises(NotWatchableError, match="DeepSpeed steps by itself"):
        watch(engine, torch.optim.SGD(engine.parameters()))
    model = nn.Linear(2, 2)
    model.weight = Sharded(torch.zeros(2, 2))
    with pytest.raises(NotWatchableError, match="every parameter lies on all ranks"):
        watch(model, torch.optim.SGD(model.parameters()))
    model = FullyShardedDataParallel(2, 2)
    with pytest.raises(NotWatchableError, match="FSDP of the first kind"):
        watch(model, torch.optim.SGD(model.parameters()))
