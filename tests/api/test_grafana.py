"""The dashboard for Grafana: each of its queries on a real database, as the role that it reads by.

Grafana itself is no package of any registry; its macros and variables are put in by hand, as it says that it does.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import psycopg
import pytest
import yaml
from fastapi.testclient import TestClient

from gradient_clinic.signals import SIGNALS
from models.storage.database import Database
from tests.api.made import claim, finish, run_ids, submit, write
from tests.api.routes.test_tables import made
from tests.models.stored import some_values
from tests.processes import ROOT

Json = dict[str, Any]
Rows = Sequence[tuple[Any, ...]]
FOLDER = ROOT / "examples" / "grafana"
DASHBOARD: Json = json.loads((FOLDER / "dashboard.json").read_text())
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
TRACE = "$signal by layer: $run"
Ask = Any


@contextmanager
def reading(database_url: str) -> Iterator[Ask]:
    """Asks as the role of ``reader.sql``, which is gone again afterwards: roles are of the whole server."""
    with psycopg.connect(database_url) as connection:
        connection.execute((FOLDER / "reader.sql").read_text().replace(":'password'", "'secret'"))
        connection.execute("SET LOCAL ROLE clinic_reader")
        yield lambda sql, **variables: connection.execute(_filled(sql, variables)).fetchall()
        connection.rollback()


def _filled(sql: str, variables: Json) -> Any:
    filled = re.sub(r"\$\{(\w+):sqlstring\}", lambda found: f"'{variables[found[1]]}'", sql)
    filled = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN now() - interval '7 days' AND now()", filled)
    assert "$" not in filled
    return filled


def sql_of(title: str) -> str:
    (target,) = PANELS[title]["targets"]
    sql: str = target["rawSql"]
    return sql


@pytest.fixture
def ended(client: TestClient, database: Database) -> Json:
    """A run that has ended; that of the other seed waits."""
    experiment = submit(client, steps=40)
    run_id = run_ids(database, experiment)[0]
    lease, plan = claim(database, run_id)
    write(database, lease, plan, some_values(4, 40, seed=0, broken=0.0)[0], ended=True)
    finish(database, lease, plan)
    found: Json = client.get(f"/v1/runs/{run_id}").json()
    return found


def test_runs_are_counted_by_state_and_by_verdict(ended: Json, database_url: str) -> None:
    with reading(database_url) as ask:
        assert ask(sql_of("Runs by state")) == [("queued", 1), ("succeeded", 1)]
        assert ask(sql_of("Verdicts by kind")) == [(ended["verdict"]["kind"], 1)]


def test_the_oldest_run_that_could_begin_gives_the_age_of_the_queue(
    client: TestClient, database: Database, database_url: str
) -> None:
    with reading(database_url) as ask:
        assert ask(sql_of("Oldest run that waits")) == [(0.0,)]
    later = submit(client, not_before="2099-01-01T00:00:00Z", seeds=[0])
    (waiting,) = run_ids(database, submit(client, seeds=[0]))
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE run SET created_at = now() - interval '1 hour' WHERE id = %s", [waiting])
        connection.execute(
            "UPDATE run SET created_at = now() - interval '1 day' WHERE experiment_id = %s", [later["id"]]
        )
    with reading(database_url) as ask:
        ((age,),) = ask(sql_of("Oldest run that waits"))
    assert 3600 <= age < 7200


def test_g_of_a_run_is_that_of_its_verdict(ended: Json, database_url: str) -> None:
    start, end = (ended["verdict"][name]["total_gain"]["mean"] for name in ("at_start", "at_end"))
    experiment = ended["experiment_id"]
    with reading(database_url) as ask:
        ((_, variant, gain),) = ask(sql_of("G at the start of each run"), experiment=experiment)
        assert (variant, gain) == ("baseline", pytest.approx(start))
        first, second = ask(sql_of("Runs of the experiment"), experiment=experiment)
    assert first[:4] == ("baseline", 0, "succeeded", ended["verdict"]["kind"])
    assert first[4:7] == pytest.approx((start, end, 100.0))
    assert second[1:7] == (1, "queued", None, None, None, 0.0)


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_signal_by_layer_is_what_was_recorded(
    client: TestClient, database: Database, database_url: str, signal: str
) -> None:
    run_id, signals, _ = made(client, database, records=950)
    with reading(database_url) as ask:
        rows = ask(sql_of(TRACE), run=run_id, signal=signal)
    names = ("hidden.0", "hidden.1", "hidden.2", "output")
    kept = range(0, 950, 3)
    assert [(step, layer) for step, layer, _ in rows] == [(3 * at, name) for name in names for at in kept]
    wanted = signals[SIGNALS.index(signal)][:, kept].reshape(-1).astype(np.float32)
    np.testing.assert_array_equal(np.array([value for _, _, value in rows], np.float32), wanted)


def test_what_is_chosen_from_are_the_experiments_and_their_runs(ended: Json, database_url: str) -> None:
    with reading(database_url) as ask:
        ((name, experiment),) = ask(VARIABLES["experiment"]["query"])
        assert (name, experiment) == (f"small {ended['experiment_id'][-8:]}", ended["experiment_id"])
        first, second = ask(VARIABLES["run"]["query"], experiment=experiment)
        assert first == ("baseline, seed 0", ended["id"])
        assert second[0] == "baseline, seed 1"
        assert ask(VARIABLES["run"]["query"], experiment="") == []
        assert ask(sql_of(TRACE), run="", signal="weight_norm") == []
    assert VARIABLES["signal"]["query"].split(",")[0] == "activation_gradient_rms"
    assert set(VARIABLES["signal"]["query"].split(",")) == set(SIGNALS)


@pytest.mark.parametrize(
    "sql", ["SELECT lease_token FROM run", "SELECT watched FROM run", "SELECT * FROM webhook", "DELETE FROM run"]
)
def test_the_reader_sees_no_secret_and_changes_nothing(sql: str, database_url: str) -> None:
    with reading(database_url) as ask, pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(sql)


def test_the_file_is_whole() -> None:
    source = yaml.safe_load((FOLDER / "datasource.yaml").read_text())["datasources"][0]
    wanted = {"type": source["type"], "uid": source["uid"]}
    asked = [*DASHBOARD["panels"], *(target for panel in PANELS.values() for target in panel["targets"])]
    asked += [variable for variable in VARIABLES.values() if variable["type"] == "query"]
    assert [its["datasource"] for its in asked] == [wanted] * len(asked)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(PANELS)
    rows: dict[int, list[Json]] = {}
    for panel in DASHBOARD["panels"]:
        rows.setdefault(panel["gridPos"]["y"], []).append(panel["gridPos"])
    for row in rows.values():
        assert [(one["x"] + one["w"], one["h"]) for one in row] == [
            *((after["x"], after["h"]) for _, after in pairwise(row)),
            (24, row[0]["h"]),
        ]
    assert yaml.safe_load((FOLDER / "dashboards.yaml").read_text())["providers"][0]["type"] == "file"
