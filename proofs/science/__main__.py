"""``make bench-science``: measures whether the answers of the clinic can be believed; tables in ``docs/science.md``.

The quick scale leaves its page and figures in a folder that is not tracked. The full one writes the published ones.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from gradient_clinic.verdict.shapes import RULES
from proofs import promise, report
from proofs.promise import Promise
from proofs.science import advice, alarms, coverage, faults, ladders, newest, theory
from proofs.science.pages import page
from proofs.science.running import FOLDER
from proofs.science.scale import SCALES, Scale

RESULTS: Final = {"quick": FOLDER / "results", "full": Path(__file__).parent / "results"}
PAGES: Final = {"quick": FOLDER / "science.md", "full": Path(__file__).parents[2] / "docs" / "science.md"}


@dataclass(frozen=True, slots=True)
class Part:
    run: Callable[[Scale, int], dict[str, Any]]
    promises: Callable[[Mapping[str, Any]], Iterator[Promise]]


PARTS: Final = {
    "alarms": Part(alarms.run, alarms.promises),
    "newest": Part(newest.run, newest.promises),
    "faults": Part(faults.run, faults.promises),
    "advice": Part(advice.run, advice.promises),
    "ladders": Part(ladders.run, ladders.promises),
    "coverage": Part(coverage.run, coverage.promises),
    "theory": Part(theory.run, theory.promises),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs.science", description=__doc__)
    parser.add_argument("names", nargs="*", help="by default all: " + ", ".join(PARTS))
    parser.add_argument("--scale", choices=tuple(RESULTS), default="quick")
    parser.add_argument("--seeds", type=int, help="instead of the scale's number")
    parser.add_argument("--counted", type=int, help="instead of the scale's number; 0 keeps the record of advice")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="read the rules over what the last trainings left")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in PARTS]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if not options.again:
        shutil.rmtree(FOLDER, ignore_errors=True)  # what was kept is of the code that trained it
    began = time.monotonic()
    usual = SCALES[options.scale]
    counted = usual.counted if options.counted is None else options.counted
    scale = replace(usual, seeds=options.seeds or usual.seeds, counted=counted)
    for name in options.names or PARTS:
        figures = _measured(name, scale, options.processes)
        report.save(RESULTS[options.scale], name, figures.pop("spec"), figures)
    _publish(options.scale, time.monotonic() - began)
    return 0


def _measured(name: str, scale: Scale, processes: int) -> dict[str, Any]:
    began = time.monotonic()
    print(f"══ {name}", flush=True)
    figures = PARTS[name].run(scale, processes)
    seconds = round(time.monotonic() - began)
    print(f"({name} took {seconds} s)", flush=True)
    return {"spec": {**asdict(scale), "processes": processes, "seconds": seconds}, "rules": RULES, **figures}


def _publish(scale: str, seconds: float) -> None:
    """Write the page of all parts that have run at this scale, and print the closing table."""
    loaded = {name: report.load(RESULTS[scale], name) for name in PARTS}
    parts = {name: figures for name, figures in loaded.items() if figures is not None}
    PAGES[scale].write_text(page(parts, scale), encoding="utf-8")
    lines = [line for name, figures in parts.items() for line in PARTS[name].promises(figures)]
    promise.show(f"Answers that hold up ({PAGES[scale]})", lines)
    promised, held = promise.count(lines)
    print(f"parts={len(parts)} promises={promised} held={held} seconds={seconds:.0f}")


if __name__ == "__main__":
    sys.exit(main())
