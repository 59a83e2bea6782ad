"""What every data set must be, whatever it came as."""

from typing import Any

import numpy as np
import pytest

from api.refusals import FORMATS, RefusalError
from api.uploads.checks import checked
from api.uploads.parts import RawSet, held
from tests.api.uploads.samples import LIMIT, images, npz, refusal, taken

X = np.arange(12, dtype=np.float64).reshape(4, 3)
Y = np.array([0, 1, 1, 0])


def with_value(value: float) -> Any:
    x = X.copy()
    x[2, 1] = value
    return x


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": with_value(np.nan), "y": Y}, "x[2]: case 2 is the first"),
        ({"x": with_value(np.inf), "y": Y}, "x[2]: case 2 is the first"),
        ({"x": with_value(-1e300), "y": Y}, "not finite in float32"),
        ({"x": X, "y": np.array([0, 1, -1, 0])}, "y[2]: no class has this number"),
        ({"x": X, "y": np.array([0, 1, 10_000, 0])}, "y[2]: no class has this number"),
        ({"x": X, "y": np.array([0, 1, 2**64 - 1, 0], np.uint64)}, "y[2]: no class has this number"),
        ({"x": X, "y": np.zeros(4, int)}, "all cases have one label"),
        ({"x": X, "y": Y.astype(complex)}, "only plain numbers"),
        ({"x": X, "y": np.eye(4)}, "(4, 4)"),
        ({"x": X[:1], "y": Y[:1]}, "there are 1 cases"),
        ({"x": X[:0], "y": Y[:0]}, "there are 0 cases"),
        ({"x": X[:, 0], "y": Y}, "no image's"),
        ({"x": X[:, :0], "y": Y}, "no vector's"),
        ({"x": X.astype(str), "y": Y}, "inputs are numbers"),
        ({"x": X, "y": np.array(["a", "", "a", "a"])}, "no class has this name"),
        ({"x": X, "y": Y, "lengths": np.array([1, 2, 4, 1])}, "lengths.npy[2]: no case is so long"),
        ({"x": X, "y": Y, "lengths": np.array([1, 0, 3, 1])}, "lengths.npy[1]: no case is so long"),
        ({"x": X, "y": Y, "lengths": np.array([1.0, 2.0, 3.0, 1.0])}, "the type float64"),
        ({"x": X, "y": Y, "lengths": np.array([1, 2])}, "lengths have the shape (2,)"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is(arrays: dict[str, Any], said: str) -> None:
    assert said in refusal(422, npz(**arrays))


def test_the_form_that_a_client_names_must_fit() -> None:
    x, y = images()
    assert taken(npz(x=x, y=y), form="sequence").facts.shape == (4, 3)
    assert "no vector's" in refusal(422, npz(x=x, y=y), form="vector")
    assert "has no length" in refusal(422, npz(x=x, y=y, lengths=np.full(6, 2)), form="image")


def test_text_that_is_none_is_refused() -> None:
    half = np.array(["a", "b", "\ud800", "a"])
    assert "is no text" in refusal(422, npz(x=X, y=half))


def test_more_numbers_than_training_could_hold_are_a_413(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.uploads.parts.MOST_NUMBERS", 11)
    assert "12 numbers" in refusal(413, npz(x=X, y=Y))


def test_labels_may_leave_numbers_out() -> None:
    assert taken(npz(x=X, y=np.array([1, 26, 1, 26]))).facts.classes == 27


def test_what_came_in_is_not_changed() -> None:
    x = np.ones((4, 3, 2), np.float32)
    lengths = held("lengths", np.array([1, 2, 1, 1]))
    raw = RawSet([held("x", x)], [held("y", Y)], "npz", [lengths], is_sequence=True)
    assert checked(raw, None, None, LIMIT).x.shape == (4, 2, 2)
    assert (x == 1).all()


@pytest.mark.parametrize("content", [b"GIF89a...", b'{"x": 1}', b"\x89HDF\r\n\x1a\n", b"x\ty:1\n"])
def test_what_nothing_reads_is_a_415_that_names_what_is_read(content: bytes) -> None:
    assert "nothing here reads" in refusal(415, content)


def test_nothing_and_several_of_something_else_are_refused() -> None:
    with pytest.raises(RefusalError) as caught:
        taken(b"")
    assert ("nothing in it" in str(caught.value), caught.value.allowed) == (True, FORMATS)
    assert "nothing in it" in refusal(422)
    assert "each must be IDX" in refusal(415, npz(x=X, y=Y), npz(x=X, y=Y))
