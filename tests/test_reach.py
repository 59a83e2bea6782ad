"""Tests that train are found by what they import, through helpers too."""

import pytest

from gradient_clinic.gains import limits
from tests import reach
from tests.worker import trials


def test_a_module_that_trains_by_a_helper_alone_is_marked(request: pytest.FixtureRequest) -> None:
    assert trials.plan_of().steps == 3
    assert request.node.get_closest_marker("trains") is not None


def test_what_only_reads_numbers_reaches_no_trainer() -> None:
    assert reach.reaches(limits, "gradient_clinic.gains.limits")
    assert not reach.reaches(limits, "worker.trainer")
    assert reach.reaches(trials, "worker.trainer")
