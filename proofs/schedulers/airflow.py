"""Airflow as a newcomer starts it: scheduler, triggerer and API on SQLite, with the DAG of ``examples/airflow``."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from local.child import Program
from local.folder import Folder
from local.ports import free_port
from local.server import HOST, start
from local.supervisor import ROOT
from proofs.promise import Promise
from proofs.schedulers.scene import LONGEST_S, Scene

PYTHON_HOME: Final = ROOT / ".clinic-schedulers" / "airflow"
EXAMPLE: Final = ROOT / "examples" / "airflow" / "gradient_clinic_dag.py"
DAG: Final = "gradient_clinic"
REFUSED: Final = "refused"
"""The same DAG with a spec that no clinic takes."""
EXPERIMENT: Final = "from airflow"
LOOK_S: Final = 0.5
Json = dict[str, Any]


class Airflow:
    """``airflow standalone`` as a server of this proof."""

    start_timeout_s = 180.0  # it imports much and migrates its database first

    def __init__(self, folder: Folder, connection: Json) -> None:
        self._folder = folder
        self._connection = connection
        self._http = httpx.Client(timeout=10.0, trust_env=False)
        self.port = free_port(HOST)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def program(self) -> Program:
        home = self._folder.path / "airflow"
        self._write_dags(home / "dags")
        return Program(
            name="airflow",
            argv=(str(PYTHON_HOME / "bin" / "airflow"), "standalone"),
            log=self._folder.log("airflow"),
            record=self._folder.record("airflow"),
            environment=self._environment(home),
            folder=home,
        )

    def _write_dags(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        text = EXAMPLE.read_text()
        (folder / EXAMPLE.name).write_text(text)
        refused = text.replace(f'DAG("{DAG}"', f'DAG("{REFUSED}"').replace('"depth": 20', '"depth": 0')
        (folder / "refused_dag.py").write_text(refused)

    def _environment(self, home: Path) -> Mapping[str, str]:
        return {
            "PATH": f"{PYTHON_HOME / 'bin'}:/usr/bin:/bin",
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONN_CLINIC": json.dumps(self._connection),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            # One slot is enough, as a sensor that waits in the triggerer holds none.
            "AIRFLOW__CORE__PARALLELISM": "1",
            # Else it makes a password and writes it into its log; so the token is given to whoever asks on loopback.
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__BASE_URL": self.url,
            # These two are fixed by default, and another Airflow of this machine may have them.
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port(HOST)),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port(HOST)),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }

    def answers(self) -> bool:
        """Once every part of it lives; the DAG is read after that."""
        try:
            health = self._http.get(f"{self.url}/api/v2/monitor/health").json()
        except (httpx.TransportError, ValueError):
            return False
        return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "triggerer"))


class Api:
    """Of Airflow, as far as a run of the DAG needs it."""

    def __init__(self, address: str) -> None:
        self._http = httpx.Client(base_url=address, timeout=30.0, trust_env=False)
        token = self._http.get("/auth/token").raise_for_status().json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> Json:
        answer: Json = self._http.get(f"/api/v2/{path}").raise_for_status().json()
        return answer

    def knows(self, dag: str) -> bool:
        return self._http.get(f"/api/v2/dags/{dag}").is_success

    def unpause(self, dag: str) -> None:
        self._http.patch(f"/api/v2/dags/{dag}", json={"is_paused": False}).raise_for_status()

    def trigger(self, dag: str) -> str:
        """The id of the run."""
        answer = self._http.post(f"/api/v2/dags/{dag}/dagRuns", json={"logical_date": None}).raise_for_status()
        return str(answer.json()["dag_run_id"])

    def clear(self, dag: str, run: str) -> None:
        """All of its tasks are to run again."""
        asked = {"dry_run": False, "dag_run_id": run, "reset_dag_runs": True, "only_failed": False}
        self._http.post(f"/api/v2/dags/{dag}/clearTaskInstances", json=asked).raise_for_status()


def promises(scene: Scene) -> Iterator[Promise]:
    # The key goes into the headers of whatever the connection asks.
    connection = {"conn_type": "http", "host": scene.address, "extra": {"Authorization": f"Bearer {scene.key}"}}
    server = Airflow(scene.folder, connection)
    child = start(server)
    try:
        yield from _promises(scene, Api(server.url))
    finally:
        child.stop()


def _promises(scene: Scene, api: Api) -> Iterator[Promise]:
    # An error ends the waiting too: what cannot be imported is never known.
    read = _until(lambda: (api.knows(DAG) and api.knows(REFUSED)) or bool(api.get("importErrors")["total_entries"]))
    errors = api.get("importErrors")["import_errors"]
    said = str(errors[0]["stack_trace"])[-200:] if errors else "read" if read else "not found"
    yield Promise("airflow: the DAG is read", "read", said, said == "read")
    # A DAG that was just read is paused, and what is triggered would wait for good.
    api.unpause(DAG)
    run, waited = api.trigger(DAG), set[str]()
    state = _followed(api, DAG, run, lambda: waited.update(_waiting(scene, api, run)))
    yield Promise("airflow: a run of the DAG ends", "success", state, state == "success")
    sensor = ", ".join(sorted(waited)) or "never deferred"
    yield Promise(
        "airflow: while it goes on the sensor waits in the triggerer", "HttpSensorTrigger", sensor,
        sensor == "HttpSensorTrigger",
    )  # fmt: skip
    yield scene.same_answer("airflow", EXPERIMENT, _answer(api, run))
    api.clear(DAG, run)
    again = f"{_followed(api, DAG, run, lambda: None)} at try {_tries(api, DAG, run)}"
    yield Promise("airflow: all of it runs again", "success at try 2", again, again == "success at try 2")
    yield scene.one_experiment("airflow", EXPERIMENT)
    api.unpause(REFUSED)
    run = api.trigger(REFUSED)
    ended = f"{_followed(api, REFUSED, run, lambda: None)} at try {_tries(api, REFUSED, run)}"
    yield Promise(
        "airflow: a spec that is refused is not sent again", "failed at try 1", ended, ended == "failed at try 1"
    )


def _followed(api: Api, dag: str, run: str, look: Callable[[], None]) -> str:
    """The state at the end; ``look`` is called at each look before it."""

    def ended() -> bool:
        look()
        return _state(api, dag, run) in {"success", "failed"}

    _until(ended)
    return _state(api, dag, run)


def _state(api: Api, dag: str, run: str) -> str:
    return str(api.get(f"dags/{dag}/dagRuns/{run}")["state"])


def _waiting(scene: Scene, api: Api, run: str) -> set[str]:
    """The triggers that tasks of this run wait in, while the experiment goes on."""
    tasks = api.get(f"dags/{DAG}/dagRuns/{run}/taskInstances")["task_instances"]
    deferred = {task["trigger"]["classpath"].rpartition(".")[2] for task in tasks if task["state"] == "deferred"}
    return deferred if deferred and scene.goes_on(EXPERIMENT) else set()


def _tries(api: Api, dag: str, run: str) -> int:
    return int(api.get(f"dags/{dag}/dagRuns/{run}/taskInstances/submit")["try_number"])


def _answer(api: Api, run: str) -> str:
    return str(api.get(f"dags/{DAG}/dagRuns/{run}/taskInstances/answer/xcomEntries/return_value")["value"])


def _until(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(LOOK_S)
    return False
