"""``make bench``: every benchmark with its defaults, each in a process of its own, and at the end what is held."""

import argparse
import subprocess
import sys
import time

from proofs.speed import peers, promises


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs.speed", description=__doc__)
    parser.add_argument("names", nargs="*", help="by default all: " + ", ".join(promises.BENCHMARKS))
    parser.add_argument("--summary", action="store_true", help="only the figures of the last runs")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in promises.BENCHMARKS]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(promises.BENCHMARKS)}")
    if not peers.installed():
        print("the peers are not installed (`make bench` does it): their figures are left out", file=sys.stderr)
    failed = [] if options.summary else [name for name in options.names or promises.BENCHMARKS if not ran(name)]
    promises.show()
    if failed:
        print(f"ended with an error, so older figures stand above: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def command(name: str) -> list[str]:
    """A process of its own: what a benchmark leaves in memory and threads must not reach the next one."""
    return [sys.executable, "-m", f"proofs.speed.{name}"]


def ran(name: str) -> bool:
    """Whether it ended without an error."""
    began = time.monotonic()
    print(f"\n══ {name}", flush=True)
    done = subprocess.run(command(name), check=False)  # noqa: S603 -- our own modules
    print(f"({name} took {time.monotonic() - began:.0f} s)", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
