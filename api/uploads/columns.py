"""Parquet and Arrow IPC, read by ``columns_child.py`` in a process of its own; what it may use is set here."""

import json
import subprocess
import sys
import tempfile
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

import numpy as np

from api.errors import ApiError
from api.fields import FieldProblem
from api.uploads.parts import MOST_NUMBERS, Allowance, Part, RawSet
from api.uploads.refusals import invalid, too_large

PARQUET, ARROW_FILE, ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
_CHILD = Path(__file__).with_name("columns_child.py")
_CPU_S, _WALL_S = 120, 300
_BASE_BYTES = 768 * 1024 * 1024
"""Python, numpy and pyarrow with their threads' stacks."""


def is_columns(head: bytes) -> bool:
    return head.startswith((PARQUET, ARROW_FILE, ARROW_STREAM))


def read_columns(part: Part, allowance: Allowance) -> RawSet:
    kind = "Parquet" if part.head().startswith(PARQUET) else "Arrow"
    with tempfile.TemporaryFile() as out:
        _run(part, out, allowance)
        out.seek(0)
        said = json.loads(out.readline())
        if "refused" in said:
            raise _refusal(part.name, said["refused"])
        x, y = np.load(out, allow_pickle=False), np.load(out, allow_pickle=False)
        lengths = np.load(out, allow_pickle=False) if said["sequence"] else None
    allowance.take(x.nbytes, part.name)
    return RawSet(x, y, kind, lengths, is_sequence=lengths is not None, class_names=said["names"])


def _run(part: Part, out: BinaryIO, allowance: Allowance) -> None:
    # Unpacked, joined and padded: three copies at most are held at once.
    limits = [MOST_NUMBERS, _BASE_BYTES + 3 * allowance.left, _CPU_S]
    command = [sys.executable, "-I", str(_CHILD), *map(str, limits)]
    # Its own pool reserves more addresses than it uses, and threads reserve stacks: both would count.
    environment = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    part.file.seek(0)
    try:
        done = subprocess.run(  # noqa: S603 -- our own file, no word of the request in it
            command,
            stdin=part.file,
            stdout=out,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=_WALL_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise invalid(part.name, f"reading it took longer than {_WALL_S} s") from error
    out.seek(0, 2)
    if done.returncode < 0:  # ended by a signal: out of time, or pyarrow itself came down
        message = "reading it takes more memory or time than it may, or it is broken"
        raise too_large(part.name, message, allowance.limit)
    if done.returncode or out.tell() == 0:
        raise invalid(part.name, "it cannot be read")


def _refusal(name: str, told: dict[str, object]) -> ApiError:
    field, message = f"{name}: {told['field']}", str(told["message"])
    problem = FieldProblem(field=field, message=message, allowed=told["allowed"])
    return ApiError(HTTPStatus(int(str(told["status"]))), f"{field}: {message}", [problem])
