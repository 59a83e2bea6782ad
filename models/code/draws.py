"""How weights and biases are drawn, as functions of the file: one for each initialisation that a network has."""

import math
from dataclasses import dataclass, field

from models.code.formatting import function
from models.plan.tree import LayerPlan
from models.specs.init import INITS, InitSpec

# As the worker draws, operation by operation: in another order the last bits differ, and with them every loss.
NORMAL = "weight.normal_(generator=random).mul_(math.sqrt(variance))"
UNIFORM = "weight.uniform_(-1.0, 1.0, generator=random).mul_(math.sqrt(3.0) * math.sqrt(variance))"


def _weight_lines(init: InitSpec, *, embedding: bool) -> list[str]:  # noqa: PLR0911 -- one per kind
    """The body of the function (weight, fan_in, fan_out, random)."""
    match init.kind:
        case "orthogonal" | "lsuv":
            gain = init.gain if init.kind == "orthogonal" else 1.0
            return [f"nn.init.orthogonal_(weight, gain={gain!r}, generator=random)"]
        case "delta_orthogonal":
            return [
                "centre = torch.empty(weight.shape[:2], dtype=weight.dtype)",
                f"nn.init.orthogonal_(centre, gain={init.gain!r}, generator=random)",
                "if weight.dim() == 2:",
                "    weight.copy_(centre)",
                "else:",
                "    weight.zero_()",
                "    weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2] = centre",
            ]
        case "identity":
            return [
                "nn.init.eye_(weight) if weight.dim() == 2 else nn.init.dirac_(weight)",
                f"weight.mul_({init.gain!r})",
            ]
        # Before the rest, which draws by fans: nn.Embedding has a default of its own.
        case "torch_default" if embedding:
            return ["weight.normal_(generator=random)"]
        case "uniform":
            half, middle = (init.high - init.low) / 2.0, (init.low + init.high) / 2.0
            return [f"weight.uniform_(-1.0, 1.0, generator=random).mul_({half!r})", f"weight.add_({middle!r})"]
        case "constant":
            return [f"weight.fill_({init.value!r})"]
        case "normal" | "gpt2":
            # √(std²) and not std, which are not always the same number: the worker goes by variances.
            return [f"weight.normal_(generator=random).mul_({math.sqrt(init.std**2)!r})"]
    is_uniform = init.kind in {"torch_default", "xavier_uniform", "kaiming_uniform"} or (
        init.kind == "gaussian" and init.distribution == "uniform"
    )
    return [f"variance = {_variance(init)}", UNIFORM if is_uniform else NORMAL]


def _variance(init: InitSpec) -> str:
    """Of inits that draw each entry by its fans."""
    match init.kind:
        case "torch_default":
            return "1.0 / (3.0 * fan_in)"
        case "xavier_normal" | "xavier_uniform":
            return f"{init.gain!r}**2 * 2.0 / (fan_in + fan_out)"
        case "kaiming_normal" | "kaiming_uniform":
            return f'nn.init.calculate_gain("{init.nonlinearity}", 0) ** 2 / {init.mode}'
        case "fixup":
            return "2.0 / fan_in"
        case "lecun_normal":
            return "1.0 / fan_in"
        case "gaussian":
            return f"{init.weight_variance!r} / fan_in"
    message = f"the weights of {init.kind} do not follow their fans"
    raise ValueError(message)


def _bias_line(init: InitSpec) -> str | None:
    """The body of the function that draws biases; None: they are zero."""
    match init.kind:
        case "torch_default":
            return "bias.uniform_(-1.0, 1.0, generator=random).mul_(1.0 / math.sqrt(fan_in))"
        case "gaussian" if init.bias_variance == 0.0:
            return None
        case "gaussian" if init.distribution == "uniform":
            return f"bias.uniform_(-1.0, 1.0, generator=random).mul_(math.sqrt(3.0 * {init.bias_variance!r}))"
        case "gaussian":
            return f"bias.normal_(generator=random).mul_(math.sqrt({init.bias_variance!r}))"
    return None


@dataclass(slots=True)
class Draws:
    """The functions so far, by what they do, and their names."""

    bodies: dict[tuple[str, ...], str] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)

    def weight(self, layer: LayerPlan) -> str:
        """The name of the function that draws the layer's weights."""
        embedding = layer.kind == "embedding"
        body = _weight_lines(layer.init, embedding=embedding)
        about = INITS[layer.init.kind].about
        text = f"{about.title}: {about.formula} ({about.paper})."
        if embedding and layer.init.kind == "torch_default":
            return self._named("torch_default_of_embeddings", body, "W ~ N(0, 1): PyTorch's default for nn.Embedding.")
        return self._named(layer.init.kind, body, text)

    def bias(self, layer: LayerPlan) -> str | None:
        if not layer.bias:
            return None
        init = layer.bias_init or layer.init
        line = _bias_line(init)
        return None if line is None else self._named(f"{init.kind}_bias", [line], "Of the biases.")

    def _named(self, kind: str, body: list[str], about: str) -> str:
        key = tuple(body)
        if key not in self.bodies:
            taken = set(self.bodies.values())
            name = next(name for name in (kind, *(f"{kind}_{n}" for n in range(2, 10_000))) if name not in taken)
            self.bodies[key], self.about[name] = name, about
        return self.bodies[key]

    def functions(self) -> list[list[str]]:
        """Each as lines."""
        found = []
        for body, name in self.bodies.items():
            what = "bias" if "_bias" in name else "weight"
            head = f"def {name}({what}: Tensor, fan_in: int, fan_out: int, random: torch.Generator) -> None:"
            found.append(function(head, self.about[name], body))
        return found
