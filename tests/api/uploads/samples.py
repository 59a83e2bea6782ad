"""Data sets in every format that may be sent, made small by hand."""

import gzip
import io
import struct
import tempfile
import wave
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from api.refusals import RefusalError
from api.uploads.checks import CheckedSet
from api.uploads.parts import Asked, Part
from api.uploads.recognise import read

AnyArray = npt.NDArray[Any]
LIMIT = 1_000_000
CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array: AnyArray) -> bytes:
    code = CODES[array.dtype.str[1:]]
    head = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def npz(**arrays: AnyArray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # its stub has a flag among the names
    return file.getvalue()


def parquet(features: Any, label: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"features": features, "label": label}), file)
    return file.getvalue()


def arrow(features: Any, label: Any, *, stream: bool = False) -> bytes:
    table, file = pa.table({"features": features, "label": label}), io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


def packed(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def wav(samples: Sequence[float], rate: int = 8000, width: int = 2, channels: int = 1) -> bytes:
    """−1 to 1, in as many bytes each; the same in every channel."""
    file = io.BytesIO()
    scaled = (np.asarray(samples, np.float64) * (2.0 ** (8 * width - 1) - 1.0)).round().astype(np.int64)
    scaled = scaled + 128 if width == 1 else scaled
    data = b"".join(int(each).to_bytes(width, "little", signed=width > 1) for each in np.repeat(scaled, channels))
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(data)
    return file.getvalue()


def tone(hertz: float, seconds: float, rate: int = 8000) -> list[float]:
    return [float(each) for each in 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)]


def images(cases: int = 6) -> tuple[AnyArray, AnyArray]:
    """Bytes (cases, 4, 3) and labels 0, 1, 2, 0, …"""
    x = np.arange(cases * 12, dtype=np.uint8).reshape(cases, 4, 3)
    return x, (np.arange(cases) % 3).astype(np.uint8)


def taken(
    *contents: bytes,
    names: Sequence[str] = (),
    limit: int = LIMIT,
    **asked: Any,
) -> CheckedSet:
    """What the service would keep of these files."""
    parts = []
    for at, content in enumerate(contents):
        file = tempfile.TemporaryFile()  # noqa: SIM115 -- closed with the last word on it
        file.write(content)
        parts.append(Part(names[at] if names else f"file {at}", file))
    try:
        return read(parts, limit, Asked(**asked))
    finally:
        for part in parts:
            part.file.close()


def refusal(status: int, *contents: bytes, **how: Any) -> str:
    """The sentence of the refusal, once it is certain that it is this one and complete."""
    with pytest.raises(RefusalError) as caught:
        taken(*contents, **how)
    assert caught.value.status == status, str(caught.value)
    assert caught.value.field
    return str(caught.value)


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, 1)
