"""Tells a process from a later one of the same id. Not by psutil, whose times move with the clock (decision 23)."""

import os
import subprocess
import sys
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")


def started(pid: int) -> str | None:
    """When process ``pid`` started, as a mark no other process of this id will have; None where none is running."""
    if sys.platform != "linux":
        command = ["/bin/ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    try:
        # From the last bracket on, as a program's name may hold brackets and spaces itself.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # A zombie runs no more. Field 22 of the file is the start in ticks since the boot that the id names.
    return None if fields[0] in "ZX" else f"{BOOT.read_text().strip()} {fields[19]}"


def program(pid: int) -> str:
    """The name of the program that process ``pid`` runs; empty where none is running."""
    if sys.platform != "linux":
        command = ["/bin/ps", "-o", "comm=", "-p", str(pid)]
        return Path(subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()).name
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() if started(pid) else ""
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_taken(pid: int) -> bool:
    """Whether the number is in use, be it by a process that has ended and that its parent has not noticed yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # It is there, and somebody else's.
        pass
    return True
