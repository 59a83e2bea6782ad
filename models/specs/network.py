"""The networks that can be asked for: a closed union by ``kind``. ``sequential`` has a file of its own."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from gradient_clinic.spec_limits import MAX_WIDTH
from models.specs.activation import Alpha, Function, Slope, activation_of
from models.specs.base import About, Spec
from models.specs.init import InitSpec, TorchDefaultInit
from models.specs.normalization import LayerNormSpec, NormalizationSpec, ResidualSkip, SkipSpec

MAX_DEPTH = 1_000

Width = Annotated[int, Field(ge=1, le=MAX_WIDTH)]
Depth = Annotated[int, Field(ge=1, le=MAX_DEPTH)]
LayerName = Annotated[str, Field(min_length=1, max_length=100)]
Cell = Literal["tanh", "relu", "identity", "lstm", "gru"]
WeightRule = Literal["weight_norm", "spectral_norm"]


class Network(Spec):
    """What every kind has: how weights start, and a rule that they are trained under."""

    init: InitSpec = TorchDefaultInit()
    weight_rule: WeightRule | None = None
    """Weight or spectral normalisation of every hidden weight."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    frozen: tuple[LayerName, ...] = Field(default=(), max_length=2_000)
    """Layers by name that keep weights, bias and norm as they start; their gradients are measured all the same."""

    @property
    def layer_count(self) -> int:
        """About how many weight layers there will be: cheap to say before anything is planned."""
        raise NotImplementedError


class Activated(Network):
    """Weight layers with a norm and an activation behind each."""

    activation: Function = "relu"
    negative_slope: Slope | None = None
    alpha: Alpha | None = None
    normalization: NormalizationSpec | None = None
    alpha_dropout: bool = False
    """Dropout that keeps mean and variance under SELU (Klambauer 2017)."""

    @model_validator(mode="after")
    def _parameter_fits(self) -> Self:
        activation_of(self.activation, self.negative_slope, self.alpha)
        return self


class MlpSpec(Activated):
    """``depth`` weight layers of ``width`` units (the output layer included), or ``hidden`` widths."""

    kind: Literal["mlp"]
    depth: int | None = Field(default=None, ge=2, le=MAX_DEPTH)
    width: Width | None = None
    hidden: tuple[Width, ...] | None = Field(default=None, min_length=1, max_length=MAX_DEPTH)
    skip: SkipSpec | None = None

    about: ClassVar = About(
        title="Multilayer perceptron",
        formula="h = norm(W·φ(h_previous) + b), once per hidden layer; logits = W·φ(h) + b",
        paper="Rumelhart et al. 1986",
        fails_when="deep without the right initialisation, normalisation or skips",
    )

    @model_validator(mode="after")
    def _one_way_to_say_the_size(self) -> Self:
        if self.hidden is not None and (self.depth is not None or self.width is not None):
            message = "give either hidden, or depth with width, not both"
            raise ValueError(message)
        if self.hidden is None and (self.depth is None or self.width is None):
            message = "give depth with width, or hidden"
            raise ValueError(message)
        return self

    def hidden_widths(self) -> tuple[int, ...]:
        if self.hidden is not None:
            return self.hidden
        assert self.depth is not None  # validated above
        assert self.width is not None
        return (self.width,) * (self.depth - 1)

    @property
    def layer_count(self) -> int:
        return len(self.hidden_widths()) + 1


class ResidualMlpSpec(Activated):
    """A linear stem, then ``blocks`` branches of ``layers_per_block`` times φ → linear → norm, added to the stream."""

    kind: Literal["residual_mlp"]
    blocks: Depth
    width: Width
    layers_per_block: int = Field(default=2, ge=1, le=8)
    skip: SkipSpec = ResidualSkip(kind="residual")

    about: ClassVar = About(
        title="Residual multilayer perceptron",
        formula="x ← x + s·F(x), F = (norm ∘ W ∘ φ) repeated; logits = W·φ(x) + b",
        paper="He et al. 2016, arXiv:1603.05027",
        fails_when="deep with s = 1 and no norm: gradients double per block",
    )

    @property
    def layer_count(self) -> int:
        return self.blocks * self.layers_per_block + 2


class CnnSpec(Activated):
    """Stages of ``layers_per_stage`` convolutions with ``channels`` each, halved in size between stages."""

    kind: Literal["cnn"]
    channels: tuple[Width, ...] = Field(default=(16, 32, 64), min_length=1, max_length=100)
    layers_per_stage: Depth = 1
    kernel_size: Literal[1, 3, 5, 7] = 3
    pool: Literal["max", "average", "stride"] | None = "max"
    skip: SkipSpec | None = None

    about: ClassVar = About(
        title="Convolutional network",
        formula="h = norm(W ∗ φ(h_previous) + b); mean over pixels; logits = W·φ(h) + b",
        paper="LeCun et al. 1998",
        fails_when="deep without the right initialisation, normalisation or skips",
    )

    @property
    def layer_count(self) -> int:
        return len(self.channels) * self.layers_per_stage + 1


class ResidualCnnSpec(Activated):
    """A convolution as stem, then stages of ``blocks_per_stage`` residual blocks of two convolutions."""

    kind: Literal["residual_cnn"]
    channels: tuple[Width, ...] = Field(default=(16, 32, 64), min_length=1, max_length=100)
    blocks_per_stage: Depth = 2
    layers_per_block: int = Field(default=2, ge=1, le=8)
    kernel_size: Literal[1, 3, 5, 7] = 3
    skip: SkipSpec = ResidualSkip(kind="residual")

    about: ClassVar = About(
        title="Residual convolutional network",
        formula="x ← x + s·F(x), F = (norm ∘ W∗ ∘ φ) repeated; 1×1 shortcut where channels or size change",
        paper="He et al. 2016, arXiv:1603.05027",
        fails_when="deep with s = 1 and no norm: gradients double per block",
    )

    @property
    def layer_count(self) -> int:
        return len(self.channels) * (self.blocks_per_stage * self.layers_per_block + 1) + 2


class RnnSpec(Network):
    """``layers`` recurrent layers of ``width`` units; the last step is read out, or all where each is labelled."""

    kind: Literal["rnn"]
    cell: Cell = "tanh"
    width: Width
    layers: int = Field(default=1, ge=1, le=64)
    input_init: InitSpec | None = None
    """Of W_ih, where it differs from ``init``."""
    recurrent_init: InitSpec | None = None
    """Of W_hh alone, every gate's square matrix for itself; both biases follow the input's."""
    forget_bias: float = Field(default=0.0, ge=-100, le=100)
    """Added to b_f of an LSTM, in one of its two biases."""
    truncate: int | None = Field(default=None, ge=1, le=100_000)
    """Gradients stop after so many steps (truncated backpropagation through time)."""

    about: ClassVar = About(
        title="Recurrent network",
        formula="h_t = φ(W_ih·x_t + b_ih + W_hh·h_(t−1) + b_hh), or an LSTM or GRU cell",
        paper="Elman 1990; Hochreiter & Schmidhuber 1997; Cho et al. 2014",
        fails_when="long sequences with tanh: gradients shrink at every step back in time",
    )

    @model_validator(mode="after")
    def _forget_bias_has_a_gate(self) -> Self:
        if self.forget_bias != 0.0 and self.cell != "lstm":
            message = "forget_bias belongs to the lstm cell"
            raise ValueError(message)
        return self

    @property
    def layer_count(self) -> int:
        return 2 * self.layers + 2


class TransformerSpec(Network):
    """``blocks`` of attention and a two-layer perceptron over the steps of a sequence or of tokens."""

    kind: Literal["transformer"]
    blocks: Depth
    width: Width = 64
    heads: int = Field(default=4, ge=1, le=256)
    mlp_ratio: int = Field(default=4, ge=1, le=16)
    activation: Function = "gelu"
    negative_slope: Slope | None = None
    alpha: Alpha | None = None
    norm_position: Literal["pre", "post"] = "pre"
    normalization: NormalizationSpec | None = LayerNormSpec(kind="layer_norm")
    skip: SkipSpec = ResidualSkip(kind="residual")

    about: ClassVar = About(
        title="Transformer encoder (a decoder where every step is labelled)",
        formula="pre: x ← x + attention(norm x), x ← x + mlp(norm x); post: x ← norm(x + …)",
        paper="Vaswani et al. 2017, arXiv:1706.03762; Xiong et al. 2020, arXiv:2002.04745",
        fails_when="post-norm and deep: needs a warm-up",
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        activation_of(self.activation, self.negative_slope, self.alpha)
        if self.width % self.heads:
            message = f"width {self.width} cannot be shared by {self.heads} heads; let heads divide it"
            raise ValueError(message)
        if self.normalization is not None and self.normalization.kind not in {"layer_norm", "rms_norm"}:
            message = "a transformer is normalised over the units of each step: layer_norm or rms_norm"
            raise ValueError(message)
        if self.skip.kind == "highway":
            message = "a transformer's branches are added: residual, scaled, rezero, skip_init or layer_scale"
            raise ValueError(message)
        return self

    @property
    def layer_count(self) -> int:
        return 4 * self.blocks + 2
