"""Advice: what counts as a repair, whose remedies are tried in which order, and that a remedy is trained once."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from models.specs.remedy import REMEDIES
from proofs.science.advice import (
    NAMES,
    OURS,
    RANDOM,
    Advised,
    at_random,
    figures_of,
    promises,
    record_of,
    sets_at_random,
)
from proofs.science.autotrainer import ORDERS, problem, solutions
from proofs.science.cases.case import Case
from proofs.science.published import Step
from proofs.science.repairs import Tried, plan_with, tried
from proofs.science.running import see
from tests.proofs.science.test_running import CASE


def advised(accuracy: float, ours: list[tuple[str, float | None]], others: float = 0.1) -> Advised:
    kept = {OURS: tuple(Tried(*each) for each in ours)}
    if accuracy < 0.5:
        kept |= {name: (Tried("l2", others),) * 3 for name in NAMES[1:]}
    return Advised("a", "mlp", "unseen", accuracy, "stalled", ("learning_rate", "dead_units"), kept)


def test_a_repair_ends_at_nine_tenths_and_is_counted_by_how_many_were_tried() -> None:
    figures = figures_of(
        [
            advised(0.1, [("init", 0.95)]),
            advised(0.1, [("init", 0.6), ("layer_norm", None), ("activation", 0.9)], others=0.9),
            advised(0.1, []),
            advised(0.7, []),
            advised(0.95, []),
        ]
    )
    ours = figures["repaired"][OURS]
    assert [ours[first]["count"] for first in "123"] == [1, 1, 2]
    assert (figures["networks"], figures["failed"], figures["healthy"]) == (5, 3, 1)
    assert figures["out_of_failure"][OURS]["1"]["count"] == 2
    assert figures["repaired"][RANDOM]["3"]["share"] == pytest.approx(1 / 3)
    assert ours["3"]["bounds"] == pytest.approx((0.0943, 0.9916), abs=1e-4)  # Clopper and Pearson, 2 of 3
    assert [run["ours"] for run in figures["unrepaired"]] == [[]]
    assert figures["by_verdict"]["stalled, learning_rate"]["failed"] == 3


def test_harm_is_what_no_longer_trains_and_never_what_changes_nothing() -> None:
    runs = [advised(0.95, [("standardise", 0.95), ("clip_norm", 0.5)]), advised(0.95, [("standardise", None)])]
    figures = figures_of([*runs, advised(0.99, [])])
    assert figures["advised_healthy"] == 2
    assert [figures["harmed"][first]["count"] for first in "123"] == [0, 1, 1]
    held = [line.held for line in promises(figures)]
    assert held == [False, False]  # nothing failed, so nothing was repaired


def test_the_record_counts_by_first_cause_and_remedy() -> None:
    runs = [advised(0.1, [("init", 0.95), ("layer_norm", 0.2)]), advised(0.7, [("init", 0.8)])]
    assert record_of(runs) == {"learning_rate": {"init": [1, 2], "layer_norm": [0, 1]}}


def test_a_remedy_is_trained_once_and_one_that_changes_nothing_never(tmp_path: Path) -> None:
    rate = [{"kind": "learning_rate", "value": 0.5}]
    first = tried(CASE, 0, rate, tmp_path)
    assert first.accuracy is not None
    [file] = tmp_path.iterdir()
    file.write_text("0.25")
    assert tried(CASE, 0, rate, tmp_path) == Tried("learning_rate", 0.25)
    for nothing in ([{"kind": "learning_rate", "value": 0.1}], [{"kind": "pre_norm"}]):
        assert tried(CASE, 0, nothing, tmp_path).accuracy is None
    assert len(list(tmp_path.iterdir())) == 1


def test_what_the_verdict_is_made_of_returns_from_the_folder(tmp_path: Path) -> None:
    first, again = see(CASE, 0, tmp_path), see(CASE, 0, tmp_path)
    assert first.measured is not None
    assert repr(again.measured) == repr(first.measured)  # NaN included


def test_random_remedies_change_the_network_are_of_all_kinds_and_of_the_case_alone() -> None:
    remedies = list(at_random(CASE))
    kinds = [str(remedy["kind"]) for [remedy] in remedies]
    assert len(set(kinds)) == len(kinds) >= 20
    assert set(kinds) <= set(REMEDIES)
    assert all(plan_with(CASE, remedy) is not None for remedy in remedies)
    assert list(islice(at_random(CASE), 3)) == remedies[:3]
    other = Case("another", CASE.family, CASE.part, CASE.body)
    assert [remedy["kind"] for [remedy] in at_random(other)] != kinds


def test_random_sets_have_the_sizes_asked_for_and_no_remedy_twice() -> None:
    sets = list(sets_at_random(CASE, [1, 2, 3]))
    assert [len(each) for each in sets] == [1, 2, 3]
    kinds = [str(remedy["kind"]) for each in sets for remedy in each]
    assert len(set(kinds)) == len(kinds)
    assert all(plan_with(CASE, each) is not None for each in sets)
    assert sets[0] == next(at_random(CASE))


@pytest.mark.parametrize("found", [*ORDERS, "not converging"])
def test_autotrainer_has_three_solutions_of_every_problem_that_can_be_planned(found: str) -> None:
    fitting = [each for each in solutions(found, CASE.body["optimizer"]) if plan_with(CASE, each) is not None]
    assert len(fitting) >= 3


def test_autotrainer_decides_by_its_rules(tmp_path: Path) -> None:
    seen = see(CASE, 0, tmp_path)
    healthy = Step(59, seen.tensors[3], seen.losses, seen.norms, 0.1)
    assert problem(healthy) == "not converging"
    assert problem(Step(59, seen.tensors[3], np.full(60, 2e3), seen.norms, 0.1)) == "explode"
