"""Settings of every process, read once from the environment (prefix ``CLINIC_``).

Each entry point builds one ``Settings()`` and hands it on; nothing else reads the environment.
"""

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_SECRETS = ("api_key", "database_url", "pooler_url", "redis_url")
_NAME = re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9_.-]+", re.ASCII)


def is_loopback(host: str) -> bool:
    """Whether a listener on ``host`` can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Settings(BaseSettings):
    """One frozen value per process; see ``docs/architecture.md`` for what each one means."""

    # A mistake in one setting is told without the values of all the others, passwords among them.
    model_config = SettingsConfigDict(
        env_prefix="CLINIC_", secrets_dir=None, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    data_dir: Path = Path(".clinic")
    database_url: SecretStr | None = None
    database_url_file: Path | None = None
    pooler_url: SecretStr | None = None
    pooler_url_file: Path | None = None
    redis_url: SecretStr | None = None
    redis_url_file: Path | None = None
    storage_url: str | None = None
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    api_key: SecretStr | None = None
    api_key_file: Path | None = None
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    client_timeout_s: float = Field(default=30.0, gt=0.0)
    max_connections: int = Field(default=500, ge=1)

    max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    upload_limit_bytes: int = Field(default=512 * 1024 * 1024, ge=1024)
    lease_s: float = Field(default=20.0, gt=0.2)
    sweep_s: float = Field(default=2.0, gt=0.0)
    max_attempts: int = Field(default=5, ge=1)
    max_parallel_per_owner: int | None = Field(default=None, ge=1)
    quota_queued_runs: int | None = Field(default=10_000, ge=0)
    quota_device_seconds_per_day: float | None = Field(default=None, ge=0.0)
    quota_stored_bytes: int | None = Field(default=20 * 1024**3, ge=0)
    quota_requests_per_minute: int | None = Field(default=6_000, ge=1)
    runs_per_child: int = Field(default=500, ge=1)
    cancel_grace_s: float = Field(default=10.0, gt=0.0)
    stall_limit_s: float = Field(default=3600.0, gt=0.0)
    time_limit_s: float | None = Field(default=None, gt=0.0)
    memory_limit_bytes: int | None = Field(default=None, gt=0)
    checkpoint_s: float = Field(default=60.0, ge=0.0)
    trace_retention_days: float | None = Field(default=None, gt=0.0)
    audit_retention_days: float = Field(default=90.0, gt=0.0, le=36_500.0)
    webhook_private: bool = False
    threads_per_worker: int = Field(default=1, ge=1)
    device: str = "auto"
    plugins: Annotated[tuple[str, ...], NoDecode] = ()

    @field_validator("plugins", mode="before")
    @classmethod
    def _packages(cls, given: Any) -> Any:
        """Names of distributions by comma, as package indexes compare them."""
        each = given.split(",") if isinstance(given, str) else given
        return tuple(re.sub(r"[-_.]+", "-", name.strip()).lower() for name in each if name.strip())

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _names(cls, given: Any) -> Any:
        """By comma, as a browser writes them in ``Host``, without a port."""
        each = given.split(",") if isinstance(given, str) else given
        names = [name.strip().lower() for name in each if name.strip()]
        wrong = [name for name in names if _NAME.fullmatch(name) is None]
        if wrong:
            message = f"{wrong[0]!r} is no name of a host: give names or addresses without scheme, port or *"
            raise ValueError(message)
        return names

    @model_validator(mode="before")
    @classmethod
    def _from_files(cls, given: dict[str, Any]) -> dict[str, Any]:
        """A container's secrets are files: what an environment holds, everybody reads who may look at the container."""
        read = {
            name: _content(name, Path(given[f"{name}_file"]))
            for name in _SECRETS
            if given.get(name) is None and given.get(f"{name}_file") is not None
        }
        return given | read

    @model_validator(mode="after")
    def _key_beyond_loopback(self) -> Self:
        if not is_loopback(self.host) and self.bootstrap_key() is None:
            message = (
                f"CLINIC_HOST={self.host} can be reached from other machines, and CLINIC_API_KEY is not set: "
                "set a key, or listen on 127.0.0.1"
            )
            raise ValueError(message)
        return self

    @property
    def silence_s(self) -> float:
        """How long a worker's connections wait for a host that says nothing: after a beat that got no answer there is
        time for another one.
        """
        return self.lease_s / 3

    def database_urls(self) -> tuple[str, str | None]:
        """Of the server itself, and of a pooler before it if there is one; the first is known to be set."""
        assert self.database_url is not None
        return self.database_url.get_secret_value(), self.pooler_url.get_secret_value() if self.pooler_url else None

    def files_url(self) -> str:
        """Where files are kept: an fsspec URL, the data folder unless another was named."""
        return self.storage_url or (self.data_dir.absolute() / "files").as_uri()

    def bootstrap_key(self) -> str | None:
        """The key that may do everything."""
        return None if self.api_key is None else self.api_key.get_secret_value()


def _content(name: str, file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        message = f"CLINIC_{name.upper()}_FILE={file} cannot be read: {reason}"
        raise ValueError(message) from None
