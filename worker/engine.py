"""Training as a generator: it yields what it sees and knows neither storage nor cancelling. Pure torch.

``train`` runs one plan under one seed, from step 0 or from a state that it has given; ``measure`` is one forward and
backward pass with given input and output gradient, for closed forms. Both build the network from the plan and read it
through the probe.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from gradient_clinic.probe.probe import StepRecord, attach
from models.plan import NetworkPlan, Plan
from worker import networks
from worker.datasets.split import TrialData
from worker.plugins.shelf import NO_SHELF, Shelf
from worker.results import Seen, TrainState
from worker.trainer import Trainer, never


def train(  # noqa: PLR0913 -- the run's whole world, by name
    plan: Plan,
    data: TrialData,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    record: bool = True,
    between_steps: Callable[[], None] = lambda: None,
    state: TrainState | None = None,
    wanted: Callable[[int], bool] = never,
    adjust: Callable[[nn.Module], None] | None = None,
    shelf: Shelf = NO_SHELF,
) -> Iterator[Seen]:
    """Yield the record of every recorded step, an EpochResult per epoch where there is a validation part, and at
    the end the RunResult. ``between_steps`` is called before each step and may raise to end the run.

    ``adjust`` may change the network in place once it is initialised. A Snapshot comes before each step for which
    ``wanted`` says so. With the ``state`` of one the run goes on there, bit for bit as if it had never stopped, on one
    device and version. ``shelf``: the plug-ins there are.
    """
    trainer = Trainer(plan, data, seed=seed, device=torch.device(device), dtype=dtype, record=record, shelf=shelf)
    try:
        if adjust is not None:
            adjust(trainer.model)
        if state is not None:
            trainer.resume(state)
        yield from trainer.run(between_steps, wanted)
    finally:
        # The hooks go wherever the run ends: a generator that nobody reads on is closed as well.
        trainer.close()


def measure(
    plan: Plan | NetworkPlan,
    *,
    input: Tensor,  # noqa: A002 -- contract
    cotangent: Tensor,
    dtype: torch.dtype,
    seed: int,
) -> StepRecord:
    """One record of the untrained network. ``input`` is the first layer's h, (batch, units) or with steps or pixels
    (of a recurrent network W_ih·x + b_ih, (batch, steps, gates·units)); ``cotangent``, of the output's shape, is
    ∂L/∂(output). The first weight matrix takes no part, so its gradient reads 0.
    """
    network = plan.network if isinstance(plan, Plan) else plan
    model = networks.build(network, seed).to(input.device, dtype)
    probe = attach(model, points=model.points())
    h = input.detach().to(dtype).requires_grad_()
    # The pass begins behind the first layer, so its h is shown to the probe by hand.
    probe.watch(0, h)
    torch.autograd.backward(model.forward_from(h), cotangent.to(dtype))
    record = probe.record(step=0)
    probe.detach()
    return record
