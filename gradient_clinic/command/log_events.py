"""TensorBoard's event files, read by ``tensorboard`` itself: scalars by tag and step."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.util import tensor_util

from gradient_clinic.command.codes import MisusedError
from gradient_clinic.command.series import Point

FRAME: Final = 16
"""Bytes around each event in its file: its length, and two checksums."""
LENGTH: Final = 8
"""Bytes of them that say how long it is."""
LARGEST: Final = 2**30
"""No event is so long, as protocol buffers end below twice that."""


def scalars(files: Sequence[Path], advance: Callable[[int], None]) -> Iterator[Point]:
    """File after file, as TensorBoard takes those of one folder. MisusedError for one that breaks off before its end,
    other than by an event that was not written whole.
    """
    for file in files:
        read = 0
        for record in RawEventFileLoader(str(file)).Load():
            read += len(record) + FRAME
            advance(len(record) + FRAME)
            try:
                yield from list(_of(Event.FromString(record)))
            except (DecodeError, TypeError, ValueError) as error:
                message = f"{file}: what ends at byte {read} is a record, and no event: {error}"
                raise MisusedError(message) from error
        _must_be_whole(file, read)


def _must_be_whole(file: Path, read: int) -> None:
    """``read``: bytes of whole events. A training that was killed may leave a part of one behind them."""
    left = file.stat().st_size - read
    with file.open("rb") as content:
        content.seek(read)
        length = int.from_bytes(content.read(LENGTH), "little")
    if not read or (left >= LENGTH and (length + FRAME <= left or length > LARGEST)):
        message = f"{file}: what begins at byte {read} is no event; the file is damaged there, or is no event file"
        raise MisusedError(message)


def _of(event: Any) -> Iterator[Point]:
    for value in event.summary.value:
        number = _number(value)
        if number is not None:
            yield Point(value.tag, event.step, number)


def _number(value: Any) -> float | None:
    """As every writer of scalars has them: plain, or a tensor of one number."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    if not value.HasField("tensor") or value.tensor.string_val:
        return None
    numbers = tensor_util.make_ndarray(value.tensor)
    return float(numbers.reshape(-1)[0]) if numbers.size == 1 and numbers.dtype.kind in "fiu" else None
