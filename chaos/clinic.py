"""A clinic of this program's own: servers, ports and a data folder that nobody else has, all gone at the end.

Beside what every clinic has it has a second dispatcher, and a second worker whose wall clock is an hour ahead.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from local.commands import COMMANDS, Command
from local.folder import Folder
from local.interrupts import Interrupts
from local.ports import free_port
from local.supervisor import Clinic
from models.settings import Settings

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
LEASE_S = 2.0
AHEAD_S = 3_600
WORKERS = ("worker", "worker-ahead")
DISPATCHERS = ("dispatcher", "dispatcher-second")

PRODUCTION = {"CLINIC_WORKERS": "1", "CLINIC_DEVICE": "cpu"}
"""Every other setting as it is by default: leases, sweeps, checkpoints."""
QUICK = {
    "CLINIC_LEASE_S": str(LEASE_S),
    "CLINIC_SWEEP_S": "0.5",
    "CLINIC_WORKERS": "1",  # of each of the two: most of the time goes into starting them again
    "CLINIC_MAX_ATTEMPTS": "1000",  # what is proved is that none is lost, however often it is tried
    "CLINIC_CHECKPOINT_S": "0.001",  # at every border, so that faults land before, in and behind one
    "CLINIC_RUNS_PER_CHILD": "100",  # children are replaced in the midst of it
    "CLINIC_DEVICE": "cpu",
}


def _commands() -> tuple[Command, ...]:
    """Those of every clinic, and the two more."""
    _, dispatcher, worker = COMMANDS
    second, ahead = ("-m", "worker.dispatcher"), ("-m", "chaos.ahead", str(AHEAD_S))
    return (
        *COMMANDS,
        Command(DISPATCHERS[1], second, dispatcher.death_signal, dispatcher.stop_timeout_s),
        Command(WORKERS[1], ahead, worker.death_signal, worker.stop_timeout_s),
    )


@contextmanager
def own_clinic(settings: Mapping[str, str], commands: Sequence[Command] | None = None) -> Iterator[tuple[Clinic, Path]]:
    """A ready clinic, and where its files lie. What the user has named is hidden: faults must never hit it."""
    for name in [name for name in os.environ if name.startswith("CLINIC_")]:  # noqa: TID251 -- handed on to processes
        del os.environ[name]  # noqa: TID251 -- as above
    os.environ.update(settings)  # noqa: TID251 -- as above
    with Interrupts() as interrupts:
        folder = Folder.temporary(ROOT, ".clinic-chaos-")
        try:
            clinic = Clinic(Settings(), folder, port=free_port(HOST), commands=commands or _commands())
            try:
                clinic.start()
                yield clinic, folder.path / "files"
            finally:
                interrupts.ending()
                clinic.stop()
        finally:
            interrupts.clearing_up()
            folder.release()
