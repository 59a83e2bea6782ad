"""``python -m verdicts.cuts``: the cut of G held against training outcomes, kind by kind (docs/verdicts.md)."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from verdicts.cuts.grid import candidates
from verdicts.cuts.outcomes import Outcome, outcome_of
from verdicts.cuts.report import table


def main() -> int:
    groups = list(dict.fromkeys(its.group for its in candidates()))
    parser = argparse.ArgumentParser(prog="python -m verdicts.cuts", description=__doc__)
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(groups)}; by default all of them")
    parser.add_argument("--seed", type=int, default=0, help="of the first network; each further one has the next")
    parser.add_argument("--outcomes", type=Path, help="a file that gets a line of JSON per network, as it is trained")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.groups) - set(groups)):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(groups)}")
    began = time.monotonic()
    found = _all(asked.groups or groups, asked.seed, asked.outcomes)
    print(table(found, asked.seed))
    print(f"networks={len(found)} seconds={time.monotonic() - began:.0f}")
    return 0


def _all(groups: Sequence[str], first_seed: int, file: Path | None) -> list[Outcome]:
    """A network's seed is its place in the whole grid, whatever part of it is asked for."""
    found = []
    for seed, candidate in enumerate(candidates(), first_seed):
        if candidate.group not in groups:
            continue
        found.append(outcome_of(candidate, seed))
        if file is not None:
            with file.open("a") as lines:
                lines.write(json.dumps({**asdict(found[-1]), "seed": seed, "network": candidate.network}) + "\n")
    return found


if __name__ == "__main__":
    sys.exit(main())
