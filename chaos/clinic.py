"""A clinic of this program's own: short leases, servers and a data folder that nobody else has, all gone at the end."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local.folder import Folder
from local.interrupts import Interrupts
from local.ports import free_port
from local.supervisor import Clinic
from models.settings import Settings

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
LEASE_S = 2.0
WORKERS = 2
SETTINGS = {
    "CLINIC_LEASE_S": str(LEASE_S),
    "CLINIC_SWEEP_S": "0.5",
    "CLINIC_WORKERS": str(WORKERS),
    "CLINIC_MAX_ATTEMPTS": "1000",  # what is proved is that none is lost, however often it is tried
    "CLINIC_CHECKPOINT_S": "0.001",  # at every border, so that faults land before, in and behind one
    "CLINIC_DEVICE": "cpu",
}


@contextmanager
def own_clinic(changes: Mapping[str, str] | None = None) -> Iterator[Clinic]:
    """A ready clinic, its settings with these changes. Servers that the user has named are hidden: faults must never
    hit them.
    """
    for name in [name for name in os.environ if name.startswith("CLINIC_")]:  # noqa: TID251 -- handed on to processes
        del os.environ[name]  # noqa: TID251 -- as above
    os.environ.update({**SETTINGS, **(changes or {})})  # noqa: TID251 -- as above
    with Interrupts() as interrupts:
        folder = Folder.temporary(ROOT, ".clinic-chaos-")
        try:
            clinic = Clinic(Settings(), folder, port=free_port(HOST))
            try:
                clinic.start()
                yield clinic
            finally:
                interrupts.ending()
                clinic.stop()
        finally:
            interrupts.clearing_up()
            folder.release()
