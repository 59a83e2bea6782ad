"""The two sets of characters: Python's own help, and first names."""

from pydoc_data.topics import topics

import numpy as np
import pytest

from models.specs.dataset import NamesSpec, PythonDocsSpec
from worker.datasets import names, python_docs
from worker.datasets.package import folder_of

TEXT = "".join(topics.values())


@pytest.mark.parametrize("length", [8, 64, 512])
def test_windows_follow_each_other_and_the_label_is_the_next_character(length: int) -> None:
    spec = PythonDocsSpec(length=length)
    arrays = python_docs.arrays(spec, 0)
    characters = sorted(set(TEXT))
    assert len(arrays.x) == spec.facts.cases == (len(TEXT) - 1) // length
    assert spec.facts.vocabulary == spec.facts.classes == len(characters)
    read = "".join(characters[token] for token in arrays.x.ravel())
    said = "".join(characters[token] for token in arrays.y.ravel())
    assert read == TEXT[: len(read)]
    assert said == TEXT[1 : len(read) + 1]


def test_the_text_is_one_of_language() -> None:
    """Half a million characters, and their entropy is well below that of a uniform draw."""
    arrays = python_docs.arrays(PythonDocsSpec(), 0)
    share = np.bincount(arrays.x.ravel()) / arrays.x.size
    entropy = -(share[share > 0] * np.log(share[share > 0])).sum()
    assert arrays.x.size > 400_000
    assert 2.5 < entropy < 3.6 < np.log(len(share))


def spelled() -> dict[str, int]:
    arrays = names.arrays(NamesSpec(), 0)
    assert arrays.lengths is not None
    return {
        "".join(chr(ord("A") - 1 + token) for token in row[:length]): label
        for row, length, label in zip(arrays.x.tolist(), arrays.lengths.tolist(), arrays.y.tolist(), strict=True)
    }


def test_names_are_spelled_and_labelled_as_in_their_lists() -> None:
    labels = spelled()
    assert len(labels) == 4832
    assert {name: labels[name] for name in ("ELIZABETH", "CHRISTINA", "EDUARDO", "AL")} == {
        "ELIZABETH": 0,
        "CHRISTINA": 0,
        "EDUARDO": 1,
        "AL": 1,
    }
    # Given to both in the census, so they teach nothing.
    assert not {"JAMES", "MARY", "LESLIE"} & labels.keys()


def test_most_names_are_female() -> None:
    assert 1.0 - float(np.mean(list(spelled().values()))) == pytest.approx(0.816, abs=5e-4)


def test_behind_a_names_end_is_the_token_of_no_character() -> None:
    arrays = names.arrays(NamesSpec(), 0)
    assert arrays.lengths is not None
    behind = np.arange(11) >= arrays.lengths[:, None]
    assert (arrays.x[behind] == 0).all()
    assert (arrays.x[~behind] >= 1).all()
    assert (arrays.lengths.min(), arrays.lengths.max(), arrays.x.max()) == (2, 11, 26)


def test_a_machine_without_the_package_is_told_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.datasets.package.find_spec", lambda _name: None)
    with pytest.raises(RuntimeError, match="the data set names is read from the package names, which is not"):
        folder_of("names", "names")
