"""What is exported of an experiment beside records: its runs, its answer, the settings of a run, names of folders."""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from gradient_clinic.command.clinic import FINISHED, Client, Json

Setting = bool | int | float | str
LONGEST_NAME: Final = 60
"""Letters of a name in a folder's: four bytes each at most, and file systems take 255."""


@dataclass(frozen=True, slots=True)
class Trial:
    """``runs``: all of them; ``chosen``: those that are exported. ``signals`` and ``every``: what is, of each."""

    client: Client
    experiment: Json
    comparison: Json
    runs: Sequence[Json]
    chosen: Sequence[Json]
    signals: Sequence[str]
    every: int

    @property
    def folder(self) -> str:
        """Two experiments may have one name, so it has the end of the id as well."""
        return f"{folder_name(self.experiment['name'])} {self.experiment['id'][-8:]}"

    def settings(self, run: Json) -> dict[str, Setting]:
        """The spec by the paths of its fields, with what is this run's own. Lists are written as JSON."""
        spec = self.experiment["spec"]
        beside = {"labels", "name", "seeds", "source", "variants", "remedies"}
        found = dict(_flat({key: value for key, value in spec.items() if key not in beside}))
        variants = {its["name"]: its for its in self.comparison["variants"]}
        remedies = variants.get(run["variant"], {}).get("remedies", [])
        found |= {"variant": run["variant"], "seed": run["seed"]}
        found["remedies"] = json.dumps(remedies, ensure_ascii=False) if remedies else "none"
        if run["learning_rate"] is not None:
            found["optimizer.learning_rate"] = run["learning_rate"]
        return found


class Target(Protocol):
    """Where experiments go. What is written twice is there once."""

    def begin(self, trial: Trial) -> None:
        """What is of the experiment as a whole."""

    def write(self, trial: Trial, run: Json) -> str:
        """A run that has ended; the words say where it is now."""


def has_ended(run: Json) -> bool:
    """Whether it has ended, and had begun: then its records stay as they are."""
    return run["state"] in FINISHED and bool(run["attempts"])


def run_name(run: Json) -> str:
    if run["phase"] == "trial":
        return f"seed-{run['seed']}"
    return f"tune-{run['learning_rate']:g}-seed-{run['seed']}"


def folder_name(name: str) -> str:
    """As a file system takes it: no separator, nothing that is special, not hidden; another one for another name."""
    plain = re.sub(r"[^\w .+=,@()-]", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), name)
    plain = re.sub(r"^\.|[. ]$", lambda found: f"%{ord(found[0]):02X}", plain)
    digest = hashlib.blake2b(name.encode(), digest_size=4).hexdigest()
    return plain if len(plain) <= LONGEST_NAME else f"{plain[: LONGEST_NAME - 9]}~{digest}"


def results_of(run: Json) -> dict[str, float]:
    """What a run came to. What the API shows as null is left out: it is not finite, or was not asked for."""
    return {name: float(value) for name, value in (run["result"] or {}).items() if isinstance(value, int | float)}


def epochs_of(client: Client, run: Json) -> Iterator[tuple[int, dict[str, float]]]:
    """(number, validation loss and metric) of each epoch, from 0; of a log the step of each evaluation."""
    found = client.epochs(run["id"])
    steps = found.pop("steps")
    told = {name: values for name, values in found.items() if values}
    for number, numbers in enumerate(zip(*told.values(), strict=True)):
        finite = (math.nan if value is None else value for value in numbers)
        yield steps[number] if steps else number, dict(zip(told, finite, strict=True))


def verdict_in_words(run: Json) -> str:
    verdict = run["verdict"]
    if verdict is None:
        reason = (run["error"] or {}).get("title")
        return f"No verdict: the run is {run['state']}{'' if reason is None else f' ({reason})'}."
    causes = ", ".join(verdict["causes"]) or "none"
    return f"**{verdict['kind']}**; causes: {causes}\n\n{verdict['sentence']}"


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Setting]]:
    if isinstance(value, Mapping):
        for key, its in value.items():
            yield from _flat(its, f"{path}.{key}" if path else key)
    elif isinstance(value, bool | int | float | str):
        yield path, value
    elif value is not None:
        yield path, json.dumps(value, ensure_ascii=False)
