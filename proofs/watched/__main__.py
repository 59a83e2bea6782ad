"""``make watched``: the watch on networks as people have them: ``python -m proofs.watched [NAME …]``.

Every signal beside a float64 oracle, the verdict on each network as it is and broken on purpose, and what watching
costs. Exit 1 where a promise is broken.
"""

import argparse
import sys
from typing import Final

import torch

from proofs.promise import WORDS, Promise, count, show
from proofs.watched import exactness, overhead, verdicts
from proofs.watched.networks import TRAININGS, torchvision

PARTS: Final = {"exactness": exactness, "verdicts": verdicts, "overhead": overhead}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs.watched", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(TRAININGS)}; all by default", metavar="NAME")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="all by default")
    asked = parser.parse_args()
    chosen = asked.names or list(TRAININGS)
    if unknown := set(chosen) - set(TRAININGS):
        parser.error(f"there is no network {', '.join(sorted(unknown))}; there are {', '.join(TRAININGS)}")
    torch.set_num_threads(1)  # the sums of a pass and of its oracle in one order
    sys.path += overhead.peers_path()
    torchvision()  # before transformers, which imports it where it finds it
    promises: list[Promise] = []
    for name in chosen:
        for part in asked.parts:
            for promise in PARTS[part].promises(name):
                print(f"{WORDS[promise.held]:8}  {promise.what}: {promise.seen}", flush=True)  # one takes minutes
                promises.append(promise)
    show("Networks as people have them, watched", promises)
    promised, held = count(promises)
    print(f"networks={len(chosen)} promises={promised} held={held} broken={promised - held}")
    return 0 if held == promised else 1


if __name__ == "__main__":
    sys.exit(main())
