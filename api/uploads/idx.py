"""Pairs of IDX files: arrays of two axes or more are images, those of one axis labels; training files come first."""

import gzip
import re
import zlib
from collections.abc import Sequence
from contextlib import nullcontext
from typing import BinaryIO, cast

import numpy as np

from api.uploads.parts import Allowance, AnyArray, Part, RawSet, check_numbers
from api.uploads.refusals import invalid, too_large
from models.idx import IdxError, IdxTooLargeError, read_idx

GZIP = b"\x1f\x8b"
_TEST = re.compile(r"t10k|test|valid", re.IGNORECASE)
MOST_FILES = 8


def is_idx(head: bytes) -> bool:
    """By its first bytes; what is packed by gzip is taken for one until it is unpacked."""
    return head[:2] in {b"\0\0", GZIP}


def read_pairs(parts: Sequence[Part], allowance: Allowance) -> RawSet:
    """One data set of all of them. Names only say which files are the test part; pairs must have equal counts."""
    if len(parts) > MOST_FILES:
        raise invalid("files", "there are too many", len(parts), f"at most {MOST_FILES}")
    # A stable sort: the order of the request decides between files of one role.
    ordered = sorted(parts, key=lambda part: _TEST.search(part.name) is not None)
    read = [(part.name, _read(part, allowance)) for part in ordered]
    images = [(name, array) for name, array in read if array.ndim > 1]
    labels = [(name, array) for name, array in read if array.ndim == 1]
    _check_pairs(images, labels)
    check_numbers(sum(array.size for _, array in images), "the images of all files")
    return RawSet(_joined([array for _, array in images]), _joined([array for _, array in labels]), "IDX")


def _read(part: Part, allowance: Allowance) -> AnyArray:
    packed = part.head(2) == GZIP
    with gzip.GzipFile(fileobj=part.file, mode="rb") if packed else nullcontext(part.file) as stream:
        try:
            array = read_idx(cast("BinaryIO", stream), allowance.left)
        except IdxTooLargeError as error:
            raise too_large(part.name, str(error), allowance.limit) from error
        except IdxError as error:
            raise invalid(part.name, str(error)) from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise invalid(part.name, f"the gzip file is broken: {error}") from error
    allowance.take(array.nbytes, part.name)
    return array


def _check_pairs(images: list[tuple[str, AnyArray]], labels: list[tuple[str, AnyArray]]) -> None:
    if len(images) != len(labels):
        given = {"images": [name for name, _ in images], "labels": [name for name, _ in labels]}
        message = f"{len(images)} files hold images and {len(labels)} labels; they come in pairs"
        raise invalid("files", message, given, "-F images=@… -F labels=@…")
    for (name, array), (label_name, its) in zip(images, labels, strict=True):
        if len(array) != len(its):
            message = f"{len(array)} images, and {len(its)} labels in {label_name}"
            raise invalid(name, message, len(array), "a label for each image")
        if array.shape[1:] != images[0][1].shape[1:] or array.dtype != images[0][1].dtype:
            message = f"images of {array.shape[1:]} {array.dtype}, and of {images[0][1].shape[1:]} in {images[0][0]}"
            raise invalid(name, message, list(array.shape[1:]), "one size and type in all files")


def _joined(arrays: list[AnyArray]) -> AnyArray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
