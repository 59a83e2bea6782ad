"""A run's trace in a few bytes: two runs with the same digest went the same way, bit by bit.

Over what the rules read of a trace, whose every later value follows from the weights, and over what the run came to on
the held-out cases; in the width in which it is stored. Times are no part of it, nor is what is only counted along, as
the norm before clipping. Every NaN is alike.
"""

import hashlib

import numpy as np

from gradient_clinic.values import Array
from gradient_clinic.verdict.run_trace import JUDGED, RunTrace
from gradient_clinic.verdict.shapes import RunFacts


def trace_digest(trace: RunTrace, records: Array, largest_updates: Array, facts: RunFacts) -> str:
    """``records``: indices of those that are read; ``largest_updates``: (layers,)."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr([layer.name for layer in trace.layers]).encode())
    digest.update(trace.steps[records].astype(np.int64).tobytes())
    for name in JUDGED:
        digest.update(_stored(trace.signals[name][:, records]))
    digest.update(_stored(largest_updates))
    if trace.time:
        digest.update(_stored(trace.state_gradient_rms[:, records]))
    validation = np.nan if facts.validation_loss is None else facts.validation_loss
    ends = np.array([facts.test_loss, facts.test_metric, validation])
    digest.update(_alike(np.concatenate([trace.curves["loss"][records], ends])))
    return digest.hexdigest()


def _stored(values: Array) -> bytes:
    with np.errstate(over="ignore"):  # beyond float32 is ±∞, there as here
        return _alike(values.astype(np.float32))


def _alike(values: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> bytes:
    return np.where(np.isnan(values), values.dtype.type(np.nan), values).tobytes()
