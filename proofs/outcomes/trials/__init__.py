"""A trial where it helps and one where it fails: for every remedy by its kind (``REMEDIES``), and for what the remedies
``init`` and ``activation`` can set, as ``init:lsuv`` or ``activation:gelu``.
"""

from proofs.outcomes.trials.activations import ACTIVATIONS
from proofs.outcomes.trials.base import Trial
from proofs.outcomes.trials.inits import INITS
from proofs.outcomes.trials.structure import STRUCTURE
from proofs.outcomes.trials.training import TRAINING

REMEDY_TRIALS: dict[str, tuple[Trial, Trial]] = {**STRUCTURE, **TRAINING}
TRIALS: dict[str, tuple[Trial, Trial]] = {**REMEDY_TRIALS, **INITS, **ACTIVATIONS}
