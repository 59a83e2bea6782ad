"""Reads Parquet or Arrow IPC in a process of its own, with memory and time that it cannot exceed: a small file may
say of itself that it is a large one, and pyarrow believes it while it unpacks.

``python columns_child.py MOST_NUMBERS MEMORY_BYTES SECONDS``: the file on stdin; on stdout a line of JSON, then npy
arrays x, y and, for sequences, lengths. Exit 0; a refusal is told in the JSON. Imports nothing of this project.
"""

import contextlib
import json
import os
import resource
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

COLUMNS = ["features", "label"]
MOST_CLASSES = 10_000
_ROWS = 4_096


class Refused(Exception):  # noqa: N818 -- an answer, no failure
    def __init__(self, status: int, field: str, message: str, allowed: object = None) -> None:
        super().__init__(message)
        self.told = {"status": status, "field": field, "message": message, "allowed": allowed}


def main() -> int:
    most, memory, seconds = (int(each) for each in sys.argv[1:4])
    for kind, limit in ((resource.RLIMIT_DATA, memory), (resource.RLIMIT_CPU, seconds)):
        with contextlib.suppress(ValueError, OSError):  # a stricter limit stands already
            resource.setrlimit(kind, (limit, limit))
    # What libraries print must not come between the arrays.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(0), "rb") as file:
            _write(out, *_read(file, most))
    except Refused as refused:
        _tell(out, {"refused": refused.told})
    except MemoryError:
        too_large = {
            "status": 413,
            "field": "file",
            "message": "unpacked it needs more memory than it may",
            "allowed": None,
        }
        _tell(out, {"refused": too_large})
    except (pa.ArrowException, OSError, ValueError) as error:
        broken = {"status": 422, "field": "file", "message": f"it cannot be read: {str(error)[:300]}", "allowed": None}
        _tell(out, {"refused": broken})
    out.flush()
    return 0


def _tell(out: BinaryIO, said: dict[str, Any]) -> None:
    out.write(json.dumps(said).encode() + b"\n")


def _write(out: BinaryIO, x: Any, label: Any, lengths: Any) -> None:
    names, y = _labels(label)
    _tell(out, {"names": names, "sequence": lengths is not None})
    for array in (x, y) if lengths is None else (x, y, lengths):
        np.save(out, array, allow_pickle=False)


def _read(file: BinaryIO, most: int) -> tuple[Any, Any, Any]:
    """(x, labels, lengths or None), batch by batch: counted as they come."""
    flat: list[Any] = []
    lengths: list[Any] = []
    labels: list[Any] = []
    numbers, shape, ragged, row = 0, None, False, 0
    for batch in _batches(file, most):
        values, its_shape, its_lengths, ragged = _flatten(batch.column(0), row)
        if shape not in {None, its_shape}:
            raise Refused(422, "features", f"row {row} has cases of another shape: {its_shape}, {shape} before")
        shape, row = its_shape, row + batch.num_rows
        numbers += values.size
        if numbers > most:
            raise Refused(413, "features", f"there are more than {most:,} numbers", f"at most {most:,}")
        flat.append(values)
        lengths.append(its_lengths)
        if batch.column(1).null_count:
            raise Refused(422, "label", "a label is null")
        labels.append(batch.column(1))
    if not row or shape is None:
        raise Refused(422, "file", "it has no rows")
    return (
        _shaped(flat, shape, lengths if ragged else None, most),
        pa.chunked_array(labels),
        _given(lengths, shape, ragged),
    )


def _batches(file: BinaryIO, most: int) -> Iterator[Any]:
    file.seek(0)  # the parent's buffer may have read ahead of where it says it is
    head = file.read(6)
    file.seek(0)
    if head.startswith(b"PAR1"):
        parquet = pq.ParquetFile(file)
        _check_columns(parquet.schema_arrow.names)
        if parquet.metadata.num_rows == 0:
            return  # pyarrow 26 comes down on an empty column of lists
        groups = [parquet.metadata.row_group(index) for index in range(parquet.metadata.num_row_groups)]
        leaves = (group.column(at) for group in groups for at in range(group.num_columns))
        announced = sum(leaf.num_values for leaf in leaves if leaf.path_in_schema.startswith(COLUMNS[0]))
        if announced > most:
            raise Refused(413, "features", f"there are {announced:,} numbers", f"at most {most:,}")
        yield from parquet.iter_batches(_ROWS, columns=COLUMNS, use_threads=False)
        return
    reader = pa.ipc.open_file(file) if head == b"ARROW1" else pa.ipc.open_stream(file)
    _check_columns(reader.schema.names)
    whole = (reader.get_batch(at) for at in range(reader.num_record_batches)) if head == b"ARROW1" else reader
    yield from (batch.select(COLUMNS) for batch in whole)


def _check_columns(names: list[str]) -> None:
    if any(names.count(column) != 1 for column in COLUMNS):
        raise Refused(422, "columns", f"it has the columns {', '.join(names[:20])[:200]}", COLUMNS)


def _flatten(column: Any, row: int) -> tuple[Any, tuple[int, ...], Any, bool]:
    """(numbers in one row, the shape of a step or case, lengths of the cases, whether these are lists)."""
    column = _plain(column, row)
    ragged = not pa.types.is_fixed_size_list(column.type)
    if ragged and not _is_list(column.type):
        raise Refused(422, "features", f"its type is {str(column.type)[:100]}", "lists of numbers")
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
    column, shape = _plain(column.flatten(), row), []
    if not ragged:
        shape.append(int(lengths[0]) if len(lengths) else 0)
    while _is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        sizes = np.unique(pc.list_value_length(column).to_numpy(zero_copy_only=False))
        if len(sizes) > 1:
            raise Refused(
                422, "features", f"from row {row} on, inner lists have {sizes[:5].tolist()} numbers", "one size"
            )
        shape.append(int(sizes[0]) if len(sizes) else 0)
        column = _plain(column.flatten(), row)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type)):
        raise Refused(422, "features", f"its values are {str(column.type)[:100]}", "numbers")
    return column.to_numpy(zero_copy_only=False), tuple(shape), lengths, ragged


def _plain(column: Any, row: int) -> Any:
    if column.null_count:
        at = row + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise Refused(422, "features", f"a value is null, in or behind row {at}", "numbers in every place")
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _shaped(flat: list[Any], shape: tuple[int, ...], lengths: list[Any] | None, most: int) -> Any:
    """(cases, *shape), or of lists (cases, longest, *shape) with zeros behind each end."""
    values = np.concatenate(flat)
    if values.dtype != np.uint8:
        values = values.astype(np.float64 if values.dtype == np.float64 else np.float32, copy=False)
    if lengths is None:
        return values.reshape(-1, *shape)
    steps = np.concatenate(lengths)
    longest = int(steps.max())
    step = shape or (1,)
    if len(steps) * longest * int(np.prod(step)) > most:
        message = f"{len(steps):,} sequences padded to {longest:,} steps of {step}"
        raise Refused(413, "features", message, f"at most {most:,} numbers, padding counted")
    x = np.zeros((len(steps), longest, *step), values.dtype)
    x[np.arange(longest) < steps[:, None]] = values.reshape(-1, *step)
    return x if shape or (steps != longest).any() else x[..., 0]


def _given(lengths: list[Any], shape: tuple[int, ...], ragged: bool) -> Any:  # noqa: FBT001 -- its own three values
    """Lists of numbers of one length are vectors, no sequences."""
    if not ragged:
        return None
    steps = np.concatenate(lengths)
    return steps if shape or (steps != steps.max()).any() else None


def _labels(label: Any) -> tuple[list[str] | None, Any]:
    if pa.types.is_dictionary(label.type):
        label = label.cast(label.type.value_type)
    if pa.types.is_string(label.type) or pa.types.is_large_string(label.type):
        names = sorted(pc.unique(label).to_pylist())
        if len(names) > MOST_CLASSES:
            raise Refused(422, "label", f"there are {len(names):,} different labels", f"at most {MOST_CLASSES:,}")
        return names, pc.index_in(label, pa.array(names, label.type)).to_numpy().astype(np.int64)
    if not (pa.types.is_integer(label.type) or pa.types.is_boolean(label.type)):
        raise Refused(422, "label", f"its type is {str(label.type)[:100]}", ["whole numbers", "text"])
    return None, label.to_numpy()


if __name__ == "__main__":
    # The answer is written: what becomes of the libraries' threads when all is torn down must not spoil it.
    os._exit(main())
