"""The faults, by name: the closed table, and the order that they come in."""

import random
from collections.abc import Mapping

from chaos.faults.base import AWAY, Fault
from chaos.faults.database import DATABASE
from chaos.faults.messages import MESSAGES
from chaos.faults.requests import REQUESTS
from chaos.faults.signals import SIGNALS
from chaos.faults.storage import STORAGE
from chaos.town import Town

FAULTS: Mapping[str, Fault] = {**SIGNALS, **MESSAGES, **DATABASE, **STORAGE, **REQUESTS}
SEVERAL = {"child killed": 6, "child stopped": 3}
"""Out of a round of faults, so many are of this kind; of every other kind there is one."""
LIGHT = {*MESSAGES, *REQUESTS, "lease taken", "child killed", "child terminated", "disk full", "checkpoint damaged"}
"""What the next fault may follow at once: no program has to start again, or none that others wait for."""


def dealt(dice: random.Random) -> list[str]:
    """The names of a round of faults, each kind among them, in an order of chance."""
    cards = [name for name in FAULTS for _ in range(SEVERAL.get(name, 1))]
    dice.shuffle(cards)
    return cards


def strike(town: Town, name: str) -> str | None:
    try:
        return FAULTS[name](town)
    except AWAY:
        return None
