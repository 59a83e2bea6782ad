"""A place outside the data folder, for servers whose user cannot reach into it.

Only root needs it, and only where the project lies below a folder closed to others, such as /root. The place is
one folder in /var/lib (or the next best); the data folder keeps its address, and the place keeps a mark to be
recognised by. Nothing else is touched, and it goes when the data folder goes.
"""

import hashlib
import os
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from local.errors import LocalError
from local.privileges import Account

PREFIX = "gradient-clinic-"
MARK = "mark"
ADDRESS = "outside"


def outside(folder: Path, account: Account) -> Path:
    """The place that belongs to this data folder, made where there is none yet."""
    return _known(folder) or _new(folder, account)


def remove_outside(folder: Path) -> None:
    place = _known(folder)
    if place is not None:
        shutil.rmtree(place)


def _known(folder: Path) -> Path | None:
    """The place, only if both sides agree: what is removed later must be ours beyond doubt."""
    try:
        address, mark = (folder / ADDRESS).read_text().splitlines()
        place = Path(address)
        agreed = place.name.startswith(PREFIX) and (place / MARK).read_text() == mark
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return place if agreed else None


def _new(folder: Path, account: Account) -> Path:
    name = PREFIX + hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    for base in (Path("/var/lib"), Path("/var/tmp"), Path(tempfile.gettempdir())):  # noqa: S108 -- see _make
        place = base / name
        with suppress(OSError):
            _make(place)
            if account.may_enter(place):
                mark = secrets.token_hex(16)
                (place / MARK).write_text(mark)
                (folder / ADDRESS).write_text(f"{place}\n{mark}")
                return place
            # The user cannot get here either, and nothing is left behind.
            place.rmdir()
    message = (
        f"{folder} cannot be reached by the user {account.name}, who has to run PostgreSQL for root, and no other "
        "place was found: set CLINIC_DATA_DIR to a folder that others may enter, or CLINIC_DATABASE_URL"
    )
    raise LocalError(message)


def _make(place: Path) -> None:
    """Makes the folder; one of this name that is root's own is left from a data folder that was deleted by hand."""
    if place.is_dir() and not place.is_symlink() and place.stat().st_uid == os.geteuid():
        shutil.rmtree(place)
    place.mkdir()
    place.chmod(0o711)
