"""Experiments as their events tell them: as JSON, as lines, or live on a terminal."""

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gradient_clinic.command.clinic import FINISHED, Event, Json
from gradient_clinic.command.progress import counted

NEWEST: Final = 8
"""So many events stand below the bars."""
BAR_WIDTH: Final = 30


class Story:
    """One experiment, as far as it was told. ``state`` is 'deleted' where it was."""

    def __init__(self, experiment: Json, title: str) -> None:
        self.id: str = experiment["id"]
        self.title = title
        self.state: str = experiment["state"]
        self.runs: dict[str, int] = experiment["runs"]
        self._shares: dict[str, float] = {}
        self._said: tuple[str, int] | None = None

    @property
    def progress(self) -> float:
        """0 to 1, each run weighing the same: what ended counts whole, what goes on by its steps."""
        ended = sum(self.runs[state] for state in FINISHED)
        return min((ended + sum(self._shares.values())) / max(sum(self.runs.values()), 1), 1.0)

    def hear(self, event: Event) -> str | None:
        """What is to be said of it; None where it is not worth a line of its own."""
        heard: dict[str, Callable[[Json], str | None]] = {
            "experiment": self._experiment,
            "run": self._run,
            "progress": self._progress,
            "end": self._end,
        }
        # A clinic may be newer than this, and tell more.
        return heard[event.name](event.data) if event.name in heard else None

    def _experiment(self, data: Json) -> str | None:
        self.state, self.runs = data["state"], data["runs"]
        # Its counts change with every run; a line for every tenth of the way is enough.
        before, self._said = self._said, (self.state, int(self.progress * 10))
        if before == self._said or self.state in FINISHED:
            return None
        return f"{self.state} {self.progress:.0%}, runs: {counted({'runs': self.runs})}"

    def _run(self, data: Json) -> str | None:
        if data["state"] != "running":
            self._shares.pop(data["run_id"], None)
        if data["state"] == "queued" and data["reason"] is None:
            return None
        known = [data["outcome"] if data["outcome"] == "diverged" else None, data["reason"]]
        why = ", ".join(its for its in known if its is not None)
        return f"{_named(data)} {data['state']}{f' ({why})' if why else ''}"

    def _progress(self, data: Json) -> None:
        if data["step"] < data["steps"]:
            self._shares[data["run_id"]] = data["step"] / data["steps"]
        # Live alone: a line a second and run is none for a log.

    def _end(self, data: Json) -> str:
        self.state = data["state"] or data["reason"]
        return f"{self.state}, runs: {counted({'runs': self.runs})}"


Tell = Callable[[Story, Event, str | None], None]
"""Given a story, its event, and what is to be said of it."""


@contextmanager
def as_json() -> Iterator[Tell]:
    """Every event as the API gives it, with its experiment, an object a line."""

    def tell(story: Story, event: Event, _: str | None) -> None:
        told = {"experiment_id": story.id, "id": event.number, "event": event.name, "data": event.data}
        print(json.dumps(told, ensure_ascii=False), flush=True)  # noqa: T201 -- the answer

    yield tell


@contextmanager
def as_lines() -> Iterator[Tell]:
    def tell(story: Story, _: Event, line: str | None) -> None:
        if line is not None:
            print(f"{story.title}: {line}", flush=True)  # noqa: T201 -- the answer

    yield tell


@contextmanager
def live(console: Console, stories: Sequence[Story]) -> Iterator[Tell]:
    """A bar for each, and below them the newest events, progress included. It stays as it was at the end."""
    newest: deque[Text] = deque(maxlen=NEWEST)

    def drawn() -> Group:
        return Group(_bars(stories), *newest)

    def tell(story: Story, event: Event, line: str | None) -> None:
        if event.name == "progress":
            line = _loss(event.data)
        if line is not None:
            newest.append(Text(f"{story.title}: {line}", style="dim", no_wrap=True, overflow="ellipsis"))

    with Live(console=console, get_renderable=drawn):
        yield tell


def _bars(stories: Sequence[Story]) -> Table:
    grid = Table.grid(padding=(0, 1))
    for story in stories:
        bar = ProgressBar(total=1.0, completed=story.progress, width=BAR_WIDTH)
        runs = counted({"runs": story.runs})
        grid.add_row(Text(story.title), bar, Text(f"{story.progress:4.0%}"), Text(story.state), Text(runs))
    return grid


def _named(data: Json) -> str:
    return f"{data['variant']} seed {data['seed']}"


def _loss(data: Json) -> str:
    loss = "not finite" if data["loss"] is None else f"{data['loss']:.4g}"
    return f"{_named(data)} step {data['step']} of {data['steps']}, loss {loss}"
