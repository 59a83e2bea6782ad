"""An estimate in figures: half an interval only where the mean lies in its middle."""

import pytest

from gradient_clinic.rendering import STUDENTS, Rendered, rendered
from models.analysis.statistics.methods import PAIRED, Method


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [
        ((2.0, 1.5, 2.5, "t"), Rendered("+2.0", half="±0.5")),
        ((2.0, 1.5, 2.6, "t"), Rendered("+2.0", ends="+1.5 to +2.6")),
        ((2.0, 1.5, 2.5, "BCa"), Rendered("+2.0", ends="+1.5 to +2.5", method="BCa")),
        ((2.0, None, None, "t"), Rendered("+2.0")),
        ((2.0, None, None, "BCa"), Rendered("+2.0")),
        ((2.0, 2.0, 2.0, "paired t"), Rendered("+2.0", half="±0.0")),
    ],
)
def test_half_an_interval_stands_for_both_ends_of_an_even_one_alone(
    estimate: tuple[float, float | None, float | None, str], expected: Rendered
) -> None:
    assert rendered(*estimate, "+.1f") == expected


def test_every_method_is_paired_once_and_all_but_students_are_bootstraps() -> None:
    assert {*PAIRED, *PAIRED.values()} == set(Method)
    assert {name for name in Method if "BCa" not in name} == STUDENTS
