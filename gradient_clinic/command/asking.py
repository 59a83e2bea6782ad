"""What ``gradient-clinic`` asks of a clinic: submit, wait, compare, report, trace, upload."""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from gradient_clinic.command import summaries, table
from gradient_clinic.command.clinic import Client, RefusedError
from gradient_clinic.command.codes import FOUND, LATE, WELL, MisusedError
from gradient_clinic.command.progress import LateError, counted, follow
from gradient_clinic.watcher.calls import AwayError

Json = dict[str, Any]
JOBS: Final = ("SLURM_JOB_ID", "GITHUB_RUN_ID", "AIRFLOW_CTX_DAG_RUN_ID", "CI_JOB_ID", "BUILD_TAG")
"""Variables by which schedulers tell a job who it is, the same when they start it again."""
MEDIA_TYPES: Final = {
    ".json": "application/json",
    ".csv": "text/csv",
    ".arrow": "application/vnd.apache.arrow.stream",
    ".parquet": "application/vnd.apache.parquet",
}


def submit(arguments: argparse.Namespace) -> int:
    """A spec from a file or standard input. Under the id of a job it is one experiment, however often it is sent."""
    spec = spec_of(arguments.file, arguments.set)
    job = arguments.job or next((os.environ[name] for name in JOBS if os.environ.get(name)), None)  # noqa: TID251
    with reached(arguments) as client:
        experiment = client.submit(spec, None if job is None else key_of(spec, job))
        if not arguments.wait:
            say(arguments, experiment, f"{experiment['id']} {experiment['state']}: {counted(experiment)}")
            return WELL
        return _to_the_end(arguments, client, experiment)


def wait(arguments: argparse.Namespace) -> int:
    with reached(arguments) as client:
        return _to_the_end(arguments, client, client.experiment(arguments.experiment))


def compare(arguments: argparse.Namespace) -> int:
    with reached(arguments) as client:
        return _answered(arguments, client.comparison_of(arguments.experiments))


def report(arguments: argparse.Namespace) -> int:
    with reached(arguments) as client:
        _write(arguments.output, client.report({"id": arguments.experiment}))
    return WELL


def trace(arguments: argparse.Namespace) -> int:
    suffix = ".csv" if arguments.output is None else arguments.output.suffix
    if suffix not in MEDIA_TYPES:
        message = f"a trace is written as {', '.join(MEDIA_TYPES)}, not as {suffix or 'a file without a suffix'}"
        raise MisusedError(message)
    with reached(arguments) as client:
        _write(arguments.output, client.trace(arguments.run_id, arguments.signal, MEDIA_TYPES[suffix]))
    return WELL


def upload(arguments: argparse.Namespace) -> int:
    if not arguments.file.is_file():
        message = f"{arguments.file} is no file"
        raise MisusedError(message)
    asked = {name: getattr(arguments, name) for name in ("target", "ignore", "missing", "task", "header")}
    with reached(arguments) as client:
        stored = client.upload(
            arguments.name, arguments.file, {name: value for name, value in asked.items() if value is not None}
        )
    facts = stored["facts"]
    words = f"{stored['name']}: {facts['cases']} cases, stored as version {stored['version']}"
    say(arguments, stored, f"{words}\n{facts['note']}" if facts["note"] else words)
    return WELL


def spec_of(file: str, changes: Sequence[str]) -> bytes:
    """The spec in ``file`` ('-': standard input) with each 'network.depth=30'. MisusedError where it is no object."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        spec = json.loads(text)
    except (OSError, ValueError) as error:
        message = f"the spec {file} cannot be read: {error}"
        raise MisusedError(message) from error
    if not isinstance(spec, dict):
        message = f"the spec {file} is a {type(spec).__name__}, and not an object"
        raise MisusedError(message)
    for change in changes:
        _set(spec, change)
    return json.dumps(spec, ensure_ascii=False).encode()


def _set(spec: Json, change: str) -> None:
    path, sign, text = change.partition("=")
    *way, last = path.split(".")
    place: Any = spec
    for name in way:
        place = place.setdefault(name, {}) if isinstance(place, dict) else None
    if not sign or not isinstance(place, dict):
        message = f"--set {change!r}: write it as network.depth=30; each name before the last is that of an object"
        raise MisusedError(message)
    try:
        place[last] = json.loads(text)
    except ValueError:
        place[last] = text  # a word needs no quotes


def key_of(spec: bytes, job: str) -> str:
    """Of idempotency: the same for the same spec and job."""
    return hashlib.blake2b(spec + b"\0" + job.encode(), digest_size=16).hexdigest()


@contextmanager
def reached(arguments: argparse.Namespace) -> Iterator[Client]:
    """The clinic that the options name. What it refuses is shown: MisusedError. AwayError where none answers."""
    key = arguments.key if arguments.key_file is None else _key_in(arguments.key_file)
    client = Client(arguments.server, key)
    try:
        yield client
    except RefusedError as error:
        # Not always a spec: an id, a key, a quota.
        table.show_refusal(table.console_on(sys.stderr), error.problem, "The clinic has refused this")
        raise MisusedError from error  # the lines above have said why
    except httpx.InvalidURL as error:
        message = f"{arguments.server!r} is no address: {error}"
        raise MisusedError(message) from error
    except httpx.TransportError as error:
        message = f"no clinic answers at {arguments.server}: {error!r}"
        raise AwayError(message) from error
    finally:
        client.close()


def say(arguments: argparse.Namespace, answer: Json, words: str) -> None:
    """The answer alone, on standard output: as the API gives it, or in words."""
    print(json.dumps(answer, indent=1, ensure_ascii=False) if arguments.json else words)  # noqa: T201 -- the answer


def _to_the_end(arguments: argparse.Namespace, client: Client, experiment: Json) -> int:
    try:
        experiment = follow(table.console_on(sys.stderr), client, experiment, within_s=arguments.timeout)
    except LateError as error:
        print(f"gradient-clinic: {error}", file=sys.stderr)  # noqa: T201 -- for whoever asks
        return LATE
    return _answered(arguments, client.comparison(experiment))


def _answered(arguments: argparse.Namespace, comparison: Json) -> int:
    for path, render in (
        (arguments.markdown, summaries.markdown),
        (arguments.junit, summaries.junit),
        (arguments.sarif, summaries.sarif),
    ):
        if path is not None:
            path.write_text(render(comparison), encoding="utf-8")
    if arguments.json:
        print(json.dumps(comparison, indent=1, ensure_ascii=False))  # noqa: T201 -- the answer
    else:
        table.show(table.console_on(sys.stdout), comparison)
    return WELL if any(map(summaries.trains, comparison["variants"])) else FOUND


def _key_in(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        message = f"the key in {file} cannot be read: {error.strerror}"
        raise MisusedError(message) from error


def _write(file: Path | None, content: bytes) -> None:
    if file is None:
        sys.stdout.buffer.write(content)
    else:
        file.write_bytes(content)
