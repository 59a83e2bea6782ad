"""A clinic's public API, spoken over HTTP: submit, wait, compare, read, upload. Nothing that other clients lack."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

Json = dict[str, Any]
FINISHED: Final = {"succeeded", "failed", "cancelled"}
LOOK_S: Final = 1
"""How long one look waits for news. Between looks others are tended, so it is short."""
TIMEOUT_S: Final = 30.0


class RefusedError(Exception):
    """The API's refusal, as problem details (RFC 9457)."""

    def __init__(self, problem: Json) -> None:
        super().__init__(problem.get("detail") or problem.get("title"))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Event:
    """Of an experiment's stream; ``number`` is None for one without an id."""

    number: int | None
    name: str
    data: Json


class Client:
    """Each call raises RefusedError, or httpx.TransportError where nobody answers."""

    def __init__(self, address: str, key: str | None) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        # A proxy in the environment is for the world outside, and most clinics are on this machine or near it.
        # Each stream of events keeps a connection of its own.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        self._http = httpx.Client(base_url=address, headers=headers, timeout=TIMEOUT_S, limits=limits, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def submit(self, spec: bytes, key: str | None = None) -> Json:
        """``key``: of idempotency. The same spec under the same key is one experiment, however often it is sent."""
        headers = {"Content-Type": "application/json"} | ({} if key is None else {"Idempotency-Key": key})
        return self._answer(self._http.post("/v1/experiments", content=spec, headers=headers))

    def experiment(self, experiment_id: str) -> Json:
        return self._answer(self._http.get(f"/v1/experiments/{experiment_id}"))

    def look(self, experiment: Json, etag: str | None) -> tuple[Json, str | None]:
        """The experiment as soon as it differs from ``etag``, at the latest after a moment."""
        headers = {} if etag is None else {"If-None-Match": etag}
        response = self._http.get(f"{_path(experiment)}?wait={LOOK_S}", headers=headers)
        if response.status_code == httpx.codes.NOT_MODIFIED:
            return experiment, etag
        return self._answer(response), response.headers.get("ETag")

    def events(self, experiment_id: str, after: int | None = None) -> Iterator[Event]:
        """As they happen, those that have happened first, or those after a number. The last is ``end``; a stream that
        ends without it was cut off.
        """
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        with self._streamed(f"/v1/experiments/{experiment_id}/events", headers) as response:
            yield from _events(response.iter_lines())

    def cancel(self, experiment: Json) -> None:
        self._answer(self._http.post(f"{_path(experiment)}/cancel"))

    def comparison(self, experiment: Json) -> Json:
        return self._answer(self._http.get(f"{_path(experiment)}/comparison"))

    def comparison_of(self, experiment_ids: Sequence[str]) -> Json:
        """Several with the baseline of the first."""
        if len(experiment_ids) == 1:
            return self.comparison({"id": experiment_ids[0]})
        return self._answer(self._http.post("/v1/comparisons", json={"experiment_ids": list(experiment_ids)}))

    def picture(self, experiment: Json, name: str) -> bytes:
        return self._content(self._http.get(f"{_path(experiment)}/{name}"))

    def report(self, experiment: Json) -> bytes:
        """The experiment as one self-contained HTML page."""
        return self._content(self._http.get(f"{_path(experiment)}/report"))

    def trace(self, run_id: str, signal: str, media_type: str) -> bytes:
        """One signal of every layer and recorded step of a run, as the media type has it."""
        response = self._http.get(f"/v1/runs/{run_id}/trace", params={"signal": signal}, headers={"Accept": media_type})
        return self._content(response)

    def upload(self, name: str, file: Path, asked: Mapping[str, str | list[str]]) -> Json:
        """A data set of one's own; ``asked``: how it is to be read, as the route's query has it."""
        with file.open("rb") as content:
            return self._answer(self._http.put(f"/v1/datasets/{name}", params=asked, files={"file": content}))

    def run(self, run_id: str) -> Json:
        return self._answer(self._http.get(f"/v1/runs/{run_id}"))

    def runs(self, experiment: Json) -> list[Json]:
        """All of an experiment, in their order."""
        return self._pages(f"{_path(experiment)}/runs", {})

    def epochs(self, run_id: str) -> Json:
        """Of each number that is validated a value for each epoch; null where it is not finite."""
        epochs: Json = self._answer(self._http.get(f"/v1/runs/{run_id}/curves?points=1"))["epochs"]
        return epochs

    def packages(self) -> set[str]:
        """Those of the plug-ins that workers have now."""
        lists = (self._answer(self._http.get(f"/v1/catalogue/{name}"))["items"] for name in ("networks", "datasets"))
        return {its["package"] for items in lists for its in items if its.get("present")}

    def heat_map(self, run_id: str) -> bytes | None:
        """Gradients by layer and step, as PNG; None where nothing is recorded."""
        response = self._http.get(f"/v1/runs/{run_id}/heatmap.png")
        return None if response.status_code == httpx.codes.CONFLICT else self._content(response)

    def table(self, path: str, media_type: str) -> AbstractContextManager[httpx.Response]:
        """A response that is read while it is sent."""
        return self._streamed(path, {"Accept": media_type})

    def keys(self, owner: str | None = None) -> list[Json]:
        """All of them, made last first."""
        return self._pages("/v1/keys", {} if owner is None else {"owner": owner})

    def make_key(self, asked: Json) -> Json:
        return self._answer(self._http.post("/v1/keys", json=asked))

    def rotate_key(self, key_id: str, overlap_s: float) -> Json:
        return self._answer(self._http.post(f"/v1/keys/{key_id}/rotate", json={"overlap_s": overlap_s}))

    def revoke_key(self, key_id: str) -> None:
        self._content(self._http.delete(f"/v1/keys/{key_id}"))

    def open_run(self, asked: Json) -> Json:
        """A run that was trained elsewhere; the same one for the same token."""
        return self._answer(self._http.post("/v1/ingest/runs", json=asked))

    def put_records(self, run_id: str, first: int, sent: Json) -> Json:
        return self._answer(self._http.put(f"/v1/ingest/runs/{run_id}/records/{first}", json=sent))

    def end_run(self, run_id: str, sent: Json) -> Json:
        """The run with its verdict."""
        return self._answer(self._http.post(f"/v1/ingest/runs/{run_id}/end", json=sent))

    def _pages(self, path: str, asked: Mapping[str, str]) -> list[Json]:
        """The items of all pages of a list."""
        found, token = list[Json](), ""
        while True:
            here = {"page_token": token} if token else {}
            page = self._answer(self._http.get(path, params={**asked, **here}))
            found += page["items"]
            token = page["next_page_token"]
            if not token:
                return found

    @contextmanager
    def _streamed(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        with self._http.stream("GET", path, headers=headers) as response:
            if not response.is_success:
                response.read()
                self._answer(response)
            yield response

    def _content(self, response: httpx.Response) -> bytes:
        if not response.is_success:
            self._answer(response)
        return response.content

    @staticmethod
    def _answer(response: httpx.Response) -> Json:
        try:
            body: Json = response.json()
        except json.JSONDecodeError:
            body = {"title": f"HTTP {response.status_code}", "detail": response.text[:500]}
        if response.is_success:
            return body
        raise RefusedError(body)


def _path(experiment: Json) -> str:
    return f"/v1/experiments/{experiment['id']}"


def _events(lines: Iterator[str]) -> Iterator[Event]:
    """By the rules of server-sent events, as far as a clinic uses them: a field a line, an empty line at the end."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        if "data" in fields:
            yield Event(int(fields["id"]) if "id" in fields else None, fields["event"], json.loads(fields["data"]))
        fields = {}
