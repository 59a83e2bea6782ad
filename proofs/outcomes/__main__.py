"""``make verdicts``: trainings with a known outcome, and trials of every remedy where it helps and where it fails."""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial

from rich.console import Console
from rich.table import Table

from proofs import pool
from proofs.outcomes import service
from proofs.outcomes.cases import CASES
from proofs.outcomes.line import Line
from proofs.outcomes.trials import TRIALS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs.outcomes", description=__doc__)
    parser.add_argument("names", nargs="*", help="cases or remedies; by default all of them")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--via", default="", help="`service`: train in a clinic of its own; or the URL of one")
    asked = parser.parse_args()
    known = [*(case.name for case in CASES), *TRIALS]
    if unknown := [name for name in asked.names if name not in known]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
    began = time.monotonic()
    names, show = asked.names or known, _shown(Console(width=160))
    if not asked.via:
        lines = _all(names, asked.processes, show)
    else:
        with service.address_of(asked.via, asked.processes) as address:
            lines = _all(names, asked.processes, show, address)
    broken = [line for line in lines if not line.held]
    seconds = time.monotonic() - began
    print(f"verdicts={len(lines)} held={len(lines) - len(broken)} broken={len(broken)} seconds={seconds:.0f}")
    return 1 if broken else 0


def _all(
    names: list[str], processes: int, show: Callable[[list[Line]], None], address: str | None = None
) -> list[Line]:
    found: list[Line] = []
    for lines in pool.over(partial(service.lines_of, address=address), names, processes):
        show(lines)
        found += lines
    return found


def _shown(console: Console) -> Callable[[list[Line]], None]:
    def show(lines: list[Line]) -> None:
        table = Table(show_header=False, box=None, padding=(0, 1))
        for line in lines:
            table.add_row("held  " if line.held else "[bold red]BROKEN[/]", line.case, line.required, line.seen)
        console.print(table)

    return show


if __name__ == "__main__":
    sys.exit(main())
