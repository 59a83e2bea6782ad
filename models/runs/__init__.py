"""State changes of experiments and runs, each one guarded write: 0 rows changed means it is no longer yours.

The clock is the database's. Every function takes a session inside the caller's transaction and leaves the commit
to it. NOTIFY goes out with the commit: ``clinic_queue`` wakes dispatchers, ``clinic_changed`` those who wait for
an experiment, ``clinic_cancel`` the workers. What changes is told in the same transaction (``models/runs/events.py``).
"""

from models.runs.claims import (
    Beat,
    beat,
    beat_all,
    cancel_requested,
    claim,
    claim_beside,
    keep_apart,
    keep_cadence,
    keep_checkpoint,
    keep_found,
    start_over,
)
from models.runs.endings import fail, finish, give_back, settle, stop
from models.runs.events import CHANGED_CHANNEL
from models.runs.lease import Checkpoint, Claim, Lease
from models.runs.stopping import cancel, end_overdue, expire
from models.runs.submissions import Submission, Submitted, existing, remove, retry, submit, submit_all
from models.runs.writes import CANCEL_CHANNEL, QUEUE_CHANNEL, among, lock_runs, seconds

__all__ = [
    "CANCEL_CHANNEL",
    "CHANGED_CHANNEL",
    "QUEUE_CHANNEL",
    "Beat",
    "Checkpoint",
    "Claim",
    "Lease",
    "Submission",
    "Submitted",
    "among",
    "beat",
    "beat_all",
    "cancel",
    "cancel_requested",
    "claim",
    "claim_beside",
    "end_overdue",
    "existing",
    "expire",
    "fail",
    "finish",
    "give_back",
    "keep_apart",
    "keep_cadence",
    "keep_checkpoint",
    "keep_found",
    "lock_runs",
    "remove",
    "retry",
    "seconds",
    "settle",
    "start_over",
    "stop",
    "submit",
    "submit_all",
]
