"""Which increments, from layer to layer or from step to step, speak for a network. Theory and measurement use the
same ones.
"""

TRANSIENT = 2
TRANSIENT_BATCH_NORM = 5
"""The batch's Gram matrix settles more slowly than the length of h (five increments are left out with batch norm)."""
ENOUGH = 8
SETTLING_FIRST, SETTLING_LAST = 5, 3
"""Steps of the time axis that ``gain_per_step`` leaves out, at its two ends (docs/science.md)."""


def kept_increments(hidden_layers: int, batch_norm: bool) -> slice:  # noqa: FBT001 -- the two cases there are
    """The increments that ``gain_per_layer`` averages (docs/verdicts.md).

    Increment i is ln rms δ of hidden layer i+1 less that of hidden layer i+2 (layers from 1), so i = 0 … H−2 in
    forward order. The first 2 (5 with batch norm), nearest the input, are left out where at least 8 remain.

    >>> kept_increments(19, batch_norm=True), kept_increments(10, batch_norm=False)
    (slice(5, None, None), slice(0, None, None))
    """
    transient = TRANSIENT_BATCH_NORM if batch_norm else TRANSIENT
    return slice(transient if hidden_layers - 1 - transient >= ENOUGH else 0, None)
