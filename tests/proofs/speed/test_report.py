"""Figures as they are told: percentiles nobody invented, promises that are held or not."""

import json
from pathlib import Path

import pytest

from proofs import promise, report
from proofs.promise import Promise
from proofs.speed import matrix, memory, promises


def test_a_percentile_is_a_value_that_was_seen() -> None:
    values = [float(value) for value in range(1, 101)]
    assert report.percentile(values, 0.95) == 95.0
    assert report.percentile([3.0, 1.0], 0.95) == 3.0
    assert report.percentile([7.0], 0.5) == 7.0


def test_results_name_machine_versions_spec_and_seed(tmp_path: Path) -> None:
    report.save(tmp_path, "some", {"steps": 3}, {"figure": 1.5}, versions={"mlflow": "3"})
    results = json.loads((tmp_path / "some.json").read_text())
    assert set(results) == {"about", "spec", "seed", "figures"}
    assert results["about"]["cores"] >= 1
    assert results["about"]["versions"]["torch"]
    assert results["about"]["versions"]["mlflow"] == "3"
    assert report.load(tmp_path, "some") == {"figure": 1.5}
    assert report.load(tmp_path, "other") is None


def test_a_table_of_promises_says_which_are_held_and_counts_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [Promise("a", "≤ 1", "1", held=True), Promise("b", "≤ 1", "2", held=False), Promise("c", "", "3")]
    promise.show("Title", lines)
    assert capsys.readouterr().out.splitlines() == [
        "",
        "Title",
        "   promised  measured",
        "───────────────────────────────",
        "a       ≤ 1         1      held",
        "b       ≤ 1         2  NOT HELD",
        "c                   3",
    ]
    assert promise.count(lines) == (2, 1)


def test_a_promise_holds_at_its_limit_and_not_beyond() -> None:
    assert promises.most("a", 1.25, 1.25, "×").held
    assert not promises.most("a", 1.25, 1.251, "×").held
    assert promises.least("b", 1e6, 1e6, " values/s").held
    assert not promises.least("b", 1e6, 999_999.0, " values/s").held


def test_the_usual_script_is_taken_at_its_fastest() -> None:
    overs = {
        name: {"service_over": over, "alone_over": 2.0 * over}
        for name, over in zip(_NAMES, (1.0, 0.6, 0.2, 0.7), strict=True)
    }
    figures = {"matrix": overs, "start": {"ended_ms": {"p50": 60.0, "p95": 80.0}}}
    held = {line.what: line.held for line in promises.of_matrix(figures)}
    assert list(held.values()) == [True, False, False, True]


_NAMES = (matrix.SERVICE, matrix.GOOD, matrix.USUAL, matrix.USUAL_ONE)


def test_memory_is_told_at_its_moments_and_as_a_slope() -> None:
    samples = [memory.Sample(step, 100.0 + step / 1000) for step in range(1000, 100_001, 1000)]
    figures = memory.told(samples, 100_000)
    assert figures["mb_at"] == {"10%": 110.0, "50%": 150.0, "100%": 200.0}
    assert figures["mb_per_100000_steps"] == pytest.approx(100.0)
