"""The wheel alone, beside what it asks for: one package, whose README runs without the repository and numba."""

import re
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.processes import ROOT, run

EXAMPLES = re.findall(r"```python\n(.+?)```", (ROOT / "gradient_clinic" / "README.md").read_text(), re.DOTALL)
REQUIRED = ("torch", "numpy", "scipy")
OF_TORCH = (
    "filelock",
    "fsspec",
    "jinja2",
    "markupsafe",
    "mpmath",
    "networkx",
    "setuptools",
    "sympy",
    "typing-extensions",
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel, as ``make`` builds it, and links to what it requires: no numba."""
    folder = tmp_path_factory.mktemp("wheel")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    home = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
    for name in (*REQUIRED, *OF_TORCH):
        its = distribution(name)
        for top in {file.parts[0] for file in its.files or ()} - {"..", "__pycache__"}:
            (home / top).symlink_to(str(its.locate_file(top)))
    programs = Path(sys.executable).parent
    run("/usr/bin/make", "--silent", "wheel", "READY=", f"BIN={programs}", f"DIST={folder}", folder=ROOT)
    (wheel,) = folder.glob("*.whl")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "-qq", "--no-index", wheel)  # with what it depends on, which has to be there
    return python


def test_one_package_is_installed(installed: Path) -> None:
    code = "from importlib.metadata import files; print(*{file.parts[0] for file in files('gradient-clinic')})"
    tops = set(run(installed, "-I", "-c", code).stdout.split())
    assert {top for top in tops if not top.endswith(".dist-info")} == {"gradient_clinic", ".."}  # and its command
    assert "0 nothing (new) was found" in run(installed.with_name("gradient-clinic"), "check", "--help").stdout
    style = "from gradient_clinic.maps.sheet import STYLE; print(STYLE[:5])"
    assert run(installed, "-I", "-c", style).stdout == ":root\n"


def test_it_has_the_version_of_the_project_and_asks_for_little(installed: Path) -> None:
    code = "from importlib.metadata import metadata; print(metadata('gradient-clinic'))"
    written = run(installed, "-I", "-c", code).stdout
    (version,) = re.findall(r"(?m)^Version: (.+)$", written)
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()
    assert re.findall(r"(?m)^Requires-Dist: (.+)$", written) == [
        "torch>=2.4",
        "numpy",
        "scipy",
        'numba; extra == "fast"',
        'httpx; extra == "service"',
        'rich; extra == "service"',
        *(f'{name}; extra == "tensorboard"' for name in ("httpx", "rich", "pyarrow", "tensorboard")),
        *(f'{name}; extra == "mlflow"' for name in ("httpx", "rich", "pyarrow", "mlflow-skinny")),
    ]


SAID = (
    "vanishing: Gradients vanish on their way to the input.",
    "- 0.weight, 0.bias are in no optimiser",
    '{"kind": "linear", "units": 32, "name": "1"}',
)


@pytest.mark.long  # torch is loaded for each
@pytest.mark.parametrize(("example", "said"), list(zip(EXAMPLES, SAID, strict=True)))
def test_an_example_of_the_readme_runs_without_the_repository(
    example: str, said: str, installed: Path, tmp_path: Path
) -> None:
    by_torch_alone = "from gradient_clinic.probe.meters import METERS\nassert not METERS"
    assert said in run(installed, "-I", "-c", f"{example}\n{by_torch_alone}", folder=tmp_path).stdout
