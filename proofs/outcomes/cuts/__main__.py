"""``python -m proofs.outcomes.cuts``: the cut of G held against training outcomes, kind by kind (docs/verdicts.md)."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from proofs.outcomes.cuts.grid import Candidate, candidates, others
from proofs.outcomes.cuts.outcomes import Outcome, outcome_of
from proofs.outcomes.cuts.report import table


def main() -> int:
    groups = list(dict.fromkeys(candidate.group for candidate in candidates()))
    parser = argparse.ArgumentParser(prog="python -m proofs.outcomes.cuts", description=__doc__)
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(groups)}; by default all of them")
    parser.add_argument("--seed", type=int, default=0, help="of the first network; each further one has the next")
    parser.add_argument("--others", action="store_true", help="networks and optimisers that no cut was chosen on")
    parser.add_argument("--outcomes", type=Path, help="a file that gets a line of JSON per network, as it is trained")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.groups) - set(groups)):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(groups)}")
    began = time.monotonic()
    grid = others() if asked.others else candidates()
    chosen = asked.groups or groups
    # Numbered before they are chosen, so that a group alone is trained under the seeds it has in the whole grid.
    numbered = [(seed, candidate) for seed, candidate in enumerate(grid, asked.seed) if candidate.group in chosen]
    found = _all(numbered, asked.outcomes)
    print(table(found, asked.seed))
    print(f"networks={len(found)} seconds={time.monotonic() - began:.0f}")
    return 0


def _all(numbered: Sequence[tuple[int, Candidate]], file: Path | None) -> list[Outcome]:
    """A network's number, which is its seed, is its place in the whole grid, whatever part of it is asked for."""
    found = []
    for seed, candidate in numbered:
        found.append(outcome_of(candidate, seed))
        if file is not None:
            # As each is trained: what was trained is kept where hours of it break off.
            with file.open("a") as lines:
                lines.write(json.dumps({**asdict(found[-1]), "seed": seed, "network": candidate.network}) + "\n")
    return found


if __name__ == "__main__":
    sys.exit(main())
