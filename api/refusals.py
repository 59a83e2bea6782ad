"""Why data are not taken: what is wrong, where, and what would be allowed. Loads no web framework: the process that
reads uploads raises these too, and starts for each of them.
"""

from typing import Any

FORMATS = [
    "IDX images and labels, packed by gzip or not, as files of one form or in a zip",
    "npz with x and y, or x_train, y_train, x_test, y_test; without pickle",
    "Parquet or Arrow IPC with the columns features and label",
    "CSV with a line for each case, the target in its last column or in the one that target= names",
    "a zip of WAV files in a folder per label, or with labels.csv",
]


class RefusalError(Exception):
    """Data that cannot be taken, with the HTTP status that says so."""

    def __init__(self, status: int, field: str, message: str, value: Any = None, allowed: Any = None) -> None:
        super().__init__(f"{field[:200]}: {message}")
        self.status = status
        self.field = field[:200]
        self.message = message
        self.value = value
        self.allowed = allowed


def invalid(field: str, message: str, value: Any = None, allowed: Any = None) -> RefusalError:
    """422: the format is known and the content cannot be."""
    return RefusalError(422, field, message, value, allowed)


def unknown(field: str, message: str) -> RefusalError:
    """415: nothing here reads this."""
    return RefusalError(415, field, message, allowed=FORMATS)


def too_large(field: str, message: str, limit: int) -> RefusalError:
    """413, also where only what would be unpacked is too large."""
    return RefusalError(413, field, message, allowed=f"at most {limit:,}")
