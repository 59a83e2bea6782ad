"""``gradient-clinic export`` at the real server, over values that a worker would have stored.

What TensorBoard and MLflow make of it is read by themselves: `make exports` installs them for that alone.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from fastapi.testclient import TestClient

from gradient_clinic.command.clinic import Client
from gradient_clinic.command.line import main
from gradient_clinic.command.recorded import ended, records_of, started
from gradient_clinic.command.trial import epochs_of
from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.watcher.calls import AwayError
from models.storage.database import Database
from tests.api.made import claim, finish, run_ids, submit, write
from tests.api.routes import test_ingest as ingest
from tests.api.routes import test_logs as logs
from tests.api.routes.test_tables import change, made
from tests.models.stored import some_values

Json = dict[str, Any]
NOWHERE = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def clinic(address: str) -> Iterator[Client]:
    client = Client(address, None)
    yield client
    client.close()


def run_of(client: TestClient, run_id: str) -> Json:
    answer: Json = client.get(f"/v1/runs/{run_id}").json()
    return answer


def export(address: str, *arguments: str | Path) -> int:
    return main(["export", *map(str, arguments), "--server", address])


def said(capsys: pytest.CaptureFixture[str], address: str, *arguments: str | Path) -> Json:
    assert export(address, *arguments, "--json") == 0
    answer: Json = json.loads(capsys.readouterr().out)
    return answer


# --- records -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 6])
def test_records_are_all_that_the_clinic_has_step_by_step(
    client: TestClient, database: Database, clinic: Client, every: int
) -> None:
    run_id, signals, curves = made(client, database)
    run = run_of(client, run_id)
    found = list(records_of(clinic, run, SIGNALS[:4], every))
    kept = slice(None, None, every // 3 or 1)
    assert [record.step for record in found] == list(range(0, 1350, max(every, 3)))
    assert {record.layers for record in found} == {("hidden.0", "hidden.1", "hidden.2", "output")}
    for number, curve in enumerate(CURVES):
        np.testing.assert_array_equal([record.curves[curve] for record in found], curves[number, kept])
    for number, signal in enumerate(SIGNALS[:4]):
        there = np.stack([record.signals[signal] for record in found], axis=1)
        np.testing.assert_array_equal(there, signals[number][:, kept].astype(np.float32))
    assert set(found[0].signals) == set(SIGNALS[:4])


def test_time_goes_on_by_the_steps_that_the_clinic_has_measured(
    client: TestClient, database: Database, clinic: Client
) -> None:
    run_id = run_ids(database, submit(client, steps=12, trace={"every": 3}))[0]
    lease, plan = claim(database, run_id)
    signals, curves = some_values(4, 4, seed=0, broken=0.0)
    curves[CURVES.index("step_seconds")] = [0.5, 1.0, np.nan, 2.0]
    write(database, lease, plan, signals, curves, ended=True)
    finish(database, lease, plan)
    run = run_of(client, str(run_id))
    assert 0.0 < started(run) <= ended(run)
    times = [record.wall_time - started(run) for record in records_of(clinic, run)]
    assert times == pytest.approx([0.5, 3.5, 3.5, 9.5])


def test_records_of_a_run_that_changes_meanwhile_break_off(
    client: TestClient, database: Database, clinic: Client
) -> None:
    run_id, _, _ = made(client, database, records=60_000)
    records = records_of(clinic, run_of(client, run_id))
    next(records)
    change(database, run_id, "began anew")
    with pytest.raises(AwayError, match="broke off"):
        list(records)


def test_there_are_none_where_retention_has_dropped_them(
    client: TestClient, database: Database, clinic: Client
) -> None:
    run_id, _, _ = made(client, database, records=2)
    change(database, run_id, "dropped")
    assert list(records_of(clinic, run_of(client, run_id))) == []


# --- the command -------------------------------------------------------------------------------------------------


def test_an_experiment_is_a_file_per_run_and_once_however_often(
    client: TestClient, database: Database, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id, signals, curves = made(client, database, name="a/b")
    experiment = run_of(client, run_id)["experiment_id"]
    for _ in range(2):
        answer = said(capsys, address, experiment, "--to", "parquet", tmp_path)
        (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
        assert file.relative_to(tmp_path).parts == (f"a%2Fb {experiment[-8:]}", "baseline", "seed-0.parquet")
        assert answer["written"] == {run_id: str(file)}
        assert len(answer["left_out"]) == 1  # the other seed waits
        assert pyarrow.parquet.read_table(file).num_rows == signals.size + curves.size


def test_one_run_may_be_asked_for(
    client: TestClient, database: Database, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id, _, _ = made(client, database, records=2)
    answer = said(capsys, address, run_id, "--to", "parquet", tmp_path)
    assert (list(answer["written"]), answer["left_out"]) == ([run_id], [])
    assert len(list(tmp_path.rglob("*.parquet"))) == 1
    assert export(address, NOWHERE, "--to", "parquet", tmp_path / "none") == 2
    assert export("http://127.0.0.1:1", run_id, "--to", "parquet", tmp_path / "none") == 3
    assert not (tmp_path / "none").exists()


def test_an_export_that_breaks_off_leaves_nothing(
    client: TestClient, database: Database, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id, _, _ = made(client, database, records=2)
    change(database, run_id, "dropped")
    assert export(address, run_id, "--to", "parquet", tmp_path) == 2
    assert "retention dropped the values" in capsys.readouterr().err.replace("\n", " ")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--to", "excel", "x"), "tensorboard, mlflow, parquet"),
        (("--to", "parquet", "x", "--signal", "loss"), "activation_rms"),
        (("--to", "parquet", "x", "--every", "0"), "1 or more"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    address: str, options: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(address, NOWHERE, *options) == 2
    assert words in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named(
    client: TestClient, database: Database, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id, _, _ = made(client, database, records=2)
    (tmp_path / "file").touch()
    assert export(address, run_id, "--to", "parquet", tmp_path / "file") == 2
    assert f"--to parquet {tmp_path / 'file'}: " in capsys.readouterr().err


@pytest.mark.parametrize("form", ["tensorboard", "mlflow"])
def test_packages_that_are_not_there_are_named(
    form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, form, None)
    monkeypatch.delitem(sys.modules, f"gradient_clinic.command.to_{form}", raising=False)
    assert export("http://127.0.0.1:1", NOWHERE, "--to", form, "x") == 2
    assert f'pip install "gradient-clinic[{form}]"' in capsys.readouterr().err


def test_of_a_log_there_are_its_curves_and_evaluations(client: TestClient, clinic: Client) -> None:
    run, token = logs.sent(client, logs.rows(logs.FALLS), network={"every": 10})
    evaluations = {"steps": [500, 1_000], "loss": ingest.records(np.zeros(0), np.array([1.0, 0.5]), token)["curves"]}
    ingest.end(client, run, ingest.ending(token, 1_000, evaluations=evaluations))
    its = run_of(client, run["run_id"])
    found = list(records_of(clinic, its))
    assert [(record.step, record.layers, record.signals) for record in found[:2]] == [(0, (), {}), (10, (), {})]
    assert [record.curves["loss"] for record in found] == logs.FALLS.tolist()
    assert set(found[0].curves) == set(logs.LOG)
    assert list(epochs_of(clinic, its)) == [(500, {"validation_loss": 1.0}), (1_000, {"validation_loss": 0.5})]
