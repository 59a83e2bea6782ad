"""Parquet and Arrow: lists of every kind, nulls, and files that say of themselves what is not so."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.api.uploads.samples import arrow, parquet, refusal, taken

VECTORS = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(12, dtype=np.float32)), 3)
Y = pa.array([0, 1, 0, 1])
RAGGED = pa.array(
    [[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]], [[7.0, 8.0]], [[9.0, 9.5]]], pa.list_(pa.list_(pa.float64(), 2))
)


def streamed(features: Any, label: Any) -> bytes:
    return arrow(features, label, stream=True)


@pytest.mark.parametrize("write", [parquet, arrow, streamed])
def test_every_container_gives_the_same_set(write: Callable[[Any, Any], bytes]) -> None:
    found = taken(write(VECTORS, Y))
    np.testing.assert_array_equal(found.x, np.arange(12).reshape(4, 3))
    assert found.y.tolist() == [0, 1, 0, 1]
    assert (found.facts.form, found.x.dtype.str) == ("vector", "<f4")


@pytest.mark.parametrize("write", [parquet, arrow])
def test_lists_of_lists_are_sequences(write: Callable[[Any, Any], bytes]) -> None:
    found = taken(write(RAGGED, Y))
    assert (found.facts.form, found.facts.shape, found.facts.varying_length) == ("sequence", (2, 2), True)
    assert found.lengths is not None
    assert found.lengths.tolist() == [1, 2, 1, 1]
    assert found.x[1].tolist() == [[3.0, 4.0], [5.0, 6.0]]
    assert found.x[0].tolist() == [[1.0, 2.0], [0.0, 0.0]]


def test_lists_of_one_length_are_vectors_and_of_many_sequences() -> None:
    even = taken(parquet(pa.array([[1, 2], [3, 4], [5, 6], [7, 8]]), Y))
    assert (even.facts.form, even.facts.shape, even.x.tolist()[3]) == ("vector", (2,), [7.0, 8.0])
    odd = taken(parquet(pa.array([[1, 2], [3], [5, 6], [7, 8]]), Y))
    assert (odd.facts.form, odd.facts.shape, odd.facts.varying_length) == ("sequence", (2, 1), True)


def test_fixed_lists_of_fixed_lists_are_images_unless_the_client_says_otherwise() -> None:
    nested = pa.FixedSizeListArray.from_arrays(
        pa.FixedSizeListArray.from_arrays(pa.array(np.arange(24, dtype=np.uint8)), 3), 2
    )
    found = taken(parquet(nested, Y))
    assert (found.facts.form, found.facts.shape, found.x.dtype.str) == ("image", (1, 2, 3), "|u1")
    assert taken(parquet(nested, Y), form="sequence").facts.shape == (2, 3)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_text_labels_keep_their_names(kind: Any) -> None:
    found = taken(parquet(VECTORS, pa.array(["b", "a", "b", "c"]).cast(kind)))
    assert (found.class_names, found.y.tolist()) == (["a", "b", "c"], [1, 0, 1, 2])


@pytest.mark.parametrize(
    ("features", "label", "said"),
    [
        (pa.array([1.0, 2.0, 3.0, 4.0]), Y, "its type is double"),
        (pa.array([["a"], ["b"], ["c"], ["d"]]), Y, "its values are string"),
        (pa.array([[1.0], None, [2.0], [3.0]]), Y, "null, in or behind row 1"),
        (pa.array([[1.0], [None], [2.0], [3.0]]), Y, "null"),
        (VECTORS, pa.array([0, 1, None, 1]), "a label is null"),
        (VECTORS, pa.array([None] * 4, pa.null()), "a label is null"),
        (VECTORS, pa.array([b"a", b"b", b"a", b"b"]), "its type is binary"),
        (pa.array([[[1.0], [1.0, 2.0]]] * 4), Y, "inner lists have"),
        (VECTORS, pa.array([0, 0, 0, 0]), "one label"),
        (VECTORS.slice(0, 0), Y.slice(0, 0), "no rows"),
    ],
)
def test_what_is_no_set_is_refused_with_the_reason(features: Any, label: Any, said: str) -> None:
    assert said in refusal(422, parquet(features, label))
    assert said in refusal(422, arrow(features, label))


def test_other_columns_are_named() -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"image": [1], "label": [0]}), file)
    assert "it has the columns image, label" in refusal(422, file.getvalue())


def test_a_file_that_is_cut_or_garbled_is_refused() -> None:
    for whole in (parquet(VECTORS, Y), arrow(VECTORS, Y)):
        assert "cannot be read" in refusal(422, whole[:-20])
        assert refusal(422, whole[:8] + bytes(len(whole) - 16) + whole[-8:])


def test_a_small_file_of_many_numbers_is_a_413() -> None:
    """Run-length encoding: 100 million numbers in some hundred kilobytes."""
    zeros = pa.array(np.zeros(100_000_000, np.float32))
    row = pa.ListArray.from_arrays(np.arange(0, 100_000_001, 1_000_000, dtype=np.int32), zeros)
    file = io.BytesIO()
    pq.write_table(pa.table({"features": row, "label": [0, 1] * 50}), file, compression="zstd")
    assert len(file.getvalue()) < 1_000_000
    assert "are 100,000,000 numbers" in refusal(413, file.getvalue())
