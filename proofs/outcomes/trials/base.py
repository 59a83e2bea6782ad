"""What a trial of a remedy is: a small experiment, and what it has to show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Trial:
    """An experiment with one remedy, beside its baseline, under the same seeds.

    ``helps``: at least 2/3 of the seeds train where less than 1/3 of the baseline's do, or the metric is higher in
    every seed and by two points on average. ``fails``: neither holds.
    """

    name: str
    spec: Mapping[str, Any]
    """A body of ``POST /v1/experiments`` without its name: one remedy beside the baseline, or where the help needs
    company the variants ``without`` and ``with``.
    """
    expect: Literal["helps", "fails"]
    why: str
