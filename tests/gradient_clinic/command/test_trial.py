"""Names and settings of what is exported, without a clinic."""

from typing import Any

import pytest

from gradient_clinic.command.trial import Trial, folder_name, run_name

NAMES = [
    "a/b",
    "a%2Fb",
    "..",
    ".",
    "",
    "a",
    "a ",
    "a.",
    "A\\b",
    "Größe 5",
    "x" * 200,
    "x" * 199 + "y",
    "漢" * 200,
    "a:b",
]


def test_a_name_becomes_one_folder_that_no_other_name_has() -> None:
    folders = [folder_name(name) for name in NAMES if name]
    assert len(set(folders)) == len(folders)
    for folder in folders:
        assert not {"/", "\\", ":"} & set(folder)
        assert not folder.startswith(".")
        assert not folder.endswith((".", " "))
        assert len(folder.encode()) < 240
    assert folder_name("Größe 5") == "Größe 5"
    assert folder_name("a/b") == "a%2Fb"


@pytest.mark.parametrize(
    ("run", "wanted"),
    [
        ({"phase": "trial", "seed": 3, "learning_rate": 0.1}, "seed-3"),
        ({"phase": "tune", "seed": 3, "learning_rate": 1e-05}, "tune-1e-05-seed-3"),
    ],
)
def test_tries_of_a_tuning_are_not_runs_of_the_trial(run: Any, wanted: str) -> None:
    assert run_name(run) == wanted


def test_settings_are_the_spec_by_path_and_what_is_the_runs_own() -> None:
    spec = {
        "name": "n",
        "network": {"kind": "mlp", "hidden": [2, 3]},
        "optimizer": {"learning_rate": 0.1},
        "steps": None,
    }
    comparison = {"variants": [{"name": "wide", "remedies": [{"kind": "l2"}]}]}
    client: Any = None
    trial = Trial(client, {"spec": spec}, comparison, [], [], [], 1)
    assert trial.settings({"variant": "wide", "seed": 2, "learning_rate": 0.5}) == {
        "network.kind": "mlp",
        "network.hidden": "[2, 3]",
        "optimizer.learning_rate": 0.5,
        "variant": "wide",
        "seed": 2,
        "remedies": '[{"kind": "l2"}]',
    }
    assert trial.settings({"variant": "other", "seed": 0, "learning_rate": None})["optimizer.learning_rate"] == 0.1
