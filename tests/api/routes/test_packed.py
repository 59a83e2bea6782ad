"""Pictures as packed numbers: the same as JSON has, value by value."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from api.http.negotiation import JSON, PACKED
from gradient_clinic.values import Array
from models.storage.database import Database
from tests.api.made import claim, problem, run_ids, submit, write
from tests.models.stored import some_values


def unpacked(body: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """As a client of the guide reads it (docs/api.md), without numpy's help for the layout."""
    (length,) = struct.unpack_from("<I", body)
    assert length % 4 == 0
    head = json.loads(body[4 : 4 + length])
    at, arrays = 4 + length, {}
    for array in head["arrays"]:
        size = int(np.prod(array["shape"]))
        arrays[array["name"]] = np.array(struct.unpack_from(f"<{size}f", body, at)).reshape(array["shape"])
        at += 4 * size
    assert at == len(body)
    return head, arrays


@pytest.fixture
def path(client: TestClient, database: Database) -> str:
    run_id = run_ids(database, submit(client, steps=900))[0]
    lease, plan = claim(database, run_id)
    signals, curves = some_values(len(plan.network.rows), 900, seed=0, broken=0.05)
    write(database, lease, plan, signals, curves, ended=True)
    return f"/v1/runs/{run_id}"


ASKED = ["trace?signal=weight_norm&points=70", "curves?points=70&from=5", "curves?points=5000", "curves?curve=loss"]


@pytest.mark.parametrize("asked", ASKED)
def test_packed_numbers_are_those_of_json(client: TestClient, path: str, asked: str) -> None:
    answers = [client.get(f"{path}/{asked}", headers={"Accept": kind}) for kind in (JSON, PACKED)]
    assert [answer.headers["content-type"] for answer in answers] == [JSON, PACKED]
    assert answers[0].headers["etag"] != answers[1].headers["etag"]
    told: dict[str, Any] = answers[0].json()
    head, arrays = unpacked(answers[1].content)
    assert head["steps"] == told["steps"]
    assert head["first_nonfinite"] == told["first_nonfinite"]
    assert arrays
    for name, array in arrays.items():
        value: Any = told
        for key in name.split("."):
            value = value[key]
        expected = np.array([[np.nan if one is None else one for one in row] for row in np.atleast_2d(value)])
        found = np.where(np.isfinite(array), array, np.nan)  # as it is here, null in JSON
        np.testing.assert_array_equal(np.atleast_2d(found), expected.astype(np.float32))


def test_one_curve_alone_is_as_among_all(client: TestClient, path: str) -> None:
    every, one = (client.get(f"{path}/curves{asked}").json() for asked in ("", "?curve=gradient_norm"))
    assert list(one["curves"]) == ["gradient_norm"]
    assert one["curves"]["gradient_norm"] == every["curves"]["gradient_norm"]
    assert one["steps"] == every["steps"]
    problem(client.get(f"{path}/curves?curve=nothing"), 422)


def test_all_signals_at_once_are_a_table_and_no_picture(client: TestClient, path: str) -> None:
    problem(client.get(f"{path}/trace?signal=all", headers={"Accept": PACKED}), 422)
