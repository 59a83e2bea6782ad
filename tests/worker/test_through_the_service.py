"""A run through the service is the run without it, bit by bit: for every remedy, network, optimiser and data set, and
every option that changes what is trained. Real PostgreSQL, the worker's own path, a few steps each.
"""

import dataclasses
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from gradient_clinic.probe.probe import StepRecord
from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.verdict.shapes import RunSummary
from models import runs
from models.analysis.verdict.summary import summarise
from models.plan import Plan, expand
from models.settings import Settings
from models.specs.base import leaves
from models.specs.dataset import DATASETS
from models.specs.experiment import ExperimentSpec
from models.specs.networks import NETWORKS
from models.specs.optimizer import OPTIMIZERS
from models.specs.remedy import REMEDIES
from models.status import Phase
from models.storage.database import Database
from models.storage.files import DatasetFiles
from models.storage.tables import Run
from models.traces.reader import read_curves, read_epochs, read_signals
from proofs.outcomes.running import trace_of
from tests.as_json import as_json
from tests.networks import EVERY_KIND, TREATABLE
from tests.spares import Spares
from tests.worker.test_datasets import NEEDS_APT
from tests.worker.uploads import kept
from worker.attempt import Workshop
from worker.datasets import load
from worker.engine import train
from worker.results import EpochResult, RunResult

pytestmark = pytest.mark.long  # every remedy, network and data set is trained twice

Json = dict[str, Any]
Left = dict[str, bytes]
Values = npt.NDArray[Any]

SEED = 1
RAW = {"kind": "digits", "standardise": "none"}
VALUES = {"kind": "teacher_student", "cases": 60, "standardise": "none"}
MLP, RNN, TRANSFORMER = TREATABLE["mlp"], TREATABLE["rnn"], TREATABLE["transformer"]
OVER_STEPS = {"kind": "rnn", "cell": "tanh", "width": 6}

TREATED: dict[str, Json] = {
    "orthogonal_init": {"network": MLP},
    "init": {"init": {"kind": "xavier_normal"}, "network": MLP},
    "batch_norm": {"network": TREATABLE["cnn"]},
    "layer_norm": {"network": MLP},
    "rms_norm": {"network": TRANSFORMER},
    "group_norm": {"groups": 4, "network": TREATABLE["residual_cnn"]},
    "weight_norm": {"network": MLP},
    "spectral_norm": {"network": RNN},
    "activation": {"function": "leaky_relu", "negative_slope": 0.25, "network": MLP},
    "selu": {"network": TREATABLE["sequential"]},
    "residual": {"network": MLP},
    "scaled": {"network": TREATABLE["residual_mlp"]},
    "rezero": {"network": TREATABLE["residual_mlp"]},
    "skip_init": {"network": TRANSFORMER},
    "layer_scale": {"network": TREATABLE["residual_cnn"]},
    "highway": {"network": MLP},
    "pre_norm": {"network": TRANSFORMER},
    "dropout": {"p": 0.3, "network": MLP},
    "lstm": {"network": OVER_STEPS},
    "gru": {"network": RNN},
    "irnn": {"network": OVER_STEPS},
    "forget_bias": {"value": 2.0, "network": RNN},
    "truncated_bptt": {"steps": 3, "network": OVER_STEPS},
    "standardise": {"network": MLP},
    "standardise_targets": {"network": MLP, "dataset": VALUES},
    "learning_rate": {"value": 0.5, "network": MLP},
    "optimizer": {"optimizer": {"kind": "rmsprop"}, "network": MLP},
    "schedule": {"network": MLP},
    "class_weights": {"network": MLP},
    "label_smoothing": {"network": MLP},
    "momentum": {"network": MLP},
    "l2": {"strength": 0.1, "network": MLP},
    "weight_decay": {"strength": 0.1, "network": MLP},
    "orthogonal_penalty": {"strength": 0.1, "network": MLP},
    "clip_norm": {"max_norm": 0.001, "network": MLP},
    "clip_value": {"max_value": 0.001, "network": MLP},
    "agc": {"clipping": 0.001, "network": MLP},
    "ema_clip": {"warm_up": 2, "z": 0.01, "network": MLP},
    "gradient_centralization": {"network": MLP},
    "warm_up": {"steps": 3, "network": MLP},
    "mixed_precision": {"network": MLP},
}
"""Every remedy on a network where it acts within six steps, with what it needs for it."""

OF_DATA: dict[str, Json] = {
    **{kind: {"dataset": {"kind": kind}, "network": MLP} for kind in ("digits", "mnist_5k", "fashion_mnist")},
    "mnist_1d": {"dataset": {"kind": "mnist_1d", "cases": 60}, "network": MLP},
    "teacher_student": {"dataset": VALUES, "network": MLP},
    "japanese_vowels": {"dataset": {"kind": "japanese_vowels"}, "network": OVER_STEPS},
    "sequential_digits": {"dataset": {"kind": "sequential_digits"}, "network": OVER_STEPS},
    "names": {"dataset": {"kind": "names"}, "network": OVER_STEPS},
    "python_docs": {"dataset": {"kind": "python_docs", "length": 8}, "network": OVER_STEPS},
    "adding": {"dataset": {"kind": "adding", "length": 6, "cases": 60}, "network": OVER_STEPS},
    "copy_memory": {"dataset": {"kind": "copy_memory", "delay": 2, "cases": 60}, "network": OVER_STEPS},
    "temporal_order": {"dataset": {"kind": "temporal_order", "length": 10, "cases": 60}, "network": OVER_STEPS},
    "uploaded": {"dataset": {"kind": "uploaded", "name": "mine"}, "network": MLP},
}
OPTIONS: dict[str, Json] = {
    **{f"standardise {how}": {"dataset": {**RAW, "standardise": how}} for how in ("none", "scalar", "feature")},
    "split_seed": {"dataset": {**RAW, "split_seed": 7}},
    "test_fraction": {"dataset": {**RAW, "test_fraction": 0.5}},
    "validation": {"dataset": {**RAW, "validation_fraction": 0.2}, "steps": None, "epochs": 2, "batch_size": 500},
    "features of uploaded data, scaled": {
        "dataset": {"kind": "uploaded", "name": "mine", "standardise": "none"},
        "remedies": [{"kind": "standardise"}],
    },
    "labels of uploaded data as amounts, scaled": {
        "dataset": {"kind": "uploaded", "name": "mine", "task": "regression"},
        "remedies": [{"kind": "standardise_targets"}],
    },
    "features over steps, scaled": {
        "dataset": {"kind": "japanese_vowels", "standardise": "none"},
        "network": OVER_STEPS,
        "remedies": [{"kind": "standardise", "how": "scalar"}],
    },
    "two remedies": {"dataset": RAW, "remedies": [{"kind": "standardise"}, {"kind": "dropout"}], "design": "add_all"},
    "named variants": {
        "dataset": RAW,
        "variants": [
            {"name": "first", "remedies": [{"kind": "standardise", "how": "scalar"}]},
            {"name": "second", "remedies": [{"kind": "standardise"}, {"kind": "momentum"}]},
        ],
    },
    "tune": {
        "dataset": {**RAW, "validation_fraction": 0.2},
        "remedies": [{"kind": "standardise"}],
        "tune": {"learning_rate": [0.01, 0.5], "seeds": [9]},
    },
    "a frozen layer": {"network": {**MLP, "frozen": ["hidden.1"]}, "remedies": [{"kind": "l2", "strength": 0.1}]},
    "batch norm behind the activation": {
        "network": {**MLP, "normalization": {"kind": "batch_norm", "position": "after"}, "dropout": 0.2}
    },
    "squared error": {"loss": "mse"},
    "binary cross entropy": {"loss": "binary_cross_entropy"},
    "distances": {"loss": "mae", "dataset": VALUES},
    "distances, squared where small": {"loss": "huber", "dataset": VALUES},
    "weighted classes of steps": {
        "dataset": {"kind": "copy_memory", "delay": 2, "cases": 60},
        "network": OVER_STEPS,
        "class_weights": "balanced",
        "label_smoothing": 0.1,
        "metric": "balanced_accuracy",
    },
    "every second step": {"trace": {"every": 2}, "steps": 4},
    "a last batch that is smaller": {"drop_last": False, "steps": None, "epochs": 1, "batch_size": 500},
    "untrained": {"steps": 0, "dataset": RAW, "remedies": [{"kind": "standardise"}]},
    "stopped": {"stop_when": {"loss_above": 0.1}},
}
CASES: dict[str, Json] = {
    **{f"network {kind}": asked for kind, asked in EVERY_KIND.items()},
    **{f"data {kind}": asked for kind, asked in OF_DATA.items()},
    **{f"optimizer {kind}": {"optimizer": {"kind": kind}, "network": MLP} for kind in OPTIMIZERS},
    **OPTIONS,
}


def asked_for(case: Json) -> ExperimentSpec:
    usual: Json = {
        "name": "through the service",
        "dataset": {"kind": "digits"},
        "network": MLP,
        "optimizer": {"kind": "sgd", "learning_rate": 0.1},
        "batch_size": 8,
        "steps": 3,
        "seeds": [SEED],
    }
    return ExperimentSpec.model_validate({name: its for name, its in {**usual, **case}.items() if its is not None})


def treated(kind: str) -> ExperimentSpec:
    around = {name: its for name, its in TREATED[kind].items() if name in {"network", "dataset"}}
    remedy = {name: its for name, its in TREATED[kind].items() if name not in around}
    return asked_for({"dataset": RAW, **around, "remedies": [{"kind": kind, **remedy}], "steps": 6})


class Place(NamedTuple):
    """Where the runs of this module are trained: one database, one worker, one data set of a user's own."""

    database: Database
    workshop: Workshop
    mine: Json


@pytest.fixture(scope="module")
def place(spare_databases: Spares, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("files")
    with spare_databases.one() as url:
        settings = Settings(database_url=SecretStr(url), lease_s=60.0, data_dir=folder)
        database, workshop = Database(url), Workshop.open(settings, gpu=False)
        yield Place(database, workshop, _keep(DatasetFiles(settings.files_url())))
        workshop.close()
        database.dispose()


def _keep(files: DatasetFiles) -> Json:
    """Three features of very different sizes, and what the API would fill in of them."""
    random = np.random.default_rng(5)
    y = np.arange(60) % 3
    return kept(files, (random.standard_normal((60, 3)) + y[:, None]) * [1.0, 30.0, 900.0], y)


def with_service(place: Place, spec: ExperimentSpec) -> list[tuple[Plan, int, Left]]:
    """Every run of the spec that may begin at once: its plan, its seed and what it has stored."""
    variants = expand(spec)
    with place.database.begin() as session:
        experiment_id = runs.submit(session, spec, variants, owner="local")
        found = session.execute(select(Run).where(Run.experiment_id == experiment_id, ~Run.held)).scalars().all()
        todo = [(its.id, its.variant, its.seed, its.learning_rate) for its in found]
    plans = {variant.name: variant.plan for variant in variants}
    left = []
    for run_id, variant, seed, learning_rate in todo:
        place.workshop.carry_out(run_id)
        plan = plans[variant].at_rate(learning_rate)
        left.append((plan, seed, stored(place.database, run_id, plan)))
    return left


def stored(database: Database, run_id: uuid.UUID, plan: Plan) -> Left:
    layers, rows = len(plan.layers), len(plan.network.rows)
    with database.begin() as session:
        run = session.get_one(Run, run_id)
        assert run.state == "succeeded", run.error
        assert run.summary is not None
        signals = read_signals(session, run_id, SIGNALS, list(range(1, rows + 1)), 0, plan.steps)
        curves = read_curves(session, run_id, CURVES, 0, plan.steps)
        by_name = dict(zip(SIGNALS, signals.values, strict=True))
        return left_by(
            signals.steps,
            {name: values[:layers] for name, values in by_name.items()},
            {name: by_name[name][layers:] for name in ("activation_rms", "activation_gradient_rms")},
            dict(zip(CURVES, curves.values, strict=True)),
            [(its.loss, its.metric) for its in read_epochs(session, run_id)],
            run.summary,
        )


def without_service(place: Place, plan: Plan, seed: int) -> Left:
    records: list[StepRecord] = []
    epochs: list[tuple[float, float]] = []
    result: RunResult | None = None
    for seen in train(plan, load(plan.dataset, seed, place.workshop.settings.files_url()), seed=seed):
        match seen:
            case StepRecord():
                records.append(seen)
            case EpochResult():
                epochs.append((seen.loss, seen.metric))
            case RunResult():
                result = seen
    assert result is not None
    exact = trace_of(plan, records)
    # Signals are stored, and judged, as float32.
    trace = dataclasses.replace(
        exact,
        signals={name: values.astype(np.float32).astype(np.float64) for name, values in exact.signals.items()},
        state_gradient_rms=exact.state_gradient_rms.astype(np.float32).astype(np.float64),
    )
    states = {
        "activation_rms": np.nan_to_num(np.array([record.state_rms for record in records]).T),
        "activation_gradient_rms": trace.state_gradient_rms,
    }
    facts = result.facts(plan)
    return left_by(trace.steps, trace.signals, states, trace.curves, epochs, summarise(plan, trace, facts))


def left_by(
    steps: Values,
    signals: Mapping[str, Values],
    states: Mapping[str, Values],
    curves: Mapping[str, Values],
    epochs: Sequence[tuple[float | None, float | None]],
    summary: RunSummary,
) -> Left:
    """As bits, in the width of what is stored. Every NaN is alike; what takes time or memory is left out."""
    return (
        {"steps": np.asarray(steps, np.int64).tobytes(), "epochs": _bits(np.array(epochs))}
        | {name: _bits(np.asarray(values, np.float32)) for name, values in signals.items()}
        | {f"{name} of states": _bits(np.asarray(values, np.float32)) for name, values in states.items() if values.size}
        | {name: _bits(values) for name, values in curves.items() if name != "step_seconds"}
        | {f"summary.{name}": json.dumps(value, sort_keys=True).encode() for name, value in _told(summary)}
    )


def _bits(values: Values) -> bytes:
    return np.where(np.isnan(values), np.float32(np.nan), values).tobytes()


def _told(summary: RunSummary) -> Iterator[tuple[str, object]]:
    """By dotted name."""
    facts = dataclasses.replace(summary.facts, step_seconds=0.0, device_seconds=0.0, overhead=0.0, peak_memory_bytes=0)
    yield from leaves(as_json(dataclasses.replace(summary, facts=facts)))


def other_parts(one: Left, other: Left) -> list[str]:
    return [name for name in one | other if one.get(name) != other.get(name)]


def test_the_tables_hold_every_kind() -> None:
    assert TREATED.keys() == REMEDIES.keys()
    assert OF_DATA.keys() == DATASETS.keys()
    assert EVERY_KIND.keys() == NETWORKS.keys()


@pytest.mark.parametrize("kind", REMEDIES)
def test_every_remedy_acts_through_the_service_as_without_it(place: Place, kind: str) -> None:
    (_, _, baseline), (plan, seed, variant) = with_service(place, treated(kind))
    assert other_parts(variant, without_service(place, plan, seed)) == []
    assert "loss" in other_parts(variant, baseline), "it changes nothing: the trial of the table is no test of it"


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=NEEDS_APT if case == "data fashion_mnist" else ()) for case in CASES]
)
def test_every_network_optimizer_and_data_set_trains_through_the_service_as_without_it(place: Place, case: str) -> None:
    asked = CASES[case]
    if asked.get("dataset", {}).get("kind") == "uploaded":
        asked = {**asked, "dataset": {**asked["dataset"], **place.mine}}
    trained = with_service(place, asked_for(asked))
    for plan, seed, left in trained:
        assert other_parts(left, without_service(place, plan, seed)) == [], (plan.remedies, plan.conditions)
    assert len({left["loss"] for _, _, left in trained}) == len(trained), "two variants are the same"
    phases = {Phase.TUNE} if "tune" in asked else {Phase.TRIAL}
    with place.database.begin() as session:
        newest = select(Run.phase).order_by(Run.id.desc()).limit(len(trained))
        assert phases <= set(session.execute(newest).scalars())
