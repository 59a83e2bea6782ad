"""A disk that is full when a checkpoint is written, and checkpoints that are damaged or gone."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from models.storage.checkpoints import Name
from models.traces.rollups import CHUNK_RECORDS
from proofs.faults.faults.base import victim_in
from proofs.faults.processes import send
from proofs.faults.target import Target

FULL = Path("/dev/full")
LAST_STEP = 3_000


def full(target: Target) -> str | None:
    """For the drafts of one run's next checkpoints, in this attempt and the next ones.

    Each name leads to the device whose every write the kernel refuses with ENOSPC. A mounted file system of a few
    kilobytes would show files written in part as well, but takes rights that not every machine gives.
    """
    victim = victim_in(target)
    if victim is None:
        return None
    folder = _folder(target)
    folder.mkdir(parents=True, exist_ok=True)
    # The next attempts too, as another fault may end this one before it reaches a border.
    attempts = range(victim.attempt, victim.attempt + 3)
    drafts = [
        folder / str(Name(victim.run_id, attempt, step, draft=True))
        for attempt in attempts
        for step in range(CHUNK_RECORDS, LAST_STEP + 1, CHUNK_RECORDS)
    ]
    for draft in drafts:
        with suppress(FileExistsError):  # it is being written just now
            draft.symlink_to(FULL)
    for_s = target.rng.uniform(2.0, 6.0)
    target.later.after(for_s, _room_again(drafts))
    return f"no room for checkpoints of {victim.run_id} for {for_s:.1f} s"


def _room_again(drafts: list[Path]) -> Callable[[], bool]:
    def remove() -> bool:
        for draft in drafts:
            # Where a real draft stood already, or stands by now, it is a worker's.
            if draft.is_symlink():
                draft.unlink(missing_ok=True)
        return True

    return remove


def damaged(target: Target) -> str | None:
    """Half of what a checkpoint held is cut off, or all of it is gone, and then its run's worker is killed."""
    kept = [(file, run) for run in target.under_way() for file in sorted(_folder(target).glob(f"{run.run_id}-*.pt"))]
    if not kept:
        return None
    file, victim = target.rng.choice(kept)
    gone = target.rng.random() < 0.5
    try:
        file.unlink() if gone else os.truncate(file, file.stat().st_size // 2)
    except FileNotFoundError:
        return None
    send(victim.pid, signal.SIGKILL)
    return f"{file.name} was {'removed' if gone else 'cut in half'}, and process {victim.pid} killed"


def _folder(target: Target) -> Path:
    return target.folder / "files" / "checkpoints"


STORAGE = {"disk full": full, "checkpoint damaged": damaged}
