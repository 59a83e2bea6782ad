"""What remedies do to a spec: structural ones rewrite the network, others the data, the optimiser, or act at run time.

Each effect is written here once; the worker builds what the rewritten spec says, and theory predicts it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from models.specs.base import Problem, SpecError
from models.specs.data_remedies import StandardiseRemedy, StandardiseTargetsRemedy
from models.specs.dataset import DatasetSpec
from models.specs.experiment import ExperimentSpec
from models.specs.init import IdentityInit, InitSpec, LecunNormalInit, NormalInit, OrthogonalInit
from models.specs.loss import Objective
from models.specs.networks import NetworkSpec
from models.specs.normalization import NormalizationSpec, SkipSpec
from models.specs.optimizer import OptimizerSpec
from models.specs.recurrent_remedies import ForgetBiasRemedy, GruRemedy, IrnnRemedy, LstmRemedy, TruncatedBpttRemedy
from models.specs.remedy import REMEDIES, RemedySpec
from models.specs.slots import OF_NETWORK
from models.specs.structural_remedies import (
    ActivationRemedy,
    DropoutRemedy,
    InitRemedy,
    OrthogonalInitRemedy,
    PreNormRemedy,
    SeluRemedy,
    SpectralNormRemedy,
    WeightNormRemedy,
)
from models.specs.training_remedies import (
    ClassWeightsRemedy,
    LabelSmoothingRemedy,
    LearningRateRemedy,
    MomentumRemedy,
    OptimizerRemedy,
    ScheduleRemedy,
)

FOR_PLUGINS = tuple(kind for kind, remedy in REMEDIES.items() if not OF_NETWORK & set(remedy.slots))  # type: ignore[attr-defined]
"""Remedies that leave the layers as they are: they act on the data, the loss, the optimiser or the gradients."""
FOR_WHICH = "what /v1/catalogue/remedies says it is for"
SMALL_INPUT_STD = 0.001
"""Of an IRNN's W_ih (Le et al. 2015)."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What remedies rewrite, and those that act at run time, gathered."""

    network: NetworkSpec
    dataset: DatasetSpec
    optimizer: OptimizerSpec
    objective: Objective
    run_time: tuple[RemedySpec, ...] = ()

    def with_network(self, **changes: object) -> "Draft":
        return replace(self, network=_changed(self.network, **changes))


def draft_of(spec: ExperimentSpec) -> Draft:
    """As the client asked for it."""
    return Draft(spec.network, spec.dataset, spec.optimizer, spec.objective)


def rewrite(draft: Draft, remedy: RemedySpec, where: str) -> Draft:
    """The draft with the remedy. SpecError, naming ``where``, for a kind of network that it does not apply to."""
    kinds = REMEDIES[remedy.kind].about.applies_to
    if draft.network.kind == "plugin":
        if remedy.kind not in FOR_PLUGINS:
            message = f"{remedy.kind} changes the layers of a network, and those of a plug-in are its own code's"
            raise SpecError(Problem(where, remedy.kind, message, list(FOR_PLUGINS)))
    elif draft.network.kind not in kinds:
        message = f"{remedy.kind} does not apply to the network kind {draft.network.kind}"
        raise SpecError(Problem(where, remedy.kind, message, f"a network of kind {', '.join(kinds)}"))
    try:
        return REWRITES[remedy.kind](draft, remedy)
    except ValidationError as error:
        # Before ValueError, of which Pydantic's is a kind.
        said = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise SpecError(Problem(where, remedy.kind, said, FOR_WHICH)) from error
    except ValueError as error:
        raise SpecError(Problem(where, remedy.kind, str(error), FOR_WHICH)) from error


def _changed(spec: Any, **changes: object) -> Any:
    """A copy with these fields, validated as if a client had sent it."""
    # Only what was set goes in: a default stays one, and is not taken for the client's own word.
    return type(spec).model_validate({**{name: getattr(spec, name) for name in spec.model_fields_set}, **changes})


def _orthogonal_init(draft: Draft, remedy: OrthogonalInitRemedy) -> Draft:
    """Of every weight; in a recurrent network of W_hh alone, which is what repeats."""
    return _with_init(draft, OrthogonalInit(kind="orthogonal", gain=remedy.gain))


def _init(draft: Draft, remedy: InitRemedy) -> Draft:
    return _with_init(draft, remedy.init)


def _with_init(draft: Draft, init: InitSpec) -> Draft:
    return draft.with_network(**{"recurrent_init" if draft.network.kind == "rnn" else "init": init})


def _normalization(draft: Draft, remedy: NormalizationSpec) -> Draft:
    return draft.with_network(normalization=remedy.model_dump())


def _weight_rule(draft: Draft, remedy: WeightNormRemedy | SpectralNormRemedy) -> Draft:
    return draft.with_network(weight_rule=remedy.kind)


def _activation(draft: Draft, remedy: ActivationRemedy) -> Draft:
    return draft.with_network(activation=remedy.function, negative_slope=remedy.negative_slope, alpha=remedy.alpha)


def _selu(draft: Draft, _: SeluRemedy) -> Draft:
    return draft.with_network(
        activation="selu",
        negative_slope=None,
        alpha=None,
        init=LecunNormalInit(kind="lecun_normal"),
        alpha_dropout=True,
    )


def _skip(draft: Draft, remedy: SkipSpec) -> Draft:
    return draft.with_network(skip=remedy.model_dump())


def _pre_norm(draft: Draft, _: PreNormRemedy) -> Draft:
    return draft.with_network(norm_position="pre")


def _dropout(draft: Draft, remedy: DropoutRemedy) -> Draft:
    return draft.with_network(dropout=remedy.p)


def _lstm(draft: Draft, remedy: LstmRemedy) -> Draft:
    return draft.with_network(cell="lstm", forget_bias=remedy.forget_bias)


def _gru(draft: Draft, _: GruRemedy) -> Draft:
    # The bias belongs to the gate of an LSTM, and the spec refuses it for other cells.
    return draft.with_network(cell="gru", forget_bias=0.0)


def _irnn(draft: Draft, _: IrnnRemedy) -> Draft:
    small = NormalInit(kind="normal", std=SMALL_INPUT_STD)
    return draft.with_network(
        cell="relu", forget_bias=0.0, recurrent_init=IdentityInit(kind="identity"), input_init=small
    )


def _forget_bias(draft: Draft, remedy: ForgetBiasRemedy) -> Draft:
    return draft.with_network(forget_bias=remedy.value)


def _truncated_bptt(draft: Draft, remedy: TruncatedBpttRemedy) -> Draft:
    return draft.with_network(truncate=remedy.steps)


def _standardise(draft: Draft, remedy: StandardiseRemedy) -> Draft:
    return replace(draft, dataset=_changed(draft.dataset, standardise=remedy.how))


def _standardise_targets(draft: Draft, _: StandardiseTargetsRemedy) -> Draft:
    return replace(draft, dataset=_changed(draft.dataset, standardise_targets=True))


def _learning_rate(draft: Draft, remedy: LearningRateRemedy) -> Draft:
    return replace(draft, optimizer=_changed(draft.optimizer, learning_rate=remedy.value))


def _optimizer(draft: Draft, remedy: OptimizerRemedy) -> Draft:
    """Under the schedule that there was, unless the new one says another."""
    schedule = remedy.optimizer.schedule or draft.optimizer.schedule
    return replace(draft, optimizer=_changed(remedy.optimizer, schedule=schedule))


def _schedule(draft: Draft, remedy: ScheduleRemedy) -> Draft:
    return replace(draft, optimizer=_changed(draft.optimizer, schedule=remedy.schedule))


def _momentum(draft: Draft, remedy: MomentumRemedy) -> Draft:
    if draft.optimizer.kind != "sgd":
        message = f"this remedy changes sgd; {draft.optimizer.kind} takes its momentum from its own parameters"
        raise ValueError(message)
    return replace(draft, optimizer=_changed(draft.optimizer, momentum=remedy.value))


def _class_weights(draft: Draft, remedy: ClassWeightsRemedy) -> Draft:
    return replace(draft, objective=replace(draft.objective, class_weights=remedy.weights))


def _label_smoothing(draft: Draft, remedy: LabelSmoothingRemedy) -> Draft:
    return replace(draft, objective=replace(draft.objective, label_smoothing=remedy.value))


def at_run_time(draft: Draft, remedy: RemedySpec) -> Draft:
    """It acts while training: its hook is in ``worker/remedies/``."""
    return replace(draft, run_time=(*draft.run_time, remedy))


REWRITES: dict[str, Callable[[Draft, Any], Draft]] = {
    "orthogonal_init": _orthogonal_init,
    "init": _init,
    "batch_norm": _normalization,
    "layer_norm": _normalization,
    "rms_norm": _normalization,
    "group_norm": _normalization,
    "weight_norm": _weight_rule,
    "spectral_norm": _weight_rule,
    "activation": _activation,
    "selu": _selu,
    "residual": _skip,
    "scaled": _skip,
    "rezero": _skip,
    "skip_init": _skip,
    "layer_scale": _skip,
    "highway": _skip,
    "pre_norm": _pre_norm,
    "dropout": _dropout,
    "lstm": _lstm,
    "gru": _gru,
    "irnn": _irnn,
    "forget_bias": _forget_bias,
    "truncated_bptt": _truncated_bptt,
    "standardise": _standardise,
    "standardise_targets": _standardise_targets,
    "learning_rate": _learning_rate,
    "optimizer": _optimizer,
    "schedule": _schedule,
    "momentum": _momentum,
    "class_weights": _class_weights,
    "label_smoothing": _label_smoothing,
    "l2": at_run_time,
    "weight_decay": at_run_time,
    "orthogonal_penalty": at_run_time,
    "clip_norm": at_run_time,
    "clip_value": at_run_time,
    "agc": at_run_time,
    "ema_clip": at_run_time,
    "gradient_centralization": at_run_time,
    "warm_up": at_run_time,
    "mixed_precision": at_run_time,
}
