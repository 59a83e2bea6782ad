"""IDX pairs are read number for number; what does not fit its own header is refused before it is unpacked."""

import io
import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.storage.idx import IdxError, read_idx
from tests.api.uploads.samples import gzipped, idx, images, packed, refusal, taken

X, Y = images()


@given(
    st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]).flatmap(
        lambda kind: arrays.arrays(kind, arrays.array_shapes(max_dims=4, max_side=4, min_side=0))
    )
)
def test_what_was_written_is_read(array: np.ndarray[Any, Any]) -> None:
    found = read_idx(io.BytesIO(idx(array)), 10_000)
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype
    assert found.flags.writeable


@pytest.mark.parametrize("pack", [bytes, gzipped])
def test_a_pair_is_a_set_of_images(pack: Any) -> None:
    found = taken(pack(idx(X)), pack(idx(Y)))
    np.testing.assert_array_equal(found.x, X[:, None])
    np.testing.assert_array_equal(found.y, Y)
    assert (found.facts.form, found.facts.shape, found.facts.classes, found.facts.cases) == ("image", (1, 4, 3), 3, 6)
    assert (found.x.dtype.str, found.y.dtype.str, found.lengths) == ("|u1", "<i8", None)


def test_training_files_come_first_whatever_the_order() -> None:
    files = {
        "t10k-images": idx(X[4:]),
        "t10k-labels": idx(Y[4:]),
        "train-images": idx(X[:4]),
        "train-labels": idx(Y[:4]),
    }
    found = taken(*files.values(), names=list(files))
    np.testing.assert_array_equal(found.x[:, 0], X)
    np.testing.assert_array_equal(found.y, Y)
    np.testing.assert_array_equal(taken(packed({name: gzipped(file) for name, file in files.items()})).x, found.x)


def test_two_axes_are_vectors() -> None:
    found = taken(idx(X.reshape(6, 12).astype(np.float64) / 7), idx(Y))
    assert (found.facts.form, found.facts.shape, found.x.dtype.str) == ("vector", (12,), "<f4")


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ([idx(X)], "one of a pair"),
        ([idx(X), idx(X)], "2 files hold images and 0 labels"),
        ([idx(X), idx(Y[:-1])], "6 cases, and 5 labels"),
        ([idx(X), idx(Y), idx(X[:, :2]), idx(Y)], "cases of"),
        ([idx(X)[:-1], idx(Y)], "announces 6×4×3 numbers, 72 bytes; 71 follow"),
        ([idx(X) + b"\0", idx(Y)], "more follow"),
        ([b"\0\0\x0a\x01" + idx(X)[4:], idx(Y)], "no IDX type 0x0A"),
        ([b"\0\0\x08\x00", idx(Y)], "1 to 8 axes"),
        ([b"\0\0\x08\x03\0\0", idx(Y)], "header of 3 axes has 16 bytes; here are 6"),
        ([gzipped(idx(X))[:-9], idx(Y)], "gzip file is broken"),
        ([gzipped(idx(X))[:-8] + b"\1" * 8, idx(Y)], "gzip file is broken"),
        ([gzipped(b"no idx"), idx(Y)], "begins with two zero bytes"),
    ],
)
def test_what_is_no_pair_is_refused_with_the_reason(contents: list[bytes], said: str) -> None:
    assert said in refusal(422, *contents)


def test_a_header_that_announces_too_much_is_a_413_before_a_byte_is_read() -> None:
    lie = struct.pack(">HBB3I", 0, 8, 3, 60_000, 28, 28)
    tracemalloc.start()
    assert "this one 47,040,000 of them" in refusal(413, lie, idx(Y))
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_bomb_of_zeros_is_unpacked_no_further_than_its_header_says() -> None:
    """200 MB of zeros behind a header for 16 numbers, and behind none."""
    zeros = bytes(200_000_000)
    head = struct.pack(">HBB2I", 0, 8, 2, 4, 4)
    bombs = gzipped(head + zeros), gzipped(zeros)
    del zeros
    tracemalloc.start()
    assert "more follow" in refusal(422, bombs[0], idx(Y[:4]))
    assert "no IDX type 0x00" in refusal(422, bombs[1], idx(Y))
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_all_files_together_have_one_limit() -> None:
    x = np.zeros((600, 1000), np.uint8)
    y = np.arange(600).astype(np.uint8) % 2
    half = gzipped(idx(x))
    assert taken(half, gzipped(idx(y))).facts.cases == 600
    names = ["train_images", "train_labels", "test_images", "test_labels"]
    assert "the headers announce" in refusal(413, half, gzipped(idx(y)), half, gzipped(idx(y)), names=names)


def test_nothing_follows_a_header_that_is_cut() -> None:
    with pytest.raises(IdxError, match="begins with two zero bytes"):
        read_idx(io.BytesIO(b"\0\0"), 100)
