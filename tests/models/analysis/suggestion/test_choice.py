"""Which changes are chosen to tell causes apart: on candidates made by hand, and by a slow oracle over all subsets."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from models.analysis.suggestion.choice import Candidate, chosen
from models.specs.remedy import RemedySpec
from models.specs.training_remedies import ClipNormRemedy

SUSPECTS = 4


def candidate(*tests: int, speaks: bool = True, gain: float | None = 0.0, seconds: float = 1.0) -> Candidate:
    remedy: RemedySpec = ClipNormRemedy(kind="clip_norm")
    return Candidate(remedy, frozenset(tests), speaks, gain, seconds)


def test_each_cause_gets_the_change_that_nothing_else_explains() -> None:
    alone, other, both = candidate(0), candidate(1), candidate(0, 1)
    assert chosen([both, alone, other], 2) == [alone, other]


def test_what_no_change_tests_alone_is_covered_by_the_widest() -> None:
    alone, narrow, wide = candidate(0), candidate(0, 1), candidate(0, 1, 2)
    assert chosen([narrow, alone, wide], 3) == [alone, wide]


def test_what_cannot_be_tested_is_left_out() -> None:
    assert chosen([], 2) == []
    assert chosen([candidate(1)], 2) == [candidate(1)]


def test_of_equals_the_one_inside_the_cut_that_shows_its_cause_nearest_to_zero_and_cheapest_is_taken() -> None:
    best = candidate(0, gain=0.5, seconds=1.0)
    worse = [
        candidate(0, gain=-4.0, seconds=0.1),
        candidate(0, gain=0.1, speaks=False),
        candidate(0, gain=None),
        candidate(0, gain=-0.6),
        candidate(0, gain=-0.5, seconds=2.0),
    ]
    for other in worse:
        assert chosen([other, best], 1) == [best]
        assert chosen([best, other], 1) == [best]


TESTS = st.lists(st.sets(st.integers(0, SUSPECTS - 1), min_size=1), max_size=7)


@settings(deadline=None, database=None, derandomize=True)
@given(TESTS)
def test_no_fewer_changes_cover_as_much_and_keep_each_cause_its_own(tests: list[set[int]]) -> None:
    """Greedy is within ln(n) + 1 of the fewest; of four causes it is at most one more."""
    candidates = [candidate(*its, seconds=float(at)) for at, its in enumerate(tests)]
    found = chosen(candidates, SUSPECTS)
    testable: set[int] = set().union(*tests)
    own = {place for place in testable if {place} in tests}
    assert set().union(*(one.tests for one in found)) == testable
    assert {place for one in found for place in one.tests if len(one.tests) == 1} == own
    assert len(set(found)) == len(found)
    fewest = next(
        size
        for size in range(len(candidates) + 1)
        for some in itertools.combinations(candidates, size)
        if testable == set().union(*(one.tests for one in some))
        and own <= {place for one in some for place in one.tests if len(one.tests) == 1}
    )
    assert len(found) <= fewest + 1
