"""Two processes that train together record what one would record with the cases of both."""

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gradient_clinic.signals import SIGNALS
from gradient_clinic.watcher.ranks import NotWatchableError
from gradient_clinic.watcher.watch import watch
from tests.gradient_clinic.watcher.rank import ALL, CASES, SIZE, STEPS, batches, network, said, trained
from tests.processes import PIPE, process

RANK = (sys.executable, "-W", "ignore", "-m", "tests.gradient_clinic.watcher.rank")
TROUBLED = ("alone", "fails")
Told = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Together:
    """What two ranks have told of each case, and what they have complained of."""

    folder: Path
    complaints: list[str]

    def of(self, case: str) -> list[Told]:
        """Of each rank."""
        files = [self.folder / f"{case}.{rank}" for rank in range(SIZE)]
        assert all(file.exists() for file in files), self.complaints
        return [json.loads(file.read_text()) for file in files]


@pytest.fixture(scope="module")
def untroubled(tmp_path_factory: pytest.TempPathFactory) -> Together:
    return together(tmp_path_factory.mktemp("ranks"), [name for name in ALL if name not in TROUBLED])


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Together:
    return together(tmp_path_factory.mktemp("ranks"), TROUBLED)


def together(folder: Path, cases: Sequence[str]) -> Together:
    with ExitStack() as stack:
        started = [stack.enter_context(process(*RANK, str(rank), folder, *cases, stderr=PIPE)) for rank in range(SIZE)]
        return Together(folder, [its.communicate()[1] for its in started])


@pytest.mark.long  # each process loads torch
@pytest.mark.parametrize("broken", [None, 7])
@pytest.mark.parametrize("how", ["replicated", "sharded"])
def test_records_of_two_ranks_are_those_of_one_process(untroubled: Together, how: str, broken: int | None) -> None:
    alone, _ = trained(network(), batches(broken), slice(None))
    assert alone is not None
    expected = said(alone)
    for found in untroubled.of(f"{how}-{broken}"):
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


@pytest.mark.long
def test_a_rank_that_nobody_watches_is_not_waited_for_again(troubled: Together) -> None:
    first, second = troubled.of("alone")
    assert [its for its in first["remarks"] if "the other ranks are not watched" in its]
    assert len(first["records"]) == STEPS
    np.testing.assert_allclose(first["weights"], second["weights"], rtol=1e-12)


def test_a_rank_whose_watch_fails_ends_the_others_watch_and_no_training(troubled: Together) -> None:
    first, second = troubled.of("fails")
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
