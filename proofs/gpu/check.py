"""One thing that has to hold on the device, and the line of what was seen."""

from collections.abc import Callable
from dataclasses import dataclass

from proofs.promise import Promise


class WrongError(Exception):
    """What was seen is not what has to be."""


@dataclass(frozen=True, slots=True)
class Check:
    """``look`` returns what was seen, or raises ``WrongError`` with it."""

    name: str
    look: Callable[[], str]


def line_of(check: Check) -> Promise:
    """A check that cannot be made has failed: a device that breaks down under it is a finding too."""
    try:
        return Promise(check.name, "", check.look(), held=True)
    except WrongError as error:
        return Promise(check.name, "", str(error), held=False)
    except Exception as error:  # noqa: BLE001 -- whatever a device raises when it breaks down
        return Promise(check.name, "", f"{type(error).__name__}: {error}", held=False)


def text(line: Promise) -> str:
    return f"{'ok' if line.held else 'FAILED':<8}{line.what}: {line.seen}"
