"""Packages of 2026 that read a training, on the same training as ours: torchmortem, gradsnitch and torch-audit.

They are installed into a folder of their own (``make bench-science``), which is laid behind all others while one of
them runs. Each is used as its page says, with its defaults, and blames a run where it reports a warning or more; the
first two also where only what they call critical, or an error, counts. torch-audit's rules on hardware (TA2…) are left
out: they are of speed. All watch one training, which none of them changes: it ends as the one that ours read.
"""

import contextlib
import io
import json
import math
import sys
import warnings
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import torch

from models.plan import Plan
from proofs.science.running import FOLDER, Touch, finished, key_of, loaded
from worker.trainer import Trainer

HOME: Final = Path(".clinic-diagnosers")
NAMES: Final = ("torchmortem", "torchmortem, critical", "gradsnitch", "gradsnitch, errors", "torch-audit")
EVERY: Final = 50
"""Steps between two looks of torch-audit: its default is 1,000, and there are 250."""


def there() -> bool:
    """Whether they are installed."""
    return HOME.is_dir()


def blamed(plan: Plan, seed: int, touch: Touch, folder: Path = FOLDER) -> Mapping[str, bool]:
    """By package, whether it blames this run; trained now, or read from ``folder``."""
    file = folder / f"{key_of(plan, seed, touch.name)}.diagnosed.json"
    if not file.is_file():
        folder.mkdir(exist_ok=True)
        draft = file.with_suffix(".part")
        draft.write_text(json.dumps(_blamed(plan, seed, touch)))
        draft.replace(file)
    kept: Mapping[str, bool] = json.loads(file.read_text())
    return kept


def _blamed(plan: Plan, seed: int, touch: Touch) -> dict[str, bool]:
    torch.set_num_threads(1)
    data = touch.data(loaded(plan.dataset, seed))
    trainer = Trainer(plan, data, seed=seed, device=torch.device("cpu"), dtype=torch.float32, record=True)
    touch.trainer(trainer)
    with _beside_the_others():
        mortem = import_module("torchmortem").Autopsy(trainer.model, optimizer=trainer.optimizer)
        snitch = import_module("gradsnitch").watch(trainer.model, trainer.optimizer)
        audit = import_module("torch_audit").autopatch(
            trainer.model, optimizer=trainer.optimizer, every_n_steps=EVERY, suppress_internal_errors=True
        )
        mortem.attach()
        seen = _Losses(trainer)

        def after(step: int) -> None:
            mortem.step(loss=seen.loss)
            snitch.log(step, seen.loss)

        finished(trainer, after=after)
        mortem.detach()
        audit.unpatch()
        found = {its.severity.name for its in mortem.get_report().findings}
        linted = {its.severity for its in import_module("gradsnitch").lint(snitch.df())}
        audited = [its for its in audit.finish().findings if its.severity.name != "INFO"]
    said = (found - {"INFO"}, found & {"CRITICAL"}, linted, linted & {"error"}, [*map(_of_training, audited)])
    return {name: any(its) for name, its in zip(NAMES, said, strict=True)}


def _of_training(finding: Any) -> bool:
    return not finding.rule_id.startswith("TA2")


class _Losses:
    """The loss of the step that was made last, as a loop of one's own would have it."""

    def __init__(self, trainer: Trainer) -> None:
        self.loss = math.nan
        compute = trainer.objective.loss

        def kept(outputs: Any, y: Any) -> torch.Tensor:
            loss = compute(outputs, y)
            self.loss = float(loss)
            return loss

        trainer.objective.loss = kept  # type: ignore[method-assign]  # seen, and not changed


@contextlib.contextmanager
def _beside_the_others() -> Iterator[None]:
    """With their folder behind all others, and nothing of what they print and warn of."""
    sys.path.append(str(HOME))
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.path.remove(str(HOME))
