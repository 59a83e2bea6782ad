"""``gradient-clinic check``: what it ends with, and the files that continuous integration reads."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from gradient_clinic.command.line import main
from gradient_clinic.watcher.findings import RULES

MODELS = """
import torch
from torch import nn

BATCH = torch.randn(64, 16), torch.randint(4, (64,))

def network(scale):
    model = nn.Sequential(*(part for _ in range(8) for part in (nn.Linear(16, 16), nn.ReLU())), nn.Linear(16, 4))
    with torch.no_grad():
        for its in model.parameters():
            its.normal_(0.0, scale * 2.0**0.5 / 4.0) if its.dim() > 1 else its.zero_()
        model[-1].weight.mul_(0.1)
    return model

def sound():
    return network(1.0), BATCH, nn.functional.cross_entropy

def vanishing():
    return network(0.3), BATCH, nn.functional.cross_entropy

def forgotten():
    model = network(0.3)
    return model, BATCH, nn.functional.cross_entropy, torch.optim.SGD(model[2:].parameters(), lr=0.1)

def raises():
    return network(1.0), (torch.randn(2, 3), BATCH[1]), nn.functional.cross_entropy

def nothing():
    return None

value = 3
"""


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    Path("theirs.py").write_text(MODELS)


@pytest.mark.parametrize(
    ("made_by", "code", "said"),
    [
        ("theirs:sound", 0, "0 found"),
        ("theirs:vanishing", 1, "- gradients start vanishing"),
        ("theirs:forgotten", 1, "- 0.weight, 0.bias are in no optimiser"),
        ("theirs:raises", 3, "RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
        ("theirs:nothing", 2, "make_model gives (model, (inputs, targets), loss)"),
        ("theirs:value", 2, "theirs:value is a int, and cannot be called"),
        ("theirs:absent", 2, "has no attribute 'absent'"),
        ("absent:sound", 2, "No module named 'absent'"),
        ("theirs", 2, "'theirs' is not package.module:make_model"),
    ],
)
def test_it_ends_as_it_says(made_by: str, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", made_by]) == code
    out, err = capsys.readouterr()
    assert said in out + err


def test_the_same_seed_finds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for _ in range(2):
        main(["check", "theirs:vanishing", "--seed", "3"])
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]


def test_only_what_is_new_fails_beside_a_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "theirs:vanishing", "--write-baseline", "known.json"]) == 0
    assert main(["check", "theirs:vanishing", "--baseline", "known.json"]) == 0
    assert "1 found, 0 of them new" in capsys.readouterr().out
    assert main(["check", "theirs:forgotten", "--baseline", "known.json"]) == 1
    assert "2 found, 1 of them new" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[]", '{"findings": [1]}'])
def test_what_is_no_baseline_is_refused(text: str) -> None:
    Path("known.json").write_text(text)
    assert main(["check", "theirs:sound", "--baseline", "known.json"]) == 2
    assert main(["check", "theirs:sound", "--baseline", "absent.json"]) == 2


def test_junit_has_a_case_for_each_rule_and_a_failure_for_what_is_new() -> None:
    main(["check", "theirs:vanishing", "--write-baseline", "known.json"])
    main(["check", "theirs:forgotten", "--junit", "all.xml"])
    main(["check", "theirs:forgotten", "--junit", "new.xml", "--baseline", "known.json"])
    failures = {}
    for name in ("all", "new"):
        suite = ET.parse(f"{name}.xml").getroot()
        cases = suite.findall("testcase")
        assert [case.get("name", "").partition(":")[0] for case in cases] == list(RULES)
        failures[name] = [its.get("type") for case in cases for its in case.findall("failure")]
        assert suite.get("failures") == str(len(failures[name]))
    assert failures == {"all": ["vanishing", "not_optimised"], "new": ["not_optimised"]}


def test_sarif_names_rule_place_and_what_is_new() -> None:
    main(["check", "theirs:vanishing", "--write-baseline", "known.json"])
    main(["check", "theirs:forgotten", "--sarif", "found.sarif", "--baseline", "known.json"])
    log = json.loads(Path("found.sarif").read_text())
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = [its["id"] for its in run["tool"]["driver"]["rules"]]
    assert rules == list(RULES)
    assert [(its["ruleId"], its["baselineState"]) for its in run["results"]] == [
        ("vanishing", "unchanged"),
        ("not_optimised", "new"),
    ]
    for its in run["results"]:
        assert rules[its["ruleIndex"]] == its["ruleId"]
        (place,) = its["locations"]
        assert place["physicalLocation"]["artifactLocation"]["uri"] == "theirs.py"
        line = place["physicalLocation"]["region"]["startLine"]
        assert MODELS.splitlines()[line - 1] == "def forgotten():"
    names = [its["fullyQualifiedName"] for its in run["results"][1]["locations"][0]["logicalLocations"]]
    assert names == ["0.weight", "0.bias"]


def test_a_file_that_is_not_there_cannot_be_sent() -> None:
    assert main(["send", "absent.jsonl", "--to", "http://127.0.0.1:9"]) == 2


def test_a_service_that_does_not_answer_leaves_the_file() -> None:
    Path("left.jsonl").write_text('[null, {"token": "a"}]\n')
    assert main(["send", "left.jsonl", "--to", "http://127.0.0.1:9"]) == 3
    assert Path("left.jsonl").exists()
