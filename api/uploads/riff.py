"""The header of a WAV file, read from a stream up to its first sample. The standard library's ``wave`` takes other
files in Python 3.11 than in 3.12, and does not tell how much sound is announced.

Source: Multimedia Programming Interface and Data Specifications 1.0; for the extensible form, Microsoft's mmreg.h.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

_PCM, _EXTENSIBLE = 1, 0xFFFE
# KSDATAFORMAT_SUBTYPE_PCM
_PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")
_LONGEST_FORMAT = 4_096


class WavError(ValueError):
    """This is no WAV file that is read; the message says why."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What the header says. ``bits`` of one sample, ``size`` of all samples in bytes."""

    rate: int
    channels: int
    bits: int
    size: int

    @property
    def step(self) -> int:
        """Bytes of one sample in all channels."""
        return self.channels * self.bits // 8


def read_header(stream: BinaryIO) -> Sound:
    """The stream is then at the first sample."""
    head = stream.read(12)
    if head[:4] == b"RIFX":
        raise WavError("it is big-endian (RIFX)")
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise WavError("it does not begin as a WAV file does")
    form = None
    while True:
        name, size = _chunk(stream)
        if name == b"data":
            break
        if name == b"fmt ":
            form = _format(stream, size)
            # The format is read already; chunks of an odd size have one byte of padding behind them.
            size = 0 if size % 2 == 0 else 1
        else:
            size += size % 2
        _pass(stream, size)
    if form is None:
        raise WavError("its sound comes before it says what kind of sound it is")
    return Sound(*form, size)


def _chunk(stream: BinaryIO) -> tuple[bytes, int]:
    head = stream.read(8)
    if len(head) < 8:
        raise WavError("there is no sound in it; it may have been cut off")
    name, size = struct.unpack("<4sI", head)
    return name, size


def _pass(stream: BinaryIO, size: int) -> None:
    while size > 0:
        passed = len(stream.read(min(size, 1 << 20)))
        if not passed:
            raise WavError("a part of its header is cut off")
        size -= passed


def _format(stream: BinaryIO, size: int) -> tuple[int, int, int]:
    """(rate, channels, bits)."""
    content = stream.read(size) if 16 <= size <= _LONGEST_FORMAT else b""
    if len(content) < max(16, size):
        message = f"its format takes {size} bytes, and {len(content)} can be read"
        raise WavError(message)
    tag, channels, rate, _, step, bits = struct.unpack("<HHIIHH", content[:16])
    # The extensible form says by a GUID which format it extends.
    if tag == _EXTENSIBLE and content[24:40] == _PCM_GUID:
        tag = _PCM
    if tag != _PCM:
        message = f"its format is 0x{tag:04X}, no PCM"
        raise WavError(message)
    if channels and bits in {8, 16, 24, 32} and step != channels * bits // 8:
        message = f"{channels} channels of {bits} bits take {channels * bits // 8} bytes, and it says {step}"
        raise WavError(message)
    return rate, channels, bits
