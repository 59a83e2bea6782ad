"""``python -m tests.api.uploads.measuring LIMIT NAME=FILE[,FILE] …``: has uploads read as the API does. It tells, in
JSON, the answers and the most memory that this process and its largest child took. A process of its own, and a small
one: a child begins with the peak of the process that started it.
"""

import asyncio
import json
import resource
import sys
from contextlib import ExitStack
from pathlib import Path

from api.refusals import RefusalError
from api.uploads.body import Upload
from api.uploads.parts import Asked, Part
from api.uploads.reading import reading


async def _answer(paths: list[Path], limit: int) -> tuple[int, str]:
    with ExitStack() as opened:
        parts = [Part(path.name, opened.enter_context(path.open("rb"))) for path in paths]
        try:
            async with reading(Upload(parts, Asked(features="raw")), limit):
                return 201, "it was taken"
        except RefusalError as refusal:
            return refusal.status, str(refusal)


async def _answers(limit: int, named: dict[str, list[Path]]) -> dict[str, tuple[int, str]]:
    return {name: await _answer(paths, limit) for name, paths in named.items()}


def main() -> None:
    limit, given = int(sys.argv[1]), [word.split("=", 1) for word in sys.argv[2:]]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answers = asyncio.run(_answers(limit, {name: [Path(file) for file in files.split(",")] for name, files in given}))
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    sys.stdout.write(json.dumps({"answers": answers, "own": own * 1024, "child": child * 1024}))


if __name__ == "__main__":
    main()
