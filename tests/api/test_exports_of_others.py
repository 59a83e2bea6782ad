"""What is exported, read by TensorBoard, MLflow and DuckDB themselves: run by `make exports`, which installs them."""

import importlib
import importlib.util
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from gradient_clinic.command.recorded import ended, started
from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.values import Array
from local.ports import free_port
from models.storage.database import Database
from proofs.speed import peers
from tests.api.made import claim, end_epoch, finish, run_ids, submit, write
from tests.api.routes.test_tables import change
from tests.api.test_exports import export, run_of, said
from tests.eventually import eventually
from tests.models.stored import some_values
from tests.processes import process

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore"),  # of theirs
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in ("tensorboard", "mlflow", "duckdb")), reason="make exports"
    ),
]
SHOWN = ("test_metric", "test_loss", "final_loss")
LAYERS = ("hidden.0", "hidden.1", "hidden.2", "output")
STEPS = 6


def made(client: TestClient, database: Database, **changes: Any) -> tuple[str, Array, Array]:
    """A run of three validated epochs, a third of whose values is not finite."""
    run_id, *_ = run_ids(database, submit(client, steps=STEPS, seeds=[7], labels={"team": "ü"}, **changes))
    lease, plan = claim(database, run_id)
    signals, curves = some_values(len(LAYERS), STEPS, seed=0, broken=0.3)
    signals[0, 0, :3], curves[0, :3] = [np.nan, np.inf, -np.inf], [np.nan, np.inf, -np.inf]
    write(database, lease, plan, signals, curves, ended=True)
    for epoch, loss in enumerate([1.0, math.nan, 0.5]):
        end_epoch(database, run_id, epoch, loss, 0.25 * epoch)
    finish(database, lease, plan)
    return str(run_id), signals, curves


def wanted(signals: Array, curves: Array) -> dict[str, Array]:
    """By its name in other tools the values of each signal of each layer, and of each curve."""
    found = {f"curves/{curve}": curves[number] for number, curve in enumerate(CURVES)}
    for number, signal in enumerate(SIGNALS):
        found |= {f"{signal}/{layer}": signals[number, index] for index, layer in enumerate(LAYERS)}
    return found


# --- TensorBoard -------------------------------------------------------------------------------------------------


def read(folder: Path) -> Any:
    accumulator = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    return events.Reload()


def numbers_of(events: Any, tag: str) -> list[float]:
    return [event.value for event in events.Scalars(tag)]


def test_tensorboard_reads_the_same_numbers_and_each_once(
    client: TestClient, database: Database, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id, signals, curves = made(client, database)
    run = run_of(client, run_id)
    assert export(address, run_id, "--to", "tensorboard", tmp_path) == 0
    capsys.readouterr()
    folder = Path(said(capsys, address, run["experiment_id"], "--to", "tensorboard", tmp_path)["written"][run_id])
    assert folder.relative_to(tmp_path).parts == (f"small {run['experiment_id'][-8:]}", "baseline", "seed-7")
    events = read(folder)
    for tag, values in wanted(signals, curves).items():
        assert [event.step for event in events.Scalars(tag)] == list(range(STEPS))
        np.testing.assert_array_equal(numbers_of(events, tag), values.astype(np.float32))
    np.testing.assert_array_equal(numbers_of(events, "epoch/validation_loss"), [1.0, math.nan, 0.5])
    assert numbers_of(events, "epoch/validation_metric") == [0.0, 0.25, 0.5]
    assert numbers_of(events, "result/test_metric") == pytest.approx([run["result"]["test_metric"]])
    times = [event.wall_time for event in events.Scalars("curves/loss")]
    assert times == sorted(times)
    assert times[0] >= started(run)


def test_tensorboard_has_the_settings_the_verdict_and_the_map(
    client: TestClient, database: Database, address: str, tmp_path: Path
) -> None:
    run_id, _, _ = made(client, database, remedies=[{"kind": "layer_norm"}])
    run = run_of(client, run_id)
    assert export(address, run["experiment_id"], "--to", "tensorboard", tmp_path) == 0
    events = read(next(tmp_path.glob("*/baseline/seed-7")))
    (verdict,) = events.Tensors("verdict")[0].tensor_proto.string_val
    assert run["verdict"]["sentence"] in verdict.decode()
    assert run["verdict"]["kind"] in verdict.decode()
    plugin = importlib.import_module("tensorboard.plugins.hparams.plugin_data_pb2").HParamsPluginData
    start = plugin.FromString(events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)
    settings = start.session_start_info.hparams
    assert settings["variant"].string_value == "baseline"
    assert settings["seed"].number_value == 7
    assert settings["network.depth"].number_value == 4
    assert start.session_start_info.start_time_secs == started(run)
    (image,) = events.Images("activation_gradient_rms")
    picture = client.get(f"/v1/runs/{run_id}/heatmap.png").content
    assert image.encoded_image_string == picture
    assert struct.unpack(">II", picture[16:24]) == (image.width, image.height)
    whole = read(next(tmp_path.iterdir()))
    (answer,) = whole.Tensors("comparison")[0].tensor_proto.string_val
    assert "| baseline |" in answer.decode()
    table = plugin.FromString(whole.SummaryMetadata("_hparams_/experiment").plugin_data.content).experiment
    columns = {its.name: list(its.domain_discrete.values) for its in table.hparam_infos}
    assert [value.string_value for value in columns["variant"]] == ["baseline", "layer_norm"]
    assert [value.number_value for value in columns["network.depth"]] == [4.0]
    assert columns.keys() >= {"seed", "remedies"}
    assert all(its.type for its in table.hparam_infos)
    assert {its.name.tag for its in table.metric_infos} == {f"result/{name}" for name in SHOWN}


def test_signals_and_steps_are_chosen_and_files_of_others_stay(
    client: TestClient, database: Database, address: str, tmp_path: Path
) -> None:
    run_id, signals, _ = made(client, database)
    assert export(address, run_id, "--to", "tensorboard", tmp_path) == 0
    folder = next(tmp_path.glob("*/baseline/seed-7"))
    others = folder / "events.out.tfevents.1.host"
    others.write_bytes(b"")
    options = ("--signal", "weight_norm", "--every", "4")
    assert export(address, run_id, "--to", "tensorboard", tmp_path, *options) == 0
    assert len(list(folder.iterdir())) == 2
    others.unlink()
    events = read(folder)
    assert {tag.split("/")[0] for tag in events.Tags()["scalars"]} == {"curves", "weight_norm", "epoch", "result"}
    chosen = signals[SIGNALS.index("weight_norm"), 3, [0, 4]].astype(np.float32)
    np.testing.assert_array_equal(numbers_of(events, "weight_norm/output"), chosen)


def test_what_retention_has_dropped_since_stays_where_it_was_written(
    client: TestClient, database: Database, address: str, server: str, mlflow: Any, tmp_path: Path
) -> None:
    run_id, _, curves = made(client, database, name="kept elsewhere")
    for _ in range(2):
        for options in (("tensorboard", tmp_path), ("mlflow", server, "--every", "2")):
            assert export(address, run_id, "--to", *options) == 0
        change(database, run_id, "dropped")
    loss = read(next(tmp_path.glob("*/baseline/seed-7"))).Scalars("curves/loss")
    np.testing.assert_array_equal([event.value for event in loss], curves[0].astype(np.float32))
    assert export(address, run_id, "--to", "mlflow", server) == 0  # other steps than before, and none is left
    _, (run,) = found(mlflow, "kept elsewhere")
    assert len(mlflow.get_metric_history(run.info.run_id, "curves/loss")) == STEPS / 2
    assert export(address, run_id, "--to", "tensorboard", tmp_path / "new") == 0
    assert "curves/loss" not in read(next(tmp_path.glob("new/*/baseline/seed-7"))).Tags()["scalars"]


# --- DuckDB ------------------------------------------------------------------------------------------------------


def test_duckdb_reads_the_file_of_a_run_and_what_is_told_of_it(
    client: TestClient, database: Database, address: str, tmp_path: Path
) -> None:
    run_id, signals, _ = made(client, database)
    assert export(address, run_id, "--to", "parquet", tmp_path) == 0
    (file,) = tmp_path.rglob("*.parquet")
    ask = importlib.import_module("duckdb").execute
    query = "SELECT value FROM read_parquet(?) WHERE signal = 'weight_norm' AND layer = 'output' ORDER BY step"
    values = np.array(ask(query, [str(file)]).fetchall())[:, 0]
    np.testing.assert_array_equal(values, signals[SIGNALS.index("weight_norm"), 3].astype(np.float32))
    query = "SELECT decode(value)::json ->> '$.verdict.kind' FROM parquet_kv_metadata(?) WHERE decode(key) = ?"
    ((kind,),) = ask(query, [str(file), "gradient_clinic.run"]).fetchall()
    assert kind == run_of(client, run_id)["verdict"]["kind"]


# --- MLflow ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's own, of the environment that `make bench` has too, on SQLite."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port("127.0.0.1")
    environment = {
        "PATH": f"{peers.HOME / 'bin'}:/usr/bin:/bin",
        "HOME": str(folder),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    stores = ("--backend-store-uri", f"sqlite:///{folder}/runs.db", "--artifacts-destination", str(folder))
    options = ("--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    with process(peers.PYTHON, "-m", "mlflow", "server", *options, *stores, environment=environment, folder=folder):
        assert eventually(lambda: answers(f"http://127.0.0.1:{port}/health"))
        yield f"http://127.0.0.1:{port}"


def answers(address: str) -> bool:
    try:
        return httpx2.get(address, trust_env=False).is_success
    except httpx2.TransportError:
        return False


@pytest.fixture
def mlflow(server: str) -> Any:
    return importlib.import_module("mlflow").MlflowClient(tracking_uri=server)


def found(mlflow: Any, name: str) -> tuple[Any, list[Any]]:
    """The run with the answer, and those of ours below it."""
    experiment = mlflow.get_experiment_by_name(name)
    every = mlflow.search_runs([experiment.experiment_id])
    (whole,) = (run for run in every if "clinic.answer_of" in run.data.tags)
    return whole, [run for run in every if run.data.tags.get("mlflow.parentRunId") == whole.info.run_id]


def history(mlflow: Any, run: Any, name: str) -> Array:
    points = sorted(mlflow.get_metric_history(run.info.run_id, name), key=lambda point: point.step)
    assert [point.step for point in points] == list(range(len(points)))
    return np.array([point.value for point in points])


LARGEST = np.finfo(np.float64).max


def test_mlflow_has_the_same_numbers_and_each_once(
    client: TestClient, database: Database, address: str, server: str, mlflow: Any
) -> None:
    run_id, signals, curves = made(client, database, name="the same numbers")
    experiment = run_of(client, run_id)["experiment_id"]
    assert export(address, experiment, "--to", "mlflow", server) == 0
    _, (run,) = found(mlflow, "the same numbers")
    assert export(address, experiment, "--to", "mlflow", server) == 0
    _, (again,) = found(mlflow, "the same numbers")
    assert again.info.run_id == run.info.run_id  # it is whole, and stays
    for name, values in wanted(signals.astype(np.float32).astype(np.float64), curves).items():
        # Its tables hold no infinity: MLflow itself writes the largest number for it.
        np.testing.assert_array_equal(history(mlflow, run, name), np.nan_to_num(values, nan=math.nan))
    np.testing.assert_array_equal(history(mlflow, run, "epoch/validation_loss"), [1.0, math.nan, 0.5])


def test_mlflow_has_the_settings_the_verdict_and_the_answer(
    client: TestClient, database: Database, address: str, server: str, mlflow: Any
) -> None:
    run_id, _, _ = made(client, database, name="all that is told", remedies=[{"kind": "layer_norm"}])
    ours = run_of(client, run_id)
    assert export(address, ours["experiment_id"], "--to", "mlflow", server) == 0
    whole, (run,) = found(mlflow, "all that is told")
    assert run.info.run_name == "baseline seed-7"
    assert run.info.status == "FINISHED"
    assert run.info.start_time == int(started(ours) * 1000)
    assert run.info.end_time == int(ended(ours) * 1000)
    assert run.data.params["seed"] == "7"
    assert run.data.params["network.depth"] == "4"
    assert run.data.tags["clinic.verdict"] == ours["verdict"]["kind"]
    assert ours["verdict"]["sentence"] in run.data.tags["mlflow.note.content"]
    names = {artifact.path for artifact in mlflow.list_artifacts(whole.info.run_id)}
    assert names == {"comparison.json", "comparison.md", "report.html"}
    page = httpx2.get(
        f"{server}/get-artifact", params={"run_id": whole.info.run_id, "path": "report.html"}, trust_env=False
    )
    assert page.text == client.get(f"/v1/experiments/{ours['experiment_id']}/report").text


def test_what_broke_off_is_written_anew_and_so_is_another_attempt(
    client: TestClient, database: Database, address: str, server: str, mlflow: Any
) -> None:
    run_id, _, _ = made(client, database, name="anew")
    assert export(address, run_id, "--to", "mlflow", server) == 0
    _, (first,) = found(mlflow, "anew")
    mlflow.delete_tag(first.info.run_id, "clinic.export")  # as it is until all is there
    assert export(address, run_id, "--to", "mlflow", server) == 0
    _, (second,) = found(mlflow, "anew")
    assert second.info.run_id != first.info.run_id
    assert len(history(mlflow, second, "curves/loss")) == STEPS
    assert export(address, run_id, "--to", "mlflow", server, "--every", "2") == 0
    _, (third,) = found(mlflow, "anew")
    assert third.info.run_id != second.info.run_id
    assert [point.step for point in mlflow.get_metric_history(third.info.run_id, "curves/loss")] == [0, 2, 4]


def test_a_server_that_is_away_or_none_is_said(
    client: TestClient,
    database: Database,
    address: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run_id, _, _ = made(client, database)
    assert export(address, run_id, "--to", "mlflow", "http://127.0.0.1:1") == 3
    assert "MLflow at http://127.0.0.1:1 has not taken it" in capsys.readouterr().err
    assert export(address, run_id, "--to", "mlflow", "nonsense://") == 2
    assert "nonsense:// is no place of MLflow's" in capsys.readouterr().err
