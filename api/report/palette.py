"""Colours of lines by name, as the dashboard has them (``colours.js``): a variant has one colour in every picture."""

from collections.abc import Iterable
from dataclasses import dataclass

LIGHT = ("#0b5cad", "#e06c00", "#00796b", "#9c3f8f", "#6b5a00", "#3a9bdc", "#6e0b14", "#4a4a4a")
DARK = ("#6cb6ff", "#ff9f43", "#2fc6a8", "#e58fd8", "#f2e77a", "#3c7dd9", "#ff6b6b", "#c8ccd0")
DASHES = ("", "8 4", "2 3", "10 3 2 3")
"""After eight colours they tell lines apart."""


@dataclass(frozen=True, slots=True)
class Place:
    slot: int
    dash: str


def places(names: Iterable[str]) -> dict[str, Place]:
    """A name has its own slot; the later of two in one list that share it takes the next free one."""
    found: dict[str, Place] = {}
    rounds: list[set[int]] = [set()]
    for name in names:
        if len(rounds[-1]) == len(LIGHT):
            rounds.append(set())
        slot = _hash(name) % len(LIGHT)
        while slot in rounds[-1]:
            slot = (slot + 1) % len(LIGHT)
        rounds[-1].add(slot)
        found[name] = Place(slot, DASHES[(len(rounds) - 1) % len(DASHES)])
    return found


def _hash(text: str) -> int:
    """FNV-1a of 32 bits, a code point at a time."""
    value = 2166136261
    for letter in text:
        value = (value ^ ord(letter)) * 16777619 & 0xFFFFFFFF
    return value


def style() -> str:
    """Classes ``line0`` … with the colour of the slot, light and dark."""
    light = "".join(f".line{at}{{stroke:{colour}}}.fill{at}{{fill:{colour}}}" for at, colour in enumerate(LIGHT))
    dark = "".join(f".line{at}{{stroke:{colour}}}.fill{at}{{fill:{colour}}}" for at, colour in enumerate(DARK))
    return f"{light}@media(prefers-color-scheme:dark){{{dark}}}"
