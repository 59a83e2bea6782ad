"""Parquet and Arrow IPC, batch by batch: counted and turned into what is kept as they come. What such a file unpacks to
is known in part from its metadata; the rest is held by the memory of the process that this runs in.
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from api.refusals import invalid, too_large
from api.uploads.parts import AnyArray, Part, RawSet, check_kept, check_numbers, held
from api.uploads.targets import LONGEST_NAME
from models.specs.bounds import MOST_CLASSES

COLUMNS = ["features", "label"]
_MOST_ROWS, _NUMBERS_AT_ONCE = 4_096, 4_000_000


def read_columns(part: Part, is_parquet: bool, limit: int) -> RawSet:  # noqa: FBT001 -- one of two formats
    part.file.seek(0)
    try:
        with ExitStack() as opened:
            batches = _of_parquet(part.file, limit) if is_parquet else _of_arrow(part.file, opened)
            x, y, names, lengths = _read(batches, limit)
    except pa.ArrowMemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise invalid(part.name, f"it cannot be read: {str(error)[:300]}") from error
    given = [] if lengths is None else [held("lengths", lengths)]
    kind = "Parquet" if is_parquet else "Arrow"
    return RawSet([held("features", x)], [held("label", y)], kind, given, bool(given), names)


def _of_parquet(file: BinaryIO, limit: int) -> Iterator[Any]:
    parquet = pq.ParquetFile(file, buffer_size=1 << 20)
    _check_columns(parquet.schema_arrow.names)
    rows = parquet.metadata.num_rows
    if rows == 0:
        return  # pyarrow 26 comes down on an empty column of lists
    groups = [parquet.metadata.row_group(index) for index in range(parquet.metadata.num_row_groups)]
    leaves = [group.column(at) for group in groups for at in range(group.num_columns)]
    wanted = [leaf for leaf in leaves if leaf.path_in_schema.split(".")[0] in COLUMNS]
    numbers = sum(leaf.num_values for leaf in wanted if leaf.path_in_schema.split(".")[0] == COLUMNS[0])
    check_numbers(numbers, "the features")
    check_kept(numbers, 1, rows, limit)
    unpacked = sum(leaf.total_uncompressed_size for leaf in wanted)
    if unpacked > limit:
        raise too_large("columns", f"unpacked they would have {unpacked:,} bytes", limit)
    # Fewer rows at once where they are wide, so that a batch has a bounded size.
    at_once = min(_MOST_ROWS, max(1, _NUMBERS_AT_ONCE * rows // max(1, numbers)))
    yield from parquet.iter_batches(at_once, columns=COLUMNS, use_threads=False)


def _of_arrow(file: BinaryIO, opened: ExitStack) -> Iterator[Any]:
    if file.read(6) == b"ARROW1":
        reader = opened.enter_context(pa.ipc.open_file(file))
        batches = (reader.get_batch(at) for at in range(reader.num_record_batches))
    else:
        file.seek(0)
        reader = batches = opened.enter_context(pa.ipc.open_stream(file))
    _check_columns(reader.schema.names)
    for batch in batches:
        # Other columns are never looked at, so they cannot make the file fail either.
        chosen = batch.select(COLUMNS)
        chosen.validate(full=True)  # no offset, index or text of the file is believed
        yield chosen


def _check_columns(names: list[str]) -> None:
    if any(names.count(column) != 1 for column in COLUMNS):
        raise invalid("columns", f"it has the columns {', '.join(names[:20])[:200]}", allowed=COLUMNS)


def _read(batches: Iterator[Any], limit: int) -> tuple[AnyArray, AnyArray, list[str] | None, AnyArray | None]:
    """(x, labels, names of the classes, lengths of sequences)."""
    values: list[AnyArray] = []
    lengths: list[AnyArray] = []
    labels: list[AnyArray] = []
    names = _Names()
    numbers, rows, shape, ragged = 0, 0, None, False
    for batch in batches:
        flat, step, counts, ragged = _flatten(batch.column(0), rows)
        if shape not in {None, step}:
            raise invalid("features", f"row {rows} has cases of another shape: {step}, {shape} before")
        shape, rows, numbers = step, rows + batch.num_rows, numbers + flat.size
        # With every batch: metadata may say less than a file unpacks to.
        check_numbers(numbers, "the features")
        check_kept(numbers, flat.itemsize, rows, limit)
        values.append(flat)
        lengths.append(counts)
        labels.append(names.numbers(batch.column(1)))
    if not rows or shape is None:
        raise invalid("file", "it has no rows")
    x, steps = _shaped(values, shape, np.concatenate(lengths) if ragged else None, limit)
    return x, *names.in_order(np.concatenate(labels)), steps


def _flatten(column: Any, row: int) -> tuple[AnyArray, tuple[int, ...], AnyArray, bool]:
    """(numbers in one row, as kept; the shape of a step or case; lengths of the cases; whether these are lists)."""
    column = _plain(column, row)
    ragged = not pa.types.is_fixed_size_list(column.type)
    if ragged and not _is_list(column.type):
        raise invalid("features", f"its type is {str(column.type)[:100]}", allowed="lists of numbers")
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
    column, shape = _plain(column.flatten(), row), []
    if not ragged:
        shape.append(int(lengths[0]) if len(lengths) else 0)
    while _is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        sizes = np.unique(pc.list_value_length(column).to_numpy(zero_copy_only=False))
        if len(sizes) > 1:
            message = f"from row {row} on, inner lists have {sizes[:5].tolist()} numbers"
            raise invalid("features", message, allowed="one size")
        shape.append(int(sizes[0]) if len(sizes) else 0)
        column = _plain(column.flatten(), row)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type)):
        raise invalid("features", f"its values are {str(column.type)[:100]}", allowed="numbers")
    values = column.to_numpy(zero_copy_only=False)
    with np.errstate(all="ignore"):  # what becomes infinite is found and refused
        kept = np.array(values, np.uint8 if values.dtype == np.uint8 else np.float32)
    return kept, tuple(shape), lengths, ragged


def _plain(column: Any, row: int) -> Any:
    if column.null_count:
        at = row + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise invalid("features", f"a value is null, in or behind row {at}", allowed="numbers in every place")
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _shaped(
    values: list[AnyArray], shape: tuple[int, ...], lengths: AnyArray | None, limit: int
) -> tuple[AnyArray, AnyArray | None]:
    """(cases, *shape), or of lists (cases, longest, *shape) with zeros behind each end, and the lengths. Lists of
    numbers of one length are vectors.
    """
    flat = np.concatenate(values)
    # The batches are joined: held besides they would double what this takes.
    values.clear()
    if lengths is None:
        return flat.reshape(-1, *shape), None
    longest, step = int(lengths.max()), shape or (1,)
    numbers = len(lengths) * longest * math.prod(step)
    check_numbers(numbers, f"{len(lengths):,} sequences, each padded to {longest:,} steps of {step},")
    check_kept(numbers, flat.itemsize, len(lengths), limit)
    if not shape and (lengths == longest).all():
        return flat.reshape(-1, longest), None
    x = np.zeros((len(lengths), longest, *step), flat.dtype)
    x[np.arange(longest) < lengths[:, None]] = flat.reshape(-1, *step)
    return x, lengths


class _Names:
    """Numbers for the labels that are text, in the order of their coming until all are known."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._are_text = False

    def numbers(self, column: Any) -> AnyArray:
        """The numbers of one batch."""
        if column.null_count:
            raise invalid("label", "a label is null", allowed="a label for each case")
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            self._are_text = True
            return self._of_text(column)
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise invalid("label", f"its type is {str(column.type)[:100]}", allowed=["numbers", "text"])
        plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        return np.asarray(_without_null(plain).to_numpy(zero_copy_only=False)).copy()

    def _of_text(self, column: Any) -> AnyArray:
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        # Only the words in use: a dictionary may hold far more than its column names.
        used, places = np.unique(encoded.indices.to_numpy(zero_copy_only=False), return_inverse=True)
        words = _without_null(encoded.dictionary.take(pa.array(used)))
        # At most four bytes a character; unpacked they could be of any size.
        if len(words) and pc.max(pc.binary_length(words)).as_py() > 4 * LONGEST_NAME:
            raise invalid("label", "a label is too long", allowed=f"1 to {LONGEST_NAME} characters")
        numbers = [self._numbers.setdefault(word, len(self._numbers)) for word in words.to_pylist()]
        if len(self._numbers) > MOST_CLASSES:
            message = f"there are more than {MOST_CLASSES:,} different labels"
            raise invalid("label", message, allowed=f"at most {MOST_CLASSES:,}")
        return np.array(numbers, np.int64)[places]

    def in_order(self, y: AnyArray) -> tuple[AnyArray, list[str] | None]:
        """The labels and their names; text is numbered in its order."""
        if not self._are_text:
            return y, None
        names = sorted(self._numbers)
        place = {name: number for number, name in enumerate(names)}
        return np.array([place[name] for name in self._numbers], np.int64)[y], names


def _without_null(column: Any) -> Any:
    """A dictionary may hold what the column does not count as null."""
    if column.null_count:
        raise invalid("label", "a label is null", allowed="a label for each case")
    return column
