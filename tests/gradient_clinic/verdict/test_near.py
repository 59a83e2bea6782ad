"""What rounding may turn: a number at its threshold is told, with what the rules say on its other side."""

import math

import pytest

from models.analysis.verdict.variant import variant_verdict
from tests.models.analysis.synthetic import DEEP_HE, plan_of, summary_of

PLAN = plan_of(**DEEP_HE)
LOSS = 1.2 * math.log(10.0)
"""Far above chance: no rule of the loss is near."""


@pytest.mark.parametrize(("gain", "other"), [(-3.001, "stalled"), (-2.999, "vanishing")])
def test_a_gain_at_its_cut_is_near_and_says_the_other_kind(gain: float, other: str) -> None:
    """Levels are on a line, so the interval of G is a point."""
    found = summary_of(PLAN, 0.0, gain, LOSS).verdict
    assert other in {near.would_be.kind for near in found.near if near.would_be is not None}
    assert "close to −3" in found.sentence


def test_a_verdict_far_from_every_threshold_is_near_none() -> None:
    assert summary_of(PLAN, -26.0, -26.0, LOSS).verdict.near == ()


def test_a_variant_is_near_where_its_counts_hang_on_near_runs() -> None:
    far, near = (summary_of(PLAN, 0.0, gain, LOSS) for gain in (-26.0, -3.001))
    assert variant_verdict([far] * 9 + [near]).near == ()
    assert [item.seeds for item in variant_verdict([far] * 3 + [near] * 2).near][:1] == [2]
