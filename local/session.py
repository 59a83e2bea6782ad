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
    with Interrupts() as interrupts:
        # Signals are caught before anything is made, so that all that is made is cleared up.
        folder = own_folder(settings) if alone else any_folder(settings)
        try:
            clinic = Clinic(settings, folder, port=own_port(settings) if alone else any_port(settings))
            with _ended(clinic, interrupts):
                clinic.start()
                yield clinic
        finally:
            interrupts.clearing_up()
            folder.release()


@contextmanager
def _ended(clinic: Clinic, interrupts: Interrupts) -> Iterator[None]:
    """Ends the clinic in order, or at once where the user does not want to wait."""
    try:
        yield
    except InterruptedBySignal as interrupt:
        if interrupt.again:
            clinic.kill()
        else:
            print("ending in order; once more ends at once", file=sys.stderr)
        raise
    finally:
        interrupts.ending()
        try:
            clinic.stop()
        except InterruptedBySignal:
            interrupts.clearing_up()
            clinic.kill()
            raise
