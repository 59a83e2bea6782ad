"""The newest draw: which failures count as named at the end, and that its networks are new."""

import pytest

from gradient_clinic.verdict.shapes import Verdict
from models.analysis.verdict.summary import summarise
from proofs.science.alarms import MOMENTS, OURS, Judged
from proofs.science.cases import cases, newest
from proofs.science.cases.random import architecture
from proofs.science.newest import answer_of, at_end, figures_of, promises
from tests.models.analysis.synthetic import CHANCE, even, facts_of, plan_of, trace_of


def verdict(start: float = 0.0, loss: float = CHANCE, update: float = 0.02) -> Verdict:
    plan = plan_of(hidden=[16, 16, 16, 16], init={"kind": "kaiming_normal"})
    trace = trace_of(plan, even(4, start / 3.0), loss=loss)
    trace.signals["update_ratio"][:] = update
    return summarise(plan, trace, facts_of(plan)).verdict


@pytest.mark.parametrize(
    ("start", "loss", "update", "answer"),
    [
        (0.0, CHANCE, 0.02, "alarm"),
        (-9.0, 1.5, 0.02, "alarm"),
        (0.0, 1.5, 0.02, "abstained"),
        (0.0, 1.5, 0.002, "alarm"),
        (0.0, 0.2, 0.002, "healthy"),
    ],
)
def test_a_slow_run_is_named_by_its_cause_alone(start: float, loss: float, update: float, answer: str) -> None:
    assert answer_of(verdict(start, loss, update)) == answer


def test_todays_verdict_stands_at_the_end_and_early_readings_stay() -> None:
    early = Judged("a", "mlp", "unseen", 0, True, {OURS: ("healthy",) * 4, "b": ("alarm",) * 4}, ("healthy",) * 4)  # noqa: FBT003
    found = at_end(early, verdict(-9.0))
    assert found.answers == {OURS: ("healthy", "healthy", "healthy", "alarm"), "b": ("alarm",) * 4}
    assert found.kinds[:3] == ("healthy",) * 3
    assert found.kinds[3].startswith("vanishing, ")
    figures = figures_of([found])
    assert figures["missed"] == {MOMENTS[2]: {"a": 1}, MOMENTS[3]: {}}
    assert [line.held for line in promises({**figures})][::2] == [False, True]


def test_its_networks_are_of_architectures_that_were_in_no_list() -> None:
    known = {architecture(case.body["network"]) for case in cases()}
    drawn = newest()
    assert len({case.name for case in drawn}) == 100
    assert all(architecture(case.body["network"]) not in known for case in drawn)
