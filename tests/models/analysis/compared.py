"""A comparison of hand-made summaries: a baseline and two variants on the contract's fixed network."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from gradient_clinic.verdict.shapes import RunSummary, Trained
from models.analysis.comparison.compare import Comparison, RunRow, Trial, VariantComparison, compare
from tests.models.analysis.synthetic import even, summary_of, variants_of

L2 = {"kind": "l2"}
CLIP = {"kind": "clip_norm"}
SPEC, VARIANTS = variants_of(L2, CLIP)
BASE, FIRST, SECOND = (variant.name for variant in VARIANTS)
MODEL = summary_of(VARIANTS[0].plan, 0.0, 0.0, 0.2)
HIDDEN = len(MODEL.hidden)


def run(start: float = 0.0, end: float | None = None, *, trained: Trained = "yes", **facts: Any) -> RunSummary:
    """A summary with total gains ``start`` and ``end``; its verdict is the model's and plays no part in numbers."""
    each = [tuple(even(HIDDEN, gain / (HIDDEN - 1))) for gain in (start, start if end is None else end)]
    changes: dict[str, Any] = {
        "start": each[0],
        "end": each[1],
        "trained": trained,
        "facts": dataclasses.replace(MODEL.facts, **facts),
    }
    return dataclasses.replace(MODEL, **changes)


def compared(runs: Mapping[str, Sequence[RunSummary]]) -> Comparison:
    rows = [RunRow(name, seed, "succeeded", one) for name, ones in runs.items() for seed, one in enumerate(ones)]
    return compare(Trial("e", SPEC, VARIANTS, rows))


def part(comparison: Comparison, name: str) -> VariantComparison:
    return next(part for part in comparison.variants if part.name == name)


def with_metrics(*metrics: float) -> list[RunSummary]:
    return [run(test_metric=metric) for metric in metrics]
