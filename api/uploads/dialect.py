"""What a text file looks like as a table: its encoding, what separates fields, whether the first line has the names."""

import contextlib
import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from api.refusals import invalid
from api.uploads.parts import Asked, Part
from api.uploads.targets import LONGEST_NAME

SAMPLE: Final = 1 << 16
SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
ENCODINGS: Final = ("utf-8", "cp1252")
MOST_LINES: Final = 0.9
"""Of a table's lines; a line that differs is then told by its number."""
MISSING: Final = ("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None")

_NAME: Final = re.compile(r"\s*\w[\w .%()/-]*")
"""Of a column, where nothing but its looks says so: JSON and code begin with other characters."""


@dataclass(frozen=True, slots=True)
class Dialect:
    separator: str
    encoding: str
    names: tuple[str, ...]
    has_header: bool


def dialect_of(part: Part, asked: Asked) -> Dialect | None:
    """None where it is no text of at least two lines with equally many fields. RefusalError for a header alone."""
    head = part.head(SAMPLE)
    if b"\0" in head:
        return None
    # A line, or a character of several bytes, may be cut by the end of the sample.
    whole = head if len(head) < SAMPLE else head[: head.rfind(b"\n") + 1]
    encoding = next((name for name in ENCODINGS if _decodes(whole, name)), None)
    if encoding is None:
        return None
    lines = whole.decode(encoding).removeprefix("\ufeff")
    found = {separator: _rows(lines, separator) for separator in SEPARATORS}
    fitting = {separator: rows for separator, rows in found.items() if _is_table(rows)}
    if not fitting:
        if any(_is_header_alone(rows, asked) for rows in found.values()):
            raise invalid(part.name, "it has a header and no rows", allowed="a line for each case below the header")
        return None
    # Text may hold commas, but a table's separator gives the most columns.
    separator = max(fitting, key=lambda candidate: len(fitting[candidate][0]))
    first = fitting[separator][0]
    has_header = _is_header(first) if asked.header is None else asked.header
    names = tuple(name.strip() or f"column {at}" for at, name in enumerate(first, 1))
    names = names if has_header else tuple(f"column {at}" for at in range(1, len(first) + 1))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise invalid(
            part.name, "two columns have one name", twice[:LONGEST_NAME], "a name of its own for each, or header=false"
        )
    return Dialect(separator, encoding, names, has_header)


def _decodes(head: bytes, encoding: str) -> bool:
    try:
        head.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _rows(text: str, separator: str) -> list[list[str]]:
    """As far as quotes are closed: the sample may end inside of a field."""
    rows = list[list[str]]()
    with contextlib.suppress(csv.Error):
        rows.extend(row for row in csv.reader(io.StringIO(text), delimiter=separator, strict=True) if row)
    return rows


def _is_table(rows: Sequence[Sequence[str]]) -> bool:
    """At least two lines, and all but a few with the same number of fields, which is more than one."""
    widths = Counter(map(len, rows))
    width, often = max(widths.items(), key=lambda counted: counted[1], default=(0, 0))
    return width > 1 and often > 1 and often >= MOST_LINES * len(rows)


def _is_header(first: Sequence[str]) -> bool:
    """Texts, none of them a number or a gap."""
    cells = {cell.strip() for cell in first}
    return cells.isdisjoint(MISSING) and not any(map(_is_number, cells))


def _is_header_alone(rows: Sequence[Sequence[str]], asked: Asked) -> bool:
    """One line, which is said to be of a table, or looks like names side by side."""
    if len(rows) != 1 or asked.header is False or not _is_header(rows[0]):
        return False
    return asked.is_table or (len(rows[0]) > 1 and all(map(_NAME.fullmatch, rows[0])))


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True
