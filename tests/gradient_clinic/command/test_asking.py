"""A spec as it is sent, and the summaries of an answer, without a clinic."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from gradient_clinic.command.asking import key_of, spec_of
from gradient_clinic.command.codes import MisusedError
from gradient_clinic.command.summaries import junit, markdown, sarif


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ([], {"network": {"depth": 3}}),
        (["network.depth=30"], {"network": {"depth": 30}}),
        (["network.activation=relu"], {"network": {"depth": 3, "activation": "relu"}}),
        (
            ["optimizer.kind=sgd", "seeds=[1, 2]"],
            {"network": {"depth": 3}, "optimizer": {"kind": "sgd"}, "seeds": [1, 2]},
        ),
        (["network=null"], {"network": None}),
    ],
)
def test_a_spec_is_changed_by_paths(tmp_path: Path, changes: list[str], wanted: Any) -> None:
    file = tmp_path / "spec.json"
    file.write_text('{"network": {"depth": 3}}')
    assert json.loads(spec_of(str(file), changes)) == wanted


REFUSED = [("{}", "network.depth"), ('{"a": [1]}', "a.b=1"), ("[1]", "a=1"), ("{", "a=1")]


@pytest.mark.parametrize(("text", "change"), REFUSED)
def test_what_is_no_spec_and_no_path_is_refused(tmp_path: Path, text: str, change: str) -> None:
    file = tmp_path / "spec.json"
    file.write_text(text)
    with pytest.raises(MisusedError):
        spec_of(str(file), [change])


def test_a_key_is_of_a_spec_and_a_job() -> None:
    assert key_of(b"{}", "1") == key_of(b"{}", "1")
    assert len({key_of(b"{}", "1"), key_of(b"{}", "2"), key_of(b"{ }", "1")}) == 3


def variant(name: str, count: int, causes: list[str]) -> Any:
    metric = {"mean": 0.9, "low": 0.8, "high": 1.0, "method": "t"} if count else {"mean": None}
    return {
        "name": name,
        "verdict": {"kind": "healthy" if count else "dead", "causes": causes},
        "outcomes": {"success": {"count": count, "of": 3}, "metric": metric},
        "sentence": f"{name} <says> so.",
    }


def test_an_answer_in_the_forms_of_continuous_integration() -> None:
    comparison = {
        "experiment_id": "0199",
        "metric": "accuracy",
        "answer": "Use relu.",
        "variants": [variant("baseline", 0, ["dead_units"]), variant("a|b", 3, [])],
    }
    assert markdown(comparison) == (
        "Use relu.\n\n| variant | verdict | trains | accuracy |\n|---|---|---|---|\n"
        "| baseline | dead | 0 of 3 | – |\n| a\\|b | healthy | 3 of 3 | 0.900 ±0.100 |\n"
    )
    suite = ET.fromstring(junit(comparison))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    (failure,) = suite.iter("failure")
    assert failure.get("message") == "baseline <says> so."
    (result,) = json.loads(sarif(comparison))["runs"][0]["results"]
    assert (result["ruleId"], result["message"]["text"]) == ("dead_units", "Use relu.")
