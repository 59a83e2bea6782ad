"""Experiments are posted as a client posts them: with a key, and again until an answer comes."""

import itertools
from collections.abc import Iterator
from contextlib import suppress

import httpx

from chaos.experiments import Spec
from local.errors import LocalError

TIMEOUT_S = 3.0
AGAIN = {httpx.codes.CONFLICT, httpx.codes.TOO_MANY_REQUESTS}


class RefusedError(LocalError):
    """The API does not take what it has to take."""


class Orders:
    """``place`` tries once. While it has not succeeded, the same experiment is tried under the same key."""

    def __init__(self, address: str) -> None:
        self._http = httpx.Client(base_url=address, timeout=TIMEOUT_S, trust_env=False)
        self._keys: Iterator[int] = itertools.count()
        self._key = next(self._keys)
        self.accepted = 0

    def place(self, spec: Spec) -> bool:
        """Whether it was accepted, and has an answer."""
        with suppress(httpx.TransportError):
            answer = self._http.post("/v1/experiments", json=spec, headers={"Idempotency-Key": f"chaos-{self._key}"})
            if answer.is_success:
                self._key = next(self._keys)
                self.accepted += 1
                return True
            if answer.status_code not in AGAIN and not answer.is_server_error:
                raise RefusedError(answer.text)
        return False

    def close(self) -> None:
        self._http.close()
