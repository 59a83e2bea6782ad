"""What a watch says to a service: one call after the other, each of which may be made again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

TIMEOUT_S: Final = 10.0
AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses of a service that may answer otherwise later."""
RUNS: Final = "/v1/ingest/runs"
ENDS: Final = -1

Body = dict[str, Any]


def plain_line(text: str) -> str:
    """As a service takes it: without control characters, and of 200 at most."""
    return "".join(its if its.isprintable() else " " for its in text)[:200]


class AwayError(Exception):
    """The service does not answer now."""


class RefusedError(Exception):
    """The service has answered, and takes this no more."""


@dataclass(frozen=True, slots=True)
class Call:
    """``first``: the number of its first record; None where it opens the run, ``ENDS`` where it ends it."""

    first: int | None
    body: Body

    def line(self) -> bytes:
        return json.dumps([self.first, self.body]).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> "Call":
        return cls(*json.loads(line))


class Service:
    """Where calls go. ImportError without httpx, which only ``gradient-clinic[service]`` asks for."""

    def __init__(self, url: str, key: str | None) -> None:
        try:
            import httpx  # noqa: PLC0415 -- who sends nothing needs none
        except ImportError as error:
            message = 'sending to a service needs httpx: pip install "gradient-clinic[service]"'
            raise ImportError(message) from error
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S)
        self._failed = httpx.TransportError
        self.opened: Mapping[str, Any] = {}
        """What the service has answered to the call that opened the run."""

    def send(self, call: Call) -> None:
        """AwayError, RefusedError."""
        if call.first is None:
            self.opened = self._asked("POST", RUNS, call.body)
            return
        run = f"{RUNS}/{self.opened['run_id']}"
        if call.first == ENDS:
            self._asked("POST", f"{run}/end", call.body)
        elif self._asked("PUT", f"{run}/records/{call.first}", call.body)["cancelled"]:
            raise RefusedError("the experiment was cancelled")

    def _asked(self, method: str, path: str, body: Body) -> Mapping[str, Any]:
        try:
            response = self._client.request(method, path, json=body)
        except self._failed as error:
            raise AwayError(str(error) or type(error).__name__) from error
        if response.status_code in AGAIN:
            message = f"status {response.status_code}"
            raise AwayError(message)
        answer: Mapping[str, Any] = response.json() if "json" in response.headers.get("content-type", "") else {}
        if response.is_success and answer:
            return answer
        raise RefusedError(answer.get("detail", f"status {response.status_code}"))

    def close(self) -> None:
        self._client.close()


def send_spool(path: str | Path, to: str, key: str | None = None) -> None:
    """Deliver the file that a watch has left, and remove it. AwayError, RefusedError; the file stays then."""
    service = Service(to, key)
    try:
        with Path(path).open("rb") as lines:
            for line in lines:
                service.send(Call.of(line))
    finally:
        service.close()
    Path(path).unlink()
