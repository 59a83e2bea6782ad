"""What importing a room loads, in a fresh interpreter: import contracts see names, this sees what really happens."""

import sys

from tests.processes import ROOT, run

FORBIDDEN = {"torch", "torchvision", "celery", "kombu", "redis", "valkey", "sklearn", "worker", "local"}
WEB = {"fastapi", "starlette", "uvicorn", "api"}


def modules_of(room: str) -> list[str]:
    # What lies in a folder without __init__.py is no module: text that is handed out.
    files = [file for file in sorted((ROOT / room).rglob("*.py")) if (file.parent / "__init__.py").exists()]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return [name.removesuffix(".__init__") for name in names]


def loaded_by(modules: list[str]) -> set[str]:
    """All that is there once ``modules`` have been imported."""
    code = f"import sys; [__import__(name) for name in {modules!r}]; print(*sys.modules)"
    return set(run(sys.executable, "-c", code).stdout.split())


def packages_of(modules: set[str]) -> set[str]:
    return {name.split(".")[0] for name in modules}


def test_rows_load_the_shape_of_a_verdict_and_no_rule() -> None:
    loaded = loaded_by(["models.storage.tables"])
    assert "gradient_clinic.verdict.shapes" in loaded
    assert not {name for name in loaded if name.startswith("models.analysis")}
    assert {name for name in loaded if name.startswith("gradient_clinic.verdict.")} == {
        "gradient_clinic.verdict.shapes"
    }


MEASURES = (
    "gradient_clinic.describing",
    "gradient_clinic.probe",
    "gradient_clinic.watcher",
    "gradient_clinic.command.checking",
)
FORMS = tuple(f"gradient_clinic.command.{name}" for name in ("log_events", "to_mlflow", "to_tensorboard"))
"""What they read and write with is not installed here."""


def test_the_instrument_loads_torch_where_it_measures_alone_and_nothing_of_a_service() -> None:
    modules = [name for name in modules_of("gradient_clinic") if not name.startswith((*MEASURES, *FORMS))]
    loaded = packages_of(loaded_by(modules))
    assert loaded >= {"gradient_clinic", "numpy", "scipy"}
    assert not loaded & (FORBIDDEN | WEB | {"models", "pydantic", "sqlalchemy"})


def test_the_api_loads_neither_torch_nor_a_queue_nor_the_worker() -> None:
    loaded = packages_of(loaded_by(modules_of("api")))
    assert loaded >= {"api", "models", "fastapi"}
    assert not loaded & FORBIDDEN


def test_models_load_neither_torch_nor_a_queue_nor_the_web() -> None:
    loaded = packages_of(loaded_by(modules_of("models")))
    assert loaded >= {"models", "sqlalchemy"}
    assert not loaded & (FORBIDDEN | WEB)
