"""A run, its curves and its verdict."""

import math

import numpy as np
from fastapi.testclient import TestClient

from gradient_clinic.signals import CURVES
from models import runs
from models.storage.database import Database
from tests.api.made import Json, claim, end_epoch, finish, problem, run_ids, submit, train, values, write

KEYS = {
    "id", "experiment_id", "variant", "seed", "state", "outcome", "progress", "attempts", "device", "versions",
    "overhead", "verdict", "result", "error", "source", "links", "first_nonfinite", "trace_every", "phase",
    "learning_rate", "batched",
}  # fmt: skip


def test_a_run_that_waits_has_nothing_to_tell(client: TestClient, database: Database) -> None:
    experiment = submit(client)
    run = client.get(f"/v1/runs/{run_ids(database, experiment)[0]}").json()
    assert set(run) == KEYS
    assert (run["experiment_id"], run["variant"], run["seed"]) == (experiment["id"], "baseline", 0)
    assert (run["state"], run["progress"], run["attempts"], run["source"]) == ("queued", 0.0, [], "trained")
    assert all(
        run[name] is None
        for name in ("outcome", "device", "versions", "overhead", "trace_every", "verdict", "result", "error")
    )


def test_a_run_that_has_ended_has_verdict_device_and_attempts(client: TestClient, database: Database) -> None:
    experiment = submit(client)
    run_id = run_ids(database, experiment)[0]
    first, _ = claim(database, run_id)
    with database.begin() as session:
        runs.give_back(session, first, "lease lost")
    train(database, run_id)
    run = client.get(f"/v1/runs/{run_id}").json()
    assert (run["state"], run["outcome"], run["progress"], run["device"]) == ("succeeded", "finished", 1.0, "cpu")
    assert run["versions"] == {"torch": "2.13.0"}
    assert run["overhead"] == 1.1
    assert (run["result"]["test_metric"], run["result"]["final_loss"]) == (0.9, 3.0)  # the curve is its record's number
    assert [(one["number"], one["worker"], one["reason"]) for one in run["attempts"]] == [
        (1, "host:1", "lease lost"),
        (2, "host:1", "finished"),
    ]
    assert all(one["started_at"].endswith("Z") and one["ended_at"].endswith("Z") for one in run["attempts"])
    assert run["verdict"] | {"first_nonfinite": None} == client.get(run["links"]["diagnosis"]).json()


def test_a_failed_run_says_why(client: TestClient, database: Database) -> None:
    experiment = submit(client, seeds=[0])
    run_id = run_ids(database, experiment)[0]
    lease, _ = claim(database, run_id)
    with database.begin() as session:
        runs.fail(session, lease, {"title": "Out of memory", "detail": "too wide"})
    run = client.get(f"/v1/runs/{run_id}").json()
    assert (run["state"], run["outcome"]) == ("failed", None)
    assert run["error"] == {"title": "Out of memory", "detail": "too wide"}
    assert client.get(experiment["links"]["self"]).json()["state"] == "failed"


def test_there_is_no_verdict_before_the_end(client: TestClient, database: Database) -> None:
    run_id = run_ids(database, submit(client))[0]
    assert "queued" in problem(client.get(f"/v1/runs/{run_id}/diagnosis"), 409)["detail"]
    claim(database, run_id)
    assert "running" in problem(client.get(f"/v1/runs/{run_id}/diagnosis"), 409)["detail"]


def test_a_diverged_run_is_answered_with_null_for_what_is_not_finite(client: TestClient, database: Database) -> None:
    run_id = run_ids(database, submit(client))[0]
    lease, plan = claim(database, run_id)
    signals = values(plan, 0.0)
    signals[..., 2:] = np.nan
    write(database, lease, plan, signals)
    finish(database, lease, plan, outcome="diverged", overhead=math.nan, test_loss=math.inf, test_metric=math.nan)
    run = client.get(f"/v1/runs/{run_id}").json()
    assert (run["state"], run["outcome"], run["overhead"]) == ("succeeded", "diverged", None)
    assert run["verdict"]["kind"] == "diverged"
    place = {"step": 2, "layer": "hidden.0", "where": "forward"}
    for answer in ("", "/diagnosis", "/curves", "/trace?signal=weight_norm"):
        assert client.get(f"/v1/runs/{run_id}{answer}").json()["first_nonfinite"] == place


def test_curves_hold_every_name_in_buckets_with_their_extremes(client: TestClient, database: Database) -> None:
    run_id = run_ids(database, submit(client))[0]
    lease, plan = claim(database, run_id)
    write(database, lease, plan, values(plan, 0.0))
    end_epoch(database, run_id, 0, 1.5, math.nan)
    end_epoch(database, run_id, 1, 0.5, 0.9)
    whole = client.get(f"/v1/runs/{run_id}/curves").json()
    assert set(whole) == {"run_id", "steps", "curves", "epochs", "first_nonfinite"}
    assert whole["steps"] == [[0, 0], [1, 1], [2, 2], [3, 3]]
    assert list(whole["curves"]) == list(CURVES)
    assert whole["curves"]["loss"]["mean"] == [0.0, 1.0, 2.0, 3.0]
    assert whole["epochs"] == {"validation_loss": [1.5, 0.5], "validation_metric": [None, 0.9], "steps": []}
    part = client.get(f"/v1/runs/{run_id}/curves", params={"from": 1, "to": 3, "points": 2}).json()
    assert part["steps"] == [[1, 2], [3, 3]]
    assert part["curves"]["penalty"] == {
        "min": [1.0, 3.0], "mean": [1.5, 3.0], "max": [2.0, 3.0], "last": [2.0, 3.0], "nonfinite": [0, 0]
    }  # fmt: skip


def test_curves_of_a_run_without_records_are_empty(client: TestClient, database: Database) -> None:
    run_id = run_ids(database, submit(client))[0]
    empty = client.get(f"/v1/runs/{run_id}/curves").json()
    assert empty["steps"] == []
    assert empty["curves"]["loss"] == {"min": [], "mean": [], "max": [], "last": [], "nonfinite": []}


def brief_of(run: Json) -> Json:
    """What the short list keeps of a run, by the documented keys."""
    kept = ("id", "variant", "seed", "phase", "learning_rate", "state", "outcome", "progress", "trace_every")
    parts = {"verdict": ("kind", "trained"), "result": ("final_loss", "test_metric", "device_seconds")}
    found = {name: run[name] for name in kept}
    return found | {
        part: None if run[part] is None else {name: run[part][name] for name in names} for part, names in parts.items()
    }


def test_runs_in_brief_are_the_same_runs_with_less_of_each(client: TestClient, database: Database) -> None:
    """One has ended well, one diverged (its loss and metric are not finite), one goes on, one waits."""
    experiment = submit(client, seeds=[0, 1, 2, 3])
    first, second, third, _ = run_ids(database, experiment)
    train(database, first)
    lease, plan = claim(database, second)
    signals = values(plan, 0.0)
    signals[:] = math.nan
    write(database, lease, plan, signals, np.full((len(CURVES), signals.shape[-1]), math.nan), ended=True)
    finish(database, lease, plan, outcome="diverged", test_metric=math.nan)
    lease, _ = claim(database, third)
    with database.begin() as session:
        runs.beat(session, lease, 60.0, step=1)
    path = f"/v1/experiments/{experiment['id']}/runs"
    for asked in ({}, {"state": "succeeded"}, {"verdict": "diverged"}, {"variant": "none"}):
        whole = client.get(path, params=asked).json()
        assert client.get(f"{path}/brief", params=asked).json() == whole | {
            "items": list(map(brief_of, whole["items"]))
        }
    diverged = client.get(f"{path}/brief", params={"verdict": "diverged"}).json()["items"][0]
    assert (diverged["result"]["final_loss"], diverged["result"]["test_metric"]) == (None, None)


def test_runs_in_brief_come_page_by_page(client: TestClient) -> None:
    experiment = submit(client, seeds=[0, 1, 2])
    seeds, token = [], ""
    for _ in range(2):
        asked = {"page_size": "2", "page_token": token}
        page = client.get(f"/v1/experiments/{experiment['id']}/runs/brief", params=asked).json()
        seeds += [run["seed"] for run in page["items"]]
        token = page["next_page_token"]
    assert (seeds, token) == ([0, 1, 2], "")
