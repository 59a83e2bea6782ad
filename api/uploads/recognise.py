"""Which format data have, by their first bytes, and of text by its lines: names and content types say nothing
here.
"""

from collections.abc import Sequence
from contextlib import ExitStack

from api.refusals import FORMATS, invalid, unknown
from api.uploads import archive, idx
from api.uploads.checks import CheckedSet, checked
from api.uploads.parts import Asked, Part, RawSet

PARQUET, ARROW_FILE, ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"


def read(parts: Sequence[Part], limit: int, asked: Asked) -> CheckedSet:
    """The data set, checked; RefusalError for what is none. ``limit``: bytes that all of it may have, as it comes,
    unpacked, and as it is kept.
    """
    with ExitStack() as opened:
        return checked(_raw(parts, limit, asked, opened), asked.form, asked.task, limit)


def _raw(parts: Sequence[Part], limit: int, asked: Asked, opened: ExitStack) -> RawSet:
    heads = [(part, part.head()) for part in parts]
    empty = next((part for part, head in heads if not head), None)
    if empty is not None or not parts:
        raise invalid("body" if empty is None else empty.name, "there is nothing in it", allowed=FORMATS)
    # IDX alone comes in several files, so it is asked first.
    if all(idx.is_idx(head) for _, head in heads):
        if len(parts) == 1:
            message = "this IDX file is one of a pair: images and labels come together"
            raise invalid(parts[0].name, message, allowed="-F images=@… -F labels=@…, or a zip of both")
        return idx.read_pairs(parts, limit)
    if len(parts) > 1:
        odd = next(part for part, head in heads if not idx.is_idx(head))
        raise unknown(odd.name, "of several files each must be IDX, packed by gzip or not; this one is not")
    part, head = heads[0]
    if head.startswith(archive.MAGIC):
        return archive.read_zip(part, asked.features, limit, opened)
    if head.startswith((PARQUET, ARROW_FILE, ARROW_STREAM)):
        from api.uploads import columns  # noqa: PLC0415 -- pyarrow takes longer to load than most sets to read

        return columns.read_columns(part, head.startswith(PARQUET), limit)
    if b"\0" not in head:
        from api.uploads import table  # noqa: PLC0415 -- as above

        found = table.read_table(part, asked, limit)
        if found is not None:
            return found
    raise unknown(part.name, f"nothing here reads what begins with {head[:4].hex(' ')}")
