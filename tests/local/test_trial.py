"""`make run` as a client: against a small API that answers in the shapes of the contract."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rich.console import Console

from gradient_clinic.command.clinic import Client
from local.interrupts import InterruptedBySignal
from local.trial import PICTURES, one_experiment

NO_RUNS = {"queued": 0, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0}


def experiment(state: str, progress: float, **runs: int) -> dict[str, Any]:
    return {"id": "0199", "name": "deep sigmoid", "state": state, "progress": progress, "runs": NO_RUNS | runs}


class SmallApi(BaseHTTPRequestHandler):
    """Answers one state after the other, the last one for ever."""

    states: ClassVar[list[dict[str, Any]]] = []
    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append(self.path)
        if self.path.endswith("/cancel"):
            self.states[:] = [experiment("cancelled", 0.4, succeeded=1, cancelled=1)]
            self.answer(202, self.states[0])
        elif json.loads(body).get("name") is None:
            self.answer(422, {"title": "Unprocessable", "errors": [{"field": "name", "message": "is missing"}]})
        else:
            self.answer(202, self.states[0])

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.endswith("/comparison"):
            self.answer(200, {"metric": "accuracy", "variants": [{"name": "baseline", "sentence": "It vanished."}]})
        else:
            self.answer(200, self.states.pop(0) if len(self.states) > 1 else self.states[0])

    def answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Says nothing between the tests' own lines."""


@pytest.fixture
def client() -> Iterator[Client]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), SmallApi)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    SmallApi.asked.clear()
    client = Client(f"http://127.0.0.1:{server.server_address[1]}", key=None)
    yield client
    client.close()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=100, highlight=False)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def nothing() -> None:
    """There are no processes to tend here."""


def test_an_experiment_is_followed_to_its_comparison(client: Client, console: Console, tmp_path: Path) -> None:
    SmallApi.states[:] = [
        experiment("queued", 0.0, queued=2),
        experiment("running", 0.5, running=1, succeeded=1),
        experiment("succeeded", 1.0, succeeded=2),
    ]
    assert one_experiment(console, client, b'{"name": "deep sigmoid"}', nothing, tmp_path) == 0
    assert "deep sigmoid:  50%  runs: 1 running, 1 succeeded" in printed(console)
    assert "It vanished." in printed(console)
    assert (tmp_path / "0199.html").is_file()
    assert "0199.html" in printed(console).replace("\n", "")


def test_pictures_are_left_where_they_are_asked_for(client: Client, console: Console, tmp_path: Path) -> None:
    SmallApi.states[:] = [experiment("succeeded", 1.0, succeeded=2)]
    pictures = tmp_path / "pictures"
    assert one_experiment(console, client, b'{"name": "deep sigmoid"}', nothing, tmp_path, pictures) == 0
    assert sorted(file.name for file in pictures.iterdir()) == sorted(PICTURES)
    assert [f"/v1/experiments/0199/{name}" for name in PICTURES] == SmallApi.asked[-2:]


def test_a_failed_experiment_is_no_success(client: Client, console: Console, tmp_path: Path) -> None:
    SmallApi.states[:] = [experiment("failed", 1.0, failed=2)]
    assert one_experiment(console, client, b'{"name": "deep sigmoid"}', nothing, tmp_path) == 1
    assert "The experiment failed (runs: 2 failed)." in printed(console)


def test_a_refused_spec_is_explained(client: Client, console: Console, tmp_path: Path) -> None:
    assert one_experiment(console, client, b"{}", nothing, tmp_path) == 2
    assert "  name: is missing" in printed(console).splitlines()


def test_an_interrupt_cancels_and_waits_for_the_end(
    client: Client, console: Console, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    SmallApi.states[:] = [experiment("running", 0.4, running=1, succeeded=1)]

    def interrupt() -> None:
        raise InterruptedBySignal(2)

    with pytest.raises(InterruptedBySignal):
        one_experiment(console, client, b'{"name": "deep sigmoid"}', interrupt, tmp_path)
    assert SmallApi.asked[-2:] == ["/v1/experiments/0199/cancel", "/v1/experiments/0199?wait=1"]
    assert "the experiment was cancelled (runs: 1 succeeded, 1 cancelled)" in capsys.readouterr().err
