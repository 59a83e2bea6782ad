"""Remedies that change the data: each is a rewrite of the spec in ``models/plan/rewrites.py``."""

from typing import ClassVar, Literal

from models.specs.base import About, Spec
from models.specs.slots import Slot
from models.specs.structural_remedies import ALL


class StandardiseRemedy(Spec):
    """Inputs with mean 0 and variance 1, by the training cases alone."""

    kind: Literal["standardise"]
    how: Literal["scalar", "feature"] = "feature"
    slots: ClassVar[tuple[Slot, ...]] = ("data",)
    about: ClassVar = About(
        title="Input standardisation",
        formula="x ← (x − mean)/sd of the training cases",
        paper="LeCun et al. 1998, Efficient BackProp",
        fails_when="data that are standardised already",
        treats=("saturated", "exploding", "learning_rate", "numeric_range"),
        applies_to=ALL,
    )


class StandardiseTargetsRemedy(Spec):
    """Values to be learned with mean 0 and variance 1, each output for itself, by the training cases alone."""

    kind: Literal["standardise_targets"]
    slots: ClassVar[tuple[Slot, ...]] = ("targets",)
    about: ClassVar = About(
        title="Target standardisation",
        formula="y ← (y − mean)/sd of the training cases, output by output; loss and chance in this unit, R² in y's",
        paper="LeCun et al. 1998, Efficient BackProp; Bishop 1995, Neural Networks for Pattern Recognition, 8.2",
        fails_when="targets that have mean 0 and variance 1 already",
        treats=("exploding", "learning_rate", "diverged"),
        applies_to=ALL,
    )
