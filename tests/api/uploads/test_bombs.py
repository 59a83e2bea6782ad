"""Small files that say of themselves, or unpack to, what no memory holds: each is refused, within the stated memory."""

import io
import json
import struct
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from api.uploads.reading import memory_bytes
from tests.api.uploads.samples import gzipped, idx, npz, packed, wav
from tests.processes import run

pytestmark = pytest.mark.long

LIMIT = 8 * 1024 * 1024
HUGE = 450_000_000


def header_of(shape: tuple[int, ...], kind: str, content: bytes = b"") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue() + content


def behind(header: bytes) -> bytes:
    """Half a gigabyte of zeros in the members of one gzip file."""
    return gzipped(header) + gzipped(bytes(HUGE // 20)) * 20


def promoting() -> bytes:
    """A hundred thousand numbers that become 32 characters each beside one character."""
    numbers, text = np.zeros(100_000), np.zeros(2, "<U1")
    return packed(
        {
            "x_train.npy": header_of((100_000, 1), "<f8", numbers.tobytes()),
            "y_train.npy": header_of((100_000,), "|u1", bytes(100_000)),
            "x_test.npy": header_of((2, 1), "<U1", text.tobytes()),
            "y_test.npy": header_of((2,), "|u1", b"\0\1"),
        }
    )


def wide_text() -> bytes:
    """One label of a million characters makes every other one as wide."""
    return packed({"x.npy": header_of((2, 1), "|u1", b"\0\1"), "y.npy": header_of((2,), "<U900000", bytes(7_200_000))})


def growing() -> bytes:
    """What fits as it is sent, and not as float32."""
    return packed(
        {"x.npy": header_of((4, 1_000_000), "|i1", bytes(4_000_000)), "y.npy": header_of((4,), "|u1", b"\0\1\0\1")}
    )


def lying_zip() -> bytes:
    """A directory that announces a few bytes for what is many."""
    whole = bytearray(
        packed({"x.npy": header_of((2, 4), "|u1") + bytes(4 * LIMIT), "y.npy": header_of((2,), "|u1", b"\0\1")})
    )
    at = whole.find(b"PK\x01\x02")
    whole[at + 24 : at + 28] = struct.pack("<I", 200)
    return bytes(whole)


def many_names() -> bytes:
    return packed({f"{number:0>66}.wav": b"" for number in range(20_000)}, zipfile.ZIP_STORED)


def sound_bomb() -> bytes:
    """1,000 recordings, one of them long: padded to the longest they are hundreds of times as much."""
    files = {f"a/{number}.wav": wav([0.0] * 8) for number in range(1_000)}
    return packed(files | {"b/long.wav": wav([0.0] * 400_000, width=1)})


def parquet_runs() -> bytes:
    """Run-length encoding, 40 million numbers."""
    return columns(pa.array(np.zeros(40_000_000, np.float32)), parquet=True)


def parquet_words() -> bytes:
    """One word of a megabyte, named a million times."""
    label = pa.DictionaryArray.from_arrays(np.zeros(1_000_000, np.int32), pa.array(["x" * 1_000_000]))
    file = io.BytesIO()
    pq.write_table(pa.table({"features": pa.array([[1]] * 1_000_000), "label": label}), file, compression="zstd")
    return file.getvalue()


def arrow_zeros() -> bytes:
    return columns(pa.array(np.zeros(HUGE, np.uint8)), parquet=False)


def columns(values: Any, *, parquet: bool) -> bytes:
    row = pa.FixedSizeListArray.from_arrays(values, len(values) // 4)
    table, file = pa.table({"features": row, "label": [0, 1, 0, 1]}), io.BytesIO()
    if parquet:
        pq.write_table(table, file, compression="zstd")
    else:
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_file(file, table.schema, options=options) as writer:
            writer.write_table(table)
    return file.getvalue()


BOMBS: dict[str, Callable[[], list[bytes]]] = {
    "idx header": lambda: [struct.pack(">HBB3I", 0, 8, 3, 2**31 - 1, 2**31 - 1, 2), idx(np.zeros(2, np.uint8))],
    "gzip": lambda: [behind(struct.pack(">HBB2I", 0, 8, 2, 2, HUGE // 2)), idx(np.zeros(2, np.uint8))],
    "gzip of labels": lambda: [
        idx(np.zeros((2, 2), np.uint8)),
        behind(struct.pack(">HBBI", 0, 8, 1, 2)),
    ],
    "npz that promotes": lambda: [promoting()],
    "npz of wide text": lambda: [wide_text()],
    "npz that grows": lambda: [growing()],
    "npz of zeros": lambda: [
        packed({"x.npy": header_of((2, 2 * LIMIT), "|u1", bytes(4 * LIMIT)), "y.npy": header_of((2,), "|u1", b"\0\1")})
    ],
    "zip that lies": lambda: [lying_zip()],
    "zip of many": lambda: [many_names()],
    "sound": lambda: [sound_bomb()],
    "parquet runs": lambda: [parquet_runs()],
    "parquet words": lambda: [parquet_words()],
    "arrow": lambda: [arrow_zeros()],
}
BROKEN = {"gzip of labels", "npz that promotes", "npz of wide text", "zip that lies", "zip of many"}
"""What is no data set however much memory there were."""


def measured(folder: Path, limit: int, uploads: Mapping[str, list[bytes]]) -> dict[str, Any]:
    words = []
    for number, (name, contents) in enumerate(uploads.items()):
        files = [folder / f"{number}-{at}" for at in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        words.append(f"{name}={','.join(map(str, files))}")
    done = run(sys.executable, "-m", "tests.api.uploads.measuring", str(limit), *words)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_every_bomb_is_refused_within_the_stated_memory(tmp_path: Path) -> None:
    bombs = {name: make() for name, make in BOMBS.items()}
    told = measured(tmp_path, LIMIT, bombs)
    statuses = {name: status for name, (status, _) in told["answers"].items()}
    assert statuses == dict.fromkeys(BOMBS, 413) | dict.fromkeys(BROKEN, 422), told
    assert told["child"] < memory_bytes(LIMIT), told
    assert told["own"] < 32 * 1024 * 1024, told


def test_what_is_allowed_is_read_within_the_stated_memory(tmp_path: Path) -> None:
    """As large as it may be: numbers of eight bytes, in two parts and in one."""
    limit = 128 * 1024 * 1024
    x, y = np.zeros((75_000, 10, 10, 1)), np.arange(75_000) % 2
    parts = npz(x_train=x, y_train=y, x_test=x, y_test=y)
    whole = npz(x=np.zeros((400_000, 40)), y=np.arange(400_000) % 2)
    told = measured(tmp_path, limit, {"parts": [parts], "whole": [whole]})
    assert {status for status, _ in told["answers"].values()} == {201}, told
    assert told["child"] < memory_bytes(limit), told
    assert told["own"] < 32 * 1024 * 1024, told
