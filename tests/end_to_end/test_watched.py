"""A training that is watched into a service: what is there afterwards, whoever is killed meanwhile."""

import json
import os
import re
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- as everybody calls it

import gradient_clinic
from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.values import Array
from gradient_clinic.watcher.calls import send_spool
from gradient_clinic.watcher.watch import watch
from local.child import Child, Program
from local.ports import free_port
from models.storage.database import Database
from models.traces.reader import extent, read_curves, read_signals
from tests.end_to_end.training import WIDTH, Training
from tests.eventually import HANGS_S, eventually
from tests.processes import PIPE, ROOT, Births, process
from tests.spares import Spares
from tests.watcher import MARKS

Json = dict[str, Any]
LOSS = CURVES.index("loss")
TRAINING = (sys.executable, "-m", "tests.end_to_end.training")


class Service:
    """The API as a process, which may be killed and come back at the same address, with what it had stored."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.port = free_port("127.0.0.1")
        self.address = f"http://127.0.0.1:{self.port}"
        self._program = Program(
            name="api",
            argv=(sys.executable, "-m", "api"),
            log=folder / "api.log",
            record=folder / "api.pid",
            environment={
                "CLINIC_DATABASE_URL": database_url,
                "CLINIC_PORT": str(self.port),
                "PATH": "/usr/bin:/bin",
                MARKS: os.environ[MARKS],  # noqa: TID251 -- handed on: of the module, not of a test that starts it again
            },
            folder=ROOT,
        )
        self._child: Child | None = None
        # A client costs what hundreds of requests cost.
        self._client = httpx.Client(base_url=self.address, trust_env=False, timeout=HANGS_S)

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        self._child = Child(self._program)
        assert eventually(self._is_there), self._program.log.read_text()

    def _is_there(self) -> bool:
        try:
            return self._client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        assert self._child is not None
        self._child.kill()
        self._child = None

    def close(self) -> None:
        if self._child is not None:
            self._child.stop()
        self._client.close()

    def get(self, path: str) -> Json:
        response = self._client.get(path)
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found

    def cancel(self, experiment: Json) -> None:
        self._client.post(f"/v1/experiments/{experiment['id']}/cancel").raise_for_status()

    def experiments(self) -> list[Json]:
        found: list[Json] = self.get("/v1/experiments")["items"]
        return found

    def runs(self) -> list[Json]:
        """Of all experiments."""
        return [run for its in self.experiments() for run in self.get(f"/v1/experiments/{its['id']}/runs")["items"]]

    def recorded(self) -> int:
        """Of the one run that there is, or will be."""
        runs = self.runs()
        return len(self.get(f"/v1/runs/{runs[0]['id']}/curves?points=5000")["steps"]) if runs else 0

    def tidy(self) -> None:
        for its in self.experiments():
            if its["state"] in {"queued", "running"}:
                self.cancel(its)
            self._client.delete(f"/v1/experiments/{its['id']}").raise_for_status()
        assert self.experiments() == []


@pytest.fixture(scope="module")
def the_service(
    spare_databases: Spares, tmp_path_factory: pytest.TempPathFactory, births: Births
) -> Iterator[tuple[Service, Database]]:
    """One for all tests, as a start takes longer than a test."""
    with spare_databases.one() as url:
        service, database = Service(url, tmp_path_factory.mktemp("service")), Database(url)
        births.spare(lambda: [service.pid])
        try:
            yield service, database
        finally:
            service.close()
            database.dispose()


@pytest.fixture
def service(the_service: tuple[Service, Database]) -> Iterator[Service]:
    """It answers, and nothing is stored in it."""
    service, _ = the_service
    if service.pid is None:
        service.start()
    yield service
    if service.pid is None:  # as a test left it that has failed
        service.start()
    service.tidy()


@pytest.fixture
def database(the_service: tuple[Service, Database]) -> Database:
    """That of the service."""
    return the_service[1]


def stored(database: Database, run_id: str) -> tuple[Array, Array]:
    """All records of a run: (signals, layers, records), (curves, records)."""
    its = uuid.UUID(run_id)
    with database.begin() as session:
        last = extent(session, its).last_step
        curves = read_curves(session, its, CURVES, 0, last)
        layers = range(1, 10)
        return read_signals(session, its, SIGNALS, layers, 0, last).values, curves.values


def close_to(ours: Any, theirs: Any) -> bool:
    """Numbers within what float32 keeps of them."""
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(close_to(its, theirs[key]) for key, its in ours.items())
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(close_to, ours, theirs))
    if isinstance(ours, float):
        return bool(theirs == pytest.approx(ours, rel=1e-4, abs=1e-5))
    return bool(ours == theirs)


def test_the_service_says_of_a_run_what_its_watch_says(service: Service) -> None:
    training = Training()
    watched = training.watched(
        service.address, experiment="theirs", variant="deep", seed=3, labels={"team": "a"}, data="drawn"
    )
    training.step(80, watched)
    watched.result(metric=0.25, loss=1.4)
    watched.close()
    watched.close()
    (run,) = service.runs()
    assert watched.run == f"{service.address}/v1/runs/{run['id']}"
    assert (run["state"], run["source"], run["variant"], run["seed"]) == ("succeeded", "ingested", "deep", 3)
    assert (run["result"]["test_metric"], run["result"]["test_loss"]) == (0.25, 1.4)
    said = json.loads(watched.report("json"))
    assert said["verdict"]["kind"] == "vanishing"
    assert close_to(said["verdict"], run["verdict"])
    early = service.get(f"/v1/runs/{run['id']}/early?step={said['early']['step']}")
    assert early["kind"] == said["early"]["kind"]


def test_the_snippets_of_the_page_run(service: Service) -> None:
    text = (ROOT / "docs" / "watch.md").read_text()
    snippets = [its for its in re.findall(r"```python\n(.+?)```", text, re.DOTALL) if "gc." in its or "w." in its]
    assert len(snippets) == 4
    for snippet in snippets:
        training = Training(depth=3)
        inputs = torch.randn(32, WIDTH, generator=training.random)
        labels = inputs[:, :4].argmax(1)
        known = {"model": training.model, "optimizer": training.optimizer, "batches": [(inputs, labels)] * 20}
        known |= {"inputs": inputs, "labels": labels, "cross_entropy": F.cross_entropy, "gc": gradient_clinic}
        exec(snippet.replace("http://127.0.0.1:8000", service.address), known)
    (run,) = service.runs()
    assert (run["state"], run["variant"], run["result"]["test_metric"]) == ("succeeded", "wide", 0.91)


@pytest.mark.long
def test_a_service_that_is_killed_misses_nothing_and_gets_nothing_twice(
    service: Service, database: Database, tmp_path: Path
) -> None:
    training = Training()
    watched = training.watched(service.address, spool=tmp_path)
    training.step(30, watched)
    assert eventually(lambda: watched.run is not None)
    service.kill()
    training.step(300, watched, pause_s=0.01)
    assert list(tmp_path.iterdir())  # it waits on the disk
    service.start()
    training.step(100, watched)
    watched.close()
    assert not list(tmp_path.iterdir())
    (run,) = service.runs()
    assert run["state"] == "succeeded"
    signals, curves = stored(database, run["id"])
    np.testing.assert_allclose(curves[LOSS], training.losses, rtol=1e-6)
    kept = {record.step: record for record in watched.records.kept()}
    assert len(kept) == 430
    for step, record in kept.items():
        row = SIGNALS.index("activation_gradient_rms")
        np.testing.assert_allclose(signals[row, :, step], record.matrix[row], rtol=1e-6)
    assert not [remark for remark in watched.remarks if "service" in remark]


def test_what_a_service_that_never_came_has_not_got_can_be_sent_later(service: Service, tmp_path: Path) -> None:
    training = Training()
    watched = training.watched(f"http://127.0.0.1:{free_port('127.0.0.1')}", spool=tmp_path, wait_s=1.0)
    training.step(60, watched)
    watched.close()
    (left,) = tmp_path.iterdir()
    assert any(str(left) in remark for remark in watched.remarks)
    send_spool(left, service.address)
    (run,) = service.runs()
    assert run["state"] == "succeeded"
    assert run["result"]["steps"] == 60
    assert close_to(json.loads(watched.report("json"))["verdict"], run["verdict"])
    assert not left.exists()


@pytest.mark.long
@pytest.mark.parametrize("full", ["large", "no folder"])
def test_a_full_spool_ends_the_sending_and_nothing_else(
    full: str, service: Service, database: Database, tmp_path: Path
) -> None:
    training = Training()
    folder = tmp_path / "spool"
    if full == "no folder":
        folder.write_text("")  # whatever is written there fails, as on a disk that is full
    watched = training.watched(service.address, spool=folder, spool_bytes=200_000)
    training.step(20, watched)
    assert eventually(lambda: service.recorded() == 20)
    service.kill()
    training.step(500, watched, pause_s=0.005)
    assert eventually(lambda: any("is full" in remark for remark in watched.remarks))
    service.start()
    training.step(50, watched)
    watched.close()
    assert len([remark for remark in watched.remarks if "service" in remark]) == 1
    assert watched.reported().steps == 570
    (run,) = service.runs()
    assert run["state"] == "failed"
    assert "is full" in run["error"]["detail"]
    _, curves = stored(database, run["id"])
    assert 20 <= curves.shape[1] < 570
    np.testing.assert_allclose(curves[LOSS], training.losses[: curves.shape[1]], rtol=1e-6)


@pytest.mark.long
def test_of_a_training_that_is_killed_all_is_there_that_was_acknowledged(service: Service, database: Database) -> None:
    with process(*TRAINING, service.address, "killed", "-", stdout=PIPE) as training:
        assert training.stdout is not None
        assert any(int(line) > 100 for line in training.stdout)
        assert eventually(lambda: service.recorded() > 0)
        acknowledged = service.recorded()
        training.send_signal(signal.SIGKILL)
        training.wait()
    (run,) = service.runs()
    _, curves = stored(database, run["id"])
    assert curves.shape[1] >= acknowledged
    again = Training()
    again.step(curves.shape[1], None)
    np.testing.assert_allclose(curves[LOSS], again.losses, rtol=1e-6)
    assert run["state"] == "running"


@pytest.mark.long  # each process loads torch
@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [((), "succeeded", None), (("MemoryError",), "failed", "its process ended by MemoryError")],
)
def test_who_does_not_close_it_has_it_closed_by_the_end_of_the_process(
    error: tuple[str, ...], state: str, reason: str | None, service: Service
) -> None:
    with process(*TRAINING, service.address, "left", "20", *error, stdout=PIPE, stderr=PIPE) as training:
        training.communicate()
    (run,) = service.runs()
    assert run["state"] == state
    assert (run["error"] or {}).get("detail") == reason
    assert service.recorded() == 20


def test_a_step_without_a_loss_has_that_of_the_one_before(service: Service, database: Database) -> None:
    training = Training()
    watched = training.watched(service.address)
    training.step(5, watched)
    training.step(2, None)
    training.step(5, watched)
    watched.close()
    (run,) = service.runs()
    assert run["state"] == "succeeded"
    _, curves = stored(database, run["id"])
    expected = [*training.losses[:5], *[training.losses[4]] * 2, *training.losses[7:]]
    np.testing.assert_allclose(curves[LOSS], expected, rtol=1e-6)


def test_a_second_writer_is_refused_and_trains_on(service: Service) -> None:
    first, second = Training(), Training()
    one = first.watched(service.address, experiment="same")
    first.step(10, one)
    assert eventually(lambda: one.run is not None)
    two = second.watched(service.address, experiment="same")
    second.step(10, two)
    assert eventually(lambda: any("seed 0 of 'baseline' is there" in remark for remark in two.remarks))
    second.step(10, two)
    assert not two.closed
    one.close()
    two.close()
    assert [run["state"] for run in service.runs()] == ["succeeded"]
    assert two.reported().recorded == 20


def test_an_experiment_that_is_cancelled_is_heard_of(service: Service) -> None:
    training = Training()
    watched = training.watched(service.address)
    training.step(10, watched)
    assert eventually(lambda: watched.run is not None)
    (experiment,) = service.experiments()
    service.cancel(experiment)
    training.step(20, watched)
    assert eventually(lambda: any("the experiment was cancelled" in remark for remark in watched.remarks))
    training.step(10, watched)
    watched.close()
    assert [run["state"] for run in service.runs()] == ["cancelled"]


def test_a_share_of_the_time_is_kept_at_even_distances(service: Service, database: Database) -> None:
    training = Training()
    watched = training.watched(service.address, every="10%")
    training.step(300, watched)
    watched.close()
    (run,) = service.runs()
    with database.begin() as session:
        found = extent(session, uuid.UUID(run["id"]))
    assert found.stride > 1
    _, curves = stored(database, run["id"])
    np.testing.assert_allclose(curves[LOSS], training.losses[:: found.stride], rtol=1e-6)
    assert run["result"]["steps"] == 300


def test_who_is_told_no_loss_sends_nothing(service: Service) -> None:
    training = Training()
    watched = training.watched(service.address)
    training.step(5, None)
    watched.close()
    assert [remark for remark in watched.remarks if "no loss is told" in remark]
    assert service.runs() == []


def test_training_is_the_same_bit_by_bit(service: Service) -> None:
    alone, beside = Training(), Training()
    alone.step(60, None)
    watched = beside.watched(service.address, every="2%")
    beside.step(60, watched)
    watched.close()
    assert alone.losses == beside.losses
    for ours, theirs in zip(alone.model.parameters(), beside.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_without_httpx_it_is_said_what_to_install(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ImportError, match=r"gradient-clinic\[service\]"):
        Training().watched(service.address)


def test_what_only_a_service_needs_is_refused_without_one() -> None:
    training = Training()
    with pytest.raises(TypeError, match="seed: of a run in a service"):
        watch(training.model, training.optimizer, seed=3)
    with pytest.raises(ValueError, match="begins with http"):
        watch(training.model, training.optimizer, to="127.0.0.1:8000")
