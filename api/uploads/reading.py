"""Has uploads read, one at a time, by a process of their own (``child.py``): the API never holds what they unpack to,
and goes on answering. What such a process may use is set here.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO

import anyio
import structlog

from api.http.errors import ApiError
from api.refusals import RefusalError, invalid, too_large
from api.uploads.body import Upload
from models.specs.uploaded import UploadedFacts

log = structlog.get_logger()

BASE_BYTES = 384 * 1024 * 1024
"""Python, numpy and pyarrow with their threads' stacks, directories of zips, one stretch of what is being unpacked."""
_CPU_S, _WALL_S = 120, 180
BUSY_S, MOST_WAITING = 30.0, 16
"""How long an upload waits for its turn, and how many do: each has its files on disk meanwhile."""
_ROOT = Path(__file__).parents[2]
# Its own pool reserves more addresses than it uses, and threads reserve stacks: both would count.
_ENVIRONMENT = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def memory_bytes(limit: int) -> int:
    """What reading may hold: the data as unpacked, and as they are kept; each has at most ``limit`` bytes."""
    return BASE_BYTES + 2 * limit


@dataclass(frozen=True, slots=True)
class ReadSet:
    """A data set that may be kept: ``files`` hold its arrays as npy."""

    version: str
    facts: UploadedFacts
    class_names: list[str] | None
    size: int
    files: dict[str, BinaryIO]


class Turns:
    """One upload is read at a time; a few others wait in line, without a thread."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """503 where the line is long, or does not move on."""
        if self._waiting >= MOST_WAITING:
            raise _busy()
        self._waiting += 1
        try:
            async with asyncio.timeout(BUSY_S):
                await self._turn.acquire()
        except TimeoutError as error:
            raise _busy() from error
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()


def _busy() -> ApiError:
    detail = "other data sets are being read; try again in a moment"
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "10"})


@asynccontextmanager
async def reading(upload: Upload, limit: int) -> AsyncIterator[ReadSet]:
    """What came, checked; its files are there inside the ``with``. RefusalError for what is no data set."""
    with ExitStack() as opened:
        arrays: dict[str, BinaryIO] = {
            name: opened.enter_context(tempfile.TemporaryFile()) for name in ("x", "y", "lengths")
        }
        told = await _told(upload, limit, arrays)
        for file in arrays.values():
            file.seek(0)
        facts = UploadedFacts.model_validate(told["facts"])
        files = {name: arrays[name] for name in told["arrays"]}
        yield ReadSet(told["version"], facts, told["class_names"], told["size"], files)


async def _told(upload: Upload, limit: int, arrays: dict[str, BinaryIO]) -> dict[str, Any]:
    for part in upload.parts:
        # The child opens the same files by number, and sees what has reached the system.
        part.file.flush()
    with tempfile.TemporaryFile() as answer:
        job = {
            "parts": [(part.name, part.file.fileno()) for part in upload.parts],
            "arrays": {name: file.fileno() for name, file in arrays.items()},
            "answer": answer.fileno(),
            "limit": limit,
            "asked": asdict(upload.asked),
            "memory_bytes": memory_bytes(limit),
            "cpu_s": _CPU_S,
        }
        files = [*(part.file for part in upload.parts), *arrays.values(), answer]
        await _run(job, files, limit)
        answer.seek(0)
        said = json.loads(answer.read())
    if "failed" in said:
        log.error("an upload made its reader fail", trace=said["failed"])
        raise invalid("body", "it is broken, or holds what nothing here can read")
    if "refused" in said:
        raise RefusalError(**said["refused"])
    return dict(said["found"])


async def _run(job: dict[str, Any], files: Sequence[BinaryIO], limit: int) -> None:
    try:
        with anyio.fail_after(_WALL_S):
            done = await anyio.run_process(
                # A fresh interpreter: a fork would bring this process's memory, and locks that other threads hold.
                [sys.executable, "-s", "-m", "api.uploads.child"],
                input=json.dumps(job).encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
                cwd=_ROOT,
                env=_ENVIRONMENT,
                pass_fds=[file.fileno() for file in files],
            )
    except TimeoutError as error:
        raise too_large("body", f"reading it takes longer than {_WALL_S} s", limit) from error
    if done.returncode < 0:  # ended by a signal: out of time, or a library came down
        log.warning("the reader of an upload was ended", signal=-done.returncode)
        raise too_large("body", "it is broken, or reading it takes more memory or time than it may", limit)
    if done.returncode:
        log.error("the reader of an upload could not work", status=done.returncode)
        detail = "uploads cannot be read now; the log has the reason"
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "10"})
