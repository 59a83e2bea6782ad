"""``make gpu-check``: checks engine, probe and slots on a real GPU; without one it says why there is none.

It prints a line per check, ``ok`` or ``FAILED``, and at the end ``gpu-check: device=… checks=… failed=…``; exit 1 if
one failed. ``--device cpu`` rehearses the same checks on the CPU: it says so, and checks no GPU.
"""

import argparse
import itertools
import os
import sys
from collections.abc import Iterable, Iterator

import torch

from local.errors import LocalError
from local.interrupts import InterruptedBySignal
from proofs import promise
from proofs.gpu import exactness, golden, mapping, recording, slots
from proofs.gpu.check import Check, line_of, text
from proofs.gpu.search import search
from proofs.promise import Promise

REHEARSAL = "REHEARSAL on the CPU: every check is gone through, and nothing is said of any GPU."


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs.gpu", description=__doc__)
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu", help="cpu: a rehearsal, no GPU is checked")
    options = parser.parse_args(arguments)
    if options.device == "cpu":
        _say(REHEARSAL)
        return _checked(torch.device("cpu"), "cpu (rehearsal)")
    gpu = search()
    for sentence in gpu.sentences:
        _say(sentence)
    if not gpu.usable:
        _say("gpu-check: device=none checks=0 failed=0 (no GPU that torch can use: nothing was checked)")
        return 0
    return _checked(torch.device("cuda"), torch.cuda.get_device_name())


def _checked(device: torch.device, name: str) -> int:
    _as_a_worker_has_it()
    lines = list[Promise]()
    # One after the other: the clinic for the slots is started when the checks before it are done.
    checks = itertools.chain.from_iterable(
        part.checks(device) for part in (golden, recording, mapping, exactness, slots)
    )
    try:
        for line in _lines(checks):
            _say(text(line))
            lines.append(line)
    except InterruptedBySignal as interrupt:
        return 128 + interrupt.number
    # After the checks and in no count: a busy device must not fail them.
    for sentence in itertools.chain(recording.overhead(device), mapping.gains(device)):
        _say(sentence)
    number, held = promise.count(lines)
    _say(f"gpu-check: device={name} checks={number} failed={number - held}")
    return 0 if held == number else 1


def _lines(checks: Iterable[Check]) -> Iterator[Promise]:
    try:
        yield from map(line_of, checks)
    except LocalError as error:  # from between two checks: the clinic for the slots cannot be had
        yield Promise("slots, a clinic for them", "", str(error), held=False)


def _as_a_worker_has_it() -> None:
    """As ``worker.app`` and ``Workshop.open`` set it in a worker: the same bits in every repetition."""
    # Before anything reaches the GPU: cuBLAS reads it once, and torch refuses deterministic products without it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # noqa: TID251 -- read by CUDA
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
