"""Theory beside measurement: random specs are reproducible and valid, errors are told as they are."""

import numpy as np
import pytest

from models.analysis.theory.caveat import Caveat
from models.plan import expand
from models.specs.base import SpecError
from models.specs.experiment import ExperimentSpec
from proofs.science.theory import KINDS, Compared, compared, figures_of, promises

SMALL = Caveat("small", "It is small.")


def row(predicted: float, measured: float, *caveats: Caveat) -> Compared:
    return Compared("mlp", "a spec", "per layer", predicted, measured, caveats)


def test_errors_are_of_the_ratio_and_caveats_are_told_apart() -> None:
    found = figures_of([row(1.0, 1.02), row(2.0, 1.0, SMALL), row(1.0, 1.0)])
    assert found["largest"] == pytest.approx(0.5)
    assert found["without"]["largest"] == pytest.approx(0.02)
    assert found["with"]["largest"] == pytest.approx(0.5)
    assert found["within"] == pytest.approx(2 / 3)
    assert found["with_caveat"] == pytest.approx(1 / 3)
    assert found["without"]["within"] == 1.0


def test_a_kind_with_caveats_throughout_has_no_figure_without() -> None:
    assert figures_of([row(1.0, 1.1, SMALL)])["without"]["largest"] is None


def test_what_carries_no_caveat_is_promised_and_what_carries_one_is_figures_of() -> None:
    good = {"mlp, per layer": figures_of([row(1.0, 1.02), row(1.0, 1.3, SMALL)])}
    lines = {line.what: line for line in promises({"kinds": good})}
    assert lines["theory without a caveat within 5 %: mlp, per layer"].held is True
    assert lines["theory with a caveat within 5 %: mlp, per layer"].held is None
    assert lines["share with a caveat: mlp, per layer"].held is True
    bad = {"mlp, per layer": figures_of([row(1.0, 1.3), row(1.0, 1.0, SMALL)])}
    assert next(promises({"kinds": bad})).held is False


def test_a_caveat_counts_on_its_own_axis_alone() -> None:
    """Stacked linear cells carry one of depth, and none of time at this width."""
    rows = [row for row in compared("rnn", 12, 1) if "lstm" in row.spec or "gru" in row.spec]
    assert rows
    assert not any(caveat.axis == "depth" for row in rows if row.axis == "per step" for caveat in row.caveats)
    assert not any(caveat.axis == "time" for row in rows if row.axis == "per layer" for caveat in row.caveats)


@pytest.mark.parametrize("kind", KINDS)
def test_specs_at_random_are_the_same_for_the_same_seed_and_most_can_be(kind: str) -> None:
    drawn = [KINDS[kind](np.random.default_rng(seed)) for seed in range(10)]
    assert drawn == [KINDS[kind](np.random.default_rng(seed)) for seed in range(10)]
    dataset = "japanese_vowels" if kind in {"rnn", "transformer"} else "digits"
    planned = 0
    for network in drawn:
        body = {"name": "drawn", "dataset": {"kind": dataset}, "network": network, "optimizer": {"kind": "sgd"}}
        try:
            expand(ExperimentSpec.model_validate({**body, "steps": 0}))
        except (ValueError, SpecError):
            continue
        planned += 1
    assert planned >= 5


def test_wide_networks_measure_what_theory_says() -> None:
    rows = list(compared("mlp", 2, 2))
    assert len(rows) == 2
    assert all(row.error < 0.1 for row in rows)
