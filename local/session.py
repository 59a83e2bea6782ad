"""What `make up` and `make run` have in common: a clinic that is started, and ended whatever happens."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from local.errors import OccupiedError
from local.folder import Folder
from local.interrupts import InterruptedBySignal, Interrupts
from local.supervisor import Clinic, any_port, own_port
from models.settings import Settings


def own_folder(settings: Settings) -> Folder:
    return Folder.claim(settings.data_dir)


def any_folder(settings: Settings) -> Folder:
    """The usual data folder, or beside a running clinic a new one that disappears at the end."""
    with suppress(OccupiedError):
        return Folder.claim(settings.data_dir)
    return Folder.temporary(settings.data_dir.resolve().parent, f"{settings.data_dir.name}-run-")


@contextmanager
def running_clinic(settings: Settings, *, alone: bool) -> Iterator[Clinic]:
    """A ready clinic. ``alone`` insists on the folder and port of the settings; else others will do."""
    folder = own_folder(settings) if alone else any_folder(settings)
    try:
        port = own_port(settings) if alone else any_port(settings)
        clinic = Clinic(settings, folder, port=port)

        def end_at_once() -> None:
            clinic.kill()
            folder.release()

        with Interrupts(at_once=end_at_once) as interrupts:
            try:
                clinic.start()
                yield clinic
            except InterruptedBySignal:
                print("ending in order; once more ends at once", file=sys.stderr)
                raise
            finally:
                interrupts.ending()
                clinic.stop()
    finally:
        folder.release()
