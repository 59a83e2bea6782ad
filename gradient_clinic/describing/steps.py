"""One step of a pass as items of a list, by its module or its function. UnsayableError where there are none."""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional

from gradient_clinic.describing.description import UnsayableError
from gradient_clinic.spec_limits import MAX_WIDTH

Item = dict[str, Any]
Size = tuple[int, ...]
"""Of a tensor: (cases, …)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call: its module, where it is one, what it was given beside the stream, and the sizes before and after."""

    module: nn.Module | None
    called: Any
    arguments: tuple[Any, ...]
    named: Mapping[str, Any]
    before: Size
    after: Size

    def argument(self, place: int, name: str, default: Any) -> Any:
        """By its place behind the stream, or by name."""
        return self.arguments[place] if len(self.arguments) > place else self.named.get(name, default)


def items_of(step: Step) -> list[Item]:
    """Those that say the step; none where it changes nothing."""
    if step.module is not None:
        say = OF_MODULES.get(_plain_type(step.module))
        if say is None:
            raise UnsayableError("no item of a list is such a module", _near(step.module))
        return say(step.module, step)
    if step.called in OF_FUNCTIONS:
        return OF_FUNCTIONS[step.called](step)
    raise UnsayableError("no item of a list is such an operation")


def _plain_type(module: nn.Module) -> type:
    if hasattr(module, "parametrizations"):
        raise UnsayableError("its weights are parametrized", "weight_rule of the whole network")
    if module._forward_pre_hooks or module._forward_hooks:  # noqa: SLF001 -- no public name
        raise UnsayableError("it has hooks, which may change what it takes and gives", "the same without hooks")
    return type(module)


def _near(module: nn.Module) -> str:
    if isinstance(module, nn.Softmax | nn.LogSoftmax | nn.Softmin):
        return "the loss cross_entropy, which takes the outputs before it"
    if isinstance(module, nn.Conv1d | nn.Conv3d):
        return "conv, which is over images"
    if isinstance(module, nn.AlphaDropout | nn.FeatureAlphaDropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d):
        return "dropout, which leaves out single numbers"
    if isinstance(module, nn.MultiheadAttention | nn.TransformerEncoderLayer | nn.TransformerEncoder):
        return "the kind transformer"
    if isinstance(module, nn.InstanceNorm1d | nn.InstanceNorm2d | nn.LocalResponseNorm | nn.SyncBatchNorm):
        return "group_norm or batch_norm"
    return ""


def _need(fits: bool, why: str, near: str = "") -> None:  # noqa: FBT001 -- reads as a sentence
    if not fits:
        raise UnsayableError(why, near)


def _one(value: Any, what: str) -> int:
    """Of a pair of equal numbers."""
    pair = value if isinstance(value, tuple | list) else (value, value)
    _need(len(set(pair)) == 1 and isinstance(pair[0], int), f"its {what} {value} is not one number for both sides")
    return int(pair[0])


# --- weights ----------------------------------------------------------------------------------------------------------


def _linear(module: nn.Linear, step: Step) -> list[Item]:
    _need(len(step.before) < 4, "it is applied over the last axis of an image", "conv with a kernel of 1")
    _need(module.out_features <= MAX_WIDTH, f"it has {module.out_features:,} units", f"at most {MAX_WIDTH:,}")
    return [{"kind": "linear", "units": module.out_features}]


def _conv(module: nn.Conv2d, _: Step) -> list[Item]:
    _need(module.groups == 1, f"it has {module.groups} groups", "a conv over all channels")
    _need(_one(module.dilation, "dilation") == 1, "its kernel is dilated", "a larger kernel")
    _need(module.padding_mode == "zeros", f"it pads by {module.padding_mode}", "padding with zeros")
    kernel, stride = _one(module.kernel_size, "kernel"), _one(module.stride, "stride")
    _need(kernel <= 31 and stride <= 16, f"its kernel is {kernel} and its stride {stride}", "at most 31 and 16")
    padding: Any = module.padding
    if isinstance(padding, str):
        _need(padding == "valid" or kernel % 2 == 1, "it pads one side more than the other", "an odd kernel")
        padding = kernel // 2 if padding == "same" else 0
    item = {"kind": "conv", "channels": module.out_channels, "kernel_size": kernel, "padding": _one(padding, "padding")}
    return [item | ({"stride": stride} if stride > 1 else {})]


def _embedding(module: nn.Embedding, step: Step) -> list[Item]:
    _need(len(step.before) == 2, "its tokens have more than one axis of steps")
    _need(module.padding_idx is None, "one of its rows is for padding and never trained", "an embedding without")
    _need(module.max_norm is None, "its rows are kept below a norm", "an embedding without max_norm")
    return [{"kind": "embedding", "width": module.embedding_dim}]


def _recurrent(module: nn.RNNBase, step: Step) -> list[Item]:
    cell = {"RNN_TANH": "tanh", "RNN_RELU": "relu", "LSTM": "lstm", "GRU": "gru"}[module.mode]
    _need(module.batch_first and len(step.before) == 3, "its steps come before its cases", "batch_first=True")
    _need(not module.bidirectional, "it runs both ways", "one way")
    _need(module.bias, "it has no biases", "bias=True")
    _need(not getattr(module, "proj_size", 0), "its states are projected", "proj_size=0")
    _need(module.num_layers == 1, "it holds several layers in one module", "a module for each layer")
    _need(not step.arguments and not step.named, "it is given a first state", "the zero state")
    return [{"kind": "recurrent", "cell": cell, "width": module.hidden_size}]


# --- norms ------------------------------------------------------------------------------------------------------------


def _batch_norm(module: Any, step: Step) -> list[Item]:
    _need(len(step.before) != 3, "it is over the steps of sequences", "layer_norm")
    _need(module.track_running_stats, "it keeps no running moments", "track_running_stats=True")
    _need(bool(module.momentum), "its running moments are plain means, or never move", "a momentum above 0")
    options = {"eps": module.eps, "momentum": module.momentum, "affine": module.affine}
    return [{"kind": "batch_norm", **options}]


def _layer_norm(module: nn.LayerNorm, step: Step) -> list[Item]:
    _need(len(step.before) < 4, "on images it has a weight for each pixel", "GroupNorm(1, channels)")
    _need(tuple(module.normalized_shape) == step.before[-1:], "it is over several axes", "over the last axis")
    _need(_has_both(module), "it has weights and no biases", "both or neither")
    return [{"kind": "layer_norm", "eps": module.eps, "affine": module.elementwise_affine}]


def _has_both(module: nn.LayerNorm) -> bool:
    return not module.elementwise_affine or module.bias is not None


def _group_norm(module: nn.GroupNorm, step: Step) -> list[Item]:
    _need(len(step.before) != 3, "its channels are the steps of sequences", "layer_norm")
    single = len(step.before) == 2 and module.num_groups == module.num_channels
    _need(not single, "each of its groups is one number", "fewer groups")
    return [{"kind": "group_norm", "groups": module.num_groups, "eps": module.eps, "affine": module.affine}]


def _rms_norm(module: Any, step: Step) -> list[Item]:
    _need(len(step.before) < 4 and tuple(module.normalized_shape) == step.before[-1:], "it is not over the last axis")
    eps = torch.finfo(torch.float32).eps if module.eps is None else module.eps
    return [{"kind": "rms_norm", "eps": eps, "affine": module.elementwise_affine}]


# --- activations ------------------------------------------------------------------------------------------------------


def _function(name: str, **parameter: float) -> list[Item]:
    return [{"kind": "activation", "function": name, **parameter}]


def _plain(name: str, **expected: Any) -> Callable[[Any, Step], list[Item]]:
    """A function without a parameter; torch's own have to be these."""

    def say(module: Any, _: Step) -> list[Item]:
        for option, value in expected.items():
            found = getattr(module, option)
            _need(found == value, f"its {option} is {found}", f"{name}, which has {option} {value}")
        return _function(name)

    return say


def _prelu(module: nn.PReLU, _: Step) -> list[Item]:
    _need(module.num_parameters == 1, "it learns a slope for each channel", "prelu, which learns one")
    return _function("prelu", negative_slope=float(module.weight.detach()))


def _leaky(module: nn.LeakyReLU, _: Step) -> list[Item]:
    return _function("leaky_relu", negative_slope=float(module.negative_slope))


def _elu(module: nn.ELU, _: Step) -> list[Item]:
    return _function("elu", alpha=float(module.alpha))


def _celu(module: nn.CELU, _: Step) -> list[Item]:
    return _function("celu", alpha=float(module.alpha))


# --- what holds no weights --------------------------------------------------------------------------------------------


def _nothing(*_: object) -> list[Item]:
    return []


def _dropout(p: float) -> list[Item]:
    _need(p < 1.0, "it leaves out everything")
    return [{"kind": "dropout", "p": p}] if p > 0.0 else []


def _flat(step: Step) -> list[Item]:
    cases, *inside = step.before
    _need(step.after == (cases, math.prod(inside)), f"it makes {step.after} of {step.before}", "flatten")
    return [{"kind": "flatten"}] if len(inside) > 1 else []


def _pool(kind: str, module: Any) -> list[Item]:
    size = _one(module.kernel_size, "kernel")
    stride = size if module.stride is None else _one(module.stride, "stride")
    plain = stride == size and _one(module.padding, "padding") == 0 and not module.ceil_mode
    plain = plain and _one(getattr(module, "dilation", 1), "dilation") == 1
    plain = plain and getattr(module, "divisor_override", None) is None
    _need(plain and size <= 32, "its windows overlap or pad", f"{kind} of {size}, whose windows lie side by side")
    return [] if size == 1 else [{"kind": kind, "size": size}]


def _to_size(step: Step) -> list[Item]:
    """Adaptive means: the whole image, nothing, or windows side by side."""
    before, after = step.before[2:], step.after[2:]
    if after == (1, 1):
        return [{"kind": "global_average_pool"}]
    sizes = {a // b for a, b in zip(before, after, strict=True)}
    fits = len(sizes) == 1 and all(a % b == 0 for a, b in zip(before, after, strict=True))
    _need(fits, f"it makes {after} of {before}", "average_pool, whose windows have one size")
    (size,) = sizes
    return [] if size == 1 else [{"kind": "average_pool", "size": size}]


def _mean(step: Step) -> list[Item]:
    dims = step.argument(0, "dim", None)
    given = {its % len(step.before) for its in (dims if isinstance(dims, tuple | list) else [dims]) if its is not None}
    if len(step.before) == 4 and given == {2, 3}:
        return [{"kind": "global_average_pool"}]
    _need(len(step.before) == 3 and given == {1} and len(step.after) == 2, f"it is the mean over {dims}")
    return [{"kind": "readout", "how": "mean"}]


def _taken(step: Step) -> list[Item]:
    """``out[:, -1]`` of a sequence; of what a recurrent module gives its first part."""
    (index,) = step.arguments
    if index == 0 and step.before == step.after:
        return []
    first, *others = index if isinstance(index, tuple) else (index,)
    whole = slice(None)
    is_last = first == whole and others[:1] == [-1] and all(its == whole for its in others[1:])
    _need(len(step.before) == 3 and is_last, f"it takes the part {index}", "out[:, -1]")
    return [{"kind": "readout", "how": "last"}]


OF_MODULES: Final[dict[type, Callable[[Any, Step], list[Item]]]] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    nn.Embedding: _embedding,
    nn.RNN: _recurrent,
    nn.LSTM: _recurrent,
    nn.GRU: _recurrent,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.LayerNorm: _layer_norm,
    nn.GroupNorm: _group_norm,
    nn.RMSNorm: _rms_norm,
    nn.Identity: _nothing,
    nn.ReLU: _plain("relu"),
    nn.LeakyReLU: _leaky,
    nn.PReLU: _prelu,
    nn.ELU: _elu,
    nn.CELU: _celu,
    nn.SELU: _plain("selu"),
    nn.GELU: _plain("gelu", approximate="none"),
    nn.SiLU: _plain("silu"),
    nn.Mish: _plain("mish"),
    nn.Tanh: _plain("tanh"),
    nn.Sigmoid: _plain("sigmoid"),
    nn.Softsign: _plain("softsign"),
    nn.Softplus: _plain("softplus", beta=1.0, threshold=20.0),
    nn.LogSigmoid: _plain("logsigmoid"),
    nn.Tanhshrink: _plain("tanhshrink"),
    nn.Hardtanh: _plain("hardtanh", min_val=-1.0, max_val=1.0),
    nn.Hardsigmoid: _plain("hardsigmoid"),
    nn.Hardswish: _plain("hardswish"),
    nn.ReLU6: _plain("relu6"),
    nn.Softshrink: _plain("softshrink", lambd=0.5),
    nn.Hardshrink: _plain("hardshrink", lambd=0.5),
    nn.Dropout: lambda module, _: _dropout(module.p),
    nn.Flatten: lambda _, step: _flat(step),
    nn.MaxPool2d: lambda module, _: _pool("max_pool", module),
    nn.AvgPool2d: lambda module, _: _pool("average_pool", module),
    nn.AdaptiveAvgPool2d: lambda _, step: _to_size(step),
}


def _bare(name: str) -> Callable[[Step], list[Item]]:
    """A function that is called with the stream alone."""

    def say(step: Step) -> list[Item]:
        options = {key: value for key, value in step.named.items() if key != "inplace"}
        _need(not step.arguments and not options, "it is given options", f"{name}, as a module")
        return _function(name)

    return say


def _by_windows(kind: str) -> Callable[[Step], list[Item]]:
    made = {"max_pool": nn.MaxPool2d, "average_pool": nn.AvgPool2d}[kind]

    def say(step: Step) -> list[Item]:
        options = {key: value for key, value in step.named.items() if key != "return_indices"}
        return _pool(kind, made(*step.arguments, **options))

    return say


_NAMES = ("relu", "selu", "silu", "mish", "tanh", "sigmoid", "softsign", "logsigmoid", "tanhshrink", "hardsigmoid")
OF_FUNCTIONS: Final[dict[Any, Callable[[Step], list[Item]]]] = {
    **{getattr(functional, name): _bare(name) for name in (*_NAMES, "gelu", "hardswish", "relu6", "elu", "softplus")},
    **{getattr(torch, name): _bare(name) for name in ("relu", "selu", "tanh", "sigmoid")},
    **{name: _bare(name) for name in ("relu", "tanh", "sigmoid")},
    functional.leaky_relu: lambda step: _function(
        "leaky_relu", negative_slope=step.argument(0, "negative_slope", 0.01)
    ),
    functional.dropout: lambda step: _dropout(step.argument(0, "p", 0.5)),
    functional.max_pool2d: _by_windows("max_pool"),
    functional.avg_pool2d: _by_windows("average_pool"),
    functional.adaptive_avg_pool2d: _to_size,
    torch.flatten: _flat,
    torch.mean: _mean,
    operator.getitem: _taken,
    **dict.fromkeys(("flatten", "view", "reshape"), _flat),
    "mean": _mean,
    "contiguous": _nothing,
}
"""By the function, or by the name of a tensor's method. ``elu`` and ``softplus`` with torch's own defaults."""
