"""A linear teacher of given singular values over white inputs, whose learning curve is known (Saxe 2014)."""

import numpy as np
import numpy.typing as npt

from models.specs.dataset import TeacherStudentSpec
from worker.datasets.drawn import generator
from worker.datasets.split import Arrays


def arrays(spec: TeacherStudentSpec, seed: int) -> Arrays:
    """x (cases, inputs) with xᵀx/cases = 1, y (cases, outputs) = x·Wᵀ."""
    chance = generator(spec, seed)
    rank = len(spec.singular_values)
    left, right = _orthonormal(chance, spec.outputs, rank), _orthonormal(chance, spec.inputs, rank)
    teacher = left * np.array(spec.singular_values) @ right.T
    # xᵀx/cases is then 1 exactly and not on average, as the closed form of the learning curve assumes.
    x = _orthonormal(chance, spec.cases, spec.inputs) * np.sqrt(spec.cases)
    return Arrays(x, x @ teacher.T)


def _orthonormal(chance: np.random.Generator, rows: int, columns: int) -> npt.NDArray[np.float64]:
    """Orthonormal columns, uniform over all such."""
    q, r = np.linalg.qr(chance.standard_normal((rows, columns)))
    # QR leaves the signs to the algorithm; with R's diagonal positive the law is uniform (Mezzadri 2007).
    signed: npt.NDArray[np.float64] = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return signed
