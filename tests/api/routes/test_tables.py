"""Traces and curves as tables: every value bit for bit, in bounded batches, and a broken end where the run changed."""

import csv
import io
import uuid
from collections.abc import Callable
from typing import Any

import httpx2
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from api.exports import BATCH_VALUES, CurveTable, Reading, TraceTable
from api.http.negotiation import ARROW, CSV, JSON, OFFERED, PARQUET
from api.views.traces import TraceRow
from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.values import Array
from models import runs
from models.storage.database import Database
from models.storage.tables import Run
from models.traces.reader import extent
from tests.api.made import claim, finish, problem, run_ids, submit, write
from tests.models.stored import some_values

SIGNAL = "weight_gradient_norm"


def read_csv(content: bytes) -> Any:
    types = {name: pa.float32() for name in SIGNALS} | dict.fromkeys(CURVES, pa.float64())
    convert = pyarrow.csv.ConvertOptions(column_types=types, null_values=[""])
    return pyarrow.csv.read_csv(io.BytesIO(content), convert_options=convert)


READERS: dict[str, Callable[[bytes], Any]] = {
    CSV: read_csv,
    ARROW: lambda content: pa.ipc.open_stream(content).read_all(),
    PARQUET: lambda content: pyarrow.parquet.read_table(io.BytesIO(content)),
}
KINDS = pytest.mark.parametrize("kind", READERS)


def made(client: TestClient, database: Database, *, records: int = 450, **changes: Any) -> tuple[str, Array, Array]:
    """A run that has ended, with its signals and curves; a twentieth of the values is not finite."""
    run_id = run_ids(database, submit(client, **{"steps": 3 * records, "trace": {"every": 3}} | changes))[0]
    lease, plan = claim(database, run_id)
    signals, curves = some_values(len(plan.network.rows), records, seed=0, broken=0.05)
    write(database, lease, plan, signals, curves, ended=True)
    finish(database, lease, plan, outcome="diverged")
    return str(run_id), signals, curves


def get(client: httpx2.Client, run_id: str, kind: str, what: str = "trace", **params: Any) -> httpx2.Response:
    asked = {"signal": SIGNAL} | params if what == "trace" else params
    return client.get(f"/v1/runs/{run_id}/{what}", params=asked, headers={"Accept": kind})


def bits(values: Array) -> Any:
    """As they are stored; one NaN may differ from another in text, which has only one."""
    return np.where(np.isnan(values), np.nan, values).astype(np.float32)


@KINDS
def test_a_table_has_a_row_per_step_and_layer_with_the_values_as_they_are(
    client: TestClient, database: Database, kind: str
) -> None:
    run_id, signals, _ = made(client, database)
    response = get(client, run_id, kind)
    assert response.status_code == 200
    assert response.headers["content-type"].split(";")[0] == kind
    table = READERS[kind](response.content)
    assert table.column_names == ["step", "layer_index", "layer", SIGNAL]
    assert table["step"].to_pylist() == [3 * record for record in range(450) for _ in range(4)]
    assert table["layer_index"].to_pylist() == 450 * [1, 2, 3, 4]
    assert table["layer"].to_pylist() == 450 * ["hidden.0", "hidden.1", "hidden.2", "output"]
    assert table[SIGNAL].null_count == 0
    found = table[SIGNAL].to_numpy().astype(np.float32)
    np.testing.assert_array_equal(found, bits(signals[SIGNALS.index(SIGNAL)].T.reshape(-1)))


@pytest.mark.parametrize("kind", [ARROW, PARQUET])
def test_binary_tables_hold_the_very_bits(client: TestClient, database: Database, kind: str) -> None:
    run_id, signals, curves = made(client, database)
    table = READERS[kind](get(client, run_id, kind, signal="all").content)
    for index, signal in enumerate(SIGNALS):
        stored = signals[index].T.reshape(-1).astype(np.float32)
        assert table[signal].to_numpy().tobytes() == stored.tobytes()
    table = READERS[kind](get(client, run_id, kind, "curves").content)
    for index, curve in enumerate(CURVES):
        assert table[curve].to_numpy().tobytes() == curves[index].tobytes()


@KINDS
def test_all_signals_come_as_columns_of_one_table(client: TestClient, database: Database, kind: str) -> None:
    run_id, signals, _ = made(client, database)
    table = READERS[kind](get(client, run_id, kind, signal="all").content)
    assert table.column_names == ["step", "layer_index", "layer", *SIGNALS]
    for index, signal in enumerate(SIGNALS):
        found = table[signal].to_numpy().astype(np.float32)
        np.testing.assert_array_equal(found, bits(signals[index].T.reshape(-1)))


@KINDS
def test_curves_come_as_columns_with_a_row_per_step(client: TestClient, database: Database, kind: str) -> None:
    run_id, _, curves = made(client, database)
    table = READERS[kind](get(client, run_id, kind, "curves", **{"from": 100, "to": 1_200}).content)
    assert table.column_names == ["step", *CURVES]
    assert table["step"].to_pylist() == list(range(102, 1_201, 3))
    for index, curve in enumerate(CURVES):
        np.testing.assert_array_equal(table[curve].to_numpy(), curves[index, 34:401])


@KINDS
def test_layers_and_steps_choose_the_rows_of_a_table_and_points_does_not(
    client: TestClient, database: Database, kind: str
) -> None:
    run_id, signals, _ = made(client, database)
    params: dict[str, Any] = {"layers": "output,hidden.1", "from": 598, "to": 606, "points": 1}
    table = READERS[kind](get(client, run_id, kind, **params).content)
    assert table["step"].to_pylist() == [600, 600, 603, 603, 606, 606]
    assert table["layer"].to_pylist() == 3 * ["hidden.1", "output"]
    inside = signals[SIGNALS.index(SIGNAL)][[1, 3], 200:203]
    np.testing.assert_array_equal(table[SIGNAL].to_numpy().astype(np.float32), bits(inside.T.reshape(-1)))


@KINDS
def test_a_table_may_have_no_rows(client: TestClient, database: Database, kind: str) -> None:
    run_id = str(run_ids(database, submit(client))[0])
    nothing: dict[str, Any] = {"from": 9, "to": 3}
    for table in (get(client, run_id, kind), get(client, run_id, kind, **nothing)):
        assert READERS[kind](table.content).num_rows == 0
        assert READERS[kind](table.content).column_names == ["step", "layer_index", "layer", SIGNAL]


@KINDS
def test_the_states_of_a_recurrent_layer_are_rows_along_the_time_axis(
    client: TestClient, database: Database, kind: str
) -> None:
    network = {"kind": "rnn", "cell": "tanh", "width": 4, "layers": 1}
    run_id, _, _ = made(client, database, records=3, network=network, dataset={"kind": "mnist_5k"})
    table = READERS[kind](get(client, run_id, kind, axis="time").content)
    assert {name.split("@")[0] for name in table["layer"].to_pylist()} == {"recurrent.0"}
    assert table.num_rows % 3 == 0


@KINDS
def test_an_untrained_network_has_no_update_in_a_table_either(
    client: TestClient, database: Database, kind: str
) -> None:
    run_id = run_ids(database, submit(client, steps=0))[0]
    lease, plan = claim(database, run_id)
    write(database, lease, plan, some_values(4, 1, seed=0, broken=0.0)[0], ended=True)
    table = READERS[kind](get(client, str(run_id), kind, signal="update_ratio").content)
    assert table["update_ratio"].null_count == table.num_rows == 4


def test_csv_is_read_by_any_reader_of_csv(client: TestClient, database: Database) -> None:
    run_id, signals, _ = made(client, database, records=5)
    rows = list(csv.DictReader(io.StringIO(get(client, run_id, CSV).text)))
    found = np.array([float(row[SIGNAL]) for row in rows]).astype(np.float32)
    np.testing.assert_array_equal(found, bits(signals[SIGNALS.index(SIGNAL)].T.reshape(-1)))
    assert rows[0]["layer"] == "hidden.0"


def test_a_table_is_a_file_with_a_name_and_pictures_are_none(client: TestClient, database: Database) -> None:
    run_id, _, _ = made(client, database, records=2)
    for kind, suffix in ((CSV, "csv"), (ARROW, "arrows"), (PARQUET, "parquet")):
        name = f'attachment; filename="run-{run_id}-{SIGNAL}.{suffix}"'
        assert get(client, run_id, kind).headers["content-disposition"] == name
    assert "content-disposition" not in get(client, run_id, JSON).headers
    assert f"run-{run_id}-curves.csv" in get(client, run_id, CSV, "curves").headers["content-disposition"]


def test_json_holds_one_signal_and_says_so(client: TestClient, database: Database) -> None:
    run_id = str(run_ids(database, submit(client))[0])
    for accept in (JSON, "*/*"):
        (error,) = problem(get(client, run_id, accept, signal="all"), 422)["errors"]
        assert error["field"] == "signal"
        assert set(error["allowed"]) == set(SIGNALS)


def test_what_nobody_offers_is_not_acceptable(client: TestClient, database: Database) -> None:
    run_id = str(run_ids(database, submit(client))[0])
    for what in ("trace", "curves"):
        for accept in ("image/*", "application/json5", "application/json;q=0"):
            (error,) = problem(get(client, run_id, accept, what), 406)["errors"]
            assert error["allowed"] == list(OFFERED)


# --- bounded, and broken -----------------------------------------------------------------------------------------


def reading(database: Database, run_id: str) -> Reading:
    with database.begin() as session:
        run = session.get_one(Run, uuid.UUID(run_id))
        return Reading(database, run.id, run.attempt, extent(session, run.id), 0, 2**31 - 1)


def trace_table(database: Database, run_id: str) -> TraceTable:
    layers = [TraceRow(index=index, name=f"{index}", kind="linear", role="hidden") for index in range(1, 5)]
    return TraceTable(reading(database, run_id), layers, SIGNALS, untrained=False)


def test_batches_are_bounded_whatever_the_length_of_the_run(client: TestClient, database: Database) -> None:
    run_id, _, _ = made(client, database, records=16_000)
    sizes = [batch.num_rows for batch in trace_table(database, run_id).batches()]
    assert sum(sizes) == 4 * 16_000
    assert max(sizes) * len(SIGNALS) <= BATCH_VALUES
    assert [batch.num_rows for batch in CurveTable(reading(database, run_id), CURVES).batches()] == [16_000]


def test_a_client_that_is_slow_holds_no_transaction(client: TestClient, database: Database) -> None:
    run_id, _, _ = made(client, database, records=16_000)
    batches = trace_table(database, run_id).batches()
    next(batches)
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # a QueuePool, which counts


def change(database: Database, run_id: str, what: str) -> None:
    with database.begin() as session:
        run = session.get_one(Run, uuid.UUID(run_id))
        match what:
            case "began anew":
                session.execute(update(Run).where(Run.id == run.id).values(attempt=Run.attempt + 1))
            case "dropped":
                session.execute(update(Run).where(Run.id == run.id).values(raw_dropped_at=run.ended_at))
            case _:
                runs.remove(session, run.experiment_id)


@pytest.mark.parametrize("what", ["began anew", "dropped", "deleted"])
@pytest.mark.parametrize("kind", [CSV, ARROW, PARQUET])
def test_a_stream_breaks_where_the_run_changes_while_it_is_sent(
    client: TestClient, database: Database, address: str, kind: str, what: str
) -> None:
    run_id, _, _ = made(client, database, records=60_000)
    url = f"{address}/v1/runs/{run_id}/trace?signal=all"
    with httpx2.Client() as remote, remote.stream("GET", url, headers={"Accept": kind}) as response:
        assert response.status_code == 200
        parts = response.iter_raw()
        next(parts)
        change(database, run_id, what)
        with pytest.raises(httpx2.RemoteProtocolError):
            list(parts)


def test_what_retention_dropped_is_gone_as_a_table(client: TestClient, database: Database) -> None:
    run_id, _, _ = made(client, database)
    change(database, run_id, "dropped")
    for what in ("trace", "curves"):
        assert "retention dropped the values" in problem(get(client, run_id, CSV, what), 410)["detail"]
        assert get(client, run_id, JSON, what).status_code == 200
