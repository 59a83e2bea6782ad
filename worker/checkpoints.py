"""States of long runs in and out of files, so that a lost worker costs minutes and not the run.

A file is a line of JSON, which says who made it and the digest of what follows, and then the state as torch saves it:
tensors, numbers and strings, loaded without running anything. What another device, another version of torch or another
number of threads made would go on with other roundings, and is refused.
"""

import hashlib
import io
import json
import time
from dataclasses import dataclass, field
from typing import Any

import structlog
import torch

from models.runs import Checkpoint
from models.storage.checkpoints import CheckpointFiles, Name
from models.traces.rollups import CHUNK_RECORDS
from worker.recorder import Recorder
from worker.results import Snapshot, StateRefusedError, TrainState

log = structlog.get_logger()


def packed(state: TrainState, device: torch.device) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    # The head is apart from torch's format: a file is judged before anything of it is loaded.
    head = {"made_by": _maker(device), "digest": _digest(content)}
    return json.dumps(head).encode() + b"\n" + content


def unpacked(file: bytes, device: torch.device) -> TrainState:
    """StateRefusedError where it is damaged or another's."""
    first, _, content = file.partition(b"\n")
    try:
        head = json.loads(first)
        made_by, digest = head["made_by"], head["digest"]
    except (ValueError, LookupError, TypeError) as error:
        raise StateRefusedError("the file does not begin as a checkpoint does") from error
    if digest != _digest(content):
        raise StateRefusedError("the file is damaged")
    if made_by != _maker(device):
        message = f"it was made by {made_by}, and this is {_maker(device)}"
        raise StateRefusedError(message)
    # On the CPU: a generator takes its state from nowhere else, and the network copies the rest to its own device.
    state: TrainState = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state


def _maker(device: torch.device) -> dict[str, Any]:
    """All that rounding depends on beside the spec."""
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else torch.backends.cpu.get_cpu_capability()
    return {"torch": torch.__version__, "device": f"{device.type} {name}", "threads": torch.get_num_threads()}


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@dataclass(slots=True)
class Keeper:
    """Keeps the states of one attempt: ``due`` says when one is wanted, ``keep`` writes it.

    ``every_s`` 0: never. ``last``: the checkpoint that the attempt began with, removed when there is a newer one.
    """

    files: CheckpointFiles
    recorder: Recorder
    device: torch.device
    every_s: float
    last: Checkpoint | None
    _kept_at: float = field(default_factory=time.monotonic)

    def due(self, step: int) -> bool:
        """Only where a chunk begins, all before it being sealed."""
        # The step that the attempt began at is a border too, and its state is already kept.
        first = 0 if self.last is None else self.last.step
        border = step > first and step % (CHUNK_RECORDS * self.recorder.plan.experiment.trace.every) == 0
        return border and self.every_s > 0 and time.monotonic() - self._kept_at >= self.every_s

    def keep(self, seen: Snapshot) -> None:
        """The file first, then its name together with the trace up to there. LeaseLostError where the lease is void.

        Storage that is away costs the checkpoint, not the run.
        """
        lease = self.recorder.lease
        name = Name(lease.run_id, lease.attempt, seen.step)
        try:
            self.files.write(name, packed(seen.state, self.device))
        except OSError as error:
            log.warning("the checkpoint could not be written", name=str(name), error=str(error))
        else:
            self._point_to(Checkpoint(seen.step, seen.epochs, str(name)))
        # After a failure as well: storage that is away is tried once per interval and not with each border.
        self._kept_at = time.monotonic()

    def _point_to(self, checkpoint: Checkpoint) -> None:
        self.recorder.flush(checkpoint.step - 1, checkpoint)
        # Only now is the older file of no use: the flush has committed the row that names the newer one.
        before, self.last = self.last, checkpoint
        if before is not None:
            self._remove(before.path)

    def _remove(self, path: str) -> None:
        try:
            self.files.remove(path)
        except OSError as error:
            log.warning("an old checkpoint is left to the dispatcher", name=path, error=str(error))
