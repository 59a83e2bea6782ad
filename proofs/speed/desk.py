"""``python -m proofs.speed.desk``: fifty clients at once, beside two workers that train.

A whole clinic on a database with one finished experiment. Two runs train throughout and take both workers. The clients
are one process beside it, each with a connection of its own; they draw reads and one submission in ten from the seed.
First back to back, so that the time of an answer is what waits before it; then each with a pause, as schedulers and
pages ask. What they submit waits in the queue, as both workers are taken.
"""

import argparse
import asyncio
import itertools
import json
import multiprocessing
import random
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import httpx

from local.supervisor import Clinic
from proofs.clinic import WORKERS, clinic, scratch
from proofs.speed import made, report
from proofs.speed.reads import train

CLIENTS: Final = 50
SECONDS: Final = 60.0
PAUSES_S: Final = (0.0, 0.5)
"""On average, drawn from an exponential distribution."""
LONGEST_PAUSE_S: Final = 4.0
"""The clinic closes a connection that has been idle for 5 s, and may do so while a request is on its way."""
SUBMISSIONS: Final = 0.1
SUBMISSION: Final = "submission"
BROKEN: Final = 599
"""In place of a status: no answer came."""
TIMEOUT_S: Final = 60.0
LONG: Final = 5_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    what: str
    milliseconds: float
    status: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    asked = parser.parse_args()
    with scratch() as on:
        experiment, runs = made.submit(on.database, made.spec(steps=200, remedies=[{"kind": "batch_norm"}]))
        for run in runs:
            train(on.database, run)
        paths = _paths(str(experiment), str(runs[0]))
        with clinic(on, workers=WORKERS) as running:
            _training(running)
            figures = {
                _named(pause): told(_asked(running.address, paths, asked.clients, asked.seconds, pause), asked.seconds)
                for pause in PAUSES_S
            }
    report.save("desk", {"clients": asked.clients, "seconds": asked.seconds, "seed": report.SEED}, figures)
    show(figures)


def _named(pause_s: float) -> str:
    return "back to back" if not pause_s else f"a pause of {pause_s:g} s"


def _paths(experiment: str, run: str) -> dict[str, str]:
    """What is read, by its name."""
    return {
        "list": "/v1/experiments?page_size=50",
        "experiment": f"/v1/experiments/{experiment}",
        "runs": f"/v1/experiments/{experiment}/runs",
        "done": f"/v1/experiments/{experiment}/done",
        "comparison": f"/v1/experiments/{experiment}/comparison",
        "curves": f"/v1/runs/{run}/curves?points=200",
        "one signal of one layer": f"/v1/runs/{run}/trace?signal=weight_norm&layers=1",
    }


def _training(running: Clinic) -> None:
    """Both workers, before anybody asks."""
    spec = _spec("it goes on") | {"steps": LONG, "seeds": list(range(WORKERS)), "trace": {"every": 1_000}}
    with httpx.Client(base_url=running.address, trust_env=False) as client:
        posted = client.post("/v1/experiments", json=spec).raise_for_status().json()
        while client.get(posted["links"]["self"]).json()["runs"]["running"] < WORKERS:
            time.sleep(0.1)


def _spec(name: str) -> dict[str, Any]:
    return made.spec(name=name).model_dump(mode="json", exclude_unset=True)


def _asked(address: str, paths: Mapping[str, str], clients: int, seconds: float, pause_s: float) -> Sequence[Answer]:
    """From a process of its own, which shares no interpreter with what is measured."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_all, (address, paths, clients, seconds, pause_s))


def _all(address: str, paths: Mapping[str, str], clients: int, seconds: float, pause_s: float) -> list[Answer]:
    async def every() -> list[Answer]:
        until = time.monotonic() + seconds
        host, _, port = address.removeprefix("http://").rpartition(":")
        # One for each client, so that what it asks does not hang on whose answer came first.
        draws = [random.Random(f"{report.SEED} {pause_s} {number}") for number in range(clients)]  # noqa: S311 -- no secret
        each = [_one(Connection(host, int(port)), paths, draw, until, pause_s) for draw in draws]
        return [answer for answers in await asyncio.gather(*each) for answer in answers]

    return asyncio.run(every())


class Connection:
    """As little of HTTP as the clinic's answers need: a library's client, or threads, would take the processor from
    what is measured. It is opened anew where it has ended.
    """

    def __init__(self, host: str, port: int) -> None:
        self._place = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def status_of(self, method: str, path: str, body: bytes) -> int:
        """OSError, EOFError: no answer, or half of one."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._place)
        reader, writer = self._streams
        # Names other than those of loopback are answered with 421 (decision 18).
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        answered = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = re.search(rb"\r\ncontent-length: (\d+)\r\n", answered)
        if length is not None:
            await reader.readexactly(int(length[1]))
        if length is None or b"\r\nconnection: close\r\n" in answered:
            self.close()
        return int(answered.split(maxsplit=2)[1])

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _one(
    connection: Connection, paths: Mapping[str, str], draw: random.Random, until: float, pause_s: float
) -> list[Answer]:
    answers = []
    small = _spec("desk")
    for number in itertools.count():
        if pause_s:
            await asyncio.sleep(min(draw.expovariate(1.0 / pause_s), LONGEST_PAUSE_S))
        # Looked at after the pause: a request that begins beyond the end has fewer beside it.
        if time.monotonic() >= until:
            break
        if draw.random() < SUBMISSIONS:
            what, body = SUBMISSION, json.dumps(small | {"name": f"desk {draw.random()} {number}"}).encode()
            request = "POST", "/v1/experiments", body
        else:
            what = draw.choice(list(paths))
            request = "GET", paths[what], b""
        began = time.perf_counter()
        try:
            status = await asyncio.wait_for(connection.status_of(*request), TIMEOUT_S)
        except (OSError, EOFError):
            status = BROKEN
            connection.close()
        answers.append(Answer(what, 1e3 * (time.perf_counter() - began), status))
    connection.close()
    return answers


def told(answers: Sequence[Answer], seconds: float) -> dict[str, Any]:
    reads = [its.milliseconds for its in answers if its.what != SUBMISSION]
    by_kind: dict[str, list[float]] = {}
    for its in answers:
        by_kind.setdefault(its.what, []).append(its.milliseconds)
    submissions = by_kind.pop(SUBMISSION)
    return {
        "reads": report.spread(reads),
        "submissions": report.spread(submissions),
        "by_kind": {name: report.spread(times) for name, times in by_kind.items()},
        "answers": len(answers),
        "per_second": round(len(answers) / seconds, 1),
        "refused_or_failed": sum(its.status >= HTTPStatus.BAD_REQUEST for its in answers),
    }


def show(figures: Mapping[str, Any]) -> None:
    rows = [
        (how, found["per_second"], found["refused_or_failed"], *found["reads"].values(), *found["submissions"].values())
        for how, found in figures.items()
    ]
    head = ("clients", "answers/s", "failed", "reads p50", "p95", "submissions p50", "p95")
    report.show("Clients beside two workers that train, milliseconds", head, rows)


if __name__ == "__main__":
    main()
