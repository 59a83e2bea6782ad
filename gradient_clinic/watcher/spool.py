"""Calls that wait in a file for a service that is away."""

from pathlib import Path
from typing import BinaryIO

from gradient_clinic.watcher.calls import Call


class Spool:
    """Calls in a file, oldest first; there is none while the service is there. OSError where it would be too large."""

    def __init__(self, path: Path, limit: int, opening: Call) -> None:
        self.path, self._limit, self._opening = path, limit, opening
        self._file: BinaryIO | None = None
        self._read = self._written = 0

    def __len__(self) -> int:
        """Bytes that wait."""
        return self._written - self._read

    def add(self, call: Call, *, beyond: int = 0) -> None:
        """The file begins with the opening, so that it can be sent by itself (``send_spool``)."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w+b")
            self._write(self._opening.line(), beyond)
            self._read = 0 if call is self._opening else self._written
        if call is not self._opening:
            self._write(call.line(), beyond)

    def _write(self, line: bytes, beyond: int) -> None:
        assert self._file is not None  # ``add`` has opened it
        if self._written + len(line) > self._limit + beyond:
            message = f"it may have at most {self._limit:,} bytes"
            raise OSError(message)
        self._file.seek(self._written)
        try:
            self._file.write(line)
            self._file.flush()
        except OSError:
            self._file.truncate(self._written)  # no half of a line is left
            raise
        self._written += len(line)

    def first(self) -> bytes:
        assert self._file is not None  # asked of one that is not empty
        self._file.seek(self._read)
        return self._file.readline()

    def drop(self, line: bytes) -> None:
        """It was sent; an empty file goes."""
        self._read += len(line)
        if not len(self):
            self.remove()

    def remove(self) -> None:
        if self._file is not None:
            self._file.close()
            self.path.unlink(missing_ok=True)
            self._file, self._read, self._written = None, 0, 0

    def close(self) -> None:
        """What waits stays in the file."""
        if self._file is not None:
            self._file.close()
