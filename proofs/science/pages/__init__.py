"""``docs/science.md`` from the figures: tables, and the plain sentences that say what they are."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from proofs.science.pages import advice, alarms, coverage, faults, ladders, newest, theory
from proofs.science.pages.markdown import Figures

SECTIONS: Final[Mapping[str, Callable[[Figures], Iterator[str]]]] = {
    "alarms": alarms.lines,
    "newest": newest.lines,
    "faults": faults.lines,
    "advice": advice.lines,
    "ladders": ladders.lines,
    "coverage": coverage.lines,
    "theory": theory.lines,
}


def page(figures: Mapping[str, Figures], scale: str) -> str:
    """All parts that have been measured, in order."""
    parts = (line for name, part in figures.items() for line in SECTIONS[name](part))
    return "\n".join([*_opening(scale), *parts]) + "\n"


def _opening(scale: str) -> Iterator[str]:
    yield "# Answers that hold up"
    yield ""
    yield "Written by `make bench-science SCALE=full`; figures, machine and versions are in `proofs/science/results/`."
    yield "`make bench-science` measures a part of it in ten minutes on two quiet cores and prints the same tables."
    yield "Trained runs are kept in `.clinic-science/`: `.venv/bin/python -m proofs.science --scale full --again` reads"
    yield "the rules over them again, and trains only what is not there."
    yield f"This page: scale {scale}."
