"""Curves over seeds: what the runs themselves say, together, in one answer."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event

from api.http.negotiation import PACKED
from gradient_clinic.signals import CURVES
from gradient_clinic.values import Array
from models.storage.database import Database
from tests.api import made

STEPS = 6


def trial(client: TestClient, database: Database, *, seeds: int = 3, missing: int = 0, steps: int = STEPS) -> str:
    """Two variants; the last ``missing`` runs have recorded nothing."""
    asked = made.submit(client, remedies=[{"kind": "l2"}], seeds=list(range(seeds)), steps=steps)
    run_ids = made.run_ids(database, asked)
    for at, run_id in enumerate(run_ids[: len(run_ids) - missing]):
        lease, plan = made.claim(database, run_id)
        curves: Array = np.random.default_rng(at).normal(size=(len(CURVES), steps))
        curves[CURVES.index("loss"), 2] = np.nan if at == 0 else np.inf
        made.write(database, lease, plan, made.values(plan, 0.0), curves, ended=True)
        made.finish(database, lease, plan)
    return f"/v1/experiments/{asked['id']}"


def of_runs(client: TestClient, path: str, variant: str, curve: str) -> Array:
    """runs × steps, from each run's own answer; NaN where it is null."""
    runs = client.get(f"{path}/runs", params={"variant": variant}).json()["items"]
    told = [client.get(f"{run['links']['self']}/curves").json()["curves"][curve]["mean"] for run in runs]
    return np.array([one for one in told if one], dtype=np.float64)


@pytest.mark.parametrize("curve", ["loss", "gradient_norm"])
def test_it_is_mean_and_ends_of_what_each_run_says(client: TestClient, database: Database, curve: str) -> None:
    """Six steps: runs without rollups, whose values are read together."""
    path = trial(client, database, missing=1)
    found = client.get(f"{path}/curves", params={"curve": curve}).json()
    assert found["variants"] == [{"name": "baseline", "runs": 3}, {"name": "l2", "runs": 2}]
    assert (found["curve"], found["steps"]) == (curve, [[step, step] for step in range(STEPS)])
    for row, variant in enumerate(["baseline", "l2"]):
        each = of_runs(client, path, variant, curve)
        there = np.isfinite(each).any(axis=0)
        assert there.tolist() == [step != 2 or curve != "loss" for step in range(STEPS)]
        for name, over in (("min", np.min), ("mean", np.mean), ("max", np.max)):
            shown = np.array(found[name][row], dtype=np.float64)
            assert np.isnan(shown).tolist() == (~there).tolist()
            np.testing.assert_allclose(shown[there], over(each[:, there], axis=0), rtol=1e-12)


def test_of_long_runs_it_is_what_their_rollups_say(client: TestClient, database: Database) -> None:
    path = trial(client, database, seeds=2, steps=600)
    found = client.get(f"{path}/curves", params={"points": 100}).json()
    runs = client.get(f"{path}/runs", params={"variant": "l2"}).json()["items"]
    told = [client.get(f"{run['links']['self']}/curves", params={"points": 100}).json() for run in runs]
    assert found["steps"] == told[0]["steps"]
    for name, over in (("min", np.min), ("max", np.max)):
        each = np.array([one["curves"]["loss"][name] for one in told], dtype=np.float64)
        np.testing.assert_array_equal(np.array(found[name][1], dtype=np.float64), over(each, axis=0))


def test_packed_it_is_the_same(client: TestClient, database: Database) -> None:
    path = trial(client, database)
    whole = client.get(f"{path}/curves").json()
    answer = client.get(f"{path}/curves", headers={"Accept": PACKED})
    assert (answer.headers["content-type"], answer.headers["vary"]) == (PACKED, "Accept")
    (length,) = struct.unpack_from("<I", answer.content)
    head: dict[str, Any] = json.loads(answer.content[4 : 4 + length])
    numbers = np.frombuffer(answer.content[4 + length :], dtype="<f4").reshape(3, 2, STEPS)
    assert [one["name"] for one in head.pop("arrays")] == ["min", "mean", "max"]
    assert head == {name: whole[name] for name in head}
    for name, matrix in zip(("min", "mean", "max"), numbers, strict=True):
        np.testing.assert_array_equal(matrix, np.array(whole[name], dtype=np.float32))


def test_a_stretch_and_points_are_those_of_a_run(client: TestClient, database: Database) -> None:
    path = trial(client, database)
    found = client.get(f"{path}/curves", params={"from": 1, "to": 4, "points": 2, "curve": "penalty"}).json()
    run = client.get(f"{path}/runs").json()["items"][0]["links"]["self"]
    assert found["steps"] == client.get(f"{run}/curves", params={"from": 1, "to": 4, "points": 2}).json()["steps"]


def test_before_anything_is_recorded_it_is_empty_and_what_cannot_be_is_refused(
    client: TestClient, database: Database
) -> None:
    path = trial(client, database, missing=6)
    found = client.get(f"{path}/curves").json()
    assert (found["steps"], found["mean"], [one["runs"] for one in found["variants"]]) == ([], [[], []], [0, 0])
    made.problem(client.get(f"{path}/curves", params={"curve": "nothing"}), 422)
    refused = made.problem(client.get(f"{path}/curves", headers={"Accept": "text/csv"}), 406)
    assert PACKED in refused["errors"][0]["allowed"]


def test_a_run_more_costs_its_records_and_nothing_else(client: TestClient, database: Database) -> None:
    """No statement, and neither specs nor verdicts are read for it, which are larger than what is asked for."""
    told: list[str] = []
    asked: list[int] = []
    engine = client.app.state.database.engine  # type: ignore[attr-defined]  # it is ours
    for seeds in (1, 4):
        path = trial(client, database, seeds=seeds)

        def note(*given: Any) -> None:
            told.append(given[2])

        event.listen(engine, "before_cursor_execute", note)
        client.get(f"{path}/curves")
        event.remove(engine, "before_cursor_execute", note)
        asked.append(len(told) - sum(asked))
    assert asked[0] == asked[1]
    assert not [one for one in told if "summary" in one]
    assert len([one for one in told if "experiment.spec" in one]) == 2
