"""A zip of recordings: PCM in WAV, labelled by their folders or by ``labels.csv``; each is a sequence of frames."""

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from api.refusals import invalid, too_large
from api.uploads import mel, riff
from api.uploads.parts import RawSet, check_kept, check_numbers, held

LABELS = "labels.csv"
RATES = (4_000, 192_000)
WIDTHS = (8, 16, 24, 32)
_MOST_CHANNELS = 8
_LONGEST_TABLE = 16 * 1024 * 1024
_FRAMES_AT_ONCE = 256
Members = Sequence[zipfile.ZipInfo]


@dataclass(frozen=True, slots=True)
class Recording:
    """A file and what its header says. None of its sound has been unpacked yet."""

    member: zipfile.ZipInfo
    sound: riff.Sound
    frames: int


def read_recordings(archive: zipfile.ZipFile, members: Members, features: str, limit: int) -> RawSet:
    """Cases in the order of their names, so that the order in the zip is no part of the content."""
    files = sorted((each for each in members if each.filename.lower().endswith(".wav")), key=lambda each: each.filename)
    labels = _labels(archive, members, files)
    recordings = [_announced(archive, member, features) for member in files]
    rate = recordings[0].sound.rate
    for each in recordings:
        if each.sound.rate != rate:
            message = f"{each.sound.rate} samples a second, and {rate} in {files[0].filename}"
            raise invalid(each.member.filename, message, each.sound.rate, "one sample rate in all files")
    # Headers tell how long each recording becomes, so what is too large is refused before a sample is read.
    lengths = np.array([each.frames for each in recordings], np.int64)
    longest, width = int(lengths.max()), mel.width_of(rate, features)
    check_numbers(
        len(files) * longest * width, f"{len(files):,} sequences, each padded to {longest:,} steps of {width},"
    )
    check_kept(len(files) * longest * width, 4, len(files), limit)
    x = np.zeros((len(files), longest, width), np.float32)
    for row, each in zip(x, recordings, strict=True):
        mel.fill(row[: each.frames], _samples(archive, each), rate, features)
    names = sorted({labels[member.filename] for member in files})
    numbers = {name: number for number, name in enumerate(names)}
    y = np.array([numbers[labels[member.filename]] for member in files], np.int64)
    return RawSet(
        [held("x", x)],
        [held("y", y)],
        f"WAV, {features}, {rate} Hz",
        [held("lengths", lengths)],
        is_sequence=True,
        class_names=names,
    )


def _labels(archive: zipfile.ZipFile, members: Members, recordings: Members) -> Mapping[str, str]:
    """Label of each recording: of ``labels.csv`` where there is one, else the folder that it lies in."""
    table = next((each for each in members if each.filename.rsplit("/", 1)[-1] == LABELS), None)
    if table is not None:
        return _from_table(archive, table, recordings)
    folders = {each.filename: each.filename.rpartition("/")[0].rpartition("/")[2] for each in recordings}
    without = next((name for name, folder in folders.items() if not folder), None)
    if without is not None:
        raise invalid(without, "this file has no label", allowed=f"a folder per label, or {LABELS} with file,label")
    return folders


def _from_table(archive: zipfile.ZipFile, table: zipfile.ZipInfo, recordings: Members) -> Mapping[str, str]:
    if table.file_size > _LONGEST_TABLE:
        raise too_large(table.filename, f"it has {table.file_size:,} bytes", _LONGEST_TABLE)
    try:
        rows = list(csv.reader(io.StringIO(archive.read(table).decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise invalid(table.filename, f"this is no CSV in UTF-8: {error}") from error
    base = table.filename.rpartition("/")[0]
    found: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        if len(row) != 2 and row:
            raise invalid(table.filename, f"line {number} has {len(row)} columns", row[:5], "file,label")
        if row:
            # Names in the table are relative to where it lies.
            found[f"{base}/{row[0].strip()}" if base else row[0].strip()] = row[1].strip()
    missing = [each.filename for each in recordings if not found.get(each.filename)]
    if missing:
        raise invalid(table.filename, f"{len(missing)} recordings have no label, first {missing[0]}", missing[:5])
    return found


def _announced(archive: zipfile.ZipFile, member: zipfile.ZipInfo, features: str) -> Recording:
    with archive.open(member) as stream:
        sound = _header(cast("BinaryIO", stream), member.filename)
        there = member.file_size - stream.tell()
    if sound.size > there:
        message = f"its header announces {sound.size:,} bytes of sound, and {there:,} follow"
        raise invalid(member.filename, message, sound.size, f"{there} or less")
    return Recording(member, sound, mel.frames_in(sound.size // sound.step, sound.rate, features))


def _header(stream: BinaryIO, name: str) -> riff.Sound:
    try:
        sound = riff.read_header(stream)
    except riff.WavError as error:
        raise invalid(name, f"this WAV cannot be read: {error}", allowed="PCM") from error
    if sound.bits not in WIDTHS:
        raise invalid(name, "samples of so many bits are not read", sound.bits, list(WIDTHS))
    if not RATES[0] <= sound.rate <= RATES[1]:
        raise invalid(name, "sound of this rate is not read", sound.rate, list(RATES))
    if not 1 <= sound.channels <= _MOST_CHANNELS:
        raise invalid(name, "so many channels are not read", sound.channels, f"1 to {_MOST_CHANNELS}")
    if not sound.size or sound.size % sound.step:
        raise invalid(name, f"it announces {sound.size:,} bytes of sound, no whole number of samples", sound.size)
    return sound


def _samples(archive: zipfile.ZipFile, recording: Recording) -> Iterator[npt.NDArray[np.float32]]:
    """One channel, −1 to 1, in stretches; 422 where less follows than the header announces."""
    sound, name = recording.sound, recording.member.filename
    with archive.open(recording.member) as stream:
        _header(cast("BinaryIO", stream), name)
        left = sound.size
        at_once = sound.step * _FRAMES_AT_ONCE * mel.hop_of(sound.rate)
        while left:
            data = stream.read(min(left, at_once))
            left -= len(data)
            if not data or len(data) % sound.step:
                raise invalid(name, "the zip announces more of this file than it holds")
            yield _scaled(data, sound.bits // 8).reshape(-1, sound.channels).mean(axis=1)
        while stream.read(1 << 20):
            pass  # at its end the zip holds the checksum against what came


def _scaled(data: bytes, width: int) -> npt.NDArray[np.float32]:
    """8 bits are unsigned, more are signed; 24 have no type of their own and become the upper part of 32."""
    if width == 1:
        return (np.frombuffer(data, "u1").astype(np.float32) - 128.0) / np.float32(128.0)
    if width == 3:
        # Little-endian: the lowest byte of the 32 bits is the one that stays 0.
        wide = np.zeros((len(data) // 3, 4), "u1")
        wide[:, 1:] = np.frombuffer(data, "u1").reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2.0**31)
    return np.frombuffer(data, f"<i{width}").astype(np.float32) / np.float32(2.0 ** (8 * width - 1))
