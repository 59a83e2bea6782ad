"""npz arrays without pickle; headers are held against what the zip holds."""

import io
import zipfile
from typing import Any

import numpy as np
import pytest

from tests.api.uploads.samples import images, npz, packed, refusal, taken

X, Y = images()
VECTORS = X.reshape(6, 12).astype(np.float64)


def npy(array: Any, *, allow_pickle: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=allow_pickle)
    return file.getvalue()


def test_x_and_y_are_a_set() -> None:
    found = taken(npz(x=VECTORS, y=Y))
    np.testing.assert_array_equal(found.x, VECTORS.astype(np.float32))
    assert (found.facts.form, found.facts.format) == ("vector", "npz")


def test_a_split_set_is_put_together_training_first() -> None:
    found = taken(npz(x_test=X[4:], y_test=Y[4:], x_train=X[:4], y_train=Y[:4]))
    np.testing.assert_array_equal(found.x[:, 0], X)
    np.testing.assert_array_equal(found.y, Y)


def test_lengths_make_sequences_and_nothing_behind_an_end_counts() -> None:
    x = np.ones((3, 5, 2))
    x[0, 2:] = np.nan
    found = taken(npz(x=x, y=Y[:3], lengths=np.array([2, 4, 3])))
    assert (found.facts.form, found.facts.shape, found.facts.varying_length) == ("sequence", (4, 2), True)
    assert found.lengths is not None
    assert found.lengths.tolist() == [2, 4, 3]
    assert found.x.sum(axis=(1, 2)).tolist() == [4.0, 8.0, 6.0]


def test_equal_lengths_vary_not() -> None:
    found = taken(npz(x=np.ones((3, 5)), y=Y[:3], lengths=np.array([4, 4, 4])))
    assert (found.facts.shape, found.facts.varying_length, found.lengths) == ((4, 1), False, None)


def test_a_split_sets_lengths_come_with_each_part() -> None:
    parts = {"x_train": np.ones((3, 5)), "y_train": Y[:3], "x_test": np.ones((3, 5)), "y_test": Y[:3]}
    both = {"lengths_train": np.array([1, 2, 3]), "lengths_test": np.array([4, 5, 1])}
    found = taken(npz(**parts, **both))
    assert found.lengths is not None
    assert found.lengths.tolist() == [1, 2, 3, 4, 5, 1]
    assert "one part has lengths" in refusal(422, npz(**parts, lengths_test=both["lengths_test"]))


def test_channels_behind_come_to_the_front() -> None:
    x = np.arange(6 * 8 * 9 * 3, dtype=np.uint8).reshape(6, 8, 9, 3)
    found = taken(npz(x=x, y=Y))
    assert found.facts.shape == (3, 8, 9)
    np.testing.assert_array_equal(found.x, np.moveaxis(x, 3, 1))


def test_fortran_order_and_the_other_byte_order_are_the_same_numbers() -> None:
    file = packed({"x.npy": npy(np.asfortranarray(VECTORS.astype(">f4"))), "y.npy": npy(Y.astype(">i8"))})
    np.testing.assert_array_equal(taken(file).x, VECTORS)


def test_text_labels_are_numbered_in_their_order() -> None:
    found = taken(npz(x=VECTORS, y=np.array(["no", "yes", "no", "maybe", "yes", "no"])))
    assert (found.class_names, found.y.tolist()) == (["maybe", "no", "yes"], [1, 2, 1, 0, 2, 1])


def test_objects_are_never_unpickled() -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return pytest.fail, ("it was unpickled",)

    trap = packed({"x.npy": npy(np.array([Trap(), Trap()]), allow_pickle=True), "y.npy": npy(Y[:2])})
    assert "pickle" in refusal(422, trap)


def test_a_header_that_announces_more_than_there_is_is_refused() -> None:
    honest = npy(VECTORS)
    lie = honest.replace(b"(6, 12)", b"(9, 99)")
    assert "the header announces 7,128 bytes" in refusal(422, packed({"x.npy": lie, "y.npy": npy(Y)}))
    short = honest.replace(b"(6, 12)", b"(6, 11)")
    assert "other than those follow" in refusal(422, packed({"x.npy": short, "y.npy": npy(Y)}))
    assert "no npy file" in refusal(422, packed({"x.npy": b"nonsense", "y.npy": npy(Y)}))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"a": X, "b": Y}, "not a data set"),
        ({"x_train": X, "y_train": Y}, "not a data set"),
        ({"x": X, "y": Y[:-1]}, "6 cases, and 5 labels in y.npy"),
        ({"x": VECTORS + 1j, "y": Y}, "only plain numbers"),
        ({"x_train": X, "y_train": Y, "x_test": X[:, :2], "y_test": Y}, "cases of"),
    ],
)
def test_arrays_that_are_no_set_are_refused(arrays: dict[str, Any], said: str) -> None:
    assert said in refusal(422, npz(**arrays))


def test_a_member_that_unpacks_to_too_much_is_a_413_before_it_is_unpacked() -> None:
    assert "unpacked it would have" in refusal(413, npz(x=np.zeros((2, 100_000)), y=Y[:2]))


def test_a_zip_that_is_broken_is_refused() -> None:
    whole = npz(x=VECTORS, y=Y)
    middle = len(whole) // 3
    assert "broken" in refusal(422, whole[:-30])
    assert "broken" in refusal(422, whole[:middle] + b"\0" * 40 + whole[middle + 40 :])


def test_other_ways_to_pack_are_refused_as_they_unpack_without_measure() -> None:
    assert "packed like this" in refusal(422, packed({"x.npy": npy(X), "y.npy": npy(Y)}, zipfile.ZIP_LZMA))


def test_paths_in_a_zip_are_only_names() -> None:
    file = packed({"../../x.npy": npy(VECTORS), "/etc/y.npy": npy(Y)})
    assert "not a data set" in refusal(422, file)
    assert "nor IDX files" in refusal(415, packed({"../readme.txt": b"hello"}))


def test_a_zip_with_a_directory_that_lies_or_is_missing_is_refused() -> None:
    whole = npz(x=VECTORS, y=Y)
    at = whole.rfind(b"PK\x05\x06")
    large = whole[: at + 12] + (10**9).to_bytes(4, "little") + whole[at + 16 :]
    assert "directory has 1,000,000,000 bytes" in refusal(413, large)
    assert "zip64" in refusal(413, whole[:at] + b"PK\x06\x07" + bytes(16) + whole[at:])
