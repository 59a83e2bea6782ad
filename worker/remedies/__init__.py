"""Remedies that act while training: a closed table from spec kind to hook. All others are rewrites of the plan."""

from collections.abc import Callable
from typing import Any

from models.specs.remedy import RemedySpec
from worker.remedies.base import RunTimeRemedy
from worker.remedies.clip_norm import ClipNorm
from worker.remedies.l2 import L2

RUN_TIME: dict[str, Callable[[Any], RunTimeRemedy]] = {"l2": L2, "clip_norm": ClipNorm}


def at_run_time(specs: tuple[RemedySpec, ...]) -> list[RunTimeRemedy]:
    return [RUN_TIME[spec.kind](spec) for spec in specs]
