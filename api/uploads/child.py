"""Reads one upload, of whatever format, in a process of its own that cannot exceed its memory and time. A small file
may unpack to a large one, and libraries believe what files say of themselves. ``reading.py`` starts it.

``python -m api.uploads.child``: the job as JSON on stdin. All files are open already and named by their numbers: those
to read, those that npy arrays go to, and the one for the answer in JSON. Exit 0 with an answer, also for a refusal.
"""

import contextlib
import json
import os
import resource
import sys
import traceback
from typing import Any, BinaryIO, cast

import numpy as np

from api.refusals import RefusalError, too_large
from api.uploads.parts import Asked, Part
from api.uploads.recognise import read


def main() -> None:
    job = json.load(sys.stdin)
    # Before anything is read, and by the system: no library can reach beyond it.
    _limit(resource.RLIMIT_DATA, job["memory_bytes"])
    _limit(resource.RLIMIT_CPU, job["cpu_s"])
    # Surrogates in what a file is called cannot be written; they are shown as question marks.
    content = json.dumps(_answer(job), ensure_ascii=False).encode("utf-8", "replace")
    with os.fdopen(job["answer"], "wb") as answer:
        answer.write(content)


def _limit(kind: int, most: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # a stricter limit stands already
        resource.setrlimit(kind, (most, most + 1))


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    parts = [Part(name, cast("BinaryIO", os.fdopen(number, "rb"))) for name, number in job["parts"]]
    try:
        found = read(parts, job["limit"], Asked(**job["asked"]))
        told = found.told()
    except RefusalError as refusal:
        return {"refused": _words(refusal)}
    except MemoryError:
        return {"refused": _words(too_large("file", "it needs more memory than it may", job["limit"]))}
    except Exception:  # noqa: BLE001 -- whatever bytes make a library raise is the file's fault; the log shows which
        return {"failed": traceback.format_exc()}
    # Only what was accepted is written; after a refusal these files stay empty.
    for name, array in found.arrays().items():
        with os.fdopen(job["arrays"][name], "wb") as file:
            np.save(file, array, allow_pickle=False)
    return {"found": told}


def _words(refusal: RefusalError) -> dict[str, Any]:
    return {name: getattr(refusal, name) for name in ("status", "field", "message", "value", "allowed")}


if __name__ == "__main__":
    main()
    # The answer is written: what becomes of the libraries' threads when all is torn down must not spoil it.
    os._exit(0)
