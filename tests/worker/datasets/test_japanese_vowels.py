"""The utterances are those of the published files, frame by frame, with their lengths."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from models.specs.dataset import JapaneseVowelsSpec
from worker.datasets import japanese_vowels, load


def test_both_parts_are_read_with_nine_speakers() -> None:
    y = japanese_vowels.arrays(JapaneseVowelsSpec(), 0).y
    assert np.bincount(y[:270]).tolist() == [30] * 9
    # The numbers of the test part as the set's publisher gives them.
    assert np.bincount(y[270:]).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]


def test_lengths_are_kept_and_zeros_lie_behind_them() -> None:
    arrays = japanese_vowels.arrays(JapaneseVowelsSpec(), 0)
    assert arrays.lengths is not None
    assert (arrays.lengths.min(), arrays.lengths.max()) == (7, 29)
    behind = np.arange(29) >= arrays.lengths[:, None]
    assert (arrays.x[behind] == 0.0).all()
    assert (np.abs(arrays.x[~behind]).max(axis=1) > 0.0).all()
    assert np.isfinite(arrays.x).all()


def test_the_last_utterance_is_that_of_the_files_last_line() -> None:
    found = find_spec("aeon")
    assert found is not None
    assert found.origin is not None
    file = Path(found.origin).parent / "datasets/data/JapaneseVowels/JapaneseVowels_TEST.ts"
    *dimensions, speaker = file.read_text(encoding="utf-8").strip().rsplit("\n", 1)[-1].split(":")
    arrays = japanese_vowels.arrays(JapaneseVowelsSpec(), 0)
    assert arrays.lengths is not None
    for place, dimension in enumerate(dimensions):
        numbers = [float(number) for number in dimension.split(",")]
        assert arrays.x[-1, : len(numbers), place].tolist() == numbers
        assert arrays.lengths[-1] == len(numbers)
    assert arrays.y[-1] == int(speaker) - 1


def test_padding_stays_zero_when_the_cepstra_are_standardised() -> None:
    train = load(JapaneseVowelsSpec(standardise="feature"), 0).train
    assert train.lengths is not None
    inside = np.arange(29) < train.lengths.numpy()[:, None]
    x = train.x.numpy()
    assert (x[~inside] == 0.0).all()
    np.testing.assert_allclose(x[inside].mean(axis=0), np.zeros(12), atol=1e-5)


def test_the_package_is_never_imported() -> None:
    japanese_vowels.arrays(JapaneseVowelsSpec(), 0)
    assert "aeon" not in sys.modules
