"""One line of every proof: what is promised, what was seen, and whether it held; and the table of such lines."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from proofs import report

WORDS: Final = {True: "held", False: "NOT HELD", None: ""}


@dataclass(frozen=True, slots=True)
class Promise:
    """``promised`` may be empty where ``what`` says it. ``held`` is None where nothing is promised."""

    what: str
    promised: str
    seen: str
    held: bool | None = None


def show(title: str, promises: Iterable[Promise]) -> None:
    rows = [(promise.what, promise.promised, promise.seen, WORDS[promise.held]) for promise in promises]
    report.show(title, ("", "promised", "measured", ""), rows)


def count(promises: Iterable[Promise]) -> tuple[int, int]:
    """(promised, held): figures that are for knowing only are in neither."""
    judged = [promise.held for promise in promises if promise.held is not None]
    return len(judged), sum(judged)
