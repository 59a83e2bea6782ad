"""The containers run what the supervisor runs. No engine is needed: the files are read as data."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.commands import COMMANDS, MIGRATE
from models.settings import Settings

ROOT = Path(__file__).parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
STAGES = re.split(r"(?m)^FROM ", (ROOT / "Dockerfile").read_text())[1:]
OURS = ("migrate", "api", "dispatcher", "worker", "worker-gpu")

# Where a container has to differ from one machine's supervisor; everything else keeps its default in both.
EVERYWHERE = {"CLINIC_DATABASE_URL", "CLINIC_REDIS_URL", "CLINIC_DATA_DIR"}
ONLY_API = {"CLINIC_HOST", "CLINIC_API_KEY_FILE"}


def stage(name: str) -> str:
    """The text of one stage and of those it is made from."""
    for text in STAGES:
        base, _, own = text.splitlines()[0].partition(" AS ")
        if own == name:
            return text if base.startswith("python:") else stage(base) + text
    pytest.fail(f"the Dockerfile has no stage {name}")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_service_runs_the_command_of_the_supervisor(command: Any) -> None:
    assert SERVICES[command.name]["command"] == ["python", *command.arguments]


def test_the_migration_runs_the_command_of_the_supervisor() -> None:
    assert SERVICES["migrate"]["command"] == ["python", *MIGRATE]


def test_there_is_no_process_that_the_supervisor_does_not_know() -> None:
    known = {command.name for command in COMMANDS} | {"migrate", "postgres", "redis", "worker-gpu"}
    assert set(SERVICES) == known


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_an_image_alone_runs_the_same_command(command: Any) -> None:
    words = ", ".join(f'"{word}"' for word in ("python", *command.arguments))
    assert stage(command.name).rstrip().endswith(f"CMD [{words}]")


@pytest.mark.parametrize("service", OURS)
def test_a_service_sets_only_what_has_to_differ(service: str) -> None:
    expected = EVERYWHERE | (ONLY_API if service == "api" else set())
    assert set(SERVICES[service]["environment"]) == expected


def test_every_setting_of_the_containers_exists() -> None:
    known = {f"CLINIC_{name.upper()}" for name in Settings.model_fields}
    assert known >= EVERYWHERE | ONLY_API


def test_the_images_publish_the_port_of_the_settings() -> None:
    port = Settings.model_fields["port"].default
    assert SERVICES["api"]["ports"] == [f"{port}:{port}"]
    assert f"EXPOSE {port}" in stage("api")


def test_a_container_is_given_longer_to_end_than_the_supervisor_gives() -> None:
    worker = next(command for command in COMMANDS if command.name == "worker")
    assert float(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > worker.stop_timeout_s


@pytest.mark.parametrize(
    ("image", "absent"), [("api", {"torch", "celery", "redis", "kombu"}), ("worker", {"torch", "fastapi", "uvicorn"})]
)
def test_a_lock_file_has_nothing_that_its_image_must_not_load(image: str, absent: set[str]) -> None:
    names = {line.partition("==")[0] for line in (ROOT / "requirements" / f"{image}.txt").read_text().splitlines()}
    assert names & absent == set()


@pytest.mark.parametrize(("image", "rooms"), [("api", {"api", "models", "alembic"}), ("worker", {"worker", "models"})])
def test_an_image_holds_its_rooms_and_no_others(image: str, rooms: set[str]) -> None:
    copied = set(re.findall(r"(?m)^COPY (\w+) \1$", stage(image)))
    assert copied == rooms
    kept = (ROOT / ".dockerignore").read_text()
    assert all(f"!{room}/" in kept for room in rooms)


def test_every_image_finds_the_rooms_and_runs_without_root() -> None:
    for command in COMMANDS:
        text = stage(command.name)
        assert "PYTHONPATH=/app" in text
        assert re.findall(r"(?m)^USER (\w+)$", text)[-1] == "clinic"


def test_the_bootstrap_key_comes_as_a_secret() -> None:
    assert SERVICES["api"]["secrets"] == ["clinic_api_key"]
    assert SERVICES["api"]["environment"]["CLINIC_API_KEY_FILE"] == "/run/secrets/clinic_api_key"
    assert "clinic_api_key" in COMPOSE["secrets"]
