"""Remedies that change nothing: where the plan shows it, and where only the traces do. Real trainings, a few steps."""

from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from gradient_clinic.verdict.shapes import RunSummary
from models import runs
from models.analysis.comparison.compare import Comparison, VariantComparison
from models.plan import expand
from models.plan.idle import without_effect
from models.runs import comparing
from models.runs.judging import judge_again
from models.settings import Settings
from models.specs.experiment import ExperimentSpec
from models.specs.remedy import REMEDIES
from models.storage.database import Database
from models.storage.tables import Run
from proofs.outcomes.running import by_variant, run_all
from tests.as_json import as_json, from_json
from tests.networks import TREATABLE
from tests.worker.trials import TEACHER, run_of
from worker.attempt import Workshop

Json = dict[str, Any]
MLP, TRANSFORMER = TREATABLE["mlp"], TREATABLE["transformer"]
LSTM: Json = {"kind": "rnn", "cell": "lstm", "width": 6}
SO_ALREADY, NEVER_TRAINED = "the network is so already", "it acts in training, and there is none"
KERNELS: Json = {"kind": "cnn", "channels": [4], "layers_per_stage": 2}
XAVIER = {"kind": "xavier_normal"}
COSINE = {"kind": "sgd", "learning_rate": 0.1, "schedule": {"kind": "cosine"}}
IRNN = {"recurrent_init": {"kind": "identity"}, "input_init": {"kind": "normal", "std": 0.001}}


def so(network: Json, **remedy: Any) -> tuple[Json, Json, str]:
    return {"network": network}, remedy, SO_ALREADY


def untrained(**remedy: Any) -> tuple[Json, Json, str]:
    return {"steps": 0}, remedy, NEVER_TRAINED


PLAIN: list[tuple[str, tuple[Json, Json, str]]] = [
    ("orthogonal_init", so({**MLP, "init": {"kind": "orthogonal", "gain": 1.5}}, gain=1.5)),
    ("init", so({**MLP, "init": XAVIER}, init=XAVIER)),
    ("init", so({"kind": "mlp", "hidden": [8]}, init={"kind": "torch_default"})),
    *((kind, so({**MLP, "normalization": {"kind": kind}})) for kind in ("batch_norm", "layer_norm", "rms_norm")),
    ("group_norm", so({**MLP, "normalization": {"kind": "group_norm", "groups": 4}}, groups=4)),
    *((kind, so({**MLP, "weight_rule": kind})) for kind in ("weight_norm", "spectral_norm")),
    ("activation", so({**MLP, "activation": "leaky_relu"}, function="leaky_relu", negative_slope=0.01)),
    ("selu", so({**MLP, "activation": "selu", "init": {"kind": "lecun_normal"}})),
    *(
        (kind, so({**MLP, "skip": {"kind": kind}}))
        for kind in ("residual", "scaled", "rezero", "skip_init", "layer_scale", "highway")
    ),
    ("residual", so({"kind": "mlp", "hidden": [8]})),
    ("pre_norm", so({**TRANSFORMER, "norm_position": "pre"})),
    ("pre_norm", so({**TRANSFORMER, "normalization": None})),
    ("dropout", so({**MLP, "dropout": 0.25}, p=0.25)),
    ("dropout", so({"kind": "rnn", "width": 6})),
    ("lstm", so({**LSTM, "forget_bias": 1.0})),
    ("gru", so({**LSTM, "cell": "gru"})),
    ("irnn", so({**LSTM, "cell": "relu", **IRNN})),
    ("forget_bias", so(LSTM, value=0.0)),
    ("truncated_bptt", so(LSTM, steps=8)),
    ("standardise", ({"dataset": {"kind": "digits", "standardise": "scalar"}}, {"how": "scalar"}, "the data are so")),
    ("standardise", ({"dataset": {"kind": "names"}, "network": LSTM}, {}, "tokens are not scaled")),
    ("standardise_targets", ({"dataset": {**TEACHER, "standardise_targets": True}}, {}, "the targets are so already")),
    ("learning_rate", ({}, {"value": 0.1}, "the optimiser is so already")),
    ("optimizer", ({}, {"optimizer": {"kind": "sgd", "learning_rate": 0.1}}, "the optimiser is so already")),
    ("schedule", ({"optimizer": COSINE}, {}, "the optimiser is so already")),
    ("class_weights", ({"class_weights": "balanced"}, {}, "the loss is so already")),
    ("label_smoothing", ({"label_smoothing": 0.1}, {}, "the loss is so already")),
    ("momentum", ({"optimizer": {"kind": "sgd", "momentum": 0.9}}, {}, "the optimiser is so already")),
    *((kind, ({}, {"strength": 0.0}, "its strength is 0")) for kind in ("l2", "weight_decay", "orthogonal_penalty")),
    ("ema_clip", ({}, {"warm_up": 3}, "it only measures in its first 3 steps, and there are 3")),
    ("warm_up", ({}, {"steps": 1}, "its factor is 1 from the first step on")),
    ("warm_up", ({}, {"start_factor": 1.0}, "its factor is 1 from the first step on")),
    *((kind, untrained()) for kind in ("clip_norm", "clip_value", "agc", "gradient_centralization", "l2", "momentum")),
    ("learning_rate", untrained(value=0.5)),
    ("learning_rate", ({"network": KERNELS, "optimizer": {"kind": "muon"}}, {"value": 0.1}, "no hidden matrix")),
]  # fmt: skip
ACTS = {"mixed_precision"}
"""Whatever it is put into."""


def body(**changes: Any) -> Json:
    usual: Json = {
        "dataset": {"kind": "digits"},
        "network": MLP,
        "optimizer": {"kind": "sgd", "learning_rate": 0.1},
        "batch_size": 8,
        "steps": 3,
        "seeds": [0],
    }
    return {**usual, **changes}


def spec_of(asked: Json) -> ExperimentSpec:
    return ExperimentSpec.model_validate({"name": "without effect", **asked})


def test_there_is_a_case_for_every_remedy() -> None:
    assert {kind for kind, _ in PLAIN} | ACTS == REMEDIES.keys()


@pytest.mark.parametrize(("kind", "case"), PLAIN, ids=[f"{kind} {case[0]}"[:60] for kind, case in PLAIN])
def test_what_the_plan_says_changes_nothing_trains_bit_for_bit_as_the_baseline(
    kind: str, case: tuple[Json, Json, str]
) -> None:
    changes, remedy, why = case
    asked = body(remedies=[{"kind": kind, **remedy}], **changes)
    baseline, variant = expand(spec_of(asked))
    said = without_effect(variant.plan, baseline.plan)
    assert said is not None
    assert why in said
    digests = [ran[0].summary.trace_digest for ran in by_variant(run_all(asked)).values()]
    assert digests[0] == digests[1] is not None


@pytest.mark.parametrize("kind", ["standardise", "learning_rate", "warm_up", "ema_clip", "l2", "mixed_precision"])
def test_what_acts_is_not_said_to_change_nothing(kind: str) -> None:
    remedy: Json = {"kind": kind, **({"value": 0.2} if kind == "learning_rate" else {})}
    remedy |= {"warm_up": 2, "z": 0.01} if kind == "ema_clip" else {}
    asked = body(remedies=[remedy], dataset={"kind": "digits", "standardise": "none"}, steps=6)
    baseline, variant = expand(spec_of(asked))
    assert without_effect(variant.plan, baseline.plan) is None
    digests = [ran[0].summary.trace_digest for ran in by_variant(run_all(asked)).values()]
    assert digests[0] != digests[1]


# --- through the service --------------------------------------------------------------------------------------------


def compared(database: Database, **changes: Any) -> Comparison:
    """Trained by a worker, and compared as the API would."""
    spec = spec_of(body(seeds=[0, 1, 2, 3, 4], **changes))
    with database.begin() as session:
        experiment_id = runs.submit(session, spec, expand(spec), owner="local")
        ids = list(session.execute(select(Run.id).where(Run.experiment_id == experiment_id)).scalars())
    settings = Settings(database_url=SecretStr(database.url), lease_s=60.0)
    workshop = Workshop.open(settings, gpu=False)
    try:
        for run_id in ids:
            workshop.carry_out(run_id)
    finally:
        workshop.close()
    with database.begin() as session:
        return comparing.compute(session, experiment_id)


def part_of(comparison: Comparison, name: str) -> VariantComparison:
    return next(part for part in comparison.variants if part.name == name)


LOOSE = {"kind": "clip_norm", "max_norm": 1e6}
TIGHT = {"kind": "clip_norm", "max_norm": 0.01}
SIGMOID = {"kind": "mlp", "depth": 12, "width": 16, "activation": "sigmoid", "init": XAVIER}


def degree_of(part: VariantComparison) -> str:
    assert part.versus_baseline is not None
    assert part.versus_baseline.grade is not None
    return part.versus_baseline.grade.degree


def test_a_clip_that_never_clips_is_told_as_one_that_changed_nothing(database: Database) -> None:
    variants = [{"name": "loose", "remedies": [LOOSE]}, {"name": "tight", "remedies": [TIGHT]}]
    found = compared(database, network=SIGMOID, variants=variants)
    loose, tight = part_of(found, "loose"), part_of(found, "tight")
    assert loose.sentence == (
        "loose: its traces equal the baseline's bit for bit in all 5 seeds: it changed nothing here."
    )
    assert degree_of(loose) == "changes_nothing"
    assert degree_of(tight) != "changes_nothing"
    assert "bit for bit" not in tight.sentence
    nothing = "Changed nothing here, traces equal to the baseline's bit for bit in every seed: loose."
    assert nothing in found.answer
    rest = found.answer.replace(nothing, "")
    assert "loose" not in rest
    assert "tight" in rest


def test_an_answer_that_was_tried_and_changed_nothing_is_not_worth_trying(database: Database) -> None:
    """A rate that breaks training, to which clipping is an answer; this one is far above every norm."""
    broken: Json = {
        "network": {"kind": "mlp", "hidden": [16] * 3, "init": {"kind": "kaiming_normal"}},
        "optimizer": {"kind": "sgd", "learning_rate": 1.0},
        "steps": 20,
    }
    plain = compared(database, **broken)
    assert "clip_norm" in plain.answer.split(" next. ")[0]
    tried = compared(database, **broken, remedies=[LOOSE])
    assert "equal to the baseline's bit for bit in every seed: clip_norm." in tried.answer
    assert "clip_norm" not in tried.answer.split(" next. ")[0]
    assert "clip_norm" not in tried.variants[0].sentence.split("Worth trying: ")[1]


def test_what_changed_something_in_some_seeds_is_told_as_such(database: Database) -> None:
    """A bound between the largest norms of single seeds."""
    asked = body(seeds=[0, 1, 2, 3, 4])
    largest = sorted(_largest_norms(asked))
    between = {"kind": "clip_norm", "max_norm": (largest[1] + largest[2]) / 2}
    part = part_of(compared(database, remedies=[between]), "clip_norm")
    assert "In 2 of 5 seeds its traces equal the baseline's bit for bit." in part.sentence


def _largest_norms(asked: Json) -> list[float]:
    """Of the gradients of all steps, seed by seed."""
    (baseline,) = expand(spec_of(asked))
    plan, seeds = baseline.plan, baseline.plan.experiment.seed_list()
    return [max(record.gradient_norm for record in run_of(plan, seed=seed)[0]) for seed in seeds]


def test_runs_of_earlier_versions_say_nothing_until_they_are_judged_again(database: Database) -> None:
    compared(database, remedies=[LOOSE])
    with database.begin() as session:
        for run in session.execute(select(Run)).scalars():
            assert run.summary is not None
            old = as_json(run.summary)
            del old["trace_digest"]
            run.summary = from_json(RunSummary, old)
        experiment_id = session.execute(select(Run.experiment_id).limit(1)).scalar_one()
    with database.begin() as session:
        part = part_of(comparing.compute(session, experiment_id), "clip_norm")
        assert part.versus_baseline is not None
        assert part.versus_baseline.unchanged is None
        assert "bit for bit" not in part.sentence
        judge_again(session, experiment_id)
        assert (
            "in all 5 seeds: it changed nothing here"
            in part_of(comparing.compute(session, experiment_id), "clip_norm").sentence
        )
