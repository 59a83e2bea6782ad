"""ZClip against its paper's algorithm in plain floats, step after step, and across a checkpoint."""

import io
import math
import statistics
from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import nn

from models.specs.training_remedies import EmaClipRemedy
from worker.remedies.base import Bound
from worker.remedies.ema_clip import EmaClip

Z, DECAY, WARM_UP = 2.0, 0.9, 8
SPEC = EmaClipRemedy(kind="ema_clip", z=Z, decay=DECAY, warm_up=WARM_UP)


def drawn(count: int, *places: tuple[int, float]) -> list[float]:
    """Norms around 1, with others put in at some places."""
    random = torch.Generator().manual_seed(0)
    norms: list[float] = (1.0 + 0.1 * torch.randn(count, generator=random, dtype=torch.float64)).tolist()
    for at, norm in places:
        norms.insert(at, norm)
    return norms


def told(norms: Sequence[float]) -> Iterator[float]:
    """The norm after clipping of every step (arXiv:2504.02507, algorithm 1, without max_grad_norm)."""
    seen: list[float] = []
    mean = variance = 0.0
    for norm in norms:
        if not math.isfinite(norm):
            yield norm
            continue
        if len(seen) < WARM_UP:
            seen.append(norm)
            mean, variance = statistics.fmean(seen), statistics.pvariance(seen)
            yield norm
            continue
        z = (norm - mean) / math.sqrt(variance)
        kept = mean + Z * math.sqrt(variance) / (z / Z) if z > Z else norm
        mean = DECAY * mean + (1 - DECAY) * kept
        variance = DECAY * variance + (1 - DECAY) * (kept - mean) ** 2
        yield kept


def clipped(remedy: EmaClip, norm: float) -> tuple[float, float]:
    """(the norm that the remedy says, the norm of what it left)."""
    weight = nn.Parameter(torch.zeros(3, 4, dtype=torch.float64))
    weight.grad = torch.ones_like(weight) * norm / math.sqrt(12)
    after = remedy.clip(Bound([], weight, [weight]), torch.tensor(norm, dtype=torch.float64))
    return float(after), float(weight.grad.norm())


def test_every_step_is_clipped_as_the_papers_algorithm_says() -> None:
    norms = drawn(60, (20, 9.0), (21, 9.0), (40, 3.0))
    remedy, expected = EmaClip(SPEC), list(told(norms))
    found = [clipped(remedy, norm) for norm in norms]
    assert [said for said, _ in found] == pytest.approx(expected, rel=1e-9)
    assert [left for _, left in found] == pytest.approx(expected, rel=1e-9)
    assert sum(after < norm for norm, after in zip(norms, expected, strict=True)) >= 3


@pytest.mark.parametrize("at", [0, 4, 30])
@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_a_norm_that_is_not_finite_does_not_count_wherever_it_comes(at: int, norm: float) -> None:
    with_it, without = EmaClip(SPEC), EmaClip(SPEC)
    found = [clipped(with_it, one)[0] for one in drawn(50, (40, 9.0), (at, norm))]
    del found[at]
    assert found == [clipped(without, one)[0] for one in drawn(50, (40, 9.0))]


@pytest.mark.parametrize("resumed_at", [3, 30])
def test_it_goes_on_from_a_checkpoint_bit_for_bit(resumed_at: int) -> None:
    norms = drawn(60, (20, 9.0), (40, 3.0))
    whole, first, second = EmaClip(SPEC), EmaClip(SPEC), EmaClip(SPEC)
    expected = [clipped(whole, norm) for norm in norms]
    found = [clipped(first, norm) for norm in norms[:resumed_at]]
    kept = io.BytesIO()
    torch.save(first.state_dict(), kept)
    kept.seek(0)
    second.load_state_dict(torch.load(kept, weights_only=True))
    assert found + [clipped(second, norm) for norm in norms[resumed_at:]] == expected
