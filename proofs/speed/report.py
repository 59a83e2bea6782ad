"""The benchmarks' results: in their own folder, under one seed, with the versions of the peers."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from proofs import report
from proofs.report import percentile, show
from proofs.speed import peers

__all__ = ["RESULTS", "SEED", "load", "save", "show", "spread"]

RESULTS: Final = Path(__file__).parent / "results"
SEED: Final = 0


def save(name: str, spec: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
    report.save(RESULTS, name, spec, figures, seed=SEED, versions=peers.versions())


def load(name: str) -> dict[str, Any] | None:
    return report.load(RESULTS, name)


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"p50": round(statistics.median(values), 2), "p95": round(percentile(values, 0.95), 2)}
