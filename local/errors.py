"""What goes wrong on one machine, said in a sentence to the person at the terminal."""

from pathlib import Path


class LocalError(Exception):
    """Ends ``make up`` or ``make run`` with its sentence and exit code 1."""


class OccupiedError(LocalError):
    """Another process holds the data folder."""

    def __init__(self, path: Path, pid: int | None, address: str | None) -> None:
        who = f"process {pid}" if pid else "another process"
        where = f", answering at {address}" if address else ""
        super().__init__(
            f"the clinic in {path} is already running ({who}{where}): "
            "end it first, or set CLINIC_DATA_DIR and CLINIC_PORT for a second one"
        )


class CannotStartError(LocalError):
    """A program ended again and again right after its start; its last log lines say why."""

    def __init__(self, name: str, reason: str, log: Path) -> None:
        lines = tail(log, lines=15)
        shown = "\n".join(f"  | {line}" for line in lines) or "  | (nothing was logged)"
        super().__init__(f"{name} cannot start: {reason}\nThe last lines of {log}:\n{shown}")


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log; empty where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16_384))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:]
