"""The page of the figures: every part has its tables, and a table's rows are as wide as its head."""

from typing import get_args

import pytest

from models.analysis.theory.caveat import Caveat
from proofs.science import advice, alarms, coverage, coverage_over_seeds, faults, ladders, newest, theory
from proofs.science.alarms import MOMENTS, OURS, Judged
from proofs.science.cases.case import Part
from proofs.science.coverage_counts import exact
from proofs.science.coverage_networks import gains
from proofs.science.coverage_over_seeds import effect_sizes, service
from proofs.science.families import FAMILIES
from proofs.science.pages import page
from proofs.science.published import RULES, SETS
from proofs.science.repairs import Tried

FEW = 5
"""Samples, which take seconds by the fifty: what they say is no matter here."""


def _alarms() -> dict[str, object]:
    names = [OURS, *SETS, *(rule.title for rule in RULES)]
    judged = [
        Judged("case", "cnn", part, 0, failed, dict.fromkeys(names, ("alarm",) * 4), ("dead",) * 4)
        for part in get_args(Part)
        for failed in (True, False)
    ]
    return {"seeds": 1, "cases": 3, "rules": "2", **alarms.figures_of(judged)}


def _newest() -> dict[str, object]:
    names = (OURS, *SETS)
    run = Judged("a", "mlp", "unseen", 0, True, dict.fromkeys(names, ("alarm",) * 4), ("stalled",) * 4)  # noqa: FBT003
    return {"seeds": 1, "cases": 1, "rules": "6", **newest.figures_of([run])}


def _faults() -> dict[str, object]:
    run = faults.Judged("a fault", "learning_rate", "relu", 0, True, "stalled", ("learning_rate",))  # noqa: FBT003
    return {"seeds": 1, "rules": "2", **faults.figures_of([run]), "bases": {"relu": {"healthy": 1}}}


def _advice() -> dict[str, object]:
    kept = {name: (Tried("init", 0.6), Tried("selu", None)) for name in advice.NAMES}
    run = advice.Advised("a case", "mlp", "unseen", 0.1, "stalled", ("learning_rate",), kept)
    return {**advice.figures_of([run]), "record": advice.record_of([run]), "record_networks": 1}


def _ladders() -> dict[str, object]:
    blamed = dict.fromkeys((OURS, *SETS), True)
    runs = [ladders.Rung("rate", step, 0, step > 0, "stalled", ("learning_rate",), blamed) for step in range(9)]
    return {"seeds": 1, **ladders.figures_of([family for family in FAMILIES if family.name == "rate"], runs)}


def _theory() -> dict[str, object]:
    row = theory.Compared("mlp", "depth 3", "per layer", 1.0, 1.1, (Caveat("small", "It is small."),))
    worst = {"kind": "mlp", "axis": "per layer", "spec": "depth 3", "predicted": 1.0, "measured": 1.1}
    kinds = {"mlp, per layer": theory.figures_of([row])}
    return {"seeds": 1, "asked": 1, "kinds": kinds, "worst": [{**worst, "error": 0.1, "caveats": ["small"]}]}


def _coverage() -> dict[str, object]:
    return {
        "repetitions": 200,
        "means": list(coverage.means(200)),
        "paired": list(coverage.paired(200)),
        "layers": list(coverage.simultaneous(200)),
        "service": service(FEW, FEW, 1),
        "effect_sizes": list(effect_sizes(50)),
        "gains": list(gains(250)),
        "exact": [exact(of) for of in coverage.SIZES],
        "success_difference": [{"n": n, "least": 0.9, "mean": 0.95} for n in coverage.SIZES],
    }


def test_every_part_has_its_tables_and_rows_fit_their_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage_over_seeds, "BLOCK", FEW)
    figures = {"alarms": _alarms(), "faults": _faults(), "advice": _advice(), "ladders": _ladders()}
    figures |= {"newest": _newest(), "coverage": _coverage(), "theory": _theory()}
    text = page(figures, "quick")
    assert text.count("\n## ") == 7
    assert all(moment in text for moment in MOMENTS)
    columns = 0
    for line in text.splitlines():
        if line.startswith("|"):
            assert columns in {0, line.count(" | ")}
            columns = line.count(" | ")
        else:
            columns = 0


def test_the_best_published_set_is_told_among_the_careful_ones() -> None:
    text = page({"alarms": _alarms()}, "quick")
    assert "no published set stays at 0.02 false alarms" in text  # every one alarms at all


def test_a_page_has_the_parts_that_were_measured() -> None:
    text = page({"theory": _theory()}, "quick")
    assert "## Theory" in text
    assert "## Alarms" not in text
