"""Kinds are complete: what one table names, the others know; no remedy is without text, effect and trials."""

import importlib
import pkgutil

import pytest

from gradient_clinic.activations import SHAPES
from gradient_clinic.verdict import facts
from gradient_clinic.verdict.facts.fact import Fact
from gradient_clinic.verdict.facts.registry import BESIDE, FACTS, OF_CAUSES, OF_LOGS, RESTS_ON
from models.code import steps
from models.code.acting import ACTING
from models.code.loading import SOURCES
from models.plan import REWRITES
from models.plan.planners import PLANNERS
from models.plan.rewrites import at_run_time
from models.specs.base import EVERY_NETWORK, About, Spec
from models.specs.dataset import DATASETS
from models.specs.init import INITS
from models.specs.networks import NETWORKS
from models.specs.optimizer import OPTIMIZERS
from models.specs.remedy import REMEDIES
from proofs.outcomes.trials import REMEDY_TRIALS, TRIALS
from worker.datasets import LOADERS
from worker.networks.parts import ACTIVATIONS
from worker.remedies import RUN_TIME

TABLES: list[dict[str, type[Spec]]] = [REMEDIES, INITS, OPTIMIZERS, NETWORKS, dict(DATASETS)]
KINDS = [pytest.param(kind, spec, id=kind) for table in TABLES for kind, spec in table.items()]


def test_every_remedy_has_one_effect() -> None:
    assert REWRITES.keys() == REMEDIES.keys()
    assert {kind for kind, effect in REWRITES.items() if effect is at_run_time} == RUN_TIME.keys()


def test_every_remedy_has_a_trial_where_it_helps_and_one_where_it_fails() -> None:
    assert REMEDY_TRIALS.keys() == REMEDIES.keys()
    for kind, trials in REMEDY_TRIALS.items():
        assert [trial.expect for trial in trials] == ["helps", "fails"], kind
        for trial in trials:
            tried = trial.spec["remedies"] if "remedies" in trial.spec else trial.spec["variants"][-1]["remedies"]
            assert tried[0]["kind"] == kind


def test_what_init_and_activation_can_set_is_tried_by_name() -> None:
    tried = {
        trial.spec["remedies"][0]["init"]["kind"]
        for name in TRIALS
        if name.startswith("init")
        for trial in TRIALS[name]
    }
    assert {
        "lecun_normal",
        "identity",
        "delta_orthogonal",
        "lsuv",
        "fixup",
        "gpt2",
        "kaiming_normal",
        "uniform",
    } <= tried


def test_networks_data_and_activations_are_known_on_both_sides() -> None:
    assert set(EVERY_NETWORK) == NETWORKS.keys() == PLANNERS.keys()
    assert LOADERS.keys() == DATASETS.keys()
    assert ACTIVATIONS.keys() == SHAPES.keys()


def test_a_variant_as_code_knows_every_kind() -> None:
    """That each says it rightly is for tests/worker/test_code.py."""
    assert ACTING.keys() == RUN_TIME.keys()
    assert SOURCES.keys() == DATASETS.keys()
    assert steps.ACTIVATIONS.keys() == SHAPES.keys()


def test_every_fact_is_told_in_one_place_and_has_a_name_of_its_own() -> None:
    names = [module.name for module in pkgutil.iter_modules(facts.__path__, f"{facts.__name__}.")]
    made = [its for name in names for its in vars(importlib.import_module(name)).values()]
    listed = (*RESTS_ON, *OF_CAUSES, *BESIDE, *OF_LOGS)
    assert {fact for fact in made if isinstance(fact, Fact)} == set(listed)
    # G at the start and at the end are one statistic at two times.
    assert len(FACTS) == len(listed) - 1 == len(set(listed)) - 1


@pytest.mark.parametrize(("kind", "spec"), KINDS)
def test_the_catalogue_says_what_it_is_and_when_it_fails(kind: str, spec: type[Spec]) -> None:
    text = spec.about
    assert isinstance(text, About)
    assert text.title
    assert text.formula
    assert text.fails_when
    assert set(text.applies_to) <= set(EVERY_NETWORK)
    assert spec.model_json_schema()["properties"]["kind"]["const"] == kind
