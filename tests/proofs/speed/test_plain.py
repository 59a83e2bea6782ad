"""The plain scripts train the same networks as the service, by the same rules."""

import pytest
import torch
from torch import nn

from models.plan import Variant, expand
from models.specs.experiment import ExperimentSpec
from proofs.speed import matrix, plain
from worker import networks

VARIANTS = expand(ExperimentSpec.model_validate(matrix.SPEC))


def _remedies(variant: Variant) -> plain.Remedies:
    return frozenset(remedy.kind for remedy in variant.remedies)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_plain_network_with_the_same_weights_gives_the_same_outputs(variant: Variant) -> None:
    ours = networks.build(variant.plan.network, 0)
    theirs = plain.network(_remedies(variant), 0).double()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        other.data.copy_(mine.data)
    x = torch.randn(32, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(theirs(x), ours(x))


def test_weights_are_drawn_at_the_same_scale() -> None:
    for variant in VARIANTS:
        ours = [point.weight for point in networks.build(variant.plan.network, 0).points()]
        theirs = [its.weight for its in plain.network(_remedies(variant), 0) if isinstance(its, nn.Linear)]
        for mine, other in zip(ours, theirs, strict=True):
            assert other.std().item() == pytest.approx(mine.std().item(), rel=0.1)


def test_the_matrix_is_sixteen_variants_by_five_seeds_in_the_services_order() -> None:
    arms = matrix.arms_of(matrix.SPEC)
    assert len(arms) == len(set(arms)) == 80
    assert len({remedies for remedies, _ in arms}) == 16
    assert [seed for _, seed in arms] == [seed for seed in range(5) for _ in range(16)]


@pytest.mark.parametrize("script", plain.SCRIPTS)
def test_a_script_learns_what_batch_norm_makes_learnable(script: plain.Script) -> None:
    assert plain.SCRIPTS[script]((frozenset({"batch_norm", "clip_norm"}), 0), steps=40) > 0.8


def test_the_service_makes_as_many_steps_and_epochs_as_a_script() -> None:
    plan = VARIANTS[0].plan
    data = plain.data_of(0)
    assert plan.steps == plain.STEPS
    assert plan.steps_per_epoch == len(data.train) // plain.BATCH
