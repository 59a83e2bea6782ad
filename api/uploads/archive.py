"""Zips: what may be opened at all, and whether one holds npz arrays, recordings or IDX files.

Names inside are only names: nothing is ever written under one.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from api.refusals import invalid, too_large, unknown
from api.uploads import idx, npz, sound
from api.uploads.parts import Part, RawSet

MAGIC = b"PK"
MOST_MEMBERS = 65_535
_LARGEST_DIRECTORY = 8 * 1024 * 1024
_END, _END_64_LOCATOR = b"PK\x05\x06", b"PK\x06\x07"
_END_SIZE, _LONGEST_COMMENT = 22, 65_535
# The other methods of zipfile unpack a block at once, however large it becomes.
_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
_HIDDEN = ("__MACOSX/", ".")


def read_zip(part: Part, features: str, limit: int, opened: ExitStack) -> RawSet:
    """The zip stays open, and what breaks in it is told as a refusal, until ``opened`` is closed."""
    # Before ZipFile opens it, which makes an object of every entry.
    _check_directory(part)
    opened.enter_context(_honest(part.name))
    archive = opened.enter_context(zipfile.ZipFile(part.file))
    if not all(member.filename for member in archive.infolist()):
        raise invalid(part.name, "a file of the zip has no name")
    members = [member for member in archive.infolist() if not member.is_dir() and not _is_hidden(member.filename)]
    _check_members(members, limit)
    arrays = [member for member in members if member.filename.endswith(".npy")]
    if arrays:
        return npz.read_npz(archive, arrays)
    if any(member.filename.lower().endswith(".wav") for member in members):
        return sound.read_recordings(archive, members, features, limit)
    if 2 <= len(members) <= idx.MOST_FILES:
        files = [Part(member.filename, opened.enter_context(archive.open(member))) for member in members]  # type: ignore[arg-type]  # reads and seeks
        odd = next((file for file in files if not idx.is_idx(file.head())), None)
        if odd is not None:
            where = f"{part.name}: {odd.name}"
            raise unknown(where, "this file of the zip is no IDX file")
        return idx.read_pairs(files, limit)
    message = f"the zip holds {len(members)} files, and neither arrays, recordings nor IDX files"
    raise unknown(part.name, message)


@contextmanager
def _honest(name: str) -> Iterator[None]:
    """zipfile trusts offsets, sizes and methods of the directory, and trips in many ways where they are wrong."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise invalid(name, f"the zip is broken: {str(error)[:200]}") from error


def _check_members(members: list[zipfile.ZipInfo], limit: int) -> None:
    """Before anything is unpacked: by the sizes that the directory announces, beyond which zipfile does not read."""
    if len(members) > MOST_MEMBERS:
        raise too_large("zip", f"it holds {len(members):,} files", MOST_MEMBERS)
    announced = sum(member.file_size for member in members)
    if announced > limit:
        raise too_large("zip", f"unpacked it would have {announced:,} bytes", limit)
    for member in members:
        if member.flag_bits & 0x1:
            raise invalid(member.filename, "this file is encrypted", allowed="files without a password")
        if member.compress_type not in _METHODS:
            method = zipfile.compressor_names.get(member.compress_type, member.compress_type)  # type: ignore[attr-defined]
            raise invalid(member.filename, "files packed like this are not read", method, list(_METHODS.values()))
    # Who looks by name, as labels.csv does, finds one of them, and nobody can say whether it is the one that is meant.
    twice = len(members) - len({member.filename for member in members})
    if twice:
        raise invalid("zip", f"{twice} files have the name of another one")


def _is_hidden(name: str) -> bool:
    """What systems leave behind: ``__MACOSX/``, ``.DS_Store``, ``a/._b.wav``."""
    return name.startswith(_HIDDEN[0]) or name.rsplit("/", 1)[-1].startswith(_HIDDEN[1])


def _check_directory(part: Part) -> None:
    """zipfile makes an object of every entry as it opens: look at the directory's size before it does."""
    part.file.seek(0, 2)
    size = part.file.tell()
    part.file.seek(max(0, size - _END_SIZE - _LONGEST_COMMENT - 20))
    tail = part.file.read()
    part.file.seek(0)
    # As zipfile looks for it: at the very end without a comment, else the last mark there is.
    plain = len(tail) >= _END_SIZE and tail[-_END_SIZE:].startswith(_END) and tail.endswith(b"\0\0")
    at = len(tail) - _END_SIZE if plain else tail.rfind(_END)
    if at < 0:
        raise invalid(part.name, "the zip is broken: its directory is missing; it may have been cut off")
    # It may have more entries than are allowed, and sizes that the plain directory does not hold.
    if tail[max(0, at - 20) : at].startswith(_END_64_LOCATOR):
        raise too_large(part.name, "the zip is a large one (zip64)", MOST_MEMBERS)
    directory = int.from_bytes(tail[at + 12 : at + 16], "little")
    if directory > _LARGEST_DIRECTORY:
        raise too_large(part.name, f"the zip's directory has {directory:,} bytes", _LARGEST_DIRECTORY)
