"""How far an experiment is: a bar on a terminal, elsewhere a line for every tenth of the way."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from gradient_clinic.command.clinic import FINISHED, Client

Json = dict[str, Any]


class LateError(Exception):
    """The experiment had not ended by then. It goes on."""


@contextmanager
def advancing(console: Console, what: str, total: int, long: int) -> Iterator[Callable[[int], None]]:
    """Takes how much has been done since the last time. Nothing is shown of a ``total`` below what is ``long``."""
    shown, done = _Tenths(console, what), 0
    if total < long:
        yield lambda _: None
        return
    with shown.bar:

        def advance(more: int) -> None:
            nonlocal done
            done += more
            shown.update(done / max(total, 1))

        yield advance


def nothing() -> None:
    """What is done between two looks, where nothing is."""


def follow(
    console: Console,
    client: Client,
    experiment: Json,
    *,
    tend: Callable[[], None] = nothing,
    within_s: float | None = None,
) -> Json:
    """The experiment at its end. ``tend`` is called about once a second. LateError after ``within_s`` seconds."""
    etag, began = None, time.monotonic()
    shown = _Tenths(console, str(experiment["name"]))
    with shown.bar:
        while experiment["state"] not in FINISHED:
            tend()
            if within_s is not None and time.monotonic() - began >= within_s:
                message = f"experiment {experiment['id']} has not ended within {within_s:g} s; it goes on"
                raise LateError(message)
            experiment, etag = client.look(experiment, etag)
            shown.update(float(experiment["progress"] or 0.0), f"runs: {counted(experiment)}")
    return experiment


def counted(experiment: Json) -> str:
    """'3 succeeded, 1 failed'; '25 queued, waiting for a worker'."""
    said = [f"{number} {state}" for state, number in experiment["runs"].items() if number]
    # A clinic may be older than this, and not say it.
    waits = ["waiting for a worker"] if experiment.get("waiting_for") == "worker" else []
    return ", ".join([*said, *waits])


class _Tenths:
    """A share of the way with a few words: a bar on a terminal, elsewhere a line for each tenth."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
        self._tenths = -1
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[words]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self.bar.add_task(name, total=1.0, words="")

    def update(self, share: float, words: str = "") -> None:
        self.bar.update(self._task, completed=share, words=words)
        if not self._console.is_terminal and int(share * 10) > self._tenths:
            self._tenths = int(share * 10)
            self._console.print(f"{self._name}: {share:4.0%}  {words}".rstrip())
