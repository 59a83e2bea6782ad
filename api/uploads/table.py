"""CSV as people have it: separator, first line and types are found, text becomes numbers, and the note says all of it.

Two passes over the file, in stretches: what each column holds, then the numbers. Cells come as text, so that a column
is judged as a whole and not by its first lines.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from textwrap import shorten
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from api.refusals import RefusalError, invalid
from api.uploads.apart import columns_apart
from api.uploads.dialect import MISSING, SEPARATORS, Dialect, dialect_of
from api.uploads.parts import AnyArray, Asked, Missing, Part, RawSet, Task, check_kept, check_numbers, held
from api.uploads.targets import LONGEST_NAME, MANY_LABELS
from models.specs.bounds import MOST_CLASSES, TABLE

MOST_CATEGORIES: Final = 100
"""Different texts of a column that is no label; of more it is a name or a remark, and tells nothing."""
MOST_NUMBERS: Final = 0.9
"""Of a column's cells: from this share on the others are taken for mistakes and not for categories."""
_FEWEST_NUMBERS: Final = 10
# What ``cast`` takes for a number; it answers for a column as a whole, and says of no cell that it is the wrong one.
_NUMBER: Final = r"^[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?|nan)$"
_GAPS: Final = pa.array(MISSING)
_STRETCH: Final = 1 << 20
_MOST_SHOWN: Final = 40


@dataclass(slots=True)
class Column:
    """What the first pass finds in one column. ``texts``: its different ones while it may be of categories."""

    name: str
    is_target: bool
    total: float = 0.0
    known: int = 0
    missing: int = 0
    is_number: bool = True
    numbers: int = 0
    wrong: tuple[int, str] | None = None
    """The first cell that is no number: how many rows are above it, and what it holds."""
    texts: set[str] = field(default_factory=set)

    @property
    def width(self) -> int:
        """How many inputs it becomes: of two texts one, of more one each."""
        return 1 if self.is_number or len(self.texts) <= 2 else len(self.texts)

    @property
    def is_broken(self) -> bool:
        """Nearly all of it is numbers, so that the rest is a mistake."""
        return not self.is_number and self.numbers >= max(_FEWEST_NUMBERS, MOST_NUMBERS * self.known)

    @property
    def most(self) -> int:
        return MOST_CLASSES if self.is_target else MOST_CATEGORIES


@dataclass(frozen=True, slots=True)
class Table:
    """A file with the columns that are wanted of it."""

    file: BinaryIO
    dialect: Dialect
    columns: Sequence[Column]

    def stretches(self) -> Iterator[list[Any]]:
        """The cells of each column, without the blanks around them; null where nothing is known."""
        self.file.seek(0)
        names = [column.name for column in self.columns]
        options = csv.ReadOptions(
            # Stacks of threads would count against the memory that this process may have.
            use_threads=False,
            block_size=_STRETCH,
            skip_rows_after_names=int(self.dialect.has_header),
            column_names=list(self.dialect.names),
            encoding=self.dialect.encoding,
        )
        # Gaps are told in ``_cells``: Arrow would not see one with blanks around it.
        convert = csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), include_columns=names, strings_can_be_null=False
        )
        parse = csv.ParseOptions(delimiter=self.dialect.separator, newlines_in_values=True)
        for batch in csv.open_csv(self.file, read_options=options, parse_options=parse, convert_options=convert):
            yield [_cells(column) for column in batch.columns]

    @property
    def target(self) -> Column:
        return next(column for column in self.columns if column.is_target)

    @property
    def inputs(self) -> list[Column]:
        return [column for column in self.columns if not column.is_target]


def read_table(part: Part, asked: Asked, limit: int) -> RawSet | None:
    """None where it is no table."""
    dialect = dialect_of(part, asked)
    if dialect is None:
        return None
    target = _target(dialect, asked.target)
    ignored = _ignored(dialect, asked.ignore, target)
    table = Table(part.file, dialect, [Column(name, name == target) for name in dialect.names if name not in ignored])
    try:
        rows = _survey(table)
        _check(table, asked.missing)
        return _built(table, asked, rows, limit)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        message = f"it cannot be read: {str(error)[:300]}"
        raise invalid(part.name, message, allowed="as many fields in every line") from error


def _target(dialect: Dialect, asked: str | None) -> str:
    if asked is None:
        return dialect.names[-1]
    if asked not in dialect.names:
        message = f"no column has this name{_meant(asked, dialect.names, dialect)}"
        raise invalid("target", message, asked[:LONGEST_NAME], list(dialect.names[:_MOST_SHOWN]))
    return asked


def _ignored(dialect: Dialect, asked: Sequence[str], target: str) -> set[str]:
    inputs = [name for name in dialect.names if name != target]
    for name in asked:
        if name not in inputs:
            message = f"no column of inputs has this name{_meant(name, inputs, dialect)}"
            raise invalid("ignore", message, name[:LONGEST_NAME], inputs[:_MOST_SHOWN])
    if not set(inputs) - set(asked):
        raise invalid("ignore", "no column of inputs is left", list(asked[:_MOST_SHOWN]), "some of them")
    return set(asked)


def _meant(asked: str, names: Sequence[str], dialect: Dialect) -> str:
    """What a name that is not there may have been meant for, whether its letters are large or small."""
    if not dialect.has_header:
        told = f"its columns are {dialect.names[0]} … {dialect.names[-1]}"
        return f": the file has no header; {told}. header=true takes the names from its first line"
    small = {name.casefold(): name for name in reversed(names)}  # of two that differ in this alone, the first
    near = get_close_matches(asked[:LONGEST_NAME].strip().casefold(), small, n=1)
    return f"; did you mean {small[near[0]][:LONGEST_NAME]}?" if near else ""


# --- the first pass -------------------------------------------------------------------------------------------------


def _cells(column: Any) -> Any:
    cells = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.is_in(cells, _GAPS), pa.scalar(None, pa.string()), cells)


def _plain(cells: Any, dialect: Dialect) -> Any:
    """With a point for the comma where it does not separate fields."""
    return cells if dialect.separator == "," else pc.replace_substring(cells, ",", ".")


def _numbers(cells: Any, dialect: Dialect) -> Any:
    """As numbers; None where one cell is none."""
    try:
        return pc.cast(_plain(cells, dialect), pa.float64())
    except pa.ArrowInvalid:
        return None


def _survey(table: Table) -> int:
    """How many rows there are."""
    rows = 0
    for stretch in table.stretches():
        for column, cells in zip(table.columns, stretch, strict=True):
            _look(cells, column, table.dialect, rows)
        rows += len(stretch[0])
    if not rows:
        raise invalid("file", "it has no rows")
    return rows


def _look(cells: Any, column: Column, dialect: Dialect, above: int) -> None:
    """``above``: how many rows came before."""
    column.missing += cells.null_count
    column.known += len(cells) - cells.null_count
    if column.is_number and (numbers := _numbers(cells, dialect)) is not None:
        column.total += pc.sum(numbers).as_py() or 0.0
        column.numbers += len(cells) - cells.null_count
    else:
        column.is_number = False
        are = pc.match_substring_regex(_plain(cells, dialect), _NUMBER, ignore_case=True)
        column.numbers += pc.sum(are).as_py() or 0
        if column.wrong is None and (at := pc.index(are, value=False).as_py()) >= 0:
            column.wrong = (above + at, cells[at].as_py())
    if len(column.texts) <= column.most:  # kept of numbers too, while a later cell may be none
        column.texts.update(text for text in pc.unique(cells).to_pylist() if text is not None)


def _check(table: Table, missing: Missing) -> None:
    columns = table.columns
    for column in columns:
        where, leave_out = column.name[:LONGEST_NAME], f"ignore={column.name}"[:LONGEST_NAME]
        if not column.known:
            raise invalid(where, "all of its values are missing", allowed=leave_out)
        if column.is_broken and column.wrong is not None:
            raise _broken(column, *column.wrong, table.dialect)
        if not column.is_number and len(column.texts) > column.most:
            message = f"it is text with more than {column.most:,} different values"
            allowed = "numbers, or fewer different texts" if column.is_target else f"fewer of them, or {leave_out}"
            # The first in order: one file has one refusal, whatever the order of a set.
            raise invalid(where, message, min(column.texts)[:LONGEST_NAME], allowed)
    gaps = [column for column in columns if column.missing]
    refused = [column for column in gaps if missing == "refuse" or (missing == "fill" and column.is_target)]
    if refused:
        told = ", ".join(f"{column.name} ({column.missing:,})" for column in refused[:_MOST_SHOWN])
        allowed = "missing=drop leaves these rows out"
        allowed += "" if refused[0].is_target else ", missing=fill takes the mean of the column"
        raise invalid(refused[0].name[:LONGEST_NAME], f"values are missing: {told}"[:500], refused[0].missing, allowed)


def _broken(column: Column, above: int, cell: str, dialect: Dialect) -> RefusalError:
    where = f"row {above + 1:,}{' below the header' * dialect.has_header}"
    message = f"the cell in {where} is no number, and {column.numbers:,} of the column's {column.known:,} values are"
    leave_out = "" if column.is_target else f", ignore={column.name[:LONGEST_NAME]}"
    allowed = f"a number, an empty cell (a gap, see missing=){leave_out}; or categories whose names are no numbers"
    return invalid(column.name[:LONGEST_NAME], message, cell[:LONGEST_NAME], allowed)


# --- the second pass ------------------------------------------------------------------------------------------------


def _built(table: Table, asked: Asked, rows: int, limit: int) -> RawSet:
    width = sum(column.width for column in table.inputs)
    check_numbers(rows * width, f"{rows:,} rows with {width:,} inputs")
    check_kept(rows * width, 4, rows, limit)
    # As many as there may be; rows with gaps that are left out are cut off at the end.
    x, kept = np.zeros((rows, width), np.float32), 0
    y = np.zeros(rows, np.float64 if table.target.is_number else np.int64)
    squares = np.zeros(width)
    for stretch in table.stretches():
        cells = _whole(stretch) if asked.missing == "drop" else stretch
        until = kept + len(cells[0])
        _fill(table, cells, x[kept:until], y[kept:until])
        squares += np.square(x[kept:until], dtype=np.float64).sum(axis=0)
        kept = until
    labels, names = _labels(y[:kept], table.target, asked.task)
    note = _note(table, rows - kept)
    apart = columns_apart([(column.name[:LONGEST_NAME], column.width) for column in table.inputs], squares)
    return RawSet(
        [held("features", x[:kept])],
        [held("label", labels)],
        TABLE,
        class_names=names,
        note=note,
        columns_apart=apart,
    )


def _whole(cells: Sequence[Any]) -> list[Any]:
    """The rows without a gap."""
    there = np.logical_and.reduce([column.is_valid().to_numpy(zero_copy_only=False) for column in cells])
    return [column.filter(pa.array(there)) for column in cells]


def _fill(table: Table, cells: Sequence[Any], x: AnyArray, y: AnyArray) -> None:
    """Numbers and two texts in one input, more texts in one each."""
    at = 0
    for column, those in zip(table.columns, cells, strict=True):
        values = _values(those, column, table.dialect) if column.is_number else _places(those, column)
        if column.is_target:
            y[:] = values
            continue
        if column.width > 1:
            # A gap has no category: all its inputs stay 0.
            there = np.nonzero(values >= 0)[0]
            x[there, at + values[there]] = 1.0
        else:
            with np.errstate(over="ignore"):  # what becomes infinite is found and refused
                x[:, at] = values if column.is_number else np.maximum(values, 0)
        at += column.width


def _values(cells: Any, column: Column, dialect: Dialect) -> AnyArray:
    numbers = pc.fill_null(_numbers(cells, dialect), column.total / column.known)
    return np.asarray(numbers.to_numpy(zero_copy_only=False))


def _places(cells: Any, column: Column) -> AnyArray:
    """The number of each text in their order; −1 where it is missing."""
    found = pc.index_in(cells, pa.array(sorted(column.texts)))
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False))


def _labels(y: AnyArray, target: Column, task: Task | None) -> tuple[AnyArray, list[str] | None]:
    """Text is labels, and so are a few different whole numbers; from 0 on without a gap they need no names."""
    if not target.is_number:
        return y, sorted(target.texts)
    different = np.unique(y)
    are_few = len(different) <= (MOST_CLASSES if task == "classification" else MANY_LABELS)
    are_whole = bool((np.isfinite(different) & (different == np.round(different))).all())
    if task == "regression" or not (are_few and are_whole):
        return y, None
    numbers = np.searchsorted(different, y).astype(np.int64)
    if (different == np.arange(len(different))).all():
        return numbers, None
    return numbers, [f"{label:.0f}" for label in different]


def _note(table: Table, dropped: int) -> str:
    """How it was read."""
    first = "names from the first line" if table.dialect.has_header else "no names in the first line"
    separator = SEPARATORS[table.dialect.separator]
    said = [f"separated by {separator}, {first}, the target is {table.target.name[:60]}"]
    if texts := [column for column in table.inputs if not column.is_number]:
        names = shorten(", ".join(column.name[:40] for column in texts), 120, placeholder=" …")
        inputs = sum(column.width for column in texts)
        said.append(f"{_columns(texts)} of text ({names}) became {inputs} of 0 and 1")
    if dropped:
        said.append(f"{dropped:,} {'row' if dropped == 1 else 'rows'} with missing values left out")
    elif gaps := [column for column in table.inputs if column.missing]:
        said.append(f"gaps in {_columns(gaps)} were filled, numbers by the mean of all rows")
    return "; ".join(said)


def _columns(those: Sequence[Column]) -> str:
    return "1 column" if len(those) == 1 else f"{len(those)} columns"
