"""4,832 first names of the US census of 1990, female or male, from the files inside the package names."""

from functools import cache

import numpy as np

from models.specs.dataset import NamesSpec
from worker.datasets.package import folder_of
from worker.datasets.split import Arrays

LONGEST = 11


def arrays(_spec: NamesSpec, _seed: int) -> Arrays:
    """x (4832, 11) tokens: 1 to 26 for A to Z, then 0; y (4832,): 0 female, 1 male. RuntimeError if not installed."""
    return _read()


@cache
def _read() -> Arrays:
    folder = folder_of("names", "names")
    texts = [(folder / f"dist.{sex}.first").read_text(encoding="ascii") for sex in ("female", "male")]
    # Each line is a name, its frequency, the sum of these so far, and its rank.
    female, male = ({line.split()[0] for line in text.splitlines() if line.strip()} for text in texts)
    # In the order of the alphabet, as a set's own order is another one in every process.
    labelled = [(name, int(name in male)) for name in sorted(female ^ male)]
    x = np.zeros((len(labelled), LONGEST), dtype=np.int64)
    for row, (name, _) in zip(x, labelled, strict=True):
        row[: len(name)] = [ord(letter) - ord("A") + 1 for letter in name]
    lengths = np.array([len(name) for name, _ in labelled], dtype=np.int64)
    return Arrays(x, np.array([label for _, label in labelled], dtype=np.int64), lengths)
