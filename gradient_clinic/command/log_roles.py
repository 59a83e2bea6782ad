"""Which of a log's names is the loss, which the rate: by the names that trainers use, or as the user says."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from gradient_clinic.command.codes import MisusedError

LOSSES: Final = ("loss", "train_loss", "training_loss", "loss_train", "train_loss_step", "batch_loss", "loss_step")
VALIDATION: Final = ("eval_loss", "val_loss", "validation_loss", "valid_loss", "loss_val", "loss_validation")
METRICS: Final = tuple(
    f"{part}_{name}"
    for part in ("eval", "val", "validation", "valid")
    for name in ("accuracy", "acc", "balanced_accuracy", "r2")
)
RATES: Final = ("learning_rate", "lr", "train_learning_rate", "train_lr")
NORMS: Final = ("grad_norm", "gradient_norm", "train_grad_norm", "total_gradient_norm", "grad_norm_total")
STEPS: Final = ("step", "global_step", "train_global_step", "trainer_global_step", "iteration", "iter", "epoch")
"""In the order in which they are looked for; an epoch counts as a step where there is nothing finer."""
MEANT: Final[Mapping[str, str]] = {"balanced": "balanced_accuracy", "r2": "r2"}
OF_LAYERS: Final = re.compile(
    r"^(gradients?|grads?|grad_norms?|gradient_norms?)[/.]|^grad_.*_norm[/.]|_norm/.+\.(weight|bias)$"
)
"""Norms by layer, as wandb, Lightning and loops of one's own write them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user says of names; None: by what they are called. ``metric_is``: what the metric means."""

    step: str | None = None
    loss: str | None = None
    metric: str | None = None
    metric_is: str | None = None
    validation: str | None = None


@dataclass(frozen=True, slots=True)
class Roles:
    """Names of the log; None: it has none. ``of_layers``, ``unread``: names that nothing is made of."""

    loss: str
    rate: str | None
    norm: str | None
    validation: str | None
    metric: str | None
    metric_is: str
    of_layers: tuple[str, ...]
    unread: tuple[str, ...]


def roles_of(names: Collection[str], asked: Asked, option: str) -> Roles:
    """``option``: what a name is called in this form of log, a column or a tag.

    MisusedError where a name that is asked for is not there, where there is no loss, or more than one.
    """
    loss = _said(names, asked.loss, "--loss", option) or _only(names, LOSSES, "the loss", "--loss")
    if loss is None:
        message = f"no {option} is a loss; there are {_listed(names)}: say which one by --loss"
        raise MisusedError(message)
    metric = _said(names, asked.metric, "--metric", option) or _only(names, METRICS, "the metric", "--metric")
    validation = _said(names, asked.validation, "--validation", option)
    validation = validation or _only(names, VALIDATION, "the validation loss", "--validation")
    rate = _only(names, RATES, "the learning rate", None)
    norm = _only(names, NORMS, "the gradient norm", None)
    left = [name for name in names if name not in {loss, metric, validation, rate, norm}]
    of_layers = tuple(name for name in left if OF_LAYERS.search(name))
    unread = tuple(name for name in left if name not in of_layers)
    meaning = asked.metric_is or meaning_of(metric)
    return Roles(loss, rate, norm, validation, metric, meaning, of_layers=of_layers, unread=unread)


def may_be_read(name: str, asked: Asked) -> bool:
    """Whether anything can be made of it."""
    known = (*LOSSES, *VALIDATION, *METRICS, *RATES, *NORMS)
    return name in {asked.loss, asked.metric, asked.validation} or plain(name) in known


def meaning_of(metric: str | None) -> str:
    """What a clinic calls it; accuracy where the name says nothing else."""
    said = (word for part, word in MEANT.items() if part in plain(metric or ""))
    return next(said, "accuracy")


def plain(name: str) -> str:
    """'train/Loss' as 'train_loss'."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _said(names: Collection[str], asked: str | None, flag: str, option: str) -> str | None:
    if asked is None or asked in names:
        return asked
    message = f"{flag} {asked}: there is no such {option}; there are {_listed(names)}"
    raise MisusedError(message)


def _only(names: Collection[str], known: tuple[str, ...], what: str, flag: str | None) -> str | None:
    """The one that has one of these names. Of several the user has to choose, or without a flag none is taken."""
    found = [name for name in names if plain(name) in known]
    if len(found) > 1 and flag is not None:
        message = f"{_listed(found)} may each be {what}: say which one by {flag}"
        raise MisusedError(message)
    return found[0] if len(found) == 1 else None


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(name[:60] for name in list(names)[:12])
    return f"{shown} and {len(names) - 12} more" if len(names) > 12 else shown or "none"
