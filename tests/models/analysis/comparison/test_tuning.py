"""Which learning rate is a variant's own, and what a comparison says of it."""

import math

import pytest

from models.analysis.comparison.compare import RunRow, Trial, compare
from models.analysis.comparison.tuning import Tried, choose, tuning_of
from models.plan import expand
from models.specs.experiment import ExperimentSpec
from tests.models.analysis.compared import BASE, FIRST, SECOND, SPEC, run


def tried(rate: float, *losses: float | None, diverged: bool = False) -> list[Tried]:
    return [Tried(rate, loss, diverged, device_seconds=1.0) for loss in losses]


def test_the_best_mean_validation_loss_decides() -> None:
    assert choose([*tried(0.1, 0.5, 0.7), *tried(0.01, 0.6, 0.5), *tried(0.001, 0.9, 0.1, 1.0)]) == 0.01


def test_a_rate_that_diverged_once_gives_way_to_one_that_never_did() -> None:
    brilliant = [*tried(0.1, 0.01), *tried(0.1, 0.01, diverged=True)]
    assert choose([*brilliant, *tried(0.01, 2.0, 2.0)]) == 0.01
    for bad in (math.nan, math.inf, None):
        assert choose([*tried(0.1, 0.01, bad), *tried(0.01, 2.0, 2.0)]) == 0.01


def test_of_equals_the_smaller_rate_is_chosen() -> None:
    assert choose([*tried(0.1, 0.5), *tried(0.01, 0.5)]) == 0.01


def test_where_nothing_ended_well_nothing_is_chosen() -> None:
    assert choose([]) is None
    assert choose([*tried(0.1, math.nan), *tried(0.01, None), *tried(0.2, 1.0, diverged=True)]) is None


@pytest.mark.parametrize(("chosen", "at_edge"), [(0.001, True), (0.01, False), (0.1, True), (None, False)])
def test_a_best_rate_at_the_edge_is_told(chosen: float | None, at_edge: bool) -> None:  # noqa: FBT001 -- a parameter
    found = tuning_of([*tried(0.1, 0.5, 0.7), *tried(0.01, math.nan, 0.5), *tried(0.001, 0.9)], chosen)
    assert found.at_edge is at_edge
    assert [(its.learning_rate, its.runs, its.validation_loss.n) for its in found.tried] == [
        (0.001, 1, 1),
        (0.01, 2, 1),
        (0.1, 2, 2),
    ]
    assert found.tried[2].validation_loss.mean == pytest.approx(0.6)
    assert found.device_seconds == 5.0


def test_a_comparison_names_each_variants_rate_and_counts_what_tuning_cost() -> None:
    asked = SPEC.model_dump(mode="json") | {"dataset": {"kind": "digits"}}
    spec = ExperimentSpec.model_validate(asked | {"tune": {"learning_rate": [0.001, 0.01, 0.1]}})
    rates = {BASE: 0.01, FIRST: 0.1, SECOND: 0.01}
    ended = run(device_seconds=2.0)
    rows = [RunRow(name, seed, "succeeded", ended, rate) for name, rate in rates.items() for seed in (0, 1)]
    attempts = {name: [*tried(0.001, 3.0), *tried(0.01, 1.0), *tried(0.1, 2.0)] for name in (BASE, SECOND)}
    attempts[FIRST] = [*tried(0.001, 3.0), *tried(0.01, 2.0), *tried(0.1, 1.0)]
    found = compare(Trial("e", spec, expand(spec), rows, attempts))
    assert [part.tuned for part in found.variants] == [{"learning_rate": rate} for rate in rates.values()]
    assert [part.cost.device_seconds for part in found.variants] == [2 * 2.0 + 3 * 1.0] * 3
    assert "at this learning rate only" not in found.notes
    assert any("among 0.001, 0.01, 0.1, chosen on 3 seeds of their own" in note for note in found.notes)
    (edge,) = [note for note in found.notes if "edge" in note]
    assert edge.endswith(f": {FIRST} (0.1)")
    assert "Its own best learning rate is 0.1." in found.variants[1].sentence
