"""How weights and biases start. Variances are in mean-field terms where the kind says so."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from models.specs.base import About, Spec, by_kind

Positive = Annotated[float, Field(gt=0, le=1e6)]
NonNegative = Annotated[float, Field(ge=0, le=1e6)]
Entry = Annotated[float, Field(ge=-1e6, le=1e6)]


class TorchDefaultInit(Spec):
    kind: Literal["torch_default"] = "torch_default"
    about: ClassVar = About(
        title="PyTorch's default for nn.Linear",
        formula="W and b ~ U(±1/√fan_in), so fan_in·Var W = 1/3",
        paper="kaiming_uniform_(a=√5) in torch.nn.Linear",
        fails_when="deep networks: every activation vanishes (rms ratio 0.408 per layer for ReLU, 0.577 for tanh)",
    )


class XavierNormalInit(Spec):
    kind: Literal["xavier_normal"]
    gain: Positive = 1.0
    about: ClassVar = About(
        title="Xavier (Glorot), normal",
        formula="W ~ N(0, gain²·2/(fan_in + fan_out)), b = 0",
        paper="Glorot & Bengio 2010",
        fails_when="ReLU halves the variance in every layer; a sigmoid still vanishes (χ = 0.056)",
        treats=("initialisation",),
    )


class XavierUniformInit(Spec):
    kind: Literal["xavier_uniform"]
    gain: Positive = 1.0
    about: ClassVar = About(
        title="Xavier (Glorot), uniform",
        formula="W ~ U(±gain·√(6/(fan_in + fan_out))), b = 0",
        paper="Glorot & Bengio 2010",
        fails_when="as Xavier normal",
        treats=("initialisation",),
    )


Mode = Literal["fan_in", "fan_out"]
Nonlinearity = Literal["linear", "relu", "leaky_relu", "tanh", "selu", "sigmoid"]


class KaimingNormalInit(Spec):
    kind: Literal["kaiming_normal"]
    nonlinearity: Nonlinearity = "relu"
    mode: Mode = "fan_in"
    about: ClassVar = About(
        title="He (Kaiming), normal",
        formula="W ~ N(0, gain²/fan), gain² = 2 for ReLU, b = 0",
        paper="He et al. 2015, arXiv:1502.01852",
        fails_when="tanh and sigmoid: not their critical point; residual sums double the variance per block",
        treats=("initialisation", "vanishing"),
    )


class KaimingUniformInit(Spec):
    kind: Literal["kaiming_uniform"]
    nonlinearity: Nonlinearity = "relu"
    mode: Mode = "fan_in"
    about: ClassVar = About(
        title="He (Kaiming), uniform",
        formula="W ~ U(±gain·√(3/fan)), gain² = 2 for ReLU, b = 0",
        paper="He et al. 2015, arXiv:1502.01852",
        fails_when="as He normal",
        treats=("initialisation", "vanishing"),
    )


class LecunNormalInit(Spec):
    kind: Literal["lecun_normal"]
    about: ClassVar = About(
        title="LeCun, normal",
        formula="W ~ N(0, 1/fan_in), b = 0",
        paper="LeCun et al. 1998; Klambauer et al. 2017",
        fails_when="any activation but SELU and the identity",
        treats=("initialisation",),
    )


class OrthogonalInit(Spec):
    kind: Literal["orthogonal"]
    gain: Positive = 1.0
    about: ClassVar = About(
        title="Orthogonal",
        formula="the smaller Gram matrix of W is gain²·I, b = 0",
        paper="Saxe et al. 2013, arXiv:1312.6120",
        fails_when="ReLU at gain 1 (halves the variance per layer); a gain that does not fit the activation",
        treats=("initialisation", "vanishing", "exploding"),
    )


class GaussianInit(Spec):
    kind: Literal["gaussian"]
    weight_variance: NonNegative
    bias_variance: NonNegative = 0.0
    distribution: Literal["normal", "uniform"] = "normal"
    about: ClassVar = About(
        title="Mean-field (σw², σb²)",
        formula="Var W = σw²/fan_in, Var b = σb²",
        paper="Poole et al. 2016; Schoenholz et al. 2017, arXiv:1611.01232",
        fails_when="(σw², σb²) off the critical line: gradients vanish below it and explode above it",
        treats=("initialisation",),
    )


class NormalInit(Spec):
    kind: Literal["normal"]
    std: NonNegative
    about: ClassVar = About(
        title="Fixed standard deviation",
        formula="W ~ N(0, std²), b = 0",
        paper="Ioffe & Szegedy 2015 (std 0.01), arXiv:1502.03167",
        fails_when="blind to width and depth: σw² = fan_in·std²",
        treats=("initialisation",),
    )


class UniformInit(Spec):
    kind: Literal["uniform"]
    low: Entry
    high: Entry
    about: ClassVar = About(
        title="Uniform between two numbers",
        formula="W ~ U(low, high), Var W = (high − low)²/12, b = 0",
        paper="LeCun et al. 1998, Efficient BackProp",
        fails_when="blind to width and depth: σw² = fan_in·(high − low)²/12; a mean other than 0 pushes all units one "
        "way",
        treats=("initialisation",),
    )

    @model_validator(mode="after")
    def _low_is_below_high(self) -> Self:
        if self.low >= self.high:
            message = "low must lie below high; constant has one value for all weights"
            raise ValueError(message)
        return self


class ConstantInit(Spec):
    kind: Literal["constant"]
    value: Entry
    about: ClassVar = About(
        title="One value for all weights",
        formula="W = value, b = 0",
        paper="Goodfellow et al. 2016, Deep Learning, 8.4",
        fails_when="all units of a layer stay equal, as nothing tells them apart: the network learns as one of width "
        "1, or not",
    )


class IdentityInit(Spec):
    kind: Literal["identity"]
    gain: Positive = 1.0
    about: ClassVar = About(
        title="Identity",
        formula="W = gain·I, as far as W is square; a convolution passes each channel through its centre (Dirac); b = "
        "0",
        paper="Le et al. 2015, arXiv:1504.00941",
        fails_when="units stay alike: what enters two of them equally never differs",
        treats=("initialisation", "vanishing"),
    )


class DeltaOrthogonalInit(Spec):
    kind: Literal["delta_orthogonal"]
    gain: Positive = 1.0
    about: ClassVar = About(
        title="Delta-orthogonal",
        formula="a convolution's kernel is 0 but at its centre, which is orthogonal; other weights are orthogonal; b "
        "= 0",
        paper="Xiao et al. 2018, arXiv:1806.05393",
        fails_when="ReLU; a gain that does not fit the activation; channels that shrink",
        treats=("initialisation", "vanishing", "exploding"),
    )


class LsuvInit(Spec):
    kind: Literal["lsuv"]
    tolerance: float = Field(default=0.1, gt=0, lt=1)
    max_iterations: int = Field(default=10, ge=1, le=100)
    about: ClassVar = About(
        title="Layer-sequential unit variance",
        formula="orthonormal W, then W ← W/√Var(h) on the first training batch, layer by layer; b = 0",
        paper="Mishkin & Matas 2015, arXiv:1511.06422",
        fails_when="forward only: δ is not looked at; depends on one batch",
        treats=("initialisation", "vanishing", "exploding"),
    )


class FixupInit(Spec):
    kind: Literal["fixup"]
    about: ClassVar = About(
        title="Fixup",
        formula="He; in each of the L branches of m layers the last W = 0, the others · L^(−1/(2m − 2)); output W = "
        "0; b = 0",
        paper="Zhang et al. 2019, arXiv:1901.09321",
        fails_when="networks without residual branches; the paper's scalar biases and multipliers are left out",
        treats=("initialisation", "exploding"),
        applies_to=("mlp", "residual_mlp", "cnn", "residual_cnn", "transformer"),
    )


class Gpt2Init(Spec):
    kind: Literal["gpt2"]
    std: Positive = 0.02
    about: ClassVar = About(
        title="GPT-2",
        formula="W ~ N(0, std²); the last W of each of the N residual branches · 1/√N; b = 0",
        paper="Radford et al. 2019",
        fails_when="post-norm; blind to width; without residual branches it is a fixed deviation",
        treats=("initialisation", "exploding"),
        applies_to=("mlp", "residual_mlp", "cnn", "residual_cnn", "transformer"),
    )


InitSpec = Annotated[
    TorchDefaultInit
    | XavierNormalInit
    | XavierUniformInit
    | KaimingNormalInit
    | KaimingUniformInit
    | LecunNormalInit
    | OrthogonalInit
    | GaussianInit
    | NormalInit
    | UniformInit
    | ConstantInit
    | IdentityInit
    | DeltaOrthogonalInit
    | LsuvInit
    | FixupInit
    | Gpt2Init,
    Field(discriminator="kind"),
]
INITS: dict[str, type[Spec]] = by_kind(InitSpec)
