"""The cut beside outcomes: counted by hand, its intervals by a search, and one true network of the grid."""

import math
from collections.abc import Sequence

import pytest
from scipy import stats

from gradient_clinic.gains.limits import CUTS
from models.plan import expand
from models.specs.experiment import ExperimentSpec
from models.specs.networks import NETWORKS
from proofs.outcomes.cuts.grid import RATES, Candidate, candidates, others
from proofs.outcomes.cuts.outcomes import Outcome, outcome_of
from proofs.outcomes.cuts.report import table
from proofs.outcomes.cuts.separation import bands, best_cuts, on_side, separation

INF = math.inf


def outcomes(trained: Sequence[float], failed: Sequence[float]) -> list[Outcome]:
    return [
        *(Outcome("mlp", gain, trained=True) for gain in trained),
        *(Outcome("mlp", gain, trained=False) for gain in failed),
    ]


def test_every_network_is_in_one_band_and_one_without_a_gain_in_none() -> None:
    found = bands(outcomes([-INF, -6.0, -3.0, 0.0, 3.0], [6.0, INF, math.nan]))
    assert found == [(1, 1), (1, 1), (2, 2), (1, 1), (0, 2)]


def test_a_cut_counts_what_it_catches_and_what_it_spares_on_its_own_side() -> None:
    some = outcomes([-4.0, -1.0, 0.0, 2.0, 9.0], [-9.0, -5.0, -2.0, 7.0])
    ours = on_side(some, "vanishing")
    assert len(ours) == 7
    found = separation(ours, "vanishing")
    assert (found.caught, found.failed, found.spared, found.trained) == (2, 3, 3, 4)
    assert found.p_value == pytest.approx(stats.hypergeom.sf(1, 7, 3, 3))  # 2 of the 3 beyond are among the 3 failed


def test_the_interval_of_the_balanced_accuracy_is_exact_at_both_shares() -> None:
    """Clopper-Pearson by its definition: the rate at which so many or more have a probability of α/2."""
    found = separation(outcomes([0.0] * 10, [-5.0] * 8 + [0.0] * 2), "vanishing")
    assert found.accuracy is not None
    value, low, high = found.accuracy
    assert value == pytest.approx((0.8 + 1.0) / 2)
    lows = [rate(8, 10), rate(10, 10)]
    assert low == pytest.approx(sum(lows) / 2, abs=1e-6)
    assert high == pytest.approx((1.0 - rate(2, 10) + 1.0) / 2, abs=1e-6)


def rate(count: int, of: int) -> float:
    below, above = 0.0, 1.0
    for _ in range(60):
        middle = (below + above) / 2
        enough = stats.binom.sf(count - 1, of, middle) > 0.025 / 2
        below, above = (below, middle) if enough else (middle, above)
    return below


def test_the_best_cut_is_that_of_an_exhaustive_search_and_its_interval_holds_it() -> None:
    best = best_cuts(outcomes([0.0, -1.0, -4.5, 0.5], [-5.5, -7.0, -9.0]), "vanishing", seed=0)
    assert best is not None
    assert best[0] == 5.0
    assert best[1] <= 5.0 <= best[2]
    assert best_cuts(outcomes([0.0, -9.0], []), "vanishing", seed=0) is None


def test_the_grid_has_every_kind_of_network_and_nothing_that_cannot_be() -> None:
    kinds = {its.network["kind"] for its in candidates()}
    assert kinds == set(NETWORKS)
    assert set(CUTS) == kinds
    for its in [*candidates(), *others()]:
        expand(ExperimentSpec.model_validate({"name": "cut", **its.body(RATES[its.optimizer][0], 0)}))


def test_the_others_are_other_networks_under_other_optimisers() -> None:
    pairs = list(zip(candidates(), others(), strict=True))
    assert all(one.group == other.group and one.optimizer != other.optimizer for one, other in pairs)
    one, other = next((one, other) for one, other in pairs if one.network["kind"] == "sequential")
    assert other.network["init"]["weight_variance"] == 1.25 * one.network["init"]["weight_variance"]
    assert other.network["layers"] == one.network["layers"]


def test_a_network_is_tried_at_every_rate_before_it_has_failed() -> None:
    """A rate of 0.01 is too small for four steps, the next too, and 0.1 not."""
    network = {"kind": "mlp", "hidden": [64], "init": {"kind": "kaiming_normal"}}
    assert outcome_of(Candidate("mlp", network, steps=12), 0) == Outcome("mlp", 0.0, trained=True)
    silent = {"kind": "mlp", "depth": 30, "width": 16, "activation": "sigmoid"}
    found = outcome_of(Candidate("mlp", silent, steps=5), 0)
    assert not found.trained
    assert found.gain < -40


def test_the_tables_have_a_row_per_group_and_side() -> None:
    text = table(outcomes([0.0, -4.0], [-9.0]), 0)
    assert "| mlp | 0/1 | 1/1 | 1/1 | – | – |" in text
    assert "| mlp: vanishing | 1/1 | 1/2 |" in text
