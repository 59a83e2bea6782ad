"""A trial where it helps and one where it fails: for every remedy by its kind (``REMEDIES``), and for what the remedies
``init`` and ``activation`` can set, as ``init:lsuv`` or ``activation:gelu``.
"""

from verdicts.trials.activations import ACTIVATIONS
from verdicts.trials.base import Trial
from verdicts.trials.inits import INITS
from verdicts.trials.structure import STRUCTURE
from verdicts.trials.training import TRAINING

REMEDY_TRIALS: dict[str, tuple[Trial, Trial]] = {**STRUCTURE, **TRAINING}
TRIALS: dict[str, tuple[Trial, Trial]] = {**REMEDY_TRIALS, **INITS, **ACTIVATIONS}
