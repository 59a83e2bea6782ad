"""A client of event streams, as a browser is one: it reads events, remembers the last number, and comes back."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Heard:
    """One event; ``number`` is None for one without an id."""

    number: int | None
    name: str
    data: Json


def parsed(lines: Iterable[str]) -> Iterator[Heard]:
    """By the rules of the format, as far as a clinic uses it: fields, comments, an empty line at the end of each."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line and "data" in fields:
            number = fields.get("id")
            yield Heard(None if number is None else int(number), fields["event"], json.loads(fields["data"]))
        name, _, value = line.partition(": ")
        fields = fields | {name: value} if line else {}


@dataclass(slots=True)
class Follower:
    """``listen`` connects where the last connection ended. ``heard`` has all that was read so far."""

    client: httpx2.Client
    path: str
    heard: list[Heard] = field(default_factory=list)

    @property
    def last(self) -> int | None:
        return next((one.number for one in reversed(self.heard) if one.number is not None), None)

    def listen(self, most: int | None = None) -> None:
        """Until the stream ends, or ``most`` events have come."""
        headers = {} if self.last is None else {"Last-Event-ID": str(self.last)}
        with self.client.stream("GET", self.path, headers=headers) as response:
            assert response.status_code == 200, response.read()
            for count, one in enumerate(parsed(response.iter_lines()), 1):
                self.heard.append(one)
                if count == most:
                    return

    @property
    def ended(self) -> bool:
        return bool(self.heard) and self.heard[-1].name == "end"

    def of(self, name: str) -> list[Heard]:
        return [one for one in self.heard if one.name == name]
