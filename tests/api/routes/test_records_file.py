"""All of a run as one Parquet file: every value bit for bit, and what has to be known of it."""

import io
import json
import uuid
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from fastapi.testclient import TestClient

from api.exports import BATCH_VALUES, RecordTable
from api.views.traces import TraceRow
from gradient_clinic.signals import CURVES, SIGNALS
from models.storage.database import Database
from tests.api.made import claim, end_epoch, finish, problem, run_ids, submit, write
from tests.api.routes.test_tables import change, made, reading
from tests.models.stored import some_values

Json = dict[str, Any]


def file_of(client: TestClient, run_id: str) -> Any:
    response = client.get(f"/v1/runs/{run_id}/records.parquet")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/vnd.apache.parquet"
    assert response.headers["content-disposition"] == f'attachment; filename="run-{run_id}.parquet"'
    return pyarrow.parquet.ParquetFile(io.BytesIO(response.content))


def told(file: Any) -> Json:
    metadata = file.schema_arrow.metadata
    return {key.decode(): json.loads(value) for key, value in metadata.items() if key.startswith(b"gradient_clinic.")}


def test_it_holds_every_value_of_every_signal_and_curve(client: TestClient, database: Database) -> None:
    run_id, signals, curves = made(client, database)
    table = file_of(client, run_id).read().to_pandas()
    assert list(table) == ["step", "layer_index", "layer", "role", "signal", "value"]
    assert len(table) == signals.size + curves.size
    wanted = signals.astype(np.float32).astype(np.float64)
    for number, signal in enumerate(SIGNALS):
        for index, layer in enumerate(("hidden.0", "hidden.1", "hidden.2", "output")):
            rows = table[(table.signal == signal) & (table.layer == layer)]
            assert rows.step.tolist() == list(range(0, 1350, 3))
            assert set(rows.layer_index) == {index + 1}
            assert set(rows.role) == {"output" if layer == "output" else "hidden"}
            assert rows.value.to_numpy().tobytes() == wanted[number, index].tobytes()
    for number, curve in enumerate(CURVES):
        rows = table[table.signal == curve]
        assert rows[["layer_index", "layer", "role"]].isna().all(axis=None)
        assert rows.value.to_numpy().tobytes() == curves[number].tobytes()


def test_its_metadata_say_what_is_in_it(client: TestClient, database: Database) -> None:
    experiment = submit(client, steps=3, labels={"team": "ü"}, dataset={"kind": "digits", "validation_fraction": 0.2})
    run_id = run_ids(database, experiment)[0]
    lease, plan = claim(database, run_id)
    write(database, lease, plan, some_values(4, 3, seed=0, broken=0.0)[0], ended=True)
    end_epoch(database, run_id, 0, float("nan"), 0.5)
    finish(database, lease, plan)
    found = told(file_of(client, str(run_id)))
    assert found["gradient_clinic.format"] == 1
    assert found["gradient_clinic.run"] == {
        key: value for key, value in client.get(f"/v1/runs/{run_id}").json().items() if key != "first_nonfinite"
    }
    assert found["gradient_clinic.run"]["verdict"] is not None
    answered = client.get(f"/v1/experiments/{experiment['id']}").json()
    assert found["gradient_clinic.experiment"] == {
        key: answered[key] for key in ("id", "name", "labels", "source", "spec")
    }
    trace = client.get(f"/v1/runs/{run_id}/trace", params={"signal": "weight_norm"}).json()
    assert found["gradient_clinic.layers"] == trace["layers"]
    assert found["gradient_clinic.epochs"] == {"validation_loss": [None], "validation_metric": [0.5], "steps": []}


def test_states_of_recurrent_layers_and_no_update_of_an_untrained_network(
    client: TestClient, database: Database
) -> None:
    network = {"kind": "rnn", "cell": "tanh", "width": 4, "layers": 1}
    run_id, signals, _ = made(client, database, records=3, network=network, dataset={"kind": "mnist_5k"})
    table = file_of(client, run_id).read().to_pandas()
    states = table[table.role == "time"]
    assert states.layer.nunique() > 0
    assert set(states.layer.str.split("@").str[0]) == {"recurrent.0"}
    assert len(table.dropna(subset="layer")) == signals.size
    untrained = run_ids(database, submit(client, steps=0))[0]
    lease, plan = claim(database, untrained)
    write(database, lease, plan, some_values(4, 1, seed=0, broken=0.0)[0], ended=True)
    assert "update_ratio" not in set(file_of(client, str(untrained)).read().to_pandas().signal)


def test_a_run_that_has_not_begun_has_no_rows(client: TestClient, database: Database) -> None:
    run_id = str(run_ids(database, submit(client))[0])
    file = file_of(client, run_id)
    assert file.metadata.num_rows == 0
    assert told(file)["gradient_clinic.run"]["state"] == "queued"


def test_batches_are_bounded_whatever_the_length_of_the_run(client: TestClient, database: Database) -> None:
    run_id, signals, curves = made(client, database, records=16_000)
    layers = [TraceRow(index=index, name=f"{index}", kind="linear", role="hidden") for index in range(1, 5)]
    table = RecordTable(reading(database, run_id), layers, CURVES, untrained=False, about={})
    sizes = [batch.num_rows for batch in table.batches()]
    assert sum(sizes) == signals.size + curves.size
    assert max(sizes) <= BATCH_VALUES


def test_it_is_not_sent_again_until_something_of_it_has_changed(client: TestClient, database: Database) -> None:
    run_id, _, _ = made(client, database, records=2)
    tag = client.get(f"/v1/runs/{run_id}/records.parquet").headers["etag"]

    def again() -> int:
        return client.get(f"/v1/runs/{run_id}/records.parquet", headers={"If-None-Match": tag}).status_code

    assert again() == 304
    end_epoch(database, uuid.UUID(run_id), 0, 1.0, 0.5)
    assert again() == 200


def test_what_retention_dropped_is_gone(client: TestClient, database: Database) -> None:
    run_id, _, _ = made(client, database, records=2)
    change(database, run_id, "dropped")
    assert "retention" in problem(client.get(f"/v1/runs/{run_id}/records.parquet"), 410)["detail"]


@pytest.mark.parametrize("columns", [["signal", "value"], ["layer"]])
def test_pandas_reads_some_columns_alone(client: TestClient, database: Database, columns: list[str]) -> None:
    run_id, signals, curves = made(client, database, records=5)
    content = client.get(f"/v1/runs/{run_id}/records.parquet").content
    found = pd.read_parquet(io.BytesIO(content), columns=columns)
    assert found.shape == (signals.size + curves.size, len(columns))
