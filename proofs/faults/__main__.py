"""The long proof that nothing is lost: ``python -m proofs.faults --kills 20 --seed 7``.

First it measures, with settings as in production, how soon a dead host's run is taken up. Then it starts another clinic
of its own. There it trains some experiments undisturbed, trains them again and again under real faults at moments of
chance, and compares all that they have stored. Its last lines are a table of promises and ``kills=… lost=… doubled=…
identical=k/n hanging=…``; exit 1 if a promise is not held.
"""

import argparse
import sys

from local.errors import LocalError
from local.interrupts import InterruptedBySignal
from proofs import promise
from proofs.faults.proof import prove
from proofs.faults.take_up import take_ups


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs.faults", description="faults against a clinic of its own")
    parser.add_argument("--kills", type=int, default=20, help="so many faults are inflicted")
    parser.add_argument("--seed", type=int, default=7, help="of the one generator of chance")
    parser.add_argument("--take-up", type=int, default=1, help="so many hosts die at production settings before")
    arguments = parser.parse_args()
    try:
        # Before the faults and in a clinic of its own: leases of two seconds would prove nothing about twenty.
        promises = take_ups(arguments.take_up, arguments.seed, _say)
        findings = prove(arguments.kills, arguments.seed, _say)
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    except InterruptedBySignal as interrupt:
        return 128 + interrupt.number
    promises += findings.promises()
    promise.show("Nothing is lost (docs/run-life.md says what each line means)", promises)
    _say(f"kills={arguments.kills} {findings}")
    return 0 if all(line.held for line in promises) else 1


if __name__ == "__main__":
    sys.exit(main())
