"""The full factorial: contrasts by hand, tests by scipy and statsmodels."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from models.analysis.comparison.compare import RunRow, Trial, compare
from models.analysis.comparison.factorial import Factorial
from tests.models.analysis.compared import CLIP, L2, run
from tests.models.analysis.synthetic import summary_of, variants_of

NAN = math.nan


CELLS = {
    "baseline": (0.10, 0.12, 0.11, 0.09),
    "l2": (0.20, 0.23, 0.19, 0.22),
    "clip_norm": (0.50, 0.55, 0.52, 0.49),
    "all": (0.80, 0.82, 0.84, 0.79),
}


def factorial_of(table: Mapping[str, Sequence[float]], untrained: Sequence[str] = ()) -> Factorial:
    spec, variants = variants_of(L2, CLIP, design="full_factorial")
    rows = [
        RunRow(name, seed, "succeeded", run(test_metric=metric, trained="no" if name in untrained else "yes"))
        for name, metrics in table.items()
        for seed, metric in enumerate(metrics)
    ]
    found = compare(Trial("e", spec, variants, rows)).factorial
    assert found is not None
    return found


def test_factorial_effects_are_contrasts_within_seeds() -> None:
    found = factorial_of(CELLS)
    none, l2, clip, both = (np.array(CELLS[name]) for name in ("baseline", "l2", "clip_norm", "all"))
    contrasts = {
        ("l2",): (both + l2 - clip - none) / 2,
        ("clip_norm",): (both + clip - l2 - none) / 2,
        ("l2", "clip_norm"): (both + none - l2 - clip) / 2,
    }
    tests = {some: stats.ttest_1samp(contrast, 0.0) for some, contrast in contrasts.items()}
    adjusted = multipletests([test.pvalue for test in tests.values()], method="holm")[1]
    effects = (*found.main_effects, *found.interactions)
    assert [effect.remedies for effect in effects] == list(contrasts)
    for effect, test, p in zip(effects, tests.values(), adjusted, strict=True):
        bounds = test.confidence_interval(0.95)
        assert (effect.effect.low, effect.effect.high) == pytest.approx((bounds.low, bounds.high))
        assert effect.p_holm == pytest.approx(p)


def test_an_effect_that_is_not_shown_says_how_many_seeds_would_show_it() -> None:
    small = {**CELLS, "l2": (0.10, 0.13, 0.10, 0.12), "all": (0.50, 0.56, 0.52, 0.50)}
    found = factorial_of(small)
    none, l2, clip, both = (np.array(small[name]) for name in ("baseline", "l2", "clip_norm", "all"))
    contrast = (both + l2 - clip - none) / 2
    n = TTestPower().solve_power(contrast.mean() / contrast.std(ddof=1), alpha=0.05 / 3, power=0.8)
    assert [effect.seeds_needed for effect in found.main_effects] == [math.ceil(n), None]


def test_simple_effects_are_differences_beside_the_same_others() -> None:
    found = {(simple.remedy, simple.given): simple.effect.mean for simple in factorial_of(CELLS).simple_effects}
    means = {name: float(np.mean(values)) for name, values in CELLS.items()}
    assert found == pytest.approx(
        {
            ("l2", ()): means["l2"] - means["baseline"],
            ("l2", ("clip_norm",)): means["all"] - means["clip_norm"],
            ("clip_norm", ()): means["clip_norm"] - means["baseline"],
            ("clip_norm", ("l2",)): means["all"] - means["l2"],
        }
    )


def test_cells_where_nothing_trains_are_a_floor() -> None:
    warning = factorial_of(CELLS, untrained=["baseline", "l2"]).floor_warning
    assert warning is not None
    assert "2 of 4 cells (baseline, l2)" in warning
    assert factorial_of(CELLS).floor_warning is None


def test_only_seeds_that_are_whole_count_in_the_factorial() -> None:
    found = factorial_of({**CELLS, "all": (0.80, NAN, 0.84)})
    assert (found.seeds, found.main_effects[0].effect.n) == (2, 2)


def test_a_factorial_of_untrained_networks_is_of_the_total_gain() -> None:
    remedies = ({"kind": "batch_norm"}, {"kind": "activation", "function": "relu"})
    spec, variants = variants_of(*remedies, design="full_factorial", epochs=None, steps=0)
    gains = {"baseline": -26.0, "batch_norm": 0.0, "activation": -6.0, "all": 4.0}
    rows = [RunRow(v.name, seed, "succeeded", summary_of(v.plan, gains[v.name])) for v in variants for seed in range(2)]
    found = compare(Trial("e", spec, variants, rows)).factorial
    assert found is not None
    assert (found.response, found.floor_warning) == ("total_gain", None)
    assert [effect.effect.mean for effect in found.main_effects] == pytest.approx([18.0, 12.0])
