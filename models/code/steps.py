"""A plan's tree as expressions: one emitter for each kind of step."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from gradient_clinic.activations import Activation
from models.code.draws import Draws
from models.code.folding import folded
from models.code.formatting import Call, Expression, call, quoted
from models.plan import tree
from models.plan.tree import LayerPlan, NetworkPlan
from models.specs.init import LsuvInit
from models.specs.normalization import NormalizationSpec

ACTIVATIONS: dict[str, str] = {
    "identity": "nn.Identity",
    "relu": "nn.ReLU",
    "leaky_relu": "nn.LeakyReLU",
    "prelu": "nn.PReLU",
    "elu": "nn.ELU",
    "celu": "nn.CELU",
    "selu": "nn.SELU",
    "gelu": "nn.GELU",
    "silu": "nn.SiLU",
    "mish": "nn.Mish",
    "tanh": "nn.Tanh",
    "sigmoid": "nn.Sigmoid",
    "softsign": "nn.Softsign",
    "softplus": "nn.Softplus",
    "logsigmoid": "nn.LogSigmoid",
    "tanhshrink": "nn.Tanhshrink",
    "hardtanh": "nn.Hardtanh",
    "hardsigmoid": "nn.Hardsigmoid",
    "hardswish": "nn.Hardswish",
    "relu6": "nn.ReLU6",
    "softshrink": "nn.Softshrink",
    "hardshrink": "nn.Hardshrink",
}


class Emitter:
    """Of one network. ``by_length``: its cases end at different steps."""

    def __init__(self, network: NetworkPlan, *, by_length: bool) -> None:
        self.network, self.by_length, self.draws = network, by_length, Draws()
        # What most layers have is said once.
        self.usual = Counter(map(self._draws_of, network.layers)).most_common(1)[0][0]

    def body(self) -> Call:
        """The whole pass."""
        return self._chain(self.network.body, "Network" if self.by_length else "nn.Sequential")

    def _chain(self, nodes: tuple[tree.Node, ...], head: str) -> Call:
        return Call(head, folded([its for node in nodes for its in self._expressions(node)]), split=True)

    def _branch(self, nodes: tuple[tree.Node, ...]) -> Expression:
        chain = self._chain(nodes, "nn.Sequential")
        return chain.arguments[0] if len(chain.arguments) == 1 else chain

    def _expressions(self, node: tree.Node) -> Iterator[Expression]:
        match node:
            case tree.Weigh():
                yield self._layer(node.layer)
            case tree.Recur():
                yield self._recurrent(node)
            case tree.Residual():
                yield self._residual(node)
            case tree.Activate():
                yield _activation(node.activation)
                if node.dropout > 0:
                    head = "AlphaDropout" if node.alpha_dropout else "Dropout"
                    yield call(head, "seed", quoted(node.name), repr(node.dropout))
            case tree.Readout():
                head = "LastStep" if node.how == "last" else "MeanOverSteps"
                yield call(f"{head}OfEach" if self.by_length else head)
            case _:
                yield SIMPLE[type(node)](node)

    # --- layers -------------------------------------------------------------------------------------------------

    def _draws_of(self, layer: LayerPlan) -> tuple[str, str | None]:
        return self.draws.weight(layer), self.draws.bias(layer)

    def _layer(self, layer: LayerPlan) -> Expression:
        init, bias_init = self._draws_of(layer)
        usual, usual_bias = self.usual
        arguments: list[Expression] = [quoted(layer.name), _map(layer)]
        if layer.normalization is not None:
            arguments.append(_norm(layer.normalization, layer.units, image=layer.kind == "conv2d"))
        arguments += [f"init={init}"] if init != usual else []
        # Tables have no bias to draw.
        arguments += [f"bias_init={bias_init}"] if layer.bias and bias_init != usual_bias else []
        arguments += [f"gates={layer.gates}"] if layer.gates > 1 else []
        arguments += [f"scale={layer.scale!r}"] if layer.scale != 1.0 else []
        if layer.default_fan is not None and layer.init.kind == "torch_default":
            arguments.append(f"fan={layer.default_fan}")
        return self._treated(layer, Call("layer", arguments))

    def _treated(self, layer: LayerPlan, made: Expression) -> Expression:
        """Under its weight rule, and marked where the first batch scales it or nothing trains it."""
        if layer.weight_rule == "weight_norm":
            made = call("weight_norm", made)
        elif layer.weight_rule == "spectral_norm":
            made = call("spectral_norm", "seed", made)
        # No factor would bring the variance of a loop or of a spectral norm to 1.
        fixed = layer.kind == "recurrent" or layer.weight_rule == "spectral_norm" or layer.scale <= 0
        if isinstance(layer.init, LsuvInit) and not fixed:
            made = call("to_unit_variance", made, repr(layer.init.tolerance), repr(layer.init.max_iterations))
        return call("frozen", made) if layer.name in self.network.frozen else made

    def _recurrent(self, node: tree.Recur) -> Expression:
        back = self._layer(node.layer)
        match node.cell:
            case "lstm":
                return call("Lstm", back, truncate=node.truncate, forget_bias=node.forget_bias or None)
            case "gru":
                return call("Gru", back, truncate=node.truncate)
        assert node.layer.activation is not None  # cells of one gate have one
        return call("Rnn", back, _activation(node.layer.activation), truncate=node.truncate)

    def _residual(self, node: tree.Residual) -> Expression:
        body = self._branch(node.body)
        shortcut = [self._branch(node.shortcut)] if node.shortcut else []
        if node.gate is not None:
            return call("Highway", body, self._layer(node.gate), repr(node.skip.bias))  # type: ignore[union-attr]
        if node.skip.kind in {"rezero", "skip_init", "layer_scale"}:
            size = "1"
            if node.skip.kind == "layer_scale":
                size = f"{node.shows.units}, 1, 1" if node.shows.kind == "conv2d" else f"{node.shows.units}"
            shape = f"({size},)" if "," not in size else f"({size})"
            return call("LearnedResidual", body, f"torch.full({shape}, {node.scale!r})", *shortcut)
        return call("Residual", body, *shortcut, scale=node.scale if node.scale != 1.0 else None)


def _map(layer: LayerPlan) -> Expression:
    """The module of torch that holds W and b."""
    match layer.kind:
        case "conv2d":
            depth, size = layer.fan_in // layer.kernel_size**2, str(layer.kernel_size)
            sides = {"stride": layer.stride if layer.stride != 1 else None, "padding": layer.padding or None}
            return call("nn.Conv2d", str(depth), str(layer.units), size, **sides)
        case "embedding":
            return call("nn.Embedding", str(layer.fan_in), str(layer.units))
    return call("nn.Linear", str(layer.fan_in), str(layer.units), bias=None if layer.bias else False)


def _norm(norm: NormalizationSpec, units: int, *, image: bool) -> Expression:
    eps = norm.eps if norm.eps != 1e-5 else None
    match norm.kind:
        case "batch_norm":
            momentum = norm.momentum if norm.momentum != 0.1 else None
            head = "nn.BatchNorm2d" if image else "nn.BatchNorm1d"
            return call(head, str(units), eps=eps, momentum=momentum, affine=None if norm.affine else False)
        case "layer_norm" if image:
            return call("nn.GroupNorm", "1", str(units), eps=eps, affine=None if norm.affine else False)
        case "group_norm":
            head = "nn.GroupNorm" if image else "GroupNormOverLast"
            return call(head, str(norm.groups), str(units), eps=eps, affine=None if norm.affine else False)
    head = "nn.LayerNorm" if norm.kind == "layer_norm" else "nn.RMSNorm"
    # The root mean square norm of torch takes its eps from the number type where none is given.
    given = norm.eps if norm.kind == "rms_norm" else eps
    return call(head, str(units), eps=given, elementwise_affine=None if norm.affine else False)


def _activation(activation: Activation) -> Expression:
    head = ACTIVATIONS[activation.function]
    if activation.function == "prelu":
        return call(head, init=activation.parameter)
    return call(head) if activation.shape.parameter is None else call(head, repr(activation.parameter))


SIMPLE: dict[type, Callable[[Any], Expression]] = {
    tree.Normalise: lambda node: _norm(node.norm, node.units, image=node.image),
    tree.Dropout: lambda node: call("Dropout", "seed", quoted(node.name), repr(node.p)),
    tree.Flatten: lambda _: call("nn.Flatten"),
    tree.Rows: lambda _: call("Rows"),
    tree.Steps: lambda _: call("nn.Unflatten", "1", "(-1, 1)"),
    tree.Pool: lambda node: call("nn.MaxPool2d" if node.how == "max" else "nn.AvgPool2d", str(node.size)),
    tree.GlobalAverage: lambda _: call("MeanOverPixels"),
    tree.Positions: lambda node: call("Positions", "seed", str(node.steps), str(node.units), repr(node.init_std)),
    tree.Attend: lambda node: call("Attention", str(node.heads), causal=node.causal),
}
"""Steps that hold no layer."""
