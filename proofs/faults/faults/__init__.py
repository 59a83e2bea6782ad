"""The faults, by name: the closed table, and the order that they come in."""

import random
from collections.abc import Mapping

from proofs.faults.faults.base import AWAY, Fault
from proofs.faults.faults.database import DATABASE
from proofs.faults.faults.messages import MESSAGES
from proofs.faults.faults.requests import REQUESTS
from proofs.faults.faults.signals import SIGNALS
from proofs.faults.faults.storage import STORAGE
from proofs.faults.target import Target

FAULTS: Mapping[str, Fault] = {**SIGNALS, **MESSAGES, **DATABASE, **STORAGE, **REQUESTS}
SEVERAL = {"child killed": 6, "child stopped": 3}
"""How many faults of this kind are in a round; there is one of every other kind."""
LIGHT = {*MESSAGES, *REQUESTS, "lease taken", "child killed", "child terminated", "disk full", "checkpoint damaged"}
"""Faults that the next one may follow at once: no program has to start again, or none that others wait for."""


def shuffled_round(rng: random.Random) -> list[str]:
    """The names of a round of faults, each kind among them, in an order of chance."""
    names = [name for name in FAULTS for _ in range(SEVERAL.get(name, 1))]
    rng.shuffle(names)
    return names


def strike(target: Target, name: str) -> str | None:
    try:
        return FAULTS[name](target)
    except AWAY:
        return None
