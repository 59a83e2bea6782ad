"""Runs without layers: logs of finished trainings, judged by their loss and shown for what they are."""

import io
import math
import uuid
from typing import Any

import httpx2
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from gradient_clinic.signals import CURVES
from gradient_clinic.values import Array
from models.runs import retention
from models.storage.database import Database
from models.storage.trace_tables import CurveChunk, CurveRollup, TraceChunk
from tests.api.made import Json, problem
from tests.api.routes.test_ingest import RUNS, end, ending, opening, put, records

LOG = ("loss", "learning_rate", "total_gradient_norm")


def log_of(**changes: Any) -> Json:
    network = {"kind": "unknown", "layers": [], "curves": LOG, "parameters": 0, "optimizer": "unknown"}
    return opening(network=network | changes.pop("network", {}), **changes)


def rows(loss: Any, rate: Any = 0.1, norm: Any = 1.0) -> Array:
    """(curves, records), in the order of ``LOG``."""
    return np.stack(np.broadcast_arrays(np.asarray(loss, dtype=np.float64), rate, norm))


def sent(client: httpx2.Client, curves: Array, *, network: Json | None = None, **changes: Any) -> tuple[Json, str]:
    """A run with these records, which has not ended."""
    asked = log_of(network=network or {}, **changes)
    response = client.post(RUNS, json=asked)
    assert response.status_code == 201, response.text
    run: Json = response.json()
    put(client, run, 0, records(np.zeros(0), curves, asked["token"]))
    return run, asked["token"]


def judged(client: httpx2.Client, curves: Array, known: Json | None = None, **changes: Any) -> Json:
    """The run as it has ended."""
    run, token = sent(client, curves, **changes)
    ended = end(client, run, ending(token, curves.shape[1], **(known or {})))
    return ended | {"links": run["links"]}


def noisy(means: Any, seed: int = 0) -> Array:
    found: Array = np.asarray(means) + np.random.default_rng(seed).normal(0.0, 0.01, np.shape(means))
    return found


FALLS = noisy(np.linspace(2.3, 0.2, 100))
FIRST = "By the loss alone, as no layers were recorded: "


@pytest.mark.parametrize(
    ("loss", "known", "kind", "trained", "causes", "said"),
    [
        (FALLS, {"chance_level": 2.3}, "healthy", "yes", [], "is at most half of chance (1.15)"),
        (FALLS, {}, "healthy", "yes", [], "is at most half of the first one logged"),
        (noisy(np.full(100, 2.3)), {"chance_level": 2.3}, "stalled", "no", [], "is not below"),
        (noisy(np.r_[2.0, np.full(99, 2.3)]), {}, "stalled", "no", [], "It ends above where it began"),
        (np.full(100, 2.3), {}, "stalled", "no", [], "The loss never moved: its values differ by 0 at most"),
        (
            noisy(np.r_[np.linspace(2.3, 1.9, 50), np.full(50, 1.9)]),
            {"chance_level": 2.3},
            "slow",
            "partly",
            [],
            "not below half of it",
        ),
        (noisy(np.linspace(4.3, 2.8, 100), 1), {}, "slow", "partly", ["too_few_steps"], "was still falling"),
        (
            np.r_[FALLS[:50], np.full(50, np.nan)],
            {"outcome": "diverged"},
            "diverged",
            "no",
            [],
            "not finite at step 50",
        ),
        ([1.0], {}, "inconclusive", None, [], "A loss that is logged once has nothing to be compared with"),
        (noisy(np.linspace(-1.0, -3.0, 100)), {}, "inconclusive", None, [], "The loss falls to −3"),
        ([0.1], {"chance_level": 2.3}, "healthy", "yes", [], "at most half of chance"),
    ],
)
def test_a_log_is_judged_by_its_loss(
    client: TestClient, loss: Any, known: Json, kind: str, trained: str | None, causes: list[str], said: str
) -> None:
    verdict = judged(client, rows(loss), known)["verdict"]
    assert (verdict["kind"], verdict["trained"], verdict["causes"]) == (kind, trained, causes)
    assert verdict["rests_on"] == "loss"
    assert verdict["sentence"].startswith(FIRST)
    assert said in verdict["sentence"]
    assert "Not judged: whether gradients vanish or explode, in which layer, and why." in verdict["sentence"]
    for moment in (verdict["at_start"], verdict["at_end"]):
        assert (moment["kind"], moment["total_gain"]["mean"], moment["total_gain"]["n"]) == ("inconclusive", None, 0)
        assert moment["gain_per_layer"] is None
    assert not any(item["layers"] for item in verdict["evidence"])


def test_a_gradient_norm_that_stays_not_finite_is_no_success_whatever_the_loss_says(client: TestClient) -> None:
    """transformers' trainer logs a loss of 0 where it was NaN, and the norm as it is."""
    loss, norm = np.r_[FALLS[:60], np.zeros(40)], np.r_[np.ones(60), np.full(40, np.nan)]
    run = judged(client, rows(loss, norm=norm), {"outcome": "diverged", "chance_level": 2.3})
    assert (run["verdict"]["kind"], run["verdict"]["trained"]) == ("diverged", "no")
    assert "The overall gradient norm was first not finite at step 60." in run["verdict"]["sentence"]
    shown = client.get(run["links"]["run"]).json()
    assert shown["first_nonfinite"] == {"step": 60, "layer": None, "where": "backward"}


def test_the_rate_that_a_schedule_leaves_is_a_cause_where_the_loss_stays(client: TestClient) -> None:
    rate = 0.1 * 0.9 ** np.arange(100)
    verdict = judged(client, rows(noisy(np.full(100, 2.3)), rate), {"chance_level": 2.3})["verdict"]
    left = float(np.mean(rate) / rate[0])
    shown = {item["statistic"]: item for item in verdict["evidence"] if item["signal"] == "learning_rate"}
    assert verdict["causes"] == ["learning_rate"]
    assert shown["mean_rate_left"]["value"] == pytest.approx(left)
    assert "The learning rate ends at 2.95e−06, and is 0.1 at its highest." in verdict["sentence"]
    healthy = judged(client, rows(FALLS, rate), {"chance_level": 2.3}, experiment="another")["verdict"]
    assert healthy["causes"] == []


def test_what_a_log_lacks_is_absent_and_not_nan(client: TestClient, database: Database) -> None:
    run = judged(client, rows(FALLS), {"chance_level": 2.3})
    with database.begin() as session:
        assert session.execute(select(TraceChunk)).first() is None
        (chunk,) = session.execute(select(CurveChunk)).scalars()
        assert [name for name in CURVES if getattr(chunk, name) is not None] == ["loss", "learning_rate", LOG[2]]
    link = run["links"]["run"]
    curves = client.get(f"{link}/curves").json()
    assert set(curves["curves"]) == set(LOG)
    assert curves["epochs"] == {"validation_loss": [], "validation_metric": [], "steps": []}
    assert curves["curves"]["loss"]["last"] == FALLS.tolist()
    absent = client.get(f"{link}/curves?curve=penalty").json()
    assert (absent["curves"], len(absent["steps"])) == ({}, 100)
    over_seeds = client.get(f"{run['links']['experiment']}/curves?curve=penalty").json()
    assert [variant["runs"] for variant in over_seeds["variants"]] == [0]
    table = pa.csv.read_csv(io.BytesIO(client.get(f"{link}/curves", headers={"Accept": "text/csv"}).content))
    assert (table["penalty"].null_count, table["loss"].null_count) == (100, 0)
    file = pa.parquet.read_table(io.BytesIO(client.get(f"{link}/records.parquet").content))
    assert set(file["signal"].to_pylist()) == set(LOG)
    assert (file.num_rows, file["layer"].null_count) == (300, 300)


def test_everything_that_reads_a_run_reads_a_log(client: TestClient) -> None:
    run = judged(client, rows(FALLS), {"chance_level": 2.3})
    link, experiment = run["links"]["run"], run["links"]["experiment"]
    trace = client.get(f"{link}/trace?signal=activation_gradient_rms").json()
    assert (trace["layers"], trace["mean"]) == ([], [])
    assert client.get(f"{link}/trace?signal=all", headers={"Accept": "text/csv"}).text.count("\n") == 1
    assert "no layer hidden.0" in problem(client.get(f"{link}/trace?signal=weight_norm&layers=hidden.0"), 422)["detail"]
    assert "no layers were recorded" in client.get(f"{link}/heatmap.svg").text
    assert "no layers were recorded" in problem(client.get(f"{link}/heatmap.png"), 409)["detail"]
    assert "no layers were recorded" in problem(client.get(f"{link}/early"), 409)["detail"]
    assert client.get(f"{link}/diagnosis").json()["rests_on"] == "loss"
    for picture in ("comparison.svg", "outcomes.svg", "profile.svg", "heatmaps.svg", "curves.svg"):
        assert client.get(f"{experiment}/{picture}").status_code == 200
    assert (
        "polyline" in client.get(f"{experiment}/curves.svg").text
        or "path" in client.get(f"{experiment}/curves.svg").text
    )
    page = client.get(run["links"]["report"])
    assert page.status_code == 200
    assert "By the loss alone" in page.text
    assert "no layers were recorded: there is nothing to map" in page.text
    assert "event: end" in client.get(f"{experiment}/events").text
    answer = client.get(f"{experiment}/comparison").json()["answer"]
    assert answer.startswith("No remedy is needed by the loss alone: the baseline trains in 1 of 1 runs")
    again = client.post(f"{experiment}/judge").json()
    assert [(its["before"], its["after"]) for its in again["runs"]] == [("healthy", "healthy")]


def test_variants_are_compared_by_what_their_logs_have(client: TestClient) -> None:
    run: Json = {}
    for variant, loss, metric in (("baseline", noisy(np.full(100, 2.3)), 0.1), ("warm", FALLS, 0.9)):
        for seed in range(5):
            known = {"chance_level": 2.3, "test_metric": metric + seed / 100}
            run = judged(client, rows(loss), known, variant=variant, seed=seed)
    comparison = client.get(f"{run['links']['experiment']}/comparison").json()
    baseline, warm = comparison["variants"]
    assert baseline["verdict"]["seeds"] == {"stalled": 5}
    assert baseline["verdict"]["sentence"].startswith(FIRST)
    assert baseline["gradient"]["profile"] == []
    assert baseline["gradient"]["predicted"]["caveats"] == ["no layers were recorded: theory has nothing to say"]
    versus = warm["versus_baseline"]
    assert (versus["layers"], versus["repaired_layers"]) == ([], [])
    assert versus["grade"]["degree"] == "repairs"
    assert versus["success_difference"]["mean"] == 1.0
    assert warm["sentence"].startswith("warm: trains, by the loss alone.")
    assert any("no layers were recorded of baseline, warm" in note for note in comparison["notes"])
    assert not any("Bonferroni" in note for note in comparison["notes"])


def test_a_long_log_is_read_by_its_rollups(client: TestClient, database: Database) -> None:
    """Beyond 500 records; the first value that is not finite lies inside of one bucket."""
    loss = np.linspace(2.0, 0.5, 3_000)
    rate = np.linspace(1.0, 0.0, 3_000)
    loss[2_345:] = np.nan
    run = judged(client, rows(loss, rate), {"outcome": "diverged"}, network={"steps": 3_000})
    with database.begin() as session:
        names = set(session.execute(select(CurveRollup.curve)).scalars())
    assert names == set(LOG)
    assert client.get(run["links"]["run"]).json()["first_nonfinite"]["step"] == 2_345
    assert client.get(f"{run['links']['run']}/curves?points=50").json()["curves"]["loss"]["nonfinite"][-1] > 0
    shown = {item["statistic"]: item for item in run["verdict"]["evidence"]}
    assert shown["last_beside_highest"]["value"] == 0.0
    assert shown["last_beside_highest"]["threshold"] == 1.0


def test_retention_drops_a_log_and_keeps_its_picture_and_verdict(client: TestClient, database: Database) -> None:
    run = judged(client, rows(np.linspace(2.0, 0.5, 3_000)), network={"steps": 3_000})
    link = f"{run['links']['run']}/curves?points=50"
    before = client.get(link).json()
    with database.begin() as session:
        assert retention.drop_raw(session, after_days=0.0) == 15
        assert session.execute(select(CurveChunk)).first() is None
    assert client.get(link).json()["curves"] == before["curves"]
    (again,) = client.post(f"{run['links']['experiment']}/judge").json()["runs"]
    assert (again["before"], again["after"], again["measured_again"]) == ("healthy", "healthy", False)


def test_evaluations_have_the_steps_of_their_log(client: TestClient) -> None:
    losses = np.array([1.0, math.inf, 0.5])
    run, token = sent(client, rows(FALLS))
    evaluations = {"steps": [10, 99, 40], "loss": records(np.zeros(0), losses, token)["curves"]}
    for _ in range(2):
        end(client, run, ending(token, 100, evaluations=evaluations))
    epochs = client.get(f"{run['links']['run']}/curves").json()["epochs"]
    assert epochs == {"validation_loss": [1.0, 0.5, None], "validation_metric": [], "steps": [10, 40, 99]}


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"curves": ["learning_rate"]}, "a run without a loss cannot be judged"),
        ({"curves": ["loss", "loss"]}, "one curve is named twice"),
        ({"curves": ["loss", "nope"]}, "Input should be"),
    ],
)
def test_curves_that_cannot_be_are_refused(client: TestClient, network: Json, said: str) -> None:
    assert said in str(problem(client.post(RUNS, json=log_of(network=network)), 422)["errors"])


def test_records_that_do_not_fit_a_log_are_refused(client: TestClient) -> None:
    run, token = sent(client, rows(FALLS))
    for signals, curves, said in (
        (np.zeros(9), rows(FALLS), "no layers"),
        (np.zeros(0), np.zeros((3, 0)), "no record is sent"),
        (np.zeros(0), np.zeros((2, 1)), "no whole records of 3 numbers"),
    ):
        response = client.put(f"{RUNS}/{run['run_id']}/records/100", json=records(signals, curves, token))
        assert said in str(problem(response, 422)["errors"])
    short = {"steps": [1, 2], "loss": records(np.zeros(0), np.zeros(1), token)["curves"]}
    response = client.post(f"{RUNS}/{run['run_id']}/end", json=ending(token, 100, evaluations=short))
    assert "one for each step" in str(problem(response, 422)["errors"])
    assert client.get(run["links"]["run"]).json()["state"] == "running"


def test_what_comes_in_pieces_is_one_log(client: TestClient, database: Database) -> None:
    curves = rows(np.linspace(2.0, 0.5, 430))
    asked = log_of()
    run = client.post(RUNS, json=asked).json()
    for first, last in ((0, 150), (100, 300), (300, 430), (0, 430)):
        put(client, run, first, records(np.zeros(0), curves[:, first:last], asked["token"]))
    with database.begin() as session:
        query = select(CurveChunk.loss).where(CurveChunk.run_id == uuid.UUID(run["run_id"])).order_by(CurveChunk.chunk)
        np.testing.assert_array_equal(np.concatenate(list(session.execute(query).scalars())), curves[0])
