"""Looks for a GPU on this machine, step by step: where there is none, each step says what it looked at and saw."""

from dataclasses import dataclass
from pathlib import Path

import torch

from worker.slots import gpu_count

DRIVER = Path("/proc/driver/nvidia/version")
DEVICES = Path("/dev")


@dataclass(frozen=True, slots=True)
class Search:
    """``usable`` is what torch says; ``sentences`` say what was looked for, and what was there."""

    usable: bool
    sentences: tuple[str, ...]


def search(driver: Path = DRIVER, devices: Path = DEVICES) -> Search:
    # Every place is looked at, whatever the first one says: a driver without device files has another cure than none.
    usable = torch.cuda.is_available()
    slots = f"GPUs that a worker with CLINIC_DEVICE=auto would count: {gpu_count()}."
    return Search(usable, (_driver(driver), _files(devices), slots, _build(), _torch(usable=usable)))


def _driver(file: Path) -> str:
    if not file.is_file():
        return f"NVIDIA driver: {file} is not there, so no driver is loaded."
    return f"NVIDIA driver: {file} says {file.read_text().splitlines()[0].strip()}."


def _files(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob("nvidia*"))
    return f"Device files: {folder}/nvidia* gives {', '.join(names) or 'none'}."


def _build() -> str:
    if torch.version.cuda is None:
        return (
            f"torch: {torch.__version__} is built without CUDA, so it can use no GPU; "
            'another build: make setup TORCH_PIP_ARGS="--index-url …".'
        )
    return f"torch: {torch.__version__} is built for CUDA {torch.version.cuda}."


def _torch(*, usable: bool) -> str:
    answer = "True" if usable else f"False; asked for a tensor there, torch says: {_refusal()}"
    return f"torch.cuda.is_available(): {answer}."


def _refusal() -> str:
    try:
        torch.zeros(1, device="cuda")
    except (AssertionError, RuntimeError) as error:  # torch's own two ways to say that there is none
        return str(error).splitlines()[0].rstrip(".")
    return "nothing, and gives one"
