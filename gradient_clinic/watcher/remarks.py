"""What is odd about a model's parameters before the first step, each said once and by name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

from gradient_clinic.values import Value
from gradient_clinic.watcher.rows import Row, name_of

MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Finding(Value):
    """One thing that is wrong: by which rule, with which layers or parameters, and in words."""

    rule: str
    names: tuple[str, ...]
    text: str


def of_parameters(model: nn.Module, optimizers: Sequence[Optimizer] | None, rows: Sequence[Row]) -> Iterator[Finding]:
    """After a backward pass. ``optimizers`` None: who trains them is not known."""
    parameters = {name_of(name): its for name, its in model.named_parameters()}
    stepped = {id(its) for optimizer in optimizers or () for group in optimizer.param_groups for its in group["params"]}
    trained = {name: its for name, its in parameters.items() if its.requires_grad}
    kinds = {
        ("frozen", "is frozen", "are frozen"): [name for name in parameters if name not in trained],
        ("not_optimised", "is in no optimiser, and stays as it is", "are in no optimiser, and stay as they are"): [
            name for name, its in trained.items() if optimizers is not None and id(its) not in stepped
        ],
        ("no_gradient", "has no gradient", "have no gradient"): [
            name for name, its in trained.items() if its.grad is None
        ],
        ("shared", "shares its weight with another module", "share their weights with other modules"): [
            row.name for row in rows if row.odd == "shared"
        ],
        ("unused", "took no part in the forward pass", "took no part in the forward pass"): [
            row.name for row in rows if row.odd == "unused"
        ],
    }
    for (rule, of_one, of_many), names in kinds.items():
        if len(names) == len(parameters):
            yield Finding(rule, tuple(names), f"all parameters {of_many}")
        elif names:
            yield Finding(rule, tuple(names), f"{named(names)} {of_one if len(names) == 1 else of_many}")


def named(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
