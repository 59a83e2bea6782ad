"""``gradient-clinic watch``: experiments followed by their events until all of them have ended."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from queue import Empty, SimpleQueue
from threading import Event as Flag
from threading import Thread
from typing import Final

import httpx

from gradient_clinic.command import table
from gradient_clinic.command.asking import reached
from gradient_clinic.command.clinic import Client, Event, RefusedError
from gradient_clinic.command.codes import FOUND, LATE, WELL
from gradient_clinic.command.progress import LateError
from gradient_clinic.command.stories import Story, Tell, as_json, as_lines, live

News = tuple[str, Event | Exception]
AGAIN_S: Final = 1.0
"""Between a stream that was cut off and the next."""
CUT_OFF: Final = (httpx.RemoteProtocolError, httpx.ReadError, httpx.ReadTimeout)


def watch(arguments: argparse.Namespace) -> int:
    """0 where all have succeeded, 1 where one has failed, was cancelled or deleted."""
    over, told = Flag(), SimpleQueue[News]()
    until = None if arguments.timeout is None else time.monotonic() + arguments.timeout
    with reached(arguments) as client:
        stories = _stories(client, arguments.experiments)
        for experiment_id in stories:
            # A daemon, as it waits for what may never come: neither Ctrl-C nor --timeout shall wait with it.
            Thread(target=_listen, args=(client, experiment_id, told, over), daemon=True).start()
        try:
            with _view(list(stories.values()), json=arguments.json) as tell:
                _follow(stories, told, tell, until)
        except LateError as error:
            print(f"gradient-clinic: {error}", file=sys.stderr)  # noqa: T201 -- for whoever asks
            return LATE
        finally:
            over.set()
    return WELL if all(story.state == "succeeded" for story in stories.values()) else FOUND


def _stories(client: Client, experiment_ids: Sequence[str]) -> dict[str, Story]:
    """By their names; where two have one, by their ids."""
    experiments = [client.experiment(its) for its in dict.fromkeys(experiment_ids)]
    named = Counter(its["name"] for its in experiments)
    return {its["id"]: Story(its, its["name"] if named[its["name"]] == 1 else its["id"]) for its in experiments}


def _view(stories: Sequence[Story], *, json: bool) -> AbstractContextManager[Tell]:
    if json:
        return as_json()
    console = table.console_on(sys.stdout)
    return live(console, stories) if console.is_terminal else as_lines()


def _listen(client: Client, experiment_id: str, told: "SimpleQueue[News]", over: Flag) -> None:
    """Puts every event once, the ``end`` last; or why there are no more. A stream that was cut off goes on."""
    number = None
    try:
        while not over.is_set():
            with suppress(*CUT_OFF):
                for event in client.events(experiment_id, number):
                    number = number if event.number is None else event.number
                    told.put((experiment_id, event))
                    if event.name == "end":
                        return
            over.wait(AGAIN_S)
    except (RefusedError, httpx.TransportError) as error:
        told.put((experiment_id, error))


def _follow(stories: Mapping[str, Story], told: "SimpleQueue[News]", tell: Tell, until: float | None) -> None:
    """Until each has had its ``end``. Raises what a listener met, and LateError at ``until``."""
    going = set(stories)
    while going:
        experiment_id, news = _next(told, until, going)
        if isinstance(news, Exception):
            raise news
        tell(stories[experiment_id], news, stories[experiment_id].hear(news))
        if news.name == "end":
            going.remove(experiment_id)


def _next(told: "SimpleQueue[News]", until: float | None, going: set[str]) -> News:
    left = None if until is None else until - time.monotonic()
    with suppress(Empty):
        if left is None or left > 0:
            return told.get(timeout=left)
    message = f"not ended by then: {', '.join(sorted(going))}; they go on"
    raise LateError(message)
