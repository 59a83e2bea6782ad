"""``make processors``: tests that train and ``make verdicts`` come out alike on other processors.

A line per disagreement with the processor's own setting; exit 1 where one is not told by its verdict's ``near``.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from proofs.outcomes.cases import CASES
from proofs.outcomes.processors.comparing import Compared, compare
from proofs.outcomes.processors.settings import NATIVE, SETTINGS, Setting, lacking, ran
from proofs.outcomes.processors.trained import Trained
from proofs.outcomes.trials import TRIALS

DRAWN = 12
"""Of the cases and trials in one run, so that all settings take half an hour on two cores; each seed draws others."""
KNOWN = (*(case.name for case in CASES), *TRIALS)


def main() -> int:
    asked = _asked()
    began = time.monotonic()
    names = asked.names or random.Random(asked.seed).sample(KNOWN, DRAWN)  # noqa: S311 -- a choice, and no secret
    settings = list(_had(SETTINGS[name] for name in asked.settings))
    print(f"seed={asked.seed}: {' '.join(names)}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        # Every setting is held against the same training of the processor's own.
        native = _trained(Setting(NATIVE), names, asked, Path(folder))
        compared = []
        for setting in settings:
            trained = _trained(setting, names, asked, Path(folder))
            results = [compare(native[name], trained[name]) for name in names]
            _show(setting, results)
            compared += results
            # Tests train in the ways that they are of.
            failed += 0 if asked.without_tests or setting.way is not None else _tests(setting, asked)
    differences = [difference for result in compared for difference in result.differences]
    differing = sum(not difference.near for difference in differences)
    print(
        f"processors: settings={len(settings)} verdicts={sum(result.verdicts for result in compared)} "
        f"differing={differing} near={len(differences) - differing} failed={failed} "
        f"seconds={time.monotonic() - began:.0f}"
    )
    return 1 if differing or failed else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proofs.outcomes.processors", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"cases or remedies, or `all`; by default {DRAWN}, drawn by the seed")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--seed", type=int, default=7, help="draws the cases, and by how much each weight is moved")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--without-tests", action="store_true", help="cases and trials alone")
    asked = parser.parse_args()
    if asked.names == ["all"]:
        asked.names = list(KNOWN)
    if unknown := [name for name in asked.names if name not in KNOWN]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(KNOWN)}")
    return asked


def _had(settings: Iterable[Setting]) -> Iterable[Setting]:
    for setting in settings:
        if missing := lacking(setting):
            print(f"{setting.name}: skipped, this processor has no {', '.join(missing)}")
        else:
            yield setting


def _trained(setting: Setting, names: Sequence[str], asked: argparse.Namespace, folder: Path) -> Mapping[str, Trained]:
    print(f"{setting.name}: training {len(names)} cases", flush=True)
    file = folder / f"{setting.name}.jsonl"
    perturbed = ["--perturbed", str(asked.seed)] if setting.perturbed else []
    arguments = [
        "-m",
        "proofs.outcomes.processors.trained",
        str(file),
        *names,
        "--processes",
        str(asked.processes),
        *perturbed,
        *([] if setting.way is None else ["--way", setting.way]),
    ]
    done = ran(setting.command(*arguments))
    if done.returncode:
        sys.exit(f"{setting.name}: training failed\n{done.stderr}")
    return {trained.name: trained for trained in map(Trained.model_validate_json, file.read_text().splitlines())}


def _tests(setting: Setting, asked: argparse.Namespace) -> int:
    """How many tests that train fail under a setting."""
    print(f"{setting.name}: running the tests that train", flush=True)
    perturbed = [f"--perturbed={asked.seed}"] if setting.perturbed else []
    arguments = ["-m", "pytest", "-q", "-m", "trains and not end_to_end", "-n", str(asked.processes), *perturbed]
    done = ran(setting.command(*arguments))
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    print(f"{setting.name}: {done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr}", flush=True)
    for line in failed:
        print(f"  {line}")
    # A run that broke before its first test has no line of a failure.
    return len(failed) or (1 if done.returncode else 0)


def _show(setting: Setting, results: Sequence[Compared]) -> None:
    for difference in (difference for result in results for difference in result.differences):
        said = "near    " if difference.near else "DIFFERS "
        print(f"{said} {setting.name:8} {difference.where}: {difference.native} → {difference.other}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
