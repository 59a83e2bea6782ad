"""A trial where it helps and one where it fails, for every remedy: the keys of ``models.specs.remedy.REMEDIES``."""

from verdicts.trials.base import Trial
from verdicts.trials.structure import STRUCTURE
from verdicts.trials.training import TRAINING

TRIALS: dict[str, tuple[Trial, Trial]] = {**STRUCTURE, **TRAINING}
