"""A zip of recordings: PCM in WAV, labelled by their folders or by ``labels.csv``; each is a sequence of frames."""

import csv
import io
import wave
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from api.uploads import mel
from api.uploads.parts import Allowance, RawSet, check_numbers, padded
from api.uploads.refusals import invalid

LABELS = "labels.csv"
RATES = (4_000, 192_000)
_MOST_CHANNELS = 8
Members = Sequence[zipfile.ZipInfo]


def read_recordings(archive: zipfile.ZipFile, members: Members, features: str, allowance: Allowance) -> RawSet:
    """Cases in the order of their names, so that the order in the zip is no part of the content."""
    recordings = sorted((its for its in members if its.filename.lower().endswith(".wav")), key=lambda its: its.filename)
    labels = _labels(archive, members, recordings, allowance)
    cases: list[npt.NDArray[np.float32]] = []
    rate, numbers = 0, 0
    for member in recordings:
        sound, its_rate = _samples(archive, member, allowance)
        if cases and its_rate != rate:
            message = f"{its_rate} samples a second, and {rate} in {recordings[0].filename}"
            raise invalid(member.filename, message, its_rate, "one sample rate in all files")
        rate = its_rate
        numbers += mel.frames_in(len(sound), rate, features) * mel.width_of(rate, features)
        check_numbers(numbers, f"the frames up to {member.filename}")
        cases.append(mel.log_mel(sound, rate) if features == "log_mel" else mel.raw_frames(sound, rate))
    x, lengths = padded(cases)
    y = np.array([labels[member.filename] for member in recordings])
    return RawSet(x, y, f"WAV, {features}, {rate} Hz", lengths, is_sequence=True)


def _labels(archive: zipfile.ZipFile, members: Members, recordings: Members, allowance: Allowance) -> Mapping[str, str]:
    """Label of each recording: of ``labels.csv`` where there is one, else the folder that it lies in."""
    table = next((its for its in members if its.filename.rsplit("/", 1)[-1] == LABELS), None)
    if table is not None:
        return _from_table(archive, table, recordings, allowance)
    folders = {its.filename: its.filename.rpartition("/")[0].rpartition("/")[2] for its in recordings}
    without = next((name for name, folder in folders.items() if not folder), None)
    if without is not None:
        raise invalid(without, "this file has no label", allowed=f"a folder per label, or {LABELS} with file,label")
    return folders


def _from_table(
    archive: zipfile.ZipFile, table: zipfile.ZipInfo, recordings: Members, allowance: Allowance
) -> Mapping[str, str]:
    allowance.take(table.file_size, table.filename)
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
            found[f"{base}/{row[0].strip()}" if base else row[0].strip()] = row[1].strip()
    missing = [its.filename for its in recordings if not found.get(its.filename)]
    if missing:
        raise invalid(table.filename, f"{len(missing)} recordings have no label, first {missing[0]}", missing[:5])
    return found


def _samples(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, allowance: Allowance
) -> tuple[npt.NDArray[np.float32], int]:
    """(one channel, −1 to 1; samples a second)."""
    allowance.take(member.file_size, member.filename)
    try:
        with wave.open(io.BytesIO(archive.read(member))) as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise invalid(member.filename, f"this WAV cannot be read: {error}", allowed="PCM") from error
    if not RATES[0] <= rate <= RATES[1]:
        raise invalid(member.filename, "sound of this rate is not read", rate, list(RATES))
    if not 1 <= channels <= _MOST_CHANNELS:
        raise invalid(member.filename, "so many channels are not read", channels, f"1 to {_MOST_CHANNELS}")
    if not data or len(data) % (channels * width):
        raise invalid(member.filename, f"it holds {len(data)} bytes of sound, no whole number of samples")
    return _scaled(data, width).reshape(-1, channels).mean(axis=1), rate


def _scaled(data: bytes, width: int) -> npt.NDArray[np.float32]:
    """8 bits are unsigned, more are signed; 24 have no type of their own and become the upper part of 32."""
    if width == 1:
        return (np.frombuffer(data, "u1").astype(np.float32) - 128.0) / np.float32(128.0)
    if width == 3:
        wide = np.zeros((len(data) // 3, 4), "u1")
        wide[:, 1:] = np.frombuffer(data, "u1").reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2.0**31)
    return np.frombuffer(data, f"<i{width}").astype(np.float32) / np.float32(2.0 ** (8 * width - 1))
