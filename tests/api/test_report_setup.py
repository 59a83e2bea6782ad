"""What the report says was asked: network, data, training and seeds, and what each remedy changes."""

import json
import re
from html import unescape
from pathlib import Path

import pytest

from api.report.setup import remedies, setup
from models.plan import expand
from models.specs.experiment import ExperimentSpec
from models.specs.remedy import REMEDIES
from tests.api import made

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.json"))


def said(**changes: object) -> str:
    return plain(setup(ExperimentSpec.model_validate(made.spec(**changes))))


def plain(html: str) -> str:
    return unescape(re.sub("<[^>]+>", "", html))


def test_the_set_up_line_says_all_that_was_asked() -> None:
    deep = {"kind": "mlp", "depth": 20, "width": 64, "activation": "sigmoid", "init": {"kind": "xavier_normal"}}
    assert said(network=deep, optimizer={"kind": "adam"}, steps=60, seeds={"count": 3, "first": 5}) == (
        "Network Multilayer perceptron (mlp), depth 20 (19 hidden layers and the output), width 64, "
        "activation sigmoid, init xavier normal, normalization none, skip none. "
        "Data Handwritten digits, 8×8 (digits), 1,438 training and 359 test cases. "
        "Training adam, learning rate 0.001, batches of 128, 60 steps. Seeds 3, from 5 to 7. "
    )


def test_a_depth_is_told_with_its_hidden_layers() -> None:
    """As pictures and verdicts count hidden layers, and a depth counts the output too."""
    spec = ExperimentSpec.model_validate(made.spec(network={"kind": "mlp", "depth": 4, "width": 8}))
    hidden = len(expand(spec)[0].plan.network.hidden)
    assert f"depth 4 ({hidden} hidden layers and the output)" in plain(setup(spec))


def test_what_differs_from_a_default_is_said_and_what_does_not_is_left_out() -> None:
    usual = said()
    assert not re.search("momentum|Loss|dropout|validation", usual)
    changed = said(
        network={"kind": "mlp", "hidden": [9] * 8, "dropout": 0.1, "skip": {"kind": "residual", "every": 3}},
        optimizer={"kind": "sgd", "momentum": 0.9},
        dataset={"kind": "digits", "validation_fraction": 0.1},
        loss="mse",
        seeds=[7],
    )
    for words in (
        "hidden [9, 9, 9, 9, 9, 9 … 8 in all]",
        "skip residual (every 3)",
        "dropout 0.1",
        "momentum 0.9",
        "180 validation and 359 test cases",
        "Loss mse.",
        "Seeds 1, number 7.",
    ):
        assert words in changed
    adding = {"dataset": {"kind": "adding", "length": 20}, "network": {"kind": "rnn", "width": 8, "cell": "lstm"}}
    assert "Loss" not in said(**adding)  # mse is what a value has
    assert "length 20, 96,000 training and 24,000 test cases" in said(**adding)
    assert "cell lstm" in said(**adding)


def test_how_labels_and_classes_count_is_said() -> None:
    changed = {"class_weights": "balanced", "label_smoothing": 0.1, "metric": "balanced_accuracy"}
    assert "Loss class weights balanced, label smoothing 0.1, judged by balanced accuracy." in said(**changed)


def test_training_that_never_was_and_rates_that_are_chosen_are_said() -> None:
    assert "Training none, the untrained network was measured." in said(steps=0)
    assert "each variant at the best rate of [0.01, 0.1]" in said(tune={"learning_rate": [0.01, 0.1]})
    assert "batches of 128, 3 epochs" in said(steps=None, epochs=3)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_has_its_line_and_its_remedies(path: Path) -> None:
    spec = ExperimentSpec.model_validate(json.loads(path.read_text()))
    text = plain(setup(spec))
    assert spec.network.kind in text
    assert f"Seeds {len(spec.seed_list())}" in text
    for variant in expand(spec):
        shown = remedies(tuple(one.model_dump(mode="json") for one in variant.remedies))
        assert all(f"<b>{one.kind}</b>" in shown for one in variant.remedies)


def test_names_of_ones_own_and_formulas_are_said() -> None:
    uploaded = {"kind": "uploaded", "name": "mine"}
    assert "Data uploaded, name mine." in said(dataset=uploaded)  # no sizes before they are known
    named = {"kind": "sequential", "layers": [{"kind": "linear", "units": 3, "name": "a.b"}]}
    assert "layers [linear (units 3, name a.b)]" in said(network=named)
    assert "Σ‖W‖²" in remedies(({"kind": "l2"},))
    assert "‖g_i‖ ≤ λ·max(‖w_i‖, ε)" in remedies(({"kind": "agc"},))


@pytest.mark.parametrize(
    ("remedy", "words"),
    [
        ({"kind": "l2", "strength": 0.0001}, "l2: strength 0.0001, layers hidden L2 term in the loss: L + λ·Σ‖W‖²;"),
        ({"kind": "activation", "function": "relu"}, "activation: relu "),
        ({"kind": "learning_rate", "value": 0.003}, "learning_rate: 0.003 Another learning rate: lr ← value"),
        ({"kind": "clip_norm"}, "clip_norm: max norm 1 Gradient clipping by norm: "),
        (
            {"kind": "init", "init": {"kind": "normal", "std": 0.02}},
            "init: normal (std 0.02) Fixed standard deviation: W",
        ),
        ({"kind": "optimizer", "optimizer": {"kind": "adam"}}, "optimizer: adam (learning rate 0.001) Adam: W ← W"),
        ({"kind": "gradient_centralization"}, "gradient_centralization Gradient centralisation: "),
    ],
)
def test_a_remedy_is_said_with_its_parameters_and_what_it_is(remedy: dict[str, object], words: str) -> None:
    assert plain(remedies((remedy,))).startswith(words)


def test_of_the_baseline_it_is_said_that_it_has_none() -> None:
    assert "no remedy" in remedies(())
    assert "no remedy" not in remedies(({"kind": "l2"},))
    assert all(hasattr(kind, "about") for kind in REMEDIES.values())
