"""The trace against the values that were written: layers, steps, buckets, and what is not finite."""

from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from gradient_clinic.signals import SIGNALS
from gradient_clinic.values import Array
from models.storage.database import Database
from tests.api.made import Json, claim, finish, problem, run_ids, submit, values, write

KEYS = {
    "run_id", "signal", "layers", "steps", "min", "mean", "max", "last", "nonfinite", "first_nonfinite", "raw"
}  # fmt: skip
Made = tuple[str, Array]


def get(client: TestClient, run_id: str, **params: Any) -> Json:
    response = client.get(f"/v1/runs/{run_id}/trace", params={"signal": "weight_norm"} | params)
    assert response.status_code == 200, response.text
    trace: Json = response.json()
    return trace


def make(
    client: TestClient, database: Database, *, broken_at: int | None = None, done: bool = True, **changes: Any
) -> Made:
    """A run with random weight norms of float32, and the (layers, records) that were written."""
    run_id = run_ids(database, submit(client, **changes))[0]
    lease, plan = claim(database, run_id)
    signals = values(plan, 0.0)
    random = np.random.default_rng(0).standard_normal(signals.shape[1:]).astype(np.float32)
    signals[SIGNALS.index("weight_norm")] = random
    if broken_at is not None:
        signals[SIGNALS.index("weight_norm"), 1, broken_at:] = np.nan
        signals[SIGNALS.index("activation_rms"), 1:, broken_at:] = np.inf
        signals[SIGNALS.index("nonfinite_count"), 1:, broken_at:] = 3.0
    write(database, lease, plan, signals, ended=done)
    if done:
        finish(database, lease, plan, outcome="finished" if broken_at is None else "diverged")
    return str(run_id), signals[SIGNALS.index("weight_norm")]


def matrix(trace: Json, name: str) -> Array:
    return np.array(trace[name], dtype=np.float64)


def test_a_short_run_is_answered_as_it_was_recorded(client: TestClient, database: Database) -> None:
    run_id, written = make(client, database)
    trace = get(client, run_id)
    assert set(trace) == KEYS
    assert (trace["run_id"], trace["signal"], trace["raw"]) == (run_id, "weight_norm", True)
    assert trace["layers"] == [
        {"index": 1, "name": "hidden.0", "kind": "linear", "role": "hidden"},
        {"index": 2, "name": "hidden.1", "kind": "linear", "role": "hidden"},
        {"index": 3, "name": "hidden.2", "kind": "linear", "role": "hidden"},
        {"index": 4, "name": "output", "kind": "linear", "role": "output"},
    ]
    assert trace["steps"] == [[step, step] for step in range(4)]
    for name in ("min", "mean", "max", "last"):
        np.testing.assert_array_equal(matrix(trace, name).astype(np.float32), written.astype(np.float32))
    assert trace["nonfinite"] == [[0] * 4] * 4
    assert trace["first_nonfinite"] is None


def test_layers_are_chosen_by_name_or_index_and_answered_in_order(client: TestClient, database: Database) -> None:
    run_id, written = make(client, database)
    for asked in (["hidden.1,output"], ["2", "4"], ["output", "2"], ["4, hidden.1,,2"]):
        trace = get(client, run_id, layers=asked)
        assert [layer["name"] for layer in trace["layers"]] == ["hidden.1", "output"]
        np.testing.assert_array_equal(matrix(trace, "last").astype(np.float32), written[[1, 3]].astype(np.float32))


def test_a_window_holds_its_steps_and_keeps_the_extremes_of_its_buckets(client: TestClient, database: Database) -> None:
    run_id, written = make(client, database, steps=300, trace={"every": 3})
    trace = get(client, run_id, **{"from": 31, "to": 95, "points": 4})
    inside = written[:, 11:32]
    assert trace["steps"] == [[33, 48], [51, 66], [69, 84], [87, 93]]
    assert not trace["raw"]
    np.testing.assert_allclose(matrix(trace, "max").max(axis=1), inside.max(axis=1), rtol=1e-6)
    np.testing.assert_allclose(matrix(trace, "min").min(axis=1), inside.min(axis=1), rtol=1e-6)
    np.testing.assert_allclose(matrix(trace, "last")[:, -1], inside[:, -1], rtol=1e-6)


def test_a_long_run_from_its_rollups_equals_the_raw_values(client: TestClient, database: Database) -> None:
    run_id, written = make(client, database, steps=1_100)
    for points in (1, 7, 300):
        rolled = get(client, run_id, points=points)
        edges = [first for first, _ in rolled["steps"]]
        assert (rolled["steps"][0][0], rolled["steps"][-1][1]) == (0, 1_099)
        assert len(edges) <= points
        assert not rolled["raw"]
        np.testing.assert_allclose(matrix(rolled, "max"), np.maximum.reduceat(written, edges, axis=1), rtol=1e-6)
        np.testing.assert_allclose(matrix(rolled, "min"), np.minimum.reduceat(written, edges, axis=1), rtol=1e-6)
        means = np.add.reduceat(written, edges, axis=1) / np.diff([*edges, 1_100])
        np.testing.assert_allclose(matrix(rolled, "mean"), means, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("done", [True, False])
def test_what_is_not_finite_is_null_counted_and_located(client: TestClient, database: Database, *, done: bool) -> None:
    run_id, _ = make(client, database, broken_at=2, done=done)
    trace = get(client, run_id)
    assert trace["mean"][1][2:] == [None, None]
    assert trace["nonfinite"] == [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert trace["first_nonfinite"] == {"step": 2, "layer": "hidden.1", "where": "forward"}


def test_the_first_broken_step_is_found_far_into_a_run_that_goes_on(client: TestClient, database: Database) -> None:
    run_id, _ = make(client, database, broken_at=450, done=False, steps=1_400, trace={"every": 2})
    assert get(client, run_id, points=5)["first_nonfinite"]["step"] == 900


def test_an_untrained_network_has_no_update_and_nothing_broken(client: TestClient, database: Database) -> None:
    run_id, _ = make(client, database, steps=0)
    trace = get(client, run_id, signal="update_ratio")
    assert (trace["steps"], trace["mean"], trace["nonfinite"]) == ([[0, 0]], [[None]] * 4, [[0]] * 4)


def test_before_anything_is_recorded_there_are_layers_and_no_steps(client: TestClient, database: Database) -> None:
    run_id = str(run_ids(database, submit(client))[0])
    for params in ({}, {"from": 100, "to": 50}, {"points": 5000}):
        trace = get(client, run_id, **params)
        assert (trace["steps"], trace["max"], trace["first_nonfinite"]) == ([], [[]] * 4, None)


def test_a_parameter_that_cannot_be_is_named(client: TestClient, database: Database) -> None:
    run_id = run_ids(database, submit(client))[0]
    wrong: list[tuple[str, str | int]] = [
        ("signal", "loss"),
        ("from", -1),
        ("from", "1" * 5000),
        ("to", 2**31),
        ("points", 0),
        ("points", 10**6),
        ("layers", "hidden.9"),
        ("layers", "0"),
        ("layers", "1,\x00"),
        ("layers", "x" * 3000),
    ]
    for field, value in wrong:
        response = client.get(f"/v1/runs/{run_id}/trace", params={"signal": "weight_norm", field: value})
        errors = problem(response, 422)["errors"]
        assert [one["field"] for one in errors] == [field]
        assert len(response.content) < 3_000
        if field in {"signal", "layers"}:
            assert {"hidden.0", "weight_norm"} & set(errors[0]["allowed"])
    assert problem(client.get(f"/v1/runs/{run_id}/trace"), 422)["errors"][0]["field"] == "signal"
