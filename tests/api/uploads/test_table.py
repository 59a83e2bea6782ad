"""CSV: what people have, beside pandas, and what is refused."""

import io
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.refusals import RefusalError
from tests.api.uploads.samples import refusal, taken

FLOWERS = b"""length,width,colour,species
5.1,3.5,red,setosa
4.9,3.0,blue,virginica
6.2,2.8,red,setosa
5,3,green,virginica
"""


def test_a_table_with_names_text_and_a_label_in_its_last_column() -> None:
    found = taken(FLOWERS)
    assert found.class_names == ["setosa", "virginica"]
    assert found.y.tolist() == [0, 1, 0, 1]
    # Colours in their order: blue, green, red.
    np.testing.assert_array_equal(found.x[:, :2], np.array([[5.1, 3.5], [4.9, 3.0], [6.2, 2.8], [5, 3]], np.float32))
    assert found.x[:, 2:].tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert (found.facts.form, found.facts.format, found.facts.task) == ("vector", "CSV", "classification")
    said = "separated by commas, names from the first line, the target is species; "
    assert found.facts.note == said + "1 column of text (colour) became 3 of 0 and 1"


def test_a_target_by_name_and_columns_left_out() -> None:
    found = taken(FLOWERS, target="width", ignore=["species", "colour"])
    assert found.facts.task == "regression"
    np.testing.assert_array_equal(found.y, np.array([[3.5], [3.0], [2.8], [3.0]], np.float32))
    np.testing.assert_array_equal(found.x, np.array([[5.1], [4.9], [6.2], [5.0]], np.float32))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_every_separator_is_found(separator: str) -> None:
    found = taken(FLOWERS.replace(b",", separator.encode()))
    np.testing.assert_array_equal(found.x, taken(FLOWERS).x)


@pytest.mark.parametrize(
    "content",
    [
        b"a;b;y\n1,5;2;0\n2,5;3;1\n-0,5;4;0\n",
        b"\xef\xbb\xbfa;b;y\r\n1,5;2;0\r\n2,5; 3 ;1\r\n-0,5;4;0\r\n\r\n",
        b'"a";"b";"y"\n"1,5";"2";"0"\n"2,5";"3";"1"\n"-0,5";"4";"0"',
        b"\xe4;b;y\n1,5;2;0\n2,5;3;1\n-0,5;4;0\n",
    ],
    ids=["decimal commas", "Excel's mark and line ends", "quotes", "an older encoding"],
)
def test_tables_as_programs_write_them(content: bytes) -> None:
    found = taken(content)
    assert found.x.tolist() == [[1.5, 2.0], [2.5, 3.0], [-0.5, 4.0]]
    assert found.y.tolist() == [0, 1, 0]


def test_a_first_line_of_numbers_is_a_case_unless_it_is_said_to_be_names() -> None:
    content = b"1,2,0\n3,4,1\n5,6,0\n"
    assert taken(content).facts.cases == 3
    assert taken(content, header=True).facts.cases == 2
    assert taken(content, target="column 1", task="regression").y.tolist() == [[1.0], [3.0], [5.0]]
    assert taken(b"a,b,c\nd,e,c\na,b,f\n", header=False).facts.cases == 3


def test_few_different_whole_numbers_are_labels_and_many_are_amounts() -> None:
    wine = taken(b"a,quality\n" + b"".join(b"%d,%d\n" % (row, 3 + row % 4) for row in range(40)))
    assert (wine.facts.task, wine.class_names) == ("classification", ["3", "4", "5", "6"])
    prices = b"a,price\n" + b"".join(b"%d,%d\n" % (row, 1000 * row) for row in range(40))
    assert taken(prices).facts.task == "regression"
    assert "send task=classification" in taken(prices).facts.note
    assert taken(prices, task="classification").facts.classes == 40
    assert taken(b"a,y\n1,0\n2,1\n", task="regression").y.tolist() == [[0.0], [1.0]]


GAPS = b"age,town,y\n20,Rome,0\n,Oslo,1\n40,?,0\n30,Rome,1\n"


def test_gaps_are_refused_left_out_or_filled_as_asked() -> None:
    said = refusal(422, GAPS)
    assert "age (1), town (1)" in said
    left = taken(GAPS, missing="drop")
    assert (left.x.tolist(), left.y.tolist()) == ([[20.0, 1.0], [30.0, 1.0]], [0, 1])
    assert "2 rows with missing values left out" in left.facts.note
    filled = taken(GAPS, missing="fill")
    assert filled.x[:, 0].tolist() == [20.0, 30.0, 40.0, 30.0]
    assert "gaps in 2 columns were filled" in filled.facts.note
    assert "values are missing: y (1)" in refusal(422, b"a,y\n1,0\n2,\n3,1\n", missing="fill")


@pytest.mark.parametrize(
    ("content", "asked", "said"),
    [
        (FLOWERS, {"target": "petal"}, "no column has this name"),
        (FLOWERS, {"target": "Specis"}, "no column has this name; did you mean species?"),
        (FLOWERS, {"ignore": ["Colour "]}, "no column of inputs has this name; did you mean colour?"),
        (FLOWERS, {"ignore": ["species"]}, "no column of inputs has this name"),
        (b"1,2,3\n4,5,6\n", {"target": "a"}, "the file has no header; its columns are column 1 \u2026 column 3"),
        (b"length,width\n", {}, "a header and no rows"),
        (b"length [cm]\n", {"is_table": True}, "a header and no rows"),
        (FLOWERS, {"ignore": ["length", "width", "colour"]}, "no column of inputs is left"),
        (b"a,a,y\n1,2,0\n3,4,1\n", {}, "two columns have one name"),
        (b"a,b,y\n" + b"1,2,0\n" * 20 + b"1,2\n", {}, "Expected 3 columns, got 2"),
        (b"a,y\n,0\n,1\n", {}, "all of its values are missing"),
        (b"a,y\n" + b"".join(b"n%d,%d\n" % (row, row % 2) for row in range(150)), {}, "more than 100 different"),
        (b"a,y\n1,0\n1e999,1\n", {}, "not finite"),
        (b"a,y\n1,0\n2,0\n", {}, "one label"),
        (b"a,y\n1,x\n2,z\n", {"task": "regression"}, "which is no amount"),
    ],
)
def test_what_is_no_set_is_refused_with_the_reason(content: bytes, asked: dict[str, object], said: str) -> None:
    assert said in refusal(422, content, **asked)


def column(cells: Iterable[object], separator: str = ",", header: str = "mass,other,y\n") -> bytes:
    """A table with these in its first column, numbers, and a label."""
    lines = (f"{cell}{separator}{at % 7}{separator}{at % 2}\n" for at, cell in enumerate(cells))
    return (header.replace(",", separator) + "".join(lines)).encode()


@pytest.mark.parametrize(
    ("separator", "header", "where"), [(",", "mass,other,y\n", " below the header"), (";", "", "")]
)
@pytest.mark.parametrize("count", [10, 400, 200_000])
def test_a_wrong_cell_in_a_column_of_numbers_is_shown(count: int, separator: str, header: str, where: str) -> None:
    point = "." if separator == "," else ","
    numbers = [f"{number}{point}5" for number in range(count)]
    content = column([*numbers[:-1], "broken", numbers[-1]], separator, header)
    with pytest.raises(RefusalError) as caught:
        taken(content, limit=1 << 24, header=bool(header))
    said = caught.value
    assert (said.status, said.field, said.value) == (422, "mass" if header else "column 1", "broken")
    assert f"row {count:,}{where} is no number, and {count:,} of the column's {count + 1:,} values are" in said.message
    assert "a number, an empty cell" in said.allowed
    assert f", ignore={said.field};" in said.allowed


def test_a_wrong_cell_in_a_target_of_numbers_is_shown() -> None:
    said = refusal(422, column([*range(30), "broken"]), target="mass")
    assert "mass: the cell in row 31 below the header is no number" in said


@pytest.mark.parametrize(
    "cells", [[*range(9), "x"], [*range(16), "x", "z"] * 2, [f"n{code % 5}" for code in range(40)]]
)
def test_categories_with_numbers_among_them_are_categories(cells: list[object]) -> None:
    assert taken(column(cells)).x.shape[1] == len(set(cells)) + 1


def test_signs_and_exponents_are_numbers_beside_a_wrong_cell() -> None:
    cells = ["+1", "-2", "3.", "-.5", "1e5", "2E-3", "+7e+2", "8", "9", "10", "1_0"]
    said = refusal(422, column(cells))
    assert "row 11 below the header is no number, and 10 of the column's 11 values are" in said


def test_many_columns_of_text_fit_the_note() -> None:
    names = [f"{'long ' * 30}{at}" for at in range(40)]
    lines = [",".join([f"n{row % 3}"] * 40 + [str(row * 7)]) for row in range(30)]
    note = taken("\n".join([",".join([*names, "y" * 90]), *lines]).encode(), missing="drop").facts.note
    assert "40 columns of text (long long" in note
    assert len(note) <= 500


@pytest.mark.parametrize("content", [b'{"x": [1, 2]}', b"1,2", b"<html>\n<body>\n</body>", b"one\ntwo\nthree\n"])
def test_text_that_is_no_table_is_a_415(content: bytes) -> None:
    assert "nothing here reads" in refusal(415, content)


def test_more_inputs_than_may_be_kept_are_a_413() -> None:
    content = b"a,b,y\n" + b"".join(b"c%d,1,%d\n" % (row % 90, row % 2) for row in range(3_000))
    refusal(413, content, limit=100_000)


NUMBERS = st.one_of(st.integers(-99, 99).map(str), st.floats(-1e3, 1e3, width=16).map(repr))
TEXTS = st.sampled_from(["red", "blue", "ü, x", '"q"'])


def as_pandas_reads(column: "pd.Series[Any]") -> np.ndarray[Any, Any]:
    """Numbers as they are, of two texts the later one, of more one each; of one there is nothing to tell."""
    if column.dtype.kind in "if":
        return np.asarray(column, np.float32)[:, None]
    one_each = np.asarray(pd.get_dummies(column.astype(str)), np.float32)
    if one_each.shape[1] == 1:
        return np.zeros_like(one_each)
    return one_each[:, 1:] if one_each.shape[1] == 2 else one_each


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS | TEXTS), min_size=3, max_size=30), st.sampled_from(",;\t"))
def test_numbers_are_those_that_pandas_reads(rows: list[tuple[str, str]], separator: str) -> None:
    frame = pd.DataFrame([(*row, number % 2) for number, row in enumerate(rows)], columns=["first", "second", "label"])
    content = frame.to_csv(index=False, sep=separator).encode()
    read = pd.read_csv(io.BytesIO(content), sep=separator)
    expected = [as_pandas_reads(read[name]) for name in ("first", "second")]
    np.testing.assert_allclose(taken(content).x, np.concatenate(expected, axis=1), rtol=1e-6)
