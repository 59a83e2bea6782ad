"""A run as one Parquet file, as the clinic makes it: ``<experiment>/<variant>/seed-<n>.parquet``."""

import tempfile
from pathlib import Path

from gradient_clinic.command.clinic import Json
from gradient_clinic.command.trial import Trial, folder_name, run_name


class Parquet:
    def __init__(self, place: str) -> None:
        self._root = Path(place)

    def begin(self, trial: Trial) -> None:
        """A file has all that its reader needs; there is nothing beside them."""

    def write(self, trial: Trial, run: Json) -> str:
        file = self._root / trial.folder / folder_name(run["variant"]) / f"{run_name(run)}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=file.parent) as unfinished:
            part = Path(unfinished, "part")
            with part.open("wb") as sink, trial.client.table(f"/v1/runs/{run['id']}/records.parquet", "*/*") as sent:
                for content in sent.iter_bytes():
                    sink.write(content)
            part.rename(file)
        return str(file)
