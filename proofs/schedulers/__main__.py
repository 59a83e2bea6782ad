"""Whether what ``examples`` has for schedulers works in them: ``python -m proofs.schedulers [NAME …]``.

Each is the real one, as its own documentation starts it, against a clinic of the proof's own that asks for a key.
Exit 1 where a promise is broken.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from local.commands import COMMANDS
from local.folder import new_password
from local.interrupts import InterruptedBySignal
from proofs.clinic import own_clinic
from proofs.promise import Promise, count, show
from proofs.schedulers import airflow, prefect
from proofs.schedulers.scene import Scene

SCHEDULERS: Final[Mapping[str, Callable[[Scene], Iterator[Promise]]]] = {
    "airflow": airflow.promises,
    "prefect": prefect.promises,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs.schedulers", description="examples in real schedulers")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SCHEDULERS)}; all by default", metavar="NAME")
    chosen = parser.parse_args().names or list(SCHEDULERS)
    if unknown := set(chosen) - set(SCHEDULERS):
        parser.error(f"there is no scheduler {', '.join(sorted(unknown))}; there are {', '.join(SCHEDULERS)}")
    key = new_password()
    settings = {"CLINIC_WORKERS": "1", "CLINIC_DEVICE": "cpu", "CLINIC_API_KEY": key}
    promises: list[Promise] = []
    try:
        with own_clinic(settings, COMMANDS) as (clinic, folder):
            for name in chosen:
                print(name, flush=True)
                promises += SCHEDULERS[name](Scene(clinic.address, key, folder))
    except InterruptedBySignal as interrupt:
        return 128 + interrupt.number
    show("Schedulers that keep a job", promises)
    promised, held = count(promises)
    print(f"schedulers={len(chosen)} promises={promised} held={held} broken={promised - held}")
    return 0 if held == promised else 1


if __name__ == "__main__":
    sys.exit(main())
