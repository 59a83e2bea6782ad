"""Labels or amounts: what ``y`` is taken for, what the answer says of it, and what is refused."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from api.refusals import RefusalError
from tests.api.uploads.samples import arrow, idx, npz, parquet, refusal, taken

X = np.arange(24, dtype=np.float32).reshape(12, 2)
LABELS = np.arange(12) % 3
AMOUNTS = np.linspace(-3.0, 4.5, 12)


def test_labels_of_every_class_are_labels_without_a_word() -> None:
    found = taken(npz(x=X, y=LABELS))
    assert (found.facts.task, found.facts.classes, found.facts.note) == ("classification", 3, "")
    assert found.y.dtype == np.int64


@pytest.mark.parametrize("y", [np.arange(12) * 10, np.where(LABELS == 1, 0, LABELS)], ids=["many", "one is missing"])
def test_whole_numbers_with_gaps_are_labels_and_the_answer_says_so(y: npt.NDArray[Any]) -> None:
    found = taken(npz(x=X, y=y))
    assert found.facts.task == "classification"
    assert f"{len(np.unique(y))} different whole numbers were read as labels" in found.facts.note
    assert "task=regression" in found.facts.note
    assert taken(npz(x=X, y=y), task="classification").facts.note == ""


def test_whole_numbers_are_amounts_where_the_request_says_so_whatever_they_are() -> None:
    y = np.array([-5, 40_000, *range(10)])
    found = taken(npz(x=X, y=y), task="regression")
    assert (found.facts.task, found.facts.classes, found.facts.note) == ("regression", 1, "")
    assert found.y.dtype == np.float32
    np.testing.assert_array_equal(found.y, y[:, None])
    with pytest.raises(RefusalError, match="no class has this number") as refused:
        taken(npz(x=X, y=y))
    assert "task=regression" in refused.value.allowed


def test_numbers_with_fractions_are_amounts_one_or_several_a_case() -> None:
    found = taken(npz(x=X, y=AMOUNTS))
    assert (found.facts.task, found.facts.classes, found.facts.note) == ("regression", 1, "")
    np.testing.assert_allclose(found.y[:, 0], AMOUNTS, rtol=1e-6)
    two = np.stack([AMOUNTS, AMOUNTS**2], axis=1)
    assert "have the shape" in refusal(422, npz(x=X, y=two))  # one-hot labels come so too
    found = taken(npz(x=X, y=two), task="regression")
    assert found.facts.classes == 2
    np.testing.assert_allclose(found.y, two, rtol=1e-6)


def test_whole_numbers_of_a_type_with_fractions_are_amounts_and_the_answer_says_so() -> None:
    found = taken(npz(x=X, y=LABELS.astype(np.float64)))
    assert found.facts.task == "regression"
    assert "task=classification" in found.facts.note
    asked = taken(npz(x=X, y=LABELS.astype(np.float64)), task="classification")
    assert (asked.facts.task, asked.facts.classes) == ("classification", 3)
    np.testing.assert_array_equal(asked.y, LABELS)


def test_other_formats_have_amounts_too() -> None:
    found = taken(idx(X), idx(AMOUNTS.astype(np.float32)))
    np.testing.assert_allclose(found.y[:, 0], AMOUNTS, rtol=1e-6)
    for content in (parquet(X.tolist(), AMOUNTS.tolist()), arrow(X.tolist(), AMOUNTS.tolist())):
        np.testing.assert_allclose(taken(content).y[:, 0], AMOUNTS, rtol=1e-6)


def test_the_same_numbers_as_labels_and_as_amounts_are_two_versions() -> None:
    content = npz(x=X, y=LABELS)
    assert taken(content).version() != taken(content, task="regression").version()


def test_what_is_no_amount_is_refused_with_the_place() -> None:
    spoiled = AMOUNTS.copy()
    spoiled[7] = np.inf
    assert "case 7 is the first" in refusal(422, npz(x=X, y=spoiled))
    assert "one amount" in refusal(422, npz(x=X, y=np.full(12, 2.5)))
    assert "text" in refusal(422, npz(x=X, y=LABELS.astype(str)), task="regression")
    assert "have the shape" in refusal(422, npz(x=X, y=np.zeros((12, 0))), task="regression")
    assert "y.npy[1]" in refusal(422, npz(x=X, y=AMOUNTS), task="classification")
    assert "y.npy[7]" in refusal(422, npz(x=X, y=np.where(np.arange(12) == 7, np.inf, 1.0)), task="classification")


def test_amounts_count_in_what_is_kept() -> None:
    content = npz(x=X, y=np.arange(12 * 90).reshape(12, 90).astype(np.uint8))  # a byte each, kept as four
    assert "would take" in refusal(413, content, limit=4_000, task="regression")
    assert taken(content, limit=5_000, task="regression").facts.classes == 90
