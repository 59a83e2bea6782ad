"""What recording adds to a step on the device: a figure for knowing only."""

from collections.abc import Iterator

import torch

from gpu_check.trials import SEED
from models.plan import expand
from models.specs.experiment import ExperimentSpec
from worker.cadence import share
from worker.datasets import load

WIDTHS = (64, 256)
DEPTH = 20


def sentences(device: torch.device) -> Iterator[str]:
    """A recorded step over an unrecorded one of the same training, in turns."""
    for width in WIDTHS:
        spec = {
            "name": "overhead",
            "dataset": {"kind": "digits"},
            "network": {"kind": "mlp", "depth": DEPTH, "width": width},
            "optimizer": {"kind": "adam"},
            "steps": 1_000,
            "trace": {"every": 2},
        }
        plan = expand(ExperimentSpec.model_validate(spec))[0].plan
        ratio = 1.0 + share(plan, load(plan.dataset, SEED), SEED, device)
        yield f"known   recording: {ratio:.2f}× an untraced step (mlp {DEPTH} × {width}, batch 128)"
