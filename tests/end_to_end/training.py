"""What is trained in the tests of watching: without the rest of the tests, as processes that train import it too.

``python -m tests.end_to_end.training ADDRESS NAME STEPS [ERROR]`` is watched into the service there, for so many steps
or (``-``) until it is killed. It closes nothing; where ``ERROR`` is named, it is raised at the end.
"""

import builtins
import itertools
import sys
import time
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- as everybody calls it
from torch import nn

from gradient_clinic.watcher.watch import Watch, watch

WIDTH = 16


class Training:
    """A network whose gradients vanish, on labels that a linear map decides; ``step`` makes so many steps."""

    def __init__(self, depth: int = 8, rate: float = 0.1) -> None:
        self.random = torch.Generator().manual_seed(2)
        parts = [part for _ in range(depth) for part in (nn.Linear(WIDTH, WIDTH), nn.Sigmoid())]
        self.model = nn.Sequential(*parts, nn.Linear(WIDTH, 4))
        with torch.no_grad():
            for its in self.model.parameters():
                its.normal_(0.0, 0.25, generator=self.random)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=rate)
        self.losses: list[float] = []

    def watched(self, address: str, **options: Any) -> Watch:
        return watch(self.model, self.optimizer, to=address, **{"every": 1, **options})

    def step(self, count: int, watched: Watch | None, pause_s: float = 0.0) -> None:
        for _ in range(count):
            inputs = torch.randn(32, WIDTH, generator=self.random)
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(inputs), inputs[:, :4].argmax(1))
            torch.autograd.backward(loss if watched is None else watched.loss(loss))
            self.optimizer.step()
            self.losses.append(float(loss.detach()))
            time.sleep(pause_s)


def main(address: str, name: str, steps: str, *error: str) -> None:
    training = Training()
    watched = training.watched(address, experiment=name)
    for _ in itertools.count() if steps == "-" else range(int(steps)):
        training.step(1, watched)
        print(len(training.losses), flush=True)  # noqa: T201 -- for the test
    for its in error:
        raise getattr(builtins, its)


if __name__ == "__main__":
    main(*sys.argv[1:])
