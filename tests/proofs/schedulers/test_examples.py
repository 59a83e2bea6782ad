"""What `make schedulers` runs; the schedulers themselves run there alone."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from models.specs.experiment import ExperimentRequest
from proofs.schedulers import airflow, prefect
from proofs.schedulers.__main__ import SCHEDULERS

ROOT = Path(__file__).parents[3]
FILES = {"airflow": ROOT / "examples/airflow/gradient_clinic_dag.py", "prefect": ROOT / "examples/prefect/flow.py"}


def spec(file: Path) -> Any:
    """As the example has it; what it imports is not here."""
    values = [
        node.value
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SPEC"
    ]
    return ast.literal_eval(values[0])


@pytest.mark.parametrize("name", SCHEDULERS)
def test_an_example_sends_a_spec_that_is_taken(name: str) -> None:
    ExperimentRequest.model_validate_json(json.dumps(spec(FILES[name])))


@pytest.mark.parametrize("module", [airflow, prefect])
def test_the_proof_looks_for_what_the_example_submits(module: Any) -> None:
    assert spec(FILES[module.__name__.rpartition(".")[2]])["name"] == module.EXPERIMENT


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_guide_names_the_example(name: str) -> None:
    assert FILES[name].relative_to(ROOT).as_posix() in (ROOT / "docs" / "command.md").read_text()
