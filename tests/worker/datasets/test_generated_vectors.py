"""The linear teacher has the singular values asked for; the curves are shaped as a slow version shapes them."""

import itertools
import math

import numpy as np
import pytest

from models.specs.dataset import Mnist1dSpec, TeacherStudentSpec
from worker.datasets import mnist_1d, teacher_student


@pytest.mark.parametrize(
    ("inputs", "outputs", "values"), [(8, 8, (3.0, 2.0, 1.0)), (5, 3, (4.0, 0.5, 0.25)), (1, 4, (2.0,))]
)
def test_the_teacher_has_the_singular_values_asked_for(inputs: int, outputs: int, values: tuple[float, ...]) -> None:
    spec = TeacherStudentSpec(inputs=inputs, outputs=outputs, singular_values=values, cases=50)
    arrays = teacher_student.arrays(spec, 0)
    teacher, *_ = np.linalg.lstsq(arrays.x, arrays.y, rcond=None)
    rest = [0.0] * (min(inputs, outputs) - len(values))
    np.testing.assert_allclose(np.linalg.svd(teacher)[1], [*values, *rest], atol=1e-12)
    np.testing.assert_allclose(arrays.x @ teacher, arrays.y, atol=1e-12)


def test_inputs_are_white_and_the_input_output_correlation_is_the_teacher() -> None:
    """Saxe's Σ₁₁ = 1, so that Σ₃₁ = yᵀx/n has the teacher's singular values."""
    arrays = teacher_student.arrays(TeacherStudentSpec(), 0)
    cases = len(arrays.x)
    np.testing.assert_allclose(arrays.x.T @ arrays.x / cases, np.eye(8), atol=1e-12)
    np.testing.assert_allclose(np.linalg.svd(arrays.y.T @ arrays.x / cases)[1], [3, 2, 1, 0, 0, 0, 0, 0], atol=1e-12)


def shaped(label: int, length: int, scale: float, shift: int, shear: float) -> list[float]:
    """One curve, step by step: standardised, from zero, padded, scaled, rolled, sheared, at 40 places."""
    curve = mnist_1d.CURVES[label].tolist()
    mean = sum(curve) / 12
    sd = (sum((point - mean) ** 2 for point in curve) / 12) ** 0.5
    points = [scale * (point - curve[0]) / sd for point in curve] + [0.0] * (length - 12)
    points = points[length - shift :] + points[: length - shift]
    points = [point - shear * (place / (length - 1) - 0.5) for place, point in enumerate(points)]
    short = []
    for place in range(40):
        left, part = divmod(place * (length - 1) / 39, 1.0)
        right = min(int(left) + 1, length - 1)
        short.append(points[int(left)] * (1 - part) + points[right] * part)
    return short


def test_a_curve_without_noise_is_that_of_the_slow_version() -> None:
    cases = [(0, 48, 1.0, 0, 0.0), (1, 72, 0.8, 48, 0.375), (5, 60, 1.2, 13, -0.3), (9, 49, 1.0, 48, 0.1)]
    y, lengths, scales, shifts, shears = (np.array(each) for each in zip(*cases, strict=True))
    ours = mnist_1d.shorten(mnist_1d.place(y, lengths, scales, shifts, shears), lengths)
    # Where a place falls on a point, rounding may take the neighbour with a share of 1e-15.
    np.testing.assert_allclose(ours, [shaped(*case) for case in cases], atol=1e-9)


def test_classes_are_even_and_no_two_curves_are_alike() -> None:
    arrays = mnist_1d.arrays(Mnist1dSpec(), 0)
    assert np.bincount(arrays.y).tolist() == [500] * 10
    for one, other in itertools.permutations(mnist_1d.CURVES, 2):
        alike = [np.corrcoef(one, np.roll(other, shift))[0, 1] for shift in range(12)]
        assert max(alike) < 0.95


def test_blocks_leave_no_seam() -> None:
    """More cases than one block: each is drawn, and none is drawn twice."""
    x = mnist_1d.arrays(Mnist1dSpec(cases=25_005), 0).x
    assert len(np.unique(x, axis=0)) == 25_005


def test_noise_is_smooth_and_of_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the curve is noise alone: .25 of a unit one under a Gaussian of sd 2, Σg² = 1/(2·2·√π), and .02 white."""
    monkeypatch.setattr(mnist_1d, "SHEAR", 0.0)
    monkeypatch.setattr(mnist_1d, "MOST_SHIFT", 24)  # the curve ends at 36 of 48 points at the latest
    x = mnist_1d.arrays(Mnist1dSpec(cases=20_000), 0).x.astype(np.float64)
    expected = math.sqrt(0.25**2 / (4 * math.sqrt(math.pi)) + 0.02**2)
    # A filter that ends at the edge averages less: 5 % more, seen over all lengths.
    assert x[:, -1].std() == pytest.approx(expected, rel=0.08)
    assert x[:, -1].mean() == pytest.approx(0.0, abs=0.004)
    assert np.corrcoef(x[:, -1], x[:, -2])[0, 1] > 0.7
    assert abs(np.corrcoef(x[:, -1], x[:, -9])[0, 1]) < 0.1


def test_the_curves_can_be_told_apart() -> None:
    """Nearest neighbours among 4,000 do far better than chance, and worse than on digits: places shift."""
    arrays = mnist_1d.arrays(Mnist1dSpec(), 0)
    order = np.random.default_rng(0).permutation(5000)
    x, y = arrays.x[order].astype(np.float64), arrays.y[order]
    train, test = slice(0, 4000), slice(4000, 5000)
    distance = (x[test] ** 2).sum(1)[:, None] + (x[train] ** 2).sum(1) - 2 * x[test] @ x[train].T
    accuracy = (y[train][distance.argmin(axis=1)] == y[test]).mean()
    assert 0.3 < accuracy < 0.95
