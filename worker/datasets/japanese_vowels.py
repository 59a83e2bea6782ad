"""640 utterances of /ae/ by nine speakers, 12 LPC cepstra per frame, from the files inside the package aeon."""

from functools import cache

import numpy as np
import numpy.typing as npt

from models.specs.dataset import JapaneseVowelsSpec
from worker.datasets.package import folder_of
from worker.datasets.split import Arrays

LONGEST = 29
CEPSTRA = 12


def arrays(_spec: JapaneseVowelsSpec, _seed: int) -> Arrays:
    """x (640, 29, 12), zero behind an utterance's end; y (640,), speakers from 0. RuntimeError without the package."""
    return _read()


@cache
def _read() -> Arrays:
    folder = folder_of("aeon", "japanese_vowels") / "datasets" / "data" / "JapaneseVowels"
    parts = [(folder / f"JapaneseVowels_{part}.ts").read_text(encoding="utf-8") for part in ("TRAIN", "TEST")]
    utterances = [utterance for part in parts for utterance in _utterances(part)]
    x = np.zeros((len(utterances), LONGEST, CEPSTRA))
    for row, (frames, _) in zip(x, utterances, strict=True):
        row[: len(frames)] = frames
    lengths = np.array([len(frames) for frames, _ in utterances], dtype=np.int64)
    # Lengths go along, as zeros behind an end could be frames.
    return Arrays(x, np.array([speaker for _, speaker in utterances], dtype=np.int64), lengths)


def _utterances(text: str) -> list[tuple[npt.NDArray[np.float64], int]]:
    """(frames, speaker) of every line behind ``@data``: the dimensions between colons, last the label, from 1."""
    lines = text[text.index("@data") :].splitlines()[1:]
    found = []
    for line in filter(None, map(str.strip, lines)):
        *dimensions, label = line.split(":")
        frames = np.array([[float(number) for number in each.split(",")] for each in dimensions]).T
        found.append((frames, int(label) - 1))
    return found
