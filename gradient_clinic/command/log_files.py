"""A log's file, whatever its form, as numbers by name: ``trainer_state.json``, CSV, or TensorBoard's event files.

What a file is is seen in its content. An error says the file, the line or record, and what is allowed there.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from gradient_clinic.command.codes import MisusedError
from gradient_clinic.command.log_roles import STEPS, Asked, may_be_read, plain
from gradient_clinic.command.series import Point

STATE: Final = "trainer_state.json"
EVENTS: Final = "*tfevents*"
DELIMITERS: Final = ",;\t|"
LARGEST_STEP: Final = 2**53
"""Beyond it a float is no whole number any more."""
Advance = Callable[[int], None]
"""Told how many bytes have been read since the last time."""


@dataclass(frozen=True, slots=True)
class Source:
    """``files``: read one after the other. ``option``: what a name is called in it. ``points`` takes who is told of
    progress.
    """

    files: Sequence[Path]
    option: str
    points: Callable[[Advance], Iterator[Point]]

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files)


def source_of(place: Path, asked: Asked) -> Source:
    """MisusedError where there is no such file, or it is no log."""
    source = _in_folder(place) if place.is_dir() else _of_file(place, asked)
    if asked.step is not None and source.option != "column":
        message = f"--step {asked.step}: it names a column of a CSV, and {place} has steps of its own"
        raise MisusedError(message)
    return source


def _of_file(place: Path, asked: Asked) -> Source:
    if not place.is_file():
        message = f"{place} is no file and no folder"
        raise MisusedError(message)
    if "tfevents" in place.name:
        return _events([place])
    with place.open("rb") as file:
        head = file.read(4096)
    if head.lstrip().startswith(b"{"):
        return Source([place], "entry", lambda advance: _state(place, advance))
    if b"\0" in head:
        message = f"{place} is neither text nor an event file: a log is {STATE}, CSV, or a file named {EVENTS}"
        raise MisusedError(message)
    return Source([place], "column", lambda advance: _table(place, asked, advance))


def _in_folder(folder: Path) -> Source:
    """What a trainer has left there: its newest state, or else event files, which together are one run."""
    states = [*folder.glob(STATE), *folder.glob(f"checkpoint-*/{STATE}")]
    if states:
        newest = max(states, key=lambda its: (its.parent == folder, _number(its.parent.name)))
        return Source([newest], "entry", lambda advance: _state(newest, advance))
    if events := sorted(folder.glob(EVENTS)):
        return _events(events)
    below = sorted({file.parent for depth in ("*", "*/*") for file in folder.glob(f"{depth}/{EVENTS}")})
    runs = f"; its folders have: {', '.join(str(its) for its in below[:8])}" if below else ""
    message = f"{folder} has no {STATE} and no event file ({EVENTS}){runs}. Name a file of it"
    raise MisusedError(message)


def _number(name: str) -> int:
    digits = name.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else -1


def _events(files: Sequence[Path]) -> Source:
    try:
        module = import_module("gradient_clinic.command.log_events")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"google", "tensorboard"}:  # protobuf's, which it brings
            raise
        message = 'event files need tensorboard: pip install "gradient-clinic[tensorboard]"'
        raise MisusedError(message) from error
    read: Callable[[Sequence[Path], Advance], Iterator[Point]] = module.scalars
    return Source(files, "tag", lambda advance: read(files, advance))


# --- trainer_state.json ---------------------------------------------------------------------------------------------


def _state(file: Path, advance: Advance) -> Iterator[Point]:
    try:
        state = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        message = f"{file} is no JSON: {error}"
        raise MisusedError(message) from error
    advance(file.stat().st_size)
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(history, list):
        message = f"{file} has no log_history: a list of entries with a step, as transformers' trainer writes it"
        raise MisusedError(message)
    for number, entry in enumerate(history):
        yield from _of_entry(f"{file}: log_history[{number}]", entry)


def _of_entry(where: str, entry: object) -> Iterator[Point]:
    if not isinstance(entry, Mapping):
        message = f"{where} is a {type(entry).__name__}, and not an object"
        raise MisusedError(message)
    step = _step(entry.get("step"), f"{where}, step")
    # train_loss is the mean of the whole training, told once at its end.
    numbers = {name: value for name, value in entry.items() if name not in {"step", "epoch", "train_loss"}}
    for name, value in numbers.items():
        # An integer may be longer than any float.
        number = _as_number(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else None
        if number is not None:
            yield Point(name, step, number)
        elif plain(name) == "loss":
            message = f"{where}, {name}: {value!r:.40} is no number"
            raise MisusedError(message)


# --- CSV ------------------------------------------------------------------------------------------------------------


def _table(file: Path, asked: Asked, advance: Advance) -> Iterator[Point]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        counted = _counted(lines, advance)
        try:
            yield from _rows(file, counted, asked)
        except UnicodeDecodeError as error:
            message = f"{file} is no text in UTF-8: {error.reason} at byte {error.start} of what was being read"
            raise MisusedError(message) from error
        except csv.Error as error:
            message = f"{file} is no CSV: {error}"
            raise MisusedError(message) from error


def _counted(lines: Iterator[str], advance: Advance) -> Iterator[str]:
    for line in lines:
        advance(len(line))
        yield line


def _rows(file: Path, lines: Iterator[str], asked: Asked) -> Iterator[Point]:
    first = next(lines, "")
    delimiter = max(DELIMITERS, key=first.count)
    names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    _must_be_names(file, names)
    step = _step_column(names, asked)
    reader = csv.reader(lines, delimiter=delimiter)
    read = [at for at, name in enumerate(names) if at != step and may_be_read(name, asked)]
    others = {at for at, name in enumerate(names) if name} - {step, *read}
    for number, row in enumerate(reader):
        if not any(row):
            continue
        where = f"{file}, line {reader.line_num + 1}"
        if len(row) > len(names):
            message = f"{where} has {len(row)} cells, and the first line names {len(names)} columns"
            raise MisusedError(message)
        cells = row + [""] * (len(names) - len(row))
        at = number if step is None else _step(cells[step], f"{where}, column {names[step]}")
        for column in read:
            if cells[column].strip():  # an empty cell was not logged
                yield Point(names[column], at, _of_cell(cells[column], f"{where}, column {names[column]}"))
        # Of a column that nothing is made of it is enough to know that it is there.
        for column in [its for its in others if _as_number(cells[its]) is not None]:
            others.remove(column)
            yield Point(names[column], at, 0.0)


def _must_be_names(file: Path, names: Sequence[str]) -> None:
    if not any(names):
        message = f"{file} is empty: its first line names the columns"
        raise MisusedError(message)
    if all(_as_number(name) is not None for name in names):
        message = f"{file}, line 1 has numbers alone: the first line names the columns, as in step,loss"
        raise MisusedError(message)
    if repeated := [name for name in names if name and names.count(name) > 1]:
        message = f"{file}, line 1: two columns are called {repeated[0]}"
        raise MisusedError(message)


def _step_column(names: Sequence[str], asked: Asked) -> int | None:
    """None: rows are counted from 0."""
    if asked.step is not None:
        if asked.step not in names:
            message = f"--step {asked.step}: there is no such column; there are {', '.join(names)}"
            raise MisusedError(message)
        return names.index(asked.step)
    known = [plain(name) for name in names]
    return next((known.index(name) for name in STEPS if name in known), None)


def _of_cell(cell: str, where: str) -> float:
    value = _as_number(cell)
    if value is None:
        message = f"{where}: {cell[:40]!r} is no number; it is one, nan, inf, or empty"
        raise MisusedError(message)
    return value


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _step(given: Any, where: str) -> int:
    number = _as_number(given) if isinstance(given, str) else given
    if isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number <= LARGEST_STEP:
        whole = int(number)
        if whole == number:
            return whole
    message = f"{where}: {given!r:.40} is no step; it is a whole number from 0 on"
    raise MisusedError(message)
