"""Pairs of IDX files: arrays of two axes or more are images, those of one axis labels; training files come first."""

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import BinaryIO, cast

from api.refusals import invalid, too_large
from api.uploads.parts import Announced, AnyArray, Part, RawSet, check_shape
from models.storage.idx import IdxError, IdxTooLargeError, read_header, read_idx

GZIP = b"\x1f\x8b"
_TEST = re.compile(r"t10k|test|valid", re.IGNORECASE)
MOST_FILES = 8


def is_idx(head: bytes) -> bool:
    """By its first bytes; what is packed by gzip is taken for one until it is unpacked."""
    return head[:2] in {b"\0\0", GZIP}


def read_pairs(parts: Sequence[Part], limit: int) -> RawSet:
    """One data set of all of them. Names only say which files are the test part; pairs must have equal counts."""
    if len(parts) > MOST_FILES:
        raise invalid("files", "there are too many", len(parts), f"at most {MOST_FILES}")
    # A stable sort: the order of the request decides between files of one role.
    ordered = sorted(parts, key=lambda part: _TEST.search(part.name) is not None)
    announced = [_announced(part, limit) for part in ordered]
    images = [each for each in announced if len(each.shape) > 1]
    labels = [each for each in announced if len(each.shape) == 1]
    if len(images) != len(labels):
        given = {"images": [each.where for each in images], "labels": [each.where for each in labels]}
        message = f"{len(images)} files hold images and {len(labels)} labels; they come in pairs"
        raise invalid("files", message, given, "-F images=@… -F labels=@…")
    return RawSet(images, labels, "IDX")


def _announced(part: Part, limit: int) -> Announced:
    with _opened(part, limit) as stream:
        dtype, shape = read_header(stream)
    # The header alone; the numbers are unpacked once all headers are accepted.
    check_shape(shape, part.name)
    return Announced(part.name, dtype, shape, partial(_read, part, limit))


def _read(part: Part, limit: int) -> AnyArray:
    with _opened(part, limit) as stream:
        return read_idx(stream, limit)


@contextmanager
def _opened(part: Part, limit: int) -> Iterator[BinaryIO]:
    """From its beginning, unpacked as it is read: never further than is asked for."""
    packed = part.head(2) == GZIP
    try:
        with gzip.GzipFile(fileobj=part.file, mode="rb") if packed else nullcontext(part.file) as stream:
            yield cast("BinaryIO", stream)
    except IdxTooLargeError as error:
        raise too_large(part.name, str(error), limit) from error
    except IdxError as error:
        raise invalid(part.name, str(error)) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise invalid(part.name, f"the gzip file is broken: {error}") from error
