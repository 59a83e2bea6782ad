"""Fashion-MNIST is read from the four files of Debian's package; small ones are written here in their place."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from models.specs.dataset import FashionMnistSpec
from worker.datasets import fashion_mnist


def write(folder: Path, name: str, values: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    (folder / f"{name}-ubyte.gz").write_bytes(gzip.compress(header + values.tobytes()))


def test_training_files_come_first_and_a_byte_is_a_255th(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28)).astype(np.uint8)
    labels = np.array([9, 0, 3, 4, 1], dtype=np.uint8)
    for part, its in (("train", slice(0, 3)), ("t10k", slice(3, 5))):
        write(tmp_path, f"{part}-images-idx3", images[its])
        write(tmp_path, f"{part}-labels-idx1", labels[its])
    monkeypatch.setattr(fashion_mnist, "FOLDER", tmp_path)
    arrays = fashion_mnist.arrays(FashionMnistSpec(), 0)
    assert arrays.x.shape == (5, 1, 28, 28)
    np.testing.assert_allclose(arrays.x[:, 0], images / 255.0, rtol=1e-6)
    assert arrays.y.tolist() == [9, 0, 3, 4, 1]
    assert arrays.y.dtype == np.int64


def test_a_machine_without_the_package_is_told_which_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion_mnist, "FOLDER", tmp_path)
    with pytest.raises(RuntimeError, match="apt-get install dataset-fashion-mnist"):
        fashion_mnist.arrays(FashionMnistSpec(), 0)


@pytest.mark.skipif(not fashion_mnist.FOLDER.exists(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_whole_set_has_7000_cases_of_each_class() -> None:
    arrays = fashion_mnist.arrays(FashionMnistSpec(), 0)
    assert arrays.x.shape == (70_000, 1, 28, 28)
    assert np.bincount(arrays.y).tolist() == [7000] * 10
    assert arrays.y[:3].tolist() == [9, 0, 0]
