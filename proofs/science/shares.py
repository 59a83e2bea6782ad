"""A share of runs with its exact bounds, as results hold it."""

from typing import Any

from models.analysis.statistics.effects import clopper_pearson


def counted(count: int, of: int) -> dict[str, Any]:
    """``share`` and ``bounds`` (95 %) are None where there is nothing to count."""
    return {"count": count, "of": of, "share": count / of if of else None, "bounds": clopper_pearson(count, of)}
