"""A training that is watched into a service: what is there afterwards, whoever is killed meanwhile."""

import json
import re
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- as everybody calls it
from torch import nn

import gradient_clinic
from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.values import Array
from gradient_clinic.watcher.calls import send_spool
from gradient_clinic.watcher.watch import Watch, watch
from local.ports import free_port
from models.storage.database import Database
from models.traces.reader import extent, read_curves, read_signals
from tests.eventually import eventually
from tests.processes import PIPE, ROOT, Process, process

Json = dict[str, Any]
WIDTH = 16
LOSS = CURVES.index("loss")


class Service:
    """The API as a process, which may be killed and come back at the same address."""

    def __init__(self, database_url: str, stack: ExitStack) -> None:
        self.port = free_port("127.0.0.1")
        self.address = f"http://127.0.0.1:{self.port}"
        self._environment = {
            "CLINIC_DATABASE_URL": database_url,
            "CLINIC_PORT": str(self.port),
            "PATH": "/usr/bin:/bin",
        }
        self._stack = stack
        self._process: Process | None = None

    def start(self) -> None:
        self._process = self._stack.enter_context(process(sys.executable, "-m", "api", environment=self._environment))
        assert eventually(self._is_there)

    def _is_there(self) -> bool:
        try:
            return httpx.get(f"{self.address}/readyz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def get(self, path: str) -> Json:
        response = httpx.get(f"{self.address}{path}", trust_env=False)
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found

    def runs(self) -> list[Json]:
        """Of all experiments."""
        experiments = self.get("/v1/experiments")["items"]
        return [run for its in experiments for run in self.get(f"/v1/experiments/{its['id']}/runs")["items"]]

    def recorded(self) -> int:
        """Of the one run that there is, or will be."""
        runs = self.runs()
        return len(self.get(f"/v1/runs/{runs[0]['id']}/curves?points=5000")["steps"]) if runs else 0


@pytest.fixture
def service(database_url: str) -> Iterator[Service]:
    with ExitStack() as stack:
        yield Service(database_url, stack)


class Training:
    """A network whose gradients vanish, on labels that a linear map decides; ``step`` makes so many steps."""

    def __init__(self, depth: int = 8, rate: float = 0.1) -> None:
        self.random = torch.Generator().manual_seed(2)
        parts = [part for _ in range(depth) for part in (nn.Linear(WIDTH, WIDTH), nn.Sigmoid())]
        self.model = nn.Sequential(*parts, nn.Linear(WIDTH, 4))
        with torch.no_grad():
            for its in self.model.parameters():
                its.normal_(0.0, 0.25, generator=self.random)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=rate)
        self.losses: list[float] = []

    def watched(self, service: Service, **options: Any) -> Watch:
        return watch(self.model, self.optimizer, to=service.address, **{"every": 1, **options})

    def step(self, count: int, watched: Watch | None, pause_s: float = 0.0) -> None:
        for _ in range(count):
            inputs = torch.randn(32, WIDTH, generator=self.random)
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(inputs), inputs[:, :4].argmax(1))
            torch.autograd.backward(loss if watched is None else watched.loss(loss))
            self.optimizer.step()
            self.losses.append(float(loss.detach()))
            time.sleep(pause_s)


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
    service.start()
    training = Training()
    watched = training.watched(service, experiment="theirs", variant="deep", seed=3, labels={"team": "a"}, data="drawn")
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
    service.start()
    text = (ROOT / "docs" / "watch.md").read_text()
    snippets = [its for its in re.findall(r"```python\n(.+?)```", text, re.DOTALL) if "gc." in its or "w." in its]
    assert len(snippets) == 3
    for snippet in snippets:
        training = Training(depth=3)
        inputs = torch.randn(32, WIDTH, generator=training.random)
        labels = inputs[:, :4].argmax(1)
        known = {"model": training.model, "optimizer": training.optimizer, "batches": [(inputs, labels)] * 20}
        known |= {"inputs": inputs, "labels": labels, "cross_entropy": F.cross_entropy, "gc": gradient_clinic}
        exec(snippet.replace("http://127.0.0.1:8000", service.address), known)
    (run,) = service.runs()
    assert (run["state"], run["variant"], run["result"]["test_metric"]) == ("succeeded", "wide", 0.91)


def test_a_service_that_is_killed_misses_nothing_and_gets_nothing_twice(
    service: Service, database: Database, tmp_path: Path
) -> None:
    service.start()
    training = Training()
    watched = training.watched(service, spool=tmp_path)
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
    watched = training.watched(service, spool=tmp_path, wait_s=1.0)
    training.step(60, watched)
    watched.close()
    (left,) = tmp_path.iterdir()
    assert any(str(left) in remark for remark in watched.remarks)
    service.start()
    send_spool(left, service.address)
    (run,) = service.runs()
    assert run["state"] == "succeeded"
    assert run["result"]["steps"] == 60
    assert close_to(json.loads(watched.report("json"))["verdict"], run["verdict"])
    assert not left.exists()


@pytest.mark.parametrize("full", ["large", "no folder"])
def test_a_full_spool_ends_the_sending_and_nothing_else(
    full: str, service: Service, database: Database, tmp_path: Path
) -> None:
    service.start()
    training = Training()
    folder = tmp_path / "spool"
    if full == "no folder":
        folder.write_text("")  # whatever is written there fails, as on a disk that is full
    watched = training.watched(service, spool=folder, spool_bytes=200_000)
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


SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from tests.end_to_end.test_watched import Training
class Address: address = sys.argv[1]
training = Training()
watched = training.watched(Address, experiment="killed")
while True:
    training.step(10, watched)
    print(len(training.losses), flush=True)
"""


def test_of_a_training_that_is_killed_all_is_there_that_was_acknowledged(service: Service, database: Database) -> None:
    service.start()
    code = SCRIPT.format(root=str(ROOT))
    with process(sys.executable, "-c", code, service.address, stdout=-1) as training:
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


ENDING = """
import sys
sys.path.insert(0, {root!r})
from tests.end_to_end.test_watched import Training
class Address: address = sys.argv[1]
training = Training()
watched = training.watched(Address)
training.step(20, watched)
{last}
"""


@pytest.mark.parametrize(
    ("last", "state", "reason"),
    [("", "succeeded", None), ("raise MemoryError", "failed", "its process ended by MemoryError")],
)
def test_who_does_not_close_it_has_it_closed_by_the_end_of_the_process(
    last: str, state: str, reason: str | None, service: Service
) -> None:
    service.start()
    code = ENDING.format(root=str(ROOT), last=last)
    with process(sys.executable, "-c", code, service.address, stderr=PIPE) as training:
        training.communicate()
    (run,) = service.runs()
    assert run["state"] == state
    assert (run["error"] or {}).get("detail") == reason
    assert service.recorded() == 20


def test_a_step_without_a_loss_has_that_of_the_one_before(service: Service, database: Database) -> None:
    service.start()
    training = Training()
    watched = training.watched(service)
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
    service.start()
    first, second = Training(), Training()
    one = first.watched(service, experiment="same")
    first.step(10, one)
    assert eventually(lambda: one.run is not None)
    two = second.watched(service, experiment="same")
    second.step(10, two)
    assert eventually(lambda: any("seed 0 of 'baseline' is there" in remark for remark in two.remarks))
    second.step(10, two)
    assert not two.closed
    one.close()
    two.close()
    assert [run["state"] for run in service.runs()] == ["succeeded"]
    assert two.reported().recorded == 20


def test_an_experiment_that_is_cancelled_is_heard_of(service: Service) -> None:
    service.start()
    training = Training()
    watched = training.watched(service)
    training.step(10, watched)
    assert eventually(lambda: watched.run is not None)
    (experiment,) = service.get("/v1/experiments")["items"]
    httpx.post(f"{service.address}/v1/experiments/{experiment['id']}/cancel", trust_env=False)
    training.step(20, watched)
    assert eventually(lambda: any("the experiment was cancelled" in remark for remark in watched.remarks))
    training.step(10, watched)
    watched.close()
    assert [run["state"] for run in service.runs()] == ["cancelled"]


def test_a_share_of_the_time_is_kept_at_even_distances(service: Service, database: Database) -> None:
    service.start()
    training = Training()
    watched = training.watched(service, every="10%")
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
    service.start()
    training = Training()
    watched = training.watched(service)
    training.step(5, None)
    watched.close()
    assert [remark for remark in watched.remarks if "no loss is told" in remark]
    assert service.runs() == []


def test_training_is_the_same_bit_by_bit(service: Service) -> None:
    service.start()
    alone, beside = Training(), Training()
    alone.step(60, None)
    watched = beside.watched(service, every="2%")
    beside.step(60, watched)
    watched.close()
    assert alone.losses == beside.losses
    for ours, theirs in zip(alone.model.parameters(), beside.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_without_httpx_it_is_said_what_to_install(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ImportError, match=r"gradient-clinic\[service\]"):
        Training().watched(service)


def test_what_only_a_service_needs_is_refused_without_one() -> None:
    training = Training()
    with pytest.raises(TypeError, match="seed: of a run in a service"):
        watch(training.model, training.optimizer, seed=3)
    with pytest.raises(ValueError, match="begins with http"):
        watch(training.model, training.optimizer, to="127.0.0.1:8000")
