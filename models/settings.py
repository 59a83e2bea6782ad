"""Settings of every process, read once from the environment (prefix ``CLINIC_``).

Each entry point builds one ``Settings()`` and hands it on; nothing else reads the environment.
"""

import ipaddress
import os
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


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

    model_config = SettingsConfigDict(env_prefix="CLINIC_", secrets_dir=None, frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    data_dir: Path = Path(".clinic")
    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    storage_url: str | None = None
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    api_key: SecretStr | None = None
    api_key_file: Path | None = None

    max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    upload_limit_bytes: int = Field(default=512 * 1024 * 1024, ge=1024)
    lease_s: float = Field(default=20.0, gt=0.2)
    sweep_s: float = Field(default=2.0, gt=0.0)
    max_attempts: int = Field(default=5, ge=1)
    max_parallel_per_owner: int | None = Field(default=None, ge=1)
    runs_per_child: int = Field(default=500, ge=1)
    cancel_grace_s: float = Field(default=10.0, gt=0.0)
    stall_limit_s: float = Field(default=3600.0, gt=0.0)
    time_limit_s: float | None = Field(default=None, gt=0.0)
    memory_limit_bytes: int | None = Field(default=None, gt=0)
    checkpoint_s: float = Field(default=60.0, ge=0.0)
    trace_retention_days: float | None = Field(default=None, gt=0.0)
    threads_per_worker: int = Field(default=1, ge=1)
    device: str = "auto"

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

    def files_url(self) -> str:
        """Where files are kept: an fsspec URL, the data folder unless another was named."""
        return self.storage_url or (self.data_dir.absolute() / "files").as_uri()

    def bootstrap_key(self) -> str | None:
        """The key that may do everything, given directly or as a file (a container's secret)."""
        if self.api_key is not None:
            return self.api_key.get_secret_value()
        if self.api_key_file is not None:
            return self.api_key_file.read_text().strip()
        return None
