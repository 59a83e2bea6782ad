"""Which plans can be trained as one network: those of one structure, whatever differs in numbers.

On a CPU a member of a group must end as it would alone, bit for bit (decision 40). So only what is known to keep that
is in a group; everything else is trained alone. On a GPU a group is one network mapped over many (decision 52): its
members have remedies and an optimiser of the same kinds as well.
"""

from collections.abc import Hashable, Iterator
from dataclasses import replace
from typing import Final

from models.plan import LayerPlan, Plan, tree
from models.specs.init import TorchDefaultInit
from worker.groups.held import at_unit_rate
from worker.groups.treatment import TREATED

LANES: Final = 32
"""torch's loops over float32 numbers go by so many at a time (twice a vector of AVX-512) and take what is left at the
end by other code, which may round otherwise. Where each member's numbers fill whole strides there is no such rest."""
STEPS: Final = (tree.Weigh, tree.Activate, tree.Normalise, tree.Dropout, tree.Flatten, tree.Residual)


def structure_of(plan: Plan) -> Hashable | None:
    """What plans have in common that can be trained together; None of one that is trained alone."""
    network = plan.network
    steps = list(tree.walk(network.body))
    if (
        _is_ever_alone(plan)
        or any(remedy.kind == "mixed_precision" for remedy in plan.run_time)  # casts have no form for many yet
        or not all(isinstance(step, STEPS) for step in steps)
        or not all(layer.kind == "linear" and layer.positions == 1 for layer in network.layers)
        or not all(numbers % LANES == 0 for numbers in _entries(plan))
    ):
        return None
    return _of_steps(plan)


def mapped_structure_of(plan: Plan) -> Hashable | None:
    """What plans have in common that a GPU can train as one network; None of one that is trained alone there."""
    network, asked = plan.network, plan.objective
    steps = list(tree.walk(network.body))
    if (
        _is_ever_alone(plan)
        or any(remedy.kind not in TREATED for remedy in plan.run_time)
        # Masks are each member's own draw, and the states of a recurrence are read one by one.
        or any(isinstance(step, tree.Dropout | tree.Recur) for step in steps)
        or any(isinstance(step, tree.Activate) and step.dropout > 0.0 for step in steps)
        # Power iteration changes its vectors in place, by each member's own weights.
        or any(layer.weight_rule is not None for layer in network.layers)
        or plan.dataset.facts.varying_length  # which entries count would be each member's own
        or asked.class_weights is not None  # they are of each member's own split
        or asked.label_smoothing > 0.0
        or plan.optimizer.kind == "muon"
    ):
        return None
    remedies = tuple((remedy.kind, getattr(remedy, "layers", None)) for remedy in plan.run_time)
    return _of_steps(plan), remedies, at_unit_rate(plan.optimizer).model_dump_json(), asked, plan.experiment.drop_last


def _is_ever_alone(plan: Plan) -> bool:
    return (
        plan.steps == 0
        or not plan.network.layers  # a plug-in's are known when it is built, and by its own code
        or plan.experiment.trace.budget is not None  # each run measures its own cadence
    )


def _of_steps(plan: Plan) -> tuple[Hashable, ...]:
    """What the steps of a plan are made of but numbers."""
    body = tuple(_bare(step) for step in plan.network.body)
    facts, asked = plan.dataset.facts, plan.experiment
    trained = plan.sizes, asked.batch_size, plan.steps, asked.trace.every
    return plan.network.input, plan.network.frozen, body, facts.shape, facts.classes, facts.target, *trained


def _entries(plan: Plan) -> Iterator[int]:
    """How many numbers a member has in each tensor that runs through the network, of a whole and of the last batch."""
    size, cases = plan.experiment.batch_size, plan.sizes.train
    rest = 0 if plan.experiment.drop_last else cases % size
    for batch in (size, rest):
        yield from (batch * layer.units for layer in plan.layers)


def _bare(step: tree.Node) -> tree.Node:
    """A step without the numbers that its first weights are drawn by."""
    match step:
        case tree.Weigh():
            return replace(step, layer=_bare_layer(step.layer))
        case tree.Normalise():
            return replace(step, shows=None if step.shows is None else _bare_layer(step.shows))
        case tree.Positions():
            return replace(step, init_std=0.0)
        case tree.Residual():
            body, shortcut = (tuple(_bare(its) for its in chain) for chain in (step.body, step.shortcut))
            gate = None if step.gate is None else _bare_layer(step.gate)
            return replace(step, body=body, shortcut=shortcut, gate=gate, shows=_bare_layer(step.shows))
    return step


def _bare_layer(layer: LayerPlan) -> LayerPlan:
    return replace(layer, init=TorchDefaultInit(), bias_init=None, default_fan=None, scale=1.0)
