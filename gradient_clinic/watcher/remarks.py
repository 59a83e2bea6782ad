"""What is odd about a model's parameters before the first step, each said once and by name."""

from collections.abc import Iterator, Sequence

from torch import nn
from torch.optim import Optimizer

from gradient_clinic.watcher.rows import Row, name_of

MOST_NAMED = 5


def of_parameters(model: nn.Module, optimizers: Sequence[Optimizer], rows: Sequence[Row]) -> Iterator[str]:
    """After a backward pass."""
    parameters = {name_of(name): its for name, its in model.named_parameters()}
    stepped = {id(its) for optimizer in optimizers for group in optimizer.param_groups for its in group["params"]}
    trained = {name: its for name, its in parameters.items() if its.requires_grad}
    kinds = {
        "are frozen (requires_grad is false)": [name for name in parameters if name not in trained],
        "are in no optimiser, and stay as they are": [name for name, its in trained.items() if id(its) not in stepped],
        "have no gradient": [name for name, its in trained.items() if its.grad is None],
        "are shared by several modules": [row.name for row in rows if row.note.startswith("shares")],
        "took no part in the forward pass": [row.name for row in rows if row.note.startswith("took no part")],
    }
    for what, names in kinds.items():
        if len(names) == len(parameters):
            yield f"all parameters {what}"
        elif names:
            yield f"{len(names)} of them {what}: {named(names)}" if len(names) > 1 else f"{names[0]} {what}"


def named(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
