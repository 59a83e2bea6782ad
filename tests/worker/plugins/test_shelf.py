"""Which plug-ins a worker has: those that are allowed and can be used, and what is published of them."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from models.specs.plugin import PluginKey
from tests import plugged
from worker.plugins.shelf import load

UNFIT = {
    "no_annotation": "has to be annotated with a pydantic model",
    "two_parameters": "its function takes (parameters, shape), and is called with (parameters, shape, outputs)",
    "data_faceless": "Faceless has no class variable ``facts``",
    "data_vague": "facts of Vague name many, which is no parameter",
    "absent": "ModuleNotFoundError: No module named 'nowhere'",
}


@pytest.fixture
def strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(plugged.strange(tmp_path / "strange"))


@pytest.mark.usefixtures("strange")
def test_nothing_is_imported_that_is_not_allowed() -> None:
    assert load([]).plugins == {}
    assert load(["numpy"]).plugins == {}


def test_a_package_that_is_not_installed_is_told_and_no_harm() -> None:
    with capture_logs() as logs:
        assert load(["not-installed-anywhere"]).plugins == {}
    assert [(its["event"], its["package"]) for its in logs] == [
        ("CLINIC_PLUGINS names a package that is not installed here", "not-installed-anywhere")
    ]


@pytest.mark.usefixtures("strange")
def test_what_cannot_be_used_is_left_out_with_the_reason() -> None:
    with capture_logs() as logs:
        shelf = load(["strange"])
    names = {key.name for key in shelf.plugins}
    assert names >= {"good", "data_good", "raises"}
    assert not names & UNFIT.keys()
    told = {its["plugin"]: its["why"] for its in logs}
    assert len(told) == len(UNFIT)
    for name, why in UNFIT.items():
        assert any(f" {name} of strange 0.1" in plugin and why in said for plugin, said in told.items()), name


def test_the_example_is_published_with_a_closed_schema_and_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(plugged.installed(tmp_path))
    offers = {offered.key: offered for offered in load(["clinic-example"]).offers}
    tower = offers[PluginKey("network", "gated_tower", "clinic-example", "1.0.0")]
    spirals = offers[PluginKey("dataset", "spirals", "clinic-example", "1.0.0")]
    assert len(offers) == 2
    assert tower.title == "A tower of gated layers, for cases of any shape"
    assert tower.schema["properties"]["depth"] == {
        "default": 8,
        "description": "Gated layers.",
        "maximum": 200,
        "minimum": 1,
        "title": "Depth",
        "type": "integer",
    }
    assert tower.schema["additionalProperties"] is False
    assert tower.facts is None
    assert spirals.facts is not None
    assert spirals.facts.of({"cases": 90, "arms": 4}).model_dump() == {
        "cases": 90,
        "shape": (2,),
        "classes": 4,
        "form": "vector",
        "target": "class",
        "vocabulary": 0,
    }
