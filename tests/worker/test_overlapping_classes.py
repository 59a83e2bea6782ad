"""Two overlapping circles of a user's own, through the worker: the data are told to be what holds the network."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from models import runs
from models.plan import expand
from models.settings import Settings
from models.specs.experiment import ExperimentSpec
from models.storage.database import Database
from models.storage.files import DatasetFiles
from models.storage.tables import Run
from tests.worker.uploads import kept
from worker.attempt import Workshop

CASES = 1_000
NETWORK: dict[str, Any] = {"kind": "mlp", "hidden": [8, 8], "activation": "tanh"}


def circles(files: DatasetFiles, apart: float) -> dict[str, Any]:
    """Circles of radius 1 and 1 + ``apart``, with a noise of 0.1. The cut between them is right in Φ(apart/0.2)."""
    random = np.random.default_rng(0)
    angle, y = random.uniform(0, 2 * np.pi, CASES), np.arange(CASES) % 2
    radius = 1.0 + apart * y
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1) + random.normal(0, 0.1, (CASES, 2))
    return {"kind": "uploaded", "name": "circles", **kept(files, x, y)}


@pytest.mark.parametrize(("apart", "steps", "causes"), [(0.16, 600, ("overlapping_classes",)), (1.0, 400, ())])
def test_a_network_that_does_what_the_data_allow_is_not_called_sick(
    database: Database, database_url: str, tmp_path: Path, apart: float, steps: int, causes: tuple[str, ...]
) -> None:
    settings = Settings(database_url=SecretStr(database_url), lease_s=60.0, data_dir=tmp_path)
    body = {
        "name": "circles",
        "dataset": circles(DatasetFiles(settings.files_url()), apart),
        "network": NETWORK,
        "optimizer": {"kind": "adam", "learning_rate": 0.01},
        "batch_size": 64,
        "steps": steps,
        "seeds": [0],
        "trace": {"every": 20},
    }
    spec = ExperimentSpec.model_validate(body)
    workshop = Workshop.open(settings, gpu=False)
    try:
        with database.begin() as session:
            experiment_id = runs.submit(session, spec, expand(spec), owner="local")
        query = select(Run).where(Run.experiment_id == experiment_id)
        with database.begin() as session:
            run_id = session.execute(query).scalar_one().id
        workshop.carry_out(run_id)
        with database.begin() as session:
            summary = session.get_one(Run, run_id).summary
    finally:
        workshop.close()
    assert summary is not None
    assert summary.facts.neighbour_accuracy is not None
    assert summary.verdict.causes == causes
