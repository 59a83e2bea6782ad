"""The clinic that schedulers are set on, and what is looked for in it afterwards."""

from dataclasses import dataclass
from typing import Any, Final

import httpx

from local.folder import Folder
from proofs.promise import Promise

LONGEST_S: Final = 300
"""For one run of a scheduler's job."""
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scene:
    """``folder`` is for the scheduler's own files; all of it goes at the end."""

    address: str
    key: str
    folder: Folder

    def named(self, name: str) -> list[Json]:
        found: list[Json] = self._get("/v1/experiments", search=name)["items"]
        return found

    def goes_on(self, name: str) -> bool:
        return any(its["state"] in {"queued", "running"} for its in self.named(name))

    def same_answer(self, scheduler: str, name: str, told: str) -> Promise:
        """Whether a job read what the clinic says."""
        found = self.named(name)
        answer = self._get(f"/v1/experiments/{found[0]['id']}/comparison")["answer"] if found else "no experiment"
        same = told == answer
        return Promise(f"{scheduler}: the answer is the clinic's", "the same", "the same" if same else told[-80:], same)

    def one_experiment(self, scheduler: str, name: str) -> Promise:
        """Whether a job that submitted twice has one."""
        count = len(self.named(name))
        return Promise(f"{scheduler}: what is submitted again is one experiment", "1", str(count), count == 1)

    def _get(self, path: str, **query: str) -> Json:
        headers = {"Authorization": f"Bearer {self.key}"}
        answer: Json = (
            httpx.get(f"{self.address}{path}", params=query, headers=headers, timeout=30.0, trust_env=False)
            .raise_for_status()
            .json()
        )
        return answer
