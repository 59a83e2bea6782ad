"""Bounds that hold for specs, and where data are read without them: there pydantic would load longer than the work."""

MOST_CLASSES = 10_000
MOST_STEPS = 10_000_000
"""Of a run."""
