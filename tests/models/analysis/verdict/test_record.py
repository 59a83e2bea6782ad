"""What an answer is told with: how often it repaired under the same verdict, and what it would cost."""

import json
from pathlib import Path

import pytest

from gradient_clinic.verdict.shapes import Answer
from models.analysis.verdict import record
from models.analysis.verdict.record import FILE, counts, record_of, told
from models.plan import expand
from models.plan.cost import run_seconds
from models.specs.remedy import REMEDIES
from tests.models.analysis.synthetic import DEEP_HE, experiment, summary_of

RESULTS = Path(__file__).parents[4] / "proofs" / "science" / "results" / "advice.json"
RATE = {"kind": "sgd", "learning_rate": 5.0}


def test_counts_have_exact_bounds_and_what_was_never_tried_has_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "counts", lambda: {"learning_rate": {"learning_rate": (9, 10)}})
    found = record_of("learning_rate", "learning_rate")
    assert found is not None
    assert (found.repaired, found.of, found.method) == (9, 10, "clopper-pearson")
    assert (found.low, found.high) == pytest.approx((0.5550, 0.9975), abs=1e-4)  # Clopper and Pearson, 9 of 10
    assert record_of("learning_rate", "clip_norm") is None
    assert record_of("stalled", "learning_rate") is None


def test_an_answer_costs_what_the_variant_that_it_names_costs_over_all_seeds() -> None:
    spec = experiment(network=DEEP_HE, optimizer=RATE, seeds=[0, 1, 2])
    found = summary_of(expand(spec)[0].plan, 0.0, 0.0, 1e9, outcome="diverged").verdict
    assert [answer.remedy for answer in found.answers][:3] == [
        "learning_rate",
        "optimizer",
        "rezero+batch_norm+optimizer",
    ]
    variants = [{"name": answer.remedy, "remedies": answer.specs} for answer in found.answers]
    plans = [variant.plan for variant in expand(experiment(network=DEEP_HE, optimizer=RATE, variants=variants))[1:]]
    asked = [answer.estimated_device_seconds for answer in found.answers]
    assert asked == pytest.approx([3 * run_seconds(plan) for plan in plans], abs=1e-3)
    price = dict(zip([answer.remedy for answer in found.answers], asked, strict=True))
    assert price["clip_norm"] != price["learning_rate"]  # clipping takes time


def test_an_answer_bears_the_record_of_its_verdict() -> None:
    spec = experiment(network=DEEP_HE, optimizer=RATE)
    found = summary_of(expand(spec)[0].plan, 0.0, 0.0, 1e9, outcome="diverged").verdict
    assert [answer.record for answer in found.answers] == [
        record_of("learning_rate", answer.remedy) for answer in found.answers
    ]


def test_the_record_is_what_was_measured_on_the_draw_that_advice_is_not_judged_on() -> None:
    measured = json.loads(RESULTS.read_text(encoding="utf-8"))["figures"]
    assert json.loads(FILE.read_text(encoding="utf-8")) == measured["record"]
    assert all(
        set(remedy.split("+")) <= set(REMEDIES) and 0 <= its[0] <= its[1]
        for of in counts().values()
        for remedy, its in of.items()
    )
    assert any(its[1] for of in counts().values() for its in of.values())


def test_what_a_network_has_already_or_refuses_is_no_answer() -> None:
    post = {"kind": "transformer", "blocks": 2, "width": 16, "norm_position": "post"}
    answer = Answer(remedy="pre_norm", why="it helps", spec={"kind": "pre_norm"})
    for network, named in ((post, True), ({**post, "norm_position": "pre"}, False), (DEEP_HE, False)):
        dataset = {"kind": "japanese_vowels" if "blocks" in network else "digits"}
        plan = expand(experiment(network=network, dataset=dataset))[0].plan
        assert (told(plan, "diverged", (), answer) is not None) == named
