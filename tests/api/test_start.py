"""``python -m api``: what it refuses to start with, in one sentence and with exit code 2; and that it starts."""

import os
import signal
import sys
from contextlib import AbstractContextManager

import httpx2
import pytest

from api.__main__ import main
from local.ports import free_port
from tests.eventually import HANGS_S, eventually
from tests.processes import PIPE, Process, process

HERE = "127.0.0.1"
SOMEWHERE = "postgresql://clinic:secret@127.0.0.1:1/clinic"


def api(**settings: str) -> AbstractContextManager[Process]:
    environment = {"PATH": os.defpath} | {f"CLINIC_{name.upper()}": value for name, value in settings.items()}
    return process(sys.executable, "-m", "api", environment=environment, stderr=PIPE)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "CLINIC_DATABASE_URL is not set"),
        ({"database_url": SOMEWHERE, "host": "0.0.0.0"}, "CLINIC_API_KEY is not set"),
        ({"database_url": SOMEWHERE, "api_key": ""}, "empty"),
        ({"database_url": SOMEWHERE, "api_key_file": "/nowhere/key"}, "/nowhere/key"),
        ({"database_url": SOMEWHERE, "port": "http"}, "CLINIC_PORT"),
        ({"database_url": "sqlite:///secret.db"}, "CLINIC_DATABASE_URL"),
        ({"database_url": "postgresql://clinic:secret@host:port/clinic"}, "CLINIC_DATABASE_URL"),
    ],
)
def test_wrong_settings_are_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: dict[str, str], says: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"CLINIC_{name.upper()}", value)
    assert main() == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err
    assert "secret" not in err


def test_the_process_ends_with_the_code_of_a_refusal() -> None:
    with api() as refusing:
        _, err = refusing.communicate(timeout=HANGS_S)
    assert (refusing.returncode, err.count("\n")) == (2, 1)


def test_it_serves_where_it_is_told_and_ends_when_asked(database_url: str) -> None:
    port = free_port(HERE)

    def ready() -> bool:
        try:
            return client.get(f"http://{HERE}:{port}/readyz").is_success
        except httpx2.TransportError:
            return False

    with httpx2.Client(trust_env=False) as client, api(database_url=database_url, port=str(port)) as served:
        assert eventually(ready)
        served.send_signal(signal.SIGTERM)
        _, err = served.communicate(timeout=HANGS_S)
    # Uvicorn closes everything and then ends by the signal that it was sent.
    assert served.returncode in {0, -signal.SIGTERM}
    assert "Application shutdown complete" in err
