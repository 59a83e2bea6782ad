"""Networks over steps: recurrent layers, and transformers."""

from gradient_clinic.activations import Activation
from models.plan.builder import Layout
from models.plan.scales import branch_scales, head_scale
from models.plan.stacks import skip_scale
from models.plan.tree import Attend, LayerPlan, NetworkPlan, Normalise, Positions, Recur, Residual, Shape
from models.specs.activation import activation_of
from models.specs.dataset import Target
from models.specs.init import InitSpec
from models.specs.network import Cell, RnnSpec, TransformerSpec

GATES: dict[Cell, int] = {"tanh": 1, "relu": 1, "identity": 1, "lstm": 4, "gru": 3}
BRANCHES_PER_BLOCK = 2


def plan_rnn(spec: RnnSpec, given: Shape, outputs: int, target: Target) -> NetworkPlan:
    layout = Layout(given, spec.init, spec.weight_rule)
    layout.as_sequence()
    if layout.shape.form == "tokens":
        layout.embed("embedding", spec.width, "branch", spec.input_init)
    for index in range(spec.layers):
        if index > 0:
            # Between recurrent layers and never behind the last, as in torch.
            layout.drop(spec.dropout, f"recurrent.{index - 1}")
        recur(
            layout,
            f"recurrent.{index}",
            spec.cell,
            spec.width,
            input_init=spec.input_init,
            recurrent_init=spec.recurrent_init,
            truncate=spec.truncate,
            forget_bias=spec.forget_bias,
        )
    if target != "class_per_step":
        layout.read_out("last")
    layout.output(outputs, target, scale=head_scale(spec.init))
    return NetworkPlan("rnn", tuple(layout.layers), layout.input, tuple(layout.nodes))


def recur(  # noqa: PLR0913
    layout: Layout,
    name: str,
    cell: Cell,
    width: int,
    *,
    input_init: InitSpec | None = None,
    recurrent_init: InitSpec | None = None,
    truncate: int | None = None,
    forget_bias: float = 0.0,
) -> LayerPlan:
    """W_ih as a layer beside the depth axis, then the loop with W_hh; both have a bias, as in torch."""
    gates = GATES[cell]
    steps = layout.shape.size[0]
    layout.weigh(f"{name}.input", gates * width, role="branch", init=input_init, gates=gates, default_fan=width)
    layer = layout.layer(
        name,
        "recurrent",
        "hidden",
        width,
        gates * width,
        init=recurrent_init,
        bias_init=input_init or layout.init,
        activation=Activation(cell, 0.0) if gates == 1 else None,
        gates=gates,
        positions=steps,
        resized_to=Shape("sequence", (steps, width)),
    )
    # A window as long as the sequence cuts nothing, and such a plan must equal the one without it.
    cut = truncate if truncate is not None and truncate < steps else None
    layout.nodes.append(Recur(layer, cell, width, cut, forget_bias, steps))
    layout.shape = Shape("sequence", (steps, width))
    return layer


def plan_transformer(spec: TransformerSpec, given: Shape, outputs: int, target: Target) -> NetworkPlan:
    layout = Layout(given, spec.init, spec.weight_rule)
    layout.as_sequence()
    if layout.shape.form == "tokens":
        layout.embed("embedding", spec.width, "hidden")
    else:
        layout.weigh("embedding", spec.width)
    layout.nodes.append(Positions(layout.shape.size[0], spec.width))
    # Where every step is labelled a later one would show the answer.
    causal = target == "class_per_step"
    for index in range(spec.blocks):
        _attention(layout, spec, f"block.{index}.attention", causal=causal)
        _perceptron(layout, spec, f"block.{index}")
    if spec.norm_position == "pre" and spec.normalization is not None:
        # Norms inside the branches leave the stream as loud as its sums are; the output reads it normalised.
        layout.nodes.append(Normalise(spec.normalization, spec.width))
    if target != "class_per_step":
        layout.read_out("mean")
    layout.output(outputs, target, scale=head_scale(spec.init))
    return NetworkPlan("transformer", tuple(layout.layers), layout.input, tuple(layout.nodes))


def _attention(layout: Layout, spec: TransformerSpec, name: str, *, causal: bool) -> None:
    """x + W_o·attention(W_qkv·x); its sum is recorded as a branch: the depth axis counts whole blocks."""
    first, last = branch_scales(spec.init, 2, BRANCHES_PER_BLOCK * spec.blocks)
    with layout.aside() as body:
        _norm_before(layout, spec)
        layout.weigh(f"{name}.qkv", 3 * spec.width, role="branch", scale=first)
        layout.nodes.append(Attend(spec.heads, causal, spec.width))
        layout.shape = Shape("sequence", (layout.shape.size[0], spec.width))
        end = layout.weigh(f"{name}.out", spec.width, role="branch", scale=last)
        layout.drop(spec.dropout, end.name)
    layout.nodes.append(Residual(tuple(body), spec.skip, end, skip_scale(spec.skip, BRANCHES_PER_BLOCK * spec.blocks)))
    _norm_after(layout, spec, end)


def _perceptron(layout: Layout, spec: TransformerSpec, name: str) -> None:
    """x + W_down·φ(W_up·x); h of W_down is the stream after the block."""
    first, last = branch_scales(spec.init, 2, BRANCHES_PER_BLOCK * spec.blocks)
    activation = activation_of(spec.activation, spec.negative_slope, spec.alpha)
    with layout.aside() as body:
        _norm_before(layout, spec)
        up = layout.weigh(
            f"{name}.mlp.up", spec.mlp_ratio * spec.width, role="branch", activation=activation, scale=first
        )
        layout.activate(up)
        down = layout.weigh(name, spec.width, scale=last)
        layout.drop(spec.dropout, down.name)
    layout.nodes.append(Residual(tuple(body), spec.skip, down, skip_scale(spec.skip, BRANCHES_PER_BLOCK * spec.blocks)))
    _norm_after(layout, spec, down)


def _norm_before(layout: Layout, spec: TransformerSpec) -> None:
    if spec.norm_position == "pre" and spec.normalization is not None:
        layout.nodes.append(Normalise(spec.normalization, spec.width))


def _norm_after(layout: Layout, spec: TransformerSpec, end: LayerPlan) -> None:
    if spec.norm_position == "post" and spec.normalization is not None:
        layout.nodes.append(Normalise(spec.normalization, spec.width, shows=end))
