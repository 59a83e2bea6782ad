"""Runs of plug-ins on real PostgreSQL: measured where they run, repeatable, and failing without harm to the worker."""

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import SecretStr
from sqlalchemy import select, update
from torch import nn

from gradient_clinic.signals import CURVES, SIGNALS
from models import runs
from models.plan import Plan, expand
from models.plan.rewrites import FOR_PLUGINS
from models.runs import comparing, queueing, watching
from models.settings import Settings
from models.specs.experiment import ExperimentSpec
from models.storage import plugins
from models.storage.database import Database
from models.storage.tables import Run
from models.traces.reader import read_curves, read_signals
from tests import plugged
from tests.eventually import eventually
from worker.attempt import Workshop
from worker.checkpoints import packed, unpacked
from worker.datasets.split import TrialData
from worker.engine import train
from worker.plugins.cases import data_of
from worker.plugins.shelf import Shelf
from worker.results import RunResult, Snapshot
from worker.trainer import Trainer

LEASE_S = 60.0
CPU = torch.device("cpu")
STRANGE = {"package": "strange", "version": "0.1"}
FACTS = {"cases": 60, "shape": [2], "classes": 2}


@pytest.fixture(scope="module", autouse=True)
def _on_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(plugged.strange(tmp_path_factory.mktemp("strange")))
        yield


def opened(database_url: str, *packages: str) -> Workshop:
    settings = Settings(database_url=SecretStr(database_url), lease_s=LEASE_S, plugins=packages)
    return Workshop.open(settings, gpu=False)


@pytest.fixture
def workshop(database_url: str) -> Iterator[Workshop]:
    workshop = opened(database_url, "strange")
    yield workshop
    workshop.close()


def spec_of(network: str = "good", dataset: str = "data_good", **changes: Any) -> ExperimentSpec:
    """As the API would complete it; ``of_network`` and ``of_dataset`` change the two."""
    asked = {
        "name": "plugged",
        "dataset": {"kind": "plugin", "name": dataset, "facts": FACTS, **STRANGE, **changes.pop("of_dataset", {})},
        "network": {"kind": "plugin", "name": network, **STRANGE, **changes.pop("of_network", {})},
        "optimizer": {"kind": "adam", "learning_rate": 0.01},
        "batch_size": 12,
        "steps": 12,
        "seeds": [3],
        **changes,
    }
    return ExperimentSpec.model_validate(asked)


def submitted(database: Database, spec: ExperimentSpec) -> list[uuid.UUID]:
    with database.begin() as session:
        experiment_id = runs.submit(session, spec, expand(spec), owner="local")
        query = select(Run.id).where(Run.experiment_id == experiment_id).order_by(Run.position)
        return list(session.execute(query).scalars())


def row_of(database: Database, run_id: uuid.UUID) -> Run:
    with database.begin() as session:
        return session.get_one(Run, run_id)


def begun(workshop: Workshop, spec: ExperimentSpec) -> tuple[Plan, TrialData, Shelf]:
    plan = expand(spec)[-1].plan
    return plan, data_of(plan.dataset, 3, None, workshop.shelf), workshop.shelf


def trainer_of(workshop: Workshop, spec: ExperimentSpec, *, record: bool = False) -> Trainer:
    plan, data, shelf = begun(workshop, spec)
    return Trainer(plan, data, seed=3, device=CPU, dtype=torch.float32, record=record, shelf=shelf)


def test_layers_are_found_in_the_order_in_which_they_run_and_measured_as_autograd_has_them(
    database: Database, workshop: Workshop
) -> None:
    spec = spec_of()
    (run_id,) = submitted(database, spec)
    workshop.carry_out(run_id)
    run = row_of(database, run_id)
    assert run.state == "succeeded", run.error
    assert run.found is not None
    assert [(its.name, its.role) for its in run.found.layers] == [
        ("first", "hidden"),
        ("second", "hidden"),
        ("output", "output"),
    ]
    activations = [its.activation and its.activation.function for its in run.found.layers]
    assert activations == ["tanh", "relu", None]
    assert run.found.layers[1].normalization == "batch_norm"
    assert run.found.parameters == 2 * 8 + 8 + 8 * 8 + 8 + 2 * 8 + 8 * 2 + 2
    assert run.versions is not None
    assert run.versions["strange"] == "0.1"
    with database.begin() as session:
        stored = read_signals(session, run_id, SIGNALS, [1, 2, 3], 0, 0)
    by_name = dict(zip(SIGNALS, stored.values[..., 0], strict=True))
    for name, values in _by_autograd(workshop, spec).items():
        assert by_name[name] == pytest.approx(values, rel=1e-5), name


def _by_autograd(workshop: Workshop, spec: ExperimentSpec) -> dict[str, list[float]]:
    """The first step of the same weights, cases and mask, from the definitions."""
    trainer = trainer_of(workshop, spec)
    module: Any = trainer.model.module
    h: list[torch.Tensor] = []
    for layer in (module.first, module.norm, module.output):
        layer.register_forward_hook(lambda _module, _inputs, output: h.append(output))
    part = trainer.batches.of(0)
    loss = nn.functional.cross_entropy(trainer.model(part.x), part.y)
    deltas = torch.autograd.grad(loss, h, retain_graph=True)
    weights = torch.autograd.grad(loss, [module.first.weight, module.second.weight, module.output.weight])

    def rms(tensor: torch.Tensor) -> float:
        return float(tensor.detach().double().square().mean().sqrt())

    return {
        "activation_rms": [rms(its) for its in h],
        "activation_gradient_rms": [rms(its) for its in deltas],
        "weight_gradient_norm": [float(its.double().norm()) for its in weights],
    }


def test_a_run_is_repeatable_bit_for_bit_and_no_draw_of_others_moves_it(workshop: Workshop) -> None:
    plan, data, shelf = begun(workshop, spec_of())
    torch.rand(5)  # as whatever ran before in this process
    first = _result(plan, data, shelf)
    torch.rand(7)
    assert _result(plan, data, shelf) == first
    assert _result(plan, data, shelf, record=False) == first


def test_finding_the_layers_moves_no_running_moments(workshop: Workshop) -> None:
    trainer = trainer_of(workshop, spec_of())
    moments = dict(trainer.model.named_buffers())
    assert moments["module.norm.num_batches_tracked"] == 0
    assert not moments["module.norm.running_mean"].any()


def test_records_are_without_the_scale_of_the_loss(workshop: Workshop) -> None:
    half = {"kind": "mixed_precision", "dtype": "float16", "initial_scale": 1024.0}
    scaled, plain = (trainer_of(workshop, spec_of(remedies=remedies), record=True).step(0) for remedies in ([half], []))
    assert scaled is not None
    assert plain is not None
    assert scaled.loss_scale == 1024.0
    for name in ("activation_rms", "activation_gradient_rms", "weight_gradient_norm"):
        assert getattr(scaled, name) == pytest.approx(getattr(plain, name), rel=0.02), name
    assert scaled.gradient_norm == pytest.approx(plain.gradient_norm, rel=0.02)


def _result(plan: Plan, data: TrialData, shelf: Shelf, **options: Any) -> str:
    *_, result = train(plan, data, seed=3, shelf=shelf, **options)
    assert isinstance(result, RunResult)
    return result.weights_hash


def test_a_run_goes_on_from_a_checkpoint_bit_for_bit(workshop: Workshop) -> None:
    plan, data, shelf = begun(workshop, spec_of())
    seen = train(plan, data, seed=3, shelf=shelf, wanted=lambda step: step == 5)
    kept = next(packed(one.state, CPU) for one in seen if isinstance(one, Snapshot))
    state = unpacked(kept, CPU)
    assert _result(plan, data, shelf, state=state) == _result(plan, data, shelf)


def test_what_its_code_has_frozen_no_remedy_moves(workshop: Workshop) -> None:
    decay = {"kind": "weight_decay", "strength": 0.5}
    trainer = trainer_of(workshop, spec_of("half_frozen", remedies=[decay]))
    before = {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}
    trainer.step(0)
    unmoved = {name for name, its in trainer.model.named_parameters() if torch.equal(its, before[name])}
    assert unmoved == {"module.second.weight"}


BROKEN_NETWORKS = {
    "raises": r"^the network raises of strange 0\.1: LookupError: .*no such tower.* .building it; .*, in raises.$",
    "leaves": "SystemExit: good bye .building it; strange_plugins.py, line .*, in leaves",
    "raises_later": "ValueError: a pass too many .forward pass; strange_plugins.py, .*, in forward",
    "no_way_back": r"ArithmeticError: no way back \(training with the data set data_good of strange 0.1, the",
    "gives_two": r"its forward pass gave a tuple; it has to give a tensor \(12, 2\)",
    "too_wide": r"its forward pass gave a tensor \(12, 4\); it has to give \(12, 2\)",
    "no_module": "it gave a dict; it has to give an nn.Module",
    "learns_nothing": "its module has no parameter that learns",
    "one_layer": "it has no hidden layer with weights",
}
BROKEN_DATA = {
    "data_raises": "data set data_raises of strange 0.1: OSError: no such disk .making its cases; ",
    "data_not_finite": "1 of the 120 numbers of its features are NaN or infinite",
    "data_few": r"its features are float32 \(59, 2\), and it has declared floating-point numbers \(60, 2\)",
    "data_whole": r"its features are int64 \(60, 2\), and it has declared floating-point numbers",
    "data_third_label": "its labels lie between 0 and 2, and it has declared 2 classes from 0",
    "data_amounts": r"its targets are float64 \(60,\), and it has declared whole numbers \(60,\)",
    "data_alone": r"it gave a Tensor; it has to give \(features, targets\)",
}
BROKEN = [
    *((spec_of(network), said) for network, said in BROKEN_NETWORKS.items()),
    *((spec_of(dataset=dataset), said) for dataset, said in BROKEN_DATA.items()),
]


@pytest.mark.parametrize(("spec", "said"), BROKEN, ids=[*BROKEN_NETWORKS, *BROKEN_DATA])
def test_what_fails_in_a_plug_in_ends_the_run_by_name_and_the_worker_lives_on(
    database: Database, workshop: Workshop, spec: ExperimentSpec, said: str
) -> None:
    (run_id,) = submitted(database, spec)
    workshop.carry_out(run_id)
    run = row_of(database, run_id)
    assert run.state == "failed"
    assert run.error is not None
    assert run.error["title"] in {"Plug-in failed", "Run failed"}
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(run.error["detail"])


def test_after_a_failure_the_same_worker_trains_the_next_run(database: Database, workshop: Workshop) -> None:
    (broken,) = submitted(database, spec_of("raises_later"))
    (well,) = submitted(database, spec_of())
    workshop.carry_out(broken)
    workshop.carry_out(well)
    assert (row_of(database, broken).state, row_of(database, well).state) == ("failed", "succeeded")


def test_what_only_its_own_model_refuses_fails_the_run_at_the_parameter(database: Database, workshop: Workshop) -> None:
    (run_id,) = submitted(database, spec_of("choosy", of_network={"parameters": {"low": 5, "high": 4}}))
    workshop.carry_out(run_id)
    error = row_of(database, run_id).error
    assert error is not None
    assert error["detail"] == "the network choosy of strange 0.1: parameters: low has to be below high"


def test_a_worker_without_the_plug_in_leaves_the_run_to_one_that_has_it(
    database: Database, database_url: str, workshop: Workshop
) -> None:
    (run_id,) = submitted(database, spec_of())
    with database.begin() as session:
        session.execute(update(Run).where(Run.id == run_id).values(published_at=runs.seconds(0) + Run.created_at))
    without = opened(database_url)
    try:
        without.carry_out(run_id)
    finally:
        without.close()
    run = row_of(database, run_id)
    assert (run.state, run.attempt, run.error) == ("queued", 0, None)
    assert run.published_at is not None  # it comes again in a while, and not at once to the same worker
    workshop.carry_out(run_id)
    assert row_of(database, run_id).state == "succeeded"


def test_a_worker_that_leaves_such_runs_to_others_is_not_taken_for_deaf(database: Database) -> None:
    submitted(database, spec_of())
    with database.begin() as session:
        assert len(queueing.take_unpublished(session, window=16, republish_after_s=60.0)) == 1
        assert watching.published(session, ["auto", "cpu"]) == frozenset()


def test_a_recording_budget_is_kept_with_a_plug_in_too(database: Database, workshop: Workshop) -> None:
    (run_id,) = submitted(database, spec_of(trace={"budget": 0.0001}))
    workshop.carry_out(run_id)
    run = row_of(database, run_id)
    assert run.state == "succeeded", run.error
    assert run.trace_every is not None
    assert run.trace_every > 1


def test_an_untrained_network_is_measured_without_a_step(database: Database, workshop: Workshop) -> None:
    (run_id,) = submitted(database, spec_of(steps=0))
    workshop.carry_out(run_id)
    run = row_of(database, run_id)
    assert run.summary is not None
    assert run.summary.verdict.trained is None
    with database.begin() as session:
        stored = read_signals(session, run_id, SIGNALS, [1, 2, 3], 0, 0)
    assert np.isnan(stored.values[SIGNALS.index("update_ratio")]).all()
    assert (stored.values[SIGNALS.index("activation_gradient_rms")] > 0).all()


def test_another_version_is_another_plug_in(database: Database, workshop: Workshop) -> None:
    (run_id,) = submitted(database, spec_of(of_network={"version": "0.2"}))
    workshop.carry_out(run_id)
    assert row_of(database, run_id).state == "queued"


def test_a_worker_publishes_what_it_has_while_it_is_idle(database: Database, workshop: Workshop) -> None:
    def published() -> set[str]:
        with database.begin() as session:
            return {its.offered.key.name for its in plugins.listed(session, "dataset") if its.present}

    assert workshop.shelf.plugins
    assert eventually(lambda: "data_good" in published())


REMEDIES: list[dict[str, Any]] = [
    {"kind": "l2", "strength": 0.1},
    {"kind": "weight_decay", "strength": 0.1},
    {"kind": "orthogonal_penalty", "strength": 0.1},
    {"kind": "clip_norm", "max_norm": 0.01},
    {"kind": "clip_value", "max_value": 0.001},
    {"kind": "agc", "clipping": 0.001},
    {"kind": "ema_clip", "warm_up": 2, "z": 0.01},
    {"kind": "gradient_centralization"},
    {"kind": "warm_up", "steps": 5},
    {"kind": "mixed_precision"},
    {"kind": "learning_rate", "value": 0.1},
    {"kind": "optimizer", "optimizer": {"kind": "muon"}},
    {"kind": "schedule", "schedule": {"kind": "cosine"}},
    {"kind": "momentum", "value": 0.9},
    {"kind": "class_weights"},
    {"kind": "label_smoothing"},
    {"kind": "standardise", "how": "feature"},
]


def test_every_remedy_for_plug_ins_is_tried() -> None:
    of_values = {"standardise_targets"}  # acts on the data alone, and on no labels
    assert {remedy["kind"] for remedy in REMEDIES} | of_values == set(FOR_PLUGINS)


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda remedy: remedy["kind"])
def test_no_remedy_that_is_allowed_does_nothing(workshop: Workshop, remedy: dict[str, Any]) -> None:
    def result(**changes: Any) -> str:
        sgd = {"kind": "sgd", "learning_rate": 0.05}
        return _result(*begun(workshop, spec_of(optimizer=sgd, of_dataset={"standardise": "none"}, **changes)))

    assert result(remedies=[remedy]) != result()


def test_variants_are_compared_with_the_layers_that_were_found(database: Database, workshop: Workshop) -> None:
    spec = spec_of(remedies=[{"kind": "learning_rate", "value": 0.1}], seeds=[0, 1], steps=20)
    for run_id in submitted(database, spec):
        workshop.carry_out(run_id)
    with database.begin() as session:
        experiment_id = session.execute(select(Run.experiment_id)).scalars().first()
        assert experiment_id is not None
        comparison = comparing.compute(session, experiment_id)
        curves = read_curves(session, session.execute(select(Run.id)).scalars().first() or uuid.uuid4(), CURVES, 0, 20)
    assert np.isfinite(curves.values).all()
    assert [variant.name for variant in comparison.variants] == ["baseline", "learning_rate"]
    for variant in comparison.variants:
        assert [layer.layer for layer in variant.gradient.profile] == ["first", "second"]
        assert variant.gradient.predicted.total_gain is None  # behind a norm
        assert ["plug-in" in caveat for caveat in variant.gradient.predicted.caveats] == [True]
        assert variant.cost.parameters == 130
    rate = comparison.variants[1]
    assert rate.remedies == ({"kind": "learning_rate", "value": 0.1},)
    assert rate.versus_baseline is not None
    assert rate.versus_baseline.unchanged is not None
    assert rate.versus_baseline.unchanged.count == 0


def test_a_rate_that_breaks_it_is_named_and_answered_without_a_price(database: Database, workshop: Workshop) -> None:
    (run_id,) = submitted(database, spec_of(optimizer={"kind": "sgd", "learning_rate": 1000.0}, steps=40))
    workshop.carry_out(run_id)
    run = row_of(database, run_id)
    assert run.summary is not None
    verdict = run.summary.verdict
    assert "learning_rate" in verdict.causes
    assert {its.remedy for its in verdict.answers} <= set(FOR_PLUGINS)
    lower = next(its for its in verdict.answers if its.remedy == "learning_rate")
    assert lower.spec is not None
    assert (lower.direction, lower.spec["value"]) == ("lower", 100.0)
    assert lower.estimated_device_seconds is None
