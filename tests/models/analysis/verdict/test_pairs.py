"""Answers that are several remedies at once: where two causes hold that have nothing to do with each other."""

import pytest

from gradient_clinic.verdict.shapes import Verdict
from models.analysis.verdict.answers_to_causes import USUAL_RATES, rate_beyond
from models.plan import Plan, expand
from models.specs.optimizer import OPTIMIZERS
from tests.models.analysis.synthetic import CHANCE, experiment, summary_of

DEEP = {"kind": "mlp", "depth": 20, "width": 64, "activation": "relu", "init": {"kind": "normal", "std": 0.1}}


def verdict(rate: float, start: float, network: dict[str, object] = DEEP, loss: float = CHANCE) -> Verdict:
    spec = experiment(network=network, optimizer={"kind": "adam", "learning_rate": rate})
    return summary_of(expand(spec)[0].plan, start, start, loss).verdict


@pytest.mark.parametrize(("rate", "direction"), [(0.06, "lower"), (2e-6, "higher")])
def test_weights_and_a_rate_out_of_range_are_answered_together(rate: float, direction: str) -> None:
    first, *others = verdict(rate, -9.0).answers
    assert first.remedy == "init+optimizer"
    assert first.direction == direction
    assert [spec["kind"] for spec in first.specs] == ["init", "optimizer"]
    assert f"{rate:g}".replace("-", "−") in first.why
    assert others[0].remedy == "optimizer"
    plan = expand(
        experiment(
            network=DEEP,
            optimizer={"kind": "adam", "learning_rate": rate},
            variants=[{"name": "both", "remedies": list(first.specs)}],
        )
    )[1].plan
    assert plan.optimizer.learning_rate == 0.001
    assert plan.network.layers[0].init.kind == "kaiming_normal"


def test_in_range_one_remedy_comes_first_and_what_usually_helps_together_third() -> None:
    answers = verdict(0.001, -9.0).answers
    assert [answer.remedy for answer in answers][::2][:2] == ["init", "rezero+batch_norm"]
    assert [answer.basis for answer in answers][2] == "usual"
    assert all(not answer.beside for answer in (*answers[:2], *answers[3:]))


def test_the_rate_alone_comes_first_where_gradients_start_in_range() -> None:
    found = verdict(0.5, 0.0, network={**DEEP, "init": {"kind": "kaiming_normal"}}, loss=2.0 * CHANCE)
    assert found.causes == ("learning_rate",)
    assert found.answers[0].remedy == "learning_rate"


@pytest.mark.parametrize(
    "network",
    [{**DEEP, "init": {"kind": "constant", "value": 0.0}}, {**DEEP, "dropout": 0.9, "activation": "selu"}],
    ids=["equal units", "dropout"],
)
def test_no_set_is_told_where_no_path_norm_or_rate_can_help(network: dict[str, object]) -> None:
    found = verdict(0.06, 0.0, network=network)
    assert found.causes
    assert all(not answer.beside for answer in found.answers)


def _plan(optimizer: dict[str, object]) -> Plan:
    return expand(experiment(optimizer=optimizer))[0].plan


def test_every_optimiser_has_a_range_that_holds_its_default() -> None:
    assert set(USUAL_RATES) == set(OPTIMIZERS)
    for kind in OPTIMIZERS:
        assert rate_beyond(_plan({"kind": kind})) is None
    assert rate_beyond(_plan({"kind": "sgd", "learning_rate": 6.0})) == "lower"
    assert rate_beyond(_plan({"kind": "muon", "learning_rate": 4e-5})) == "higher"
