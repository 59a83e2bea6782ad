"""The slots of a worker: one child process each, with a device and a name. Found out without torch or Celery."""

import socket
from pathlib import Path

from models.settings import Settings


def gpu_count() -> int:
    """How many NVIDIA GPUs this machine has, found without loading torch or CUDA."""
    folder = Path("/proc/driver/nvidia/gpus")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def has_gpu(settings: Settings) -> bool:
    return settings.device == "gpu" or (settings.device == "auto" and gpu_count() > 0)


def devices(settings: Settings) -> tuple[str, str]:
    """The ``device`` of specs that this worker trains."""
    return ("auto", "gpu") if has_gpu(settings) else ("auto", "cpu")


def worker_name(pid: int) -> str:
    """A worker process as run rows know it; unique on a host while the process lives."""
    return f"{socket.gethostname()}:{pid}"


def pid_of(worker: str) -> int:
    """The process that ``worker_name`` has named so."""
    return int(worker.rpartition(":")[2])
