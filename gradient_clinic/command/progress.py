"""How far an experiment is: a bar on a terminal, elsewhere a line for every tenth of the way."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from gradient_clinic.command.clinic import FINISHED, Client

Json = dict[str, Any]


class LateError(Exception):
    """The experiment had not ended by then. It goes on."""


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
    shown = _Shown(console, str(experiment["name"]))
    with shown.bar:
        while experiment["state"] not in FINISHED:
            tend()
            if within_s is not None and time.monotonic() - began >= within_s:
                message = f"experiment {experiment['id']} has not ended within {within_s:g} s; it goes on"
                raise LateError(message)
            experiment, etag = client.look(experiment, etag)
            shown.update(experiment)
    return experiment


def counted(experiment: Json) -> str:
    """'3 succeeded, 1 failed'."""
    return ", ".join(f"{number} {state}" for state, number in experiment["runs"].items() if number)


class _Shown:
    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
        self._tenths = -1
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self.bar.add_task(name, total=1.0, counts="")

    def update(self, experiment: Json) -> None:
        progress = float(experiment["progress"] or 0.0)
        self.bar.update(self._task, completed=progress, counts=f"runs: {counted(experiment)}")
        if not self._console.is_terminal and int(progress * 10) > self._tenths:
            self._tenths = int(progress * 10)
            self._console.print(f"{self._name}: {progress:4.0%}  runs: {counted(experiment)}")
