"""The clinic's public API as `make run` uses it: submit, look, cancel, compare. Nothing that other clients lack."""

import json
from typing import Any

import httpx

FINISHED = {"succeeded", "failed", "cancelled"}
LOOK_S = 1
"""How long one look waits for news. Between looks the processes are tended, so it is short."""


class RefusedError(Exception):
    """The API's refusal, as problem details (RFC 9457)."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem.get("detail") or problem.get("title"))
        self.problem = problem


class Client:
    def __init__(self, address: str, key: str | None) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        # A proxy in the environment is for the world outside, and this is the same machine.
        self._http = httpx.Client(base_url=address, headers=headers, timeout=30.0, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def submit(self, spec: bytes) -> dict[str, Any]:
        return self._answer(
            self._http.post("/v1/experiments", content=spec, headers={"Content-Type": "application/json"})
        )

    def look(self, experiment: dict[str, Any], etag: str | None) -> tuple[dict[str, Any], str | None]:
        """The experiment as soon as it differs from ``etag``, at the latest after a moment."""
        headers = {} if etag is None else {"If-None-Match": etag}
        response = self._http.get(f"{_path(experiment)}?wait={LOOK_S}", headers=headers)
        if response.status_code == httpx.codes.NOT_MODIFIED:
            return experiment, etag
        return self._answer(response), response.headers.get("ETag")

    def cancel(self, experiment: dict[str, Any]) -> None:
        self._answer(self._http.post(f"{_path(experiment)}/cancel"))

    def comparison(self, experiment: dict[str, Any]) -> dict[str, Any]:
        return self._answer(self._http.get(f"{_path(experiment)}/comparison"))

    def picture(self, experiment: dict[str, Any], name: str) -> bytes:
        response = self._http.get(f"{_path(experiment)}/{name}")
        response.raise_for_status()
        return response.content

    def report(self, experiment: dict[str, Any]) -> str:
        """The experiment as one self-contained HTML page."""
        response = self._http.get(f"{_path(experiment)}/report")
        return response.text if response.is_success else str(self._answer(response))

    @staticmethod
    def _answer(response: httpx.Response) -> dict[str, Any]:
        try:
            body: dict[str, Any] = response.json()
        except json.JSONDecodeError:
            body = {"title": f"HTTP {response.status_code}", "detail": response.text[:500]}
        if response.is_success:
            return body
        raise RefusedError(body)


def _path(experiment: dict[str, Any]) -> str:
    return f"/v1/experiments/{experiment['id']}"
