"""Packages of plug-ins for tests: the example as pip installs it, and small ones that misbehave."""

import shutil
import sys
from pathlib import Path

from tests.processes import ROOT, run

EXAMPLE = ROOT / "examples" / "plugin"
STRANGE = Path(__file__).parent / "strange_plugins.py"


def installed(folder: Path) -> Path:
    """The example, installed into a folder to be put on the path. It is built from a copy, as pip leaves files."""
    source, target = folder / "source", folder / "installed"
    shutil.copytree(EXAMPLE, source)
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet")
    run(sys.executable, "-m", "pip", "install", *offline, "--target", target, source)
    return target


def strange(folder: Path, version: str = "0.1") -> Path:
    """A package of all that goes wrong: each function of ``strange_plugins.py`` is an entry point, by its name."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(STRANGE, folder / "strange_plugins.py")
    names = [line.split("(")[0].removeprefix("def ") for line in STRANGE.read_text().splitlines() if line[:4] == "def "]
    told = folder / f"strange-{version}.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: strange\nVersion: {version}\n")
    lines: dict[str, list[str]] = {"networks": [], "datasets": []}
    for name in names:
        lines["datasets" if name.startswith("data_") else "networks"].append(f"{name} = strange_plugins:{name}")
    groups = (f"[gradient_clinic.{group}]\n" + "\n".join(entries) for group, entries in lines.items())
    (told / "entry_points.txt").write_text("\n".join(groups) + "\nabsent = nowhere:nothing\n")
    return folder
