"""How alike two cases become on their way through plain layers, and how far dropout's noise drowns what is left.

The correlation of two cases' h goes through a map of φ from layer to layer (Poole et al. 2016). Dropout multiplies it
by 1 − p: two passes of one case draw two masks, and their correlation falls too (Schoenholz et al. 2017, section 5).
"""

from dataclasses import dataclass

from models.analysis.theory.likeness import likeness
from models.plan.tree import NetworkPlan, Residual, walk


@dataclass(frozen=True, slots=True)
class Correlations:
    """In the last hidden layer: of one case under two masks, and of two cases that are uncorrelated at first."""

    of_one: float = 1.0
    of_two: float = 0.0

    @property
    def told_apart(self) -> float:
        """1 without noise; 0 where no layer above can tell a case from another."""
        return self.of_one - self.of_two


def correlations(network: NetworkPlan, *, dropout: float | None = None) -> Correlations | None:
    """At h of variance 1, biases aside; with another ``dropout`` in the layers that have one, where it is given. None
    where a norm, a skip or a recurrence makes another map of it.
    """
    if network.recurrent or any(isinstance(node, Residual) for node in walk(network.body)):
        return None
    one, two = 1.0, 0.0
    for layer in network.hidden:
        if layer.normalization is not None or layer.activation is None:
            return None
        kept = 1.0 - (layer.dropout if dropout is None or layer.dropout == 0.0 else dropout)
        next_of = likeness(layer.activation, 1.0).of_cosine
        one, two = kept * next_of(one), kept * next_of(two)
    return Correlations(one, two)
