"""Runs that are trained elsewhere: stored once whatever comes twice, judged and compared as any others."""

import base64
import json
import uuid
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.values import Array
from models.runs import queueing
from models.runs.claims import beat
from models.runs.lease import Lease
from models.specs.ingested import EndingRequest, OpeningRequest
from models.storage.database import Database
from models.storage.tables import Run
from models.storage.trace_tables import CurveChunk, TraceChunk, TraceRollup
from models.traces.pictures import Signal, draw
from tests.api import made
from tests.api.described import bodies
from tests.api.made import Json, problem
from tests.models.stored import some_values

LAYERS = 4
RUNS = "/v1/ingest/runs"


def opening(**changes: Any) -> Json:
    """Three hidden layers of tanh and an output, whose run has a token of its own."""
    names = [f"hidden.{index}" for index in range(LAYERS - 1)]
    hidden = [{"name": name, "role": "hidden", "activation": {"function": "tanh"}} for name in names]
    network = {
        "kind": "mlp",
        "layers": [*hidden, {"name": "output", "role": "output"}],
        "setup": {"activation": {"function": "tanh"}, "batch_size": 64},
        "parameters": 1234,
        "optimizer": "Sgd",
        "every": changes.pop("every", 1),
    }
    usual = {"token": str(uuid.uuid4()), "experiment": "theirs", "network": network, "writer": "host:1"}
    return usual | changes


def records(signals: Array, curves: Array, token: str, **more: Any) -> Json:
    sent = {"signals": signals.astype("<f4").tobytes(), "curves": curves.astype("<f8").tobytes()}
    return {"token": token, **{name: base64.b64encode(its).decode() for name, its in sent.items()}, **more}


def ending(token: str, steps: int, **more: Any) -> Json:
    return {"token": token, "steps": steps, "conditions": f"sgd 0.1, {steps} steps so far", **more}


def opened(client: httpx2.Client, **changes: Any) -> tuple[Json, str]:
    """The answer, and the token."""
    asked = opening(**changes)
    response = client.post(RUNS, json=asked)
    assert response.status_code == 201, response.text
    answer: Json = response.json()
    return answer, asked["token"]


def put(client: httpx2.Client, run: Json, first: int, body: Json) -> Json:
    response = client.put(f"{RUNS}/{run['run_id']}/records/{first}", json=body)
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


def end(client: httpx2.Client, run: Json, body: Json) -> Json:
    response = client.post(f"{RUNS}/{run['run_id']}/end", json=body)
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


def stored(database: Database, run: Json) -> tuple[Array, Array]:
    """(signals, layers, records) and (curves, records), out of the rows."""
    run_id = uuid.UUID(run["run_id"])
    with database.begin() as session:
        chunks = (
            select(TraceChunk).where(TraceChunk.run_id == run_id).order_by(TraceChunk.layer_index, TraceChunk.chunk)
        )
        rows = session.execute(chunks).scalars().all()
        lines = select(CurveChunk).where(CurveChunk.run_id == run_id).order_by(CurveChunk.chunk)
        curves = session.execute(lines).scalars().all()
    by_layer = [[row for row in rows if row.layer_index == index] for index in range(1, LAYERS + 1)]
    values = [[np.concatenate([getattr(its, name) for its in of]) for of in by_layer] for name in SIGNALS]
    return np.array(values), np.array([np.concatenate([getattr(its, name) for its in curves]) for name in CURVES])


def quiet(count: int, gain: float = 0.0, loss: float = 0.2) -> tuple[Array, Array]:
    """Finite records in which δ shrinks by e^``gain`` a layer toward the input."""
    signals = np.full((len(SIGNALS), LAYERS, count), 0.5)
    hidden = np.exp(gain * np.arange(LAYERS - 2, -2, -1.0))[:, None]
    signals[SIGNALS.index("activation_gradient_rms")] = hidden
    for name in ("dead_fraction", "saturated_fraction", "nonfinite_count"):
        signals[SIGNALS.index(name)] = 0.0
    curves = np.full((len(CURVES), count), 1.0)
    curves[CURVES.index("loss")] = loss
    return signals, curves


def test_whatever_comes_in_whatever_pieces_is_stored_bit_by_bit_and_once(
    client: TestClient, database: Database
) -> None:
    signals, curves = some_values(LAYERS, 470, seed=3, broken=0.02)
    run, token = opened(client)
    pieces = [(0, 1), (0, 1), (1, 150), (100, 199), (199, 200), (200, 201), (150, 430), (430, 470), (0, 470)]
    kept = [
        put(client, run, first, records(signals[..., first:last], curves[:, first:last], token))
        for first, last in pieces
    ]
    assert kept[-1] == {"records": 470, "cancelled": False}
    found = stored(database, run)
    np.testing.assert_array_equal(found[0].astype(np.float32), signals.astype(np.float32))
    np.testing.assert_array_equal(found[1], curves)
    with database.begin() as session:
        chunks = session.execute(select(CurveChunk.chunk, CurveChunk.sealed).order_by(CurveChunk.chunk)).all()
    assert [tuple(its) for its in chunks] == [(0, True), (1, True), (2, False)]


def test_rollups_are_those_of_a_run_of_the_clinics_own(client: TestClient, database: Database) -> None:
    signals, curves = some_values(LAYERS, 1_130, seed=4, broken=0.0)
    asked = opening()
    asked["network"]["steps"] = 1_130
    run, token = opened(client, token=asked["token"], network=asked["network"])
    for first in range(0, 1_130, 130):
        some = slice(first, first + 130)
        put(client, run, first, records(signals[..., some], curves[:, some], token))
    end(client, run, ending(token, 1_130))
    with database.begin() as session:
        rolled = session.execute(
            select(func.sum(TraceRollup.records)).where(
                TraceRollup.signal == "weight_norm", TraceRollup.layer_index == 1
            )
        ).scalar_one()
        picture = draw(Signal(session, uuid.UUID(run["run_id"]), "activation_rms", [1]), 0, 2_000, 5, kept=False)
    assert rolled == 1_130
    assert float(picture.buckets.maximum.max()) == signals[0, 0].max()


def test_a_run_is_shown_judged_and_compared_as_any_other(client: TestClient) -> None:
    run: Json = {}
    for variant, gain in (("baseline", -2.5), ("treated", 0.0)):
        for seed in range(3):
            run, token = opened(client, variant=variant, seed=seed, labels={"team": "vision"})
            signals, curves = quiet(60, gain + seed / 100, loss=2.0 if gain else 0.2)
            put(client, run, 0, records(signals, curves, token, chance_level=2.0))
            ended = end(client, run, ending(token, 60, chance_level=2.0, test_metric=0.9, test_loss=0.2))
            assert (ended["source"], ended["state"], ended["seed"]) == ("ingested", "succeeded", seed)
    experiment = client.get(run["links"]["experiment"]).json()
    assert (experiment["source"], experiment["state"], experiment["verdict"]) == ("ingested", "succeeded", "vanishing")
    assert experiment["spec"]["source"] == "ingested"
    assert experiment["labels"] == {"team": "vision"}
    comparison = client.get(f"{run['links']['experiment']}/comparison").json()
    baseline, treated = comparison["variants"]
    assert baseline["verdict"]["seeds"] == {"vanishing": 3}
    assert treated["verdict"]["kind"] == "healthy"
    assert treated["versus_baseline"]["grade"]["degree"] == "repairs"
    assert treated["versus_baseline"]["success_difference"]["mean"] == 1.0
    assert baseline["gradient"]["at_start"]["total_gain"]["mean"] == pytest.approx(-5.0 + 2 * 0.01, abs=1e-4)
    assert "trained elsewhere: what a variant changes only its name says" in comparison["notes"]
    page = client.get(run["links"]["report"])
    assert page.status_code == 200
    assert "Trained elsewhere" in page.text
    assert "no remedy" not in page.text
    trace = client.get(f"{run['links']['run']}/trace?signal=activation_gradient_rms").json()
    assert [(layer["name"], layer["kind"]) for layer in trace["layers"]][-1] == ("output", "watched")
    assert trace["raw"]
    assert client.get(f"{run['links']['run']}/early").json()["kind"]
    judged = client.post(f"{run['links']['experiment']}/judge").json()
    assert {(its["before"], its["after"]) for its in judged["runs"]} == {("vanishing",) * 2, ("healthy",) * 2}


def test_the_numbers_of_a_trained_run_are_judged_the_same_where_they_are_ingested(
    client: TestClient, database: Database
) -> None:
    network = {"kind": "mlp", "depth": LAYERS, "width": 8, "activation": "tanh"}
    experiment = made.submit(client, seeds=[0], steps=60, network=network)
    (run_id,) = made.run_ids(database, experiment)
    lease, plan = made.claim(database, run_id)
    signals, curves = quiet(60, -2.5, loss=2.0)
    made.write(database, lease, plan, signals, curves, ended=True)
    made.finish(database, lease, plan, chance_level=2.0)
    run, token = opened(client)
    put(client, run, 0, records(signals, curves, token))
    theirs = end(client, run, ending(token, 60, chance_level=2.0))["verdict"]
    ours = client.get(f"/v1/runs/{run_id}").json()["verdict"]
    for key in ("kind", "at_start", "at_end", "trained"):
        assert theirs[key] == ours[key]


def test_a_second_writer_is_told_what_happened(client: TestClient) -> None:
    run, token = opened(client)
    signals, curves = quiet(30)
    put(client, run, 0, records(signals, curves, token))
    refused = problem(client.post(RUNS, json=opening(writer="host:2")), 409)
    assert "host:1 writes it, and has come to step 30" in refused["detail"]
    other = records(signals, curves, str(uuid.uuid4()))
    assert "host:1 writes it" in problem(client.put(f"{RUNS}/{run['run_id']}/records/30", json=other), 409)["detail"]
    again = client.post(RUNS, json=opening(token=token)).json()
    assert (again["run_id"], again["records"]) == (run["run_id"], 30)
    end(client, run, ending(token, 30, chance_level=2.0))
    refused = problem(client.post(RUNS, json=opening(writer="host:2")), 409)
    assert "it was written by host:1, and has succeeded at" in refused["detail"]


def test_an_end_may_come_twice_and_nothing_after_it(client: TestClient) -> None:
    run, token = opened(client)
    signals, curves = quiet(30)
    put(client, run, 0, records(signals, curves, token))
    first, again = (end(client, run, ending(token, 30, chance_level=2.0)) for _ in range(2))
    assert first == again
    late = client.put(f"{RUNS}/{run['run_id']}/records/30", json=records(signals, curves, token))
    assert "has succeeded" in problem(late, 409)["detail"]


def test_records_that_are_missing_are_named(client: TestClient) -> None:
    run, token = opened(client)
    response = client.put(f"{RUNS}/{run['run_id']}/records/5", json=records(*quiet(3), token))
    assert problem(response, 409)["detail"] == "0 records are stored: the next one has number 0"


def test_an_experiment_that_is_cancelled_takes_no_more(client: TestClient) -> None:
    run, token = opened(client)
    put(client, run, 0, records(*quiet(3), token))
    client.post(f"{run['links']['experiment']}/cancel")
    assert put(client, run, 3, records(*quiet(3), token)) == {"records": 3, "cancelled": True}
    assert client.get(run["links"]["experiment"]).json()["state"] == "cancelled"


def test_an_experiment_takes_runs_again_when_it_has_stopped(client: TestClient) -> None:
    run, token = opened(client)
    client.post(f"{run['links']['experiment']}/cancel")
    assert "was asked to stop" in problem(client.post(RUNS, json=opening(seed=1)), 409)["detail"]
    put(client, run, 0, records(*quiet(3), token))
    again, token = opened(client, seed=1)
    assert again["experiment_id"] == run["experiment_id"]
    put(client, again, 0, records(*quiet(30), token))
    end(client, again, ending(token, 30, chance_level=2.0))
    assert client.get(run["links"]["experiment"]).json()["state"] == "succeeded"


@pytest.mark.parametrize("other", [{"data": "others"}, {"metric": "r2"}])
def test_an_experiment_is_on_one_set_of_data(client: TestClient, other: Json) -> None:
    opened(client, data="theirs")
    refused = problem(client.post(RUNS, json=opening(**{"data": "theirs", "seed": 1, **other})), 409)
    assert "has data 'theirs' and metric 'accuracy'" in refused["detail"]


def test_labels_of_all_runs_together_have_a_limit(client: TestClient) -> None:
    def labelled(first: int, count: int, **changes: Any) -> httpx2.Response:
        labels = {f"run.{number}": "a" for number in range(first, first + count)}
        return client.post(RUNS, json=opening(labels=labels, **changes))

    run = labelled(0, 40).json()
    assert labelled(40, 24, seed=1).status_code == 201
    refused = problem(labelled(64, 1, seed=2), 409)
    assert "'theirs' would have 65 labels" in refused["detail"]
    assert labelled(0, 64, seed=2).status_code == 201
    path = f"/v1/experiments/{run['experiment_id']}"
    assert len(client.get(path).json()["labels"]) == 64
    assert len(client.get(f"{path}/runs").json()["items"]) == 3


def test_a_run_without_an_end_fails_and_keeps_its_records(client: TestClient) -> None:
    run, token = opened(client)
    put(client, run, 0, records(*quiet(3), token))
    ended = end(client, run, ending(token, 9, error="the spool was full at step 3"))
    assert (ended["state"], ended["error"]["detail"]) == ("failed", "the spool was full at step 3")
    assert len(client.get(f"{run['links']['run']}/curves").json()["steps"]) == 3
    assert (
        "no run of this experiment has failed"
        in problem(client.post(f"{run['links']['experiment']}/retry"), 409)["detail"]
    )


def test_a_watcher_that_falls_silent_is_not_waited_for(client: TestClient, database: Database) -> None:
    run, token = opened(client)
    put(client, run, 0, records(*quiet(3), token))
    run_id = uuid.UUID(run["run_id"])
    with database.begin() as session:
        row = session.execute(select(Run).where(Run.id == run_id)).scalar_one()
        beat(session, Lease(run_id, row.experiment_id, uuid.UUID(token), 1), -1.0)
        assert queueing.reap(session, max_attempts=5) == 1
        assert queueing.take_unpublished(session, 10, 60.0) == []
    assert client.get(run["links"]["run"]).json()["error"]["detail"] == "its watcher has fallen silent"


def test_runs_of_others_take_no_turn_of_the_workers(client: TestClient, database: Database) -> None:
    opened(client)
    experiment = made.submit(client, seeds=[0])
    with database.begin() as session:
        assert len(queueing.take_unpublished(session, 10, 60.0, owner_limit=1)) == 1
        session.execute(update(Run).values(published_at=None))
    (run_id,) = made.run_ids(database, experiment)
    assert made.claim(database, run_id)


def test_progress_is_told_as_of_any_run(client: TestClient) -> None:
    asked = opening()
    asked["network"]["steps"] = 100
    run, token = opened(client, **asked)
    put(client, run, 0, records(*quiet(25), token))
    assert client.get(run["links"]["experiment"]).json()["progress"] == 0.25
    end(client, run, ending(token, 25, chance_level=2.0))
    told = client.get(f"{run['links']['experiment']}/events").text
    assert '"step":25,"steps":25,"loss":0.2' in told  # as the last one: it ended before its time
    assert "event: end" in told


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("layers", [{"name": "a", "role": "output"}], "no layer is hidden"),
        ("layers", [{"name": "a", "role": "hidden"}] * 2, "two layers have one name"),
        ("layers", [{"name": "a", "role": "hidden", "activation": {"function": "nope"}}], "no activation 'nope'"),
        ("every", 0, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_watched_is_refused(client: TestClient, place: str, value: Any, said: str) -> None:
    asked = opening()
    asked["network"][place] = value
    assert said in problem(client.post(RUNS, json=asked), 422)["detail"]
    assert client.get("/v1/experiments").json()["items"] == []


def test_nan_is_a_value_and_never_one_that_was_not_recorded(client: TestClient) -> None:
    """Why a log of losses is a run without layers: with NaN for what it lacks it would be told that it broke."""
    run, token = opened(client)
    signals, curves = quiet(25)
    put(client, run, 0, records(np.full_like(signals, np.nan), curves, token))
    end(client, run, ending(token, 25, chance_level=2.0))
    told = client.get(run["links"]["run"]).json()
    assert told["verdict"]["trained"] == "no"  # with a loss of 0.2, where chance is 2
    assert told["verdict"]["causes"] == ["numeric_range"]
    assert told["first_nonfinite"]["step"] == 0


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
@given(changes=bodies(OpeningRequest.model_json_schema()))
def test_any_opening_is_answered(client: TestClient, changes: Any) -> None:
    network = changes["network"] if isinstance(changes["network"], dict) else {}
    for asked in (changes, opening() | changes, opening(network=opening()["network"] | network)):
        response = client.post(RUNS, content=json.dumps(asked).encode(), headers={"Content-Type": "application/json"})
        assert response.status_code in {201, 400, 409, 422}, response.text


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
@given(sent=bodies(EndingRequest.model_json_schema()), first=st.sampled_from([0, 1, 2**31, -1]))
def test_any_end_is_answered(client: TestClient, sent: Any, first: int) -> None:
    run, token = opened(client, experiment=str(uuid.uuid4()))
    put(client, run, 0, records(*quiet(3), token))
    again = client.put(f"{RUNS}/{run['run_id']}/records/{first}", json=records(*quiet(3), token))
    assert again.status_code in {200, 404, 409}, again.text
    body = json.dumps(sent | {"token": token}).encode()
    response = client.post(f"{RUNS}/{run['run_id']}/end", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in {200, 400, 422}, response.text
    assert client.get(run["links"]["report"]).status_code == 200


def test_records_that_do_not_fit_are_refused(client: TestClient) -> None:
    run, token = opened(client)
    signals, curves = quiet(3)
    for body, said in (
        (records(signals[:, :-1], curves, token), "no whole records of 36 numbers"),
        (records(signals[..., :2], curves, token), "2 records of signals and 3 of curves"),
        (records(signals[..., :0], curves[:, :0], token), "at least one"),
        ({"token": token, "signals": "§", "curves": ""}, "not base64"),
    ):
        response = client.put(f"{RUNS}/{run['run_id']}/records/0", json=body)
        assert said in str(problem(response, 422)["errors"])
