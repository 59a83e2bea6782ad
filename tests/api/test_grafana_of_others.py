"""The dashboard for Grafana, read and written again by Grafana's own types: run by `make exports`, which installs them.

They are of Grafana 10.1: what came later, in the panels that the file has, is named here.
"""

import importlib
import importlib.util
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.test_grafana import DASHBOARD

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(importlib.util.find_spec("grafana_foundation_sdk") is None, reason="make exports"),
]
LATER = {"/panels/5/options/mapping"}
"""Of the XY chart of Grafana 11."""


def lost(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Where what the file says is not there any more, or another value."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            yield from lost(value, theirs.get(name), f"{path}/{name}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for at, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from lost(one, other, f"{path}/{at}")
    elif ours != theirs:
        yield path


def test_grafanas_types_lose_nothing_of_the_dashboard() -> None:
    module = importlib.import_module
    module("grafana_foundation_sdk.cog.plugins").register_default_plugins()
    read = module("grafana_foundation_sdk.models.dashboard").Dashboard.from_json(DASHBOARD)
    encoder = module("grafana_foundation_sdk.cog.encoder").JSONEncoder
    assert set(lost(DASHBOARD, json.loads(json.dumps(read, cls=encoder)))) == LATER
    wrong = json.loads(json.dumps(DASHBOARD))
    wrong["panels"][0]["gridPos"]["width"] = wrong["panels"][0]["gridPos"].pop("w")
    back = json.loads(
        json.dumps(module("grafana_foundation_sdk.models.dashboard").Dashboard.from_json(wrong), cls=encoder)
    )
    assert "/panels/0/gridPos/width" in set(lost(wrong, back))
