"""What a key may do: read, submit, admin. Each one holds what stands before it."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """``read``: look at what is the owner's own. ``submit``: change it. ``admin``: all that there is, and keys."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"


_ORDER: Final = tuple(Scope)
EVERY: Final = frozenset(Scope)


def granted(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """These and all that they hold."""
    highest = max((_ORDER.index(scope) for scope in scopes), default=-1)
    return frozenset(_ORDER[: highest + 1])
