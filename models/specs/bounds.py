"""What holds for specs, and where data are read without them: there pydantic would load longer than the work."""

MOST_CLASSES = 10_000
MOST_STEPS = 10_000_000
"""Of a run."""
TABLE = "CSV"
"""The format, in the facts of a data set, of what came as a table."""
