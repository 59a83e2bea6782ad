"""Runs that nobody trained are stored as trained ones are, so that reading them is reading real rows."""

import numpy as np
from sqlalchemy import select

from gradient_clinic.signals import SIGNALS
from models.plan import expand
from models.specs.experiment import ExperimentSpec
from models.status import State
from models.storage.database import Database
from models.storage.tables import Experiment, Run
from models.traces.reader import read_signal
from models.traces.rollups import CHUNK_RECORDS
from proofs.speed import made, reads, rows, store
from worker.recorder import Recorder

FIVE = {"network": {"kind": "mlp", "depth": 5, "width": 4}}


def test_written_values_come_back(database: Database) -> None:
    _, [run_id] = made.submit(database, made.spec(**FIVE, steps=450))
    lease, plan = made.claim(database, run_id)
    signals, curves = made.values(5, CHUNK_RECORDS, seed=1)
    made.write(database, lease, plan, signals, curves)
    with database.begin() as session:
        window = read_signal(session, run_id, "weight_norm", [3], 0, 449)
    of_one_chunk = signals[SIGNALS.index("weight_norm"), 2].astype(np.float32)
    np.testing.assert_array_equal(window.values[0], np.tile(of_one_chunk, 3)[:450])


def test_the_last_run_leaves_the_comparison(database: Database) -> None:
    experiment_id, run_ids = made.submit(database, made.spec(**FIVE, remedies=[{"kind": "layer_norm"}], seeds=[0, 1]))
    for run_id in run_ids:
        reads.train(database, run_id)
    with database.begin() as session:
        stored = session.execute(select(Experiment.comparison).where(Experiment.id == experiment_id)).scalar_one()
        states = session.execute(select(Run.state)).scalars().all()
    assert set(states) == {State.SUCCEEDED}
    assert stored is not None
    assert len(stored["variants"]) == 2


def test_the_comparison_is_of_two_hundred_runs() -> None:
    asked = made.spec(**reads.COMPARED)
    variants = expand(asked)
    assert len(variants) * len(asked.seed_list()) == 200
    assert {len(its.plan.layers) for its in variants} == {reads.LAYERS}


def test_a_recorder_takes_the_records_of_the_benchmark(database: Database) -> None:
    _, [run_id] = made.submit(database, ExperimentSpec.model_validate(store.SPEC | {"steps": 3, "seeds": [0]}))
    lease, plan = made.claim(database, run_id)
    recorder = Recorder(database, lease, made.LEASE_S, plan)
    seen = store.records(3)
    for record in seen:
        recorder.add(record)
    recorder.flush(2)
    with database.begin() as session:
        window = read_signal(session, run_id, "update_ratio", [50], 0, 2)
    np.testing.assert_allclose(window.values[0], [record.update_ratio[49] for record in seen], rtol=1e-6)


def test_a_table_of_rows_is_filled_in_whole_writes(database_url: str) -> None:
    filled = rows.fill(database_url, ("weight_norm", "update_ratio"), layers=3, seconds=0.01)
    assert filled.values % (2 * 3 * rows.STEPS_A_WRITE) == 0
    assert filled.bytes > filled.values
