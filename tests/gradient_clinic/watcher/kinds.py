"""Small networks as people write them, each with a forward pass of the test's own that tells every h by name."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- as everybody calls it
from torch import Tensor, nn

from gradient_clinic.activations import SHAPES

Note = Callable[[str, Tensor], Tensor]
Batch = tuple[Tensor, Tensor]


class Mlp(nn.Sequential):
    """``nn.ReLU`` overwrites its h; the last activation is a function's own module."""

    def __init__(self, depth: int = 4, activation: Callable[[], nn.Module] = lambda: nn.ReLU(inplace=True)) -> None:
        layers = [part for _ in range(depth) for part in (nn.Linear(8, 8), activation())]
        super().__init__(*layers, nn.Linear(8, 3))

    def tell(self, x: Tensor, note: Note) -> Tensor:
        for name, module in self.named_children():
            x = module(x)
            if isinstance(module, nn.Linear):
                x = note(name, x)
        return x


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, rectified: bool) -> None:
        super().__init__()
        stride = outputs // inputs
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.fit = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else None
        self.rectified = rectified

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(F.relu(self.norm(self.first(x)), inplace=True))
        y += x if self.fit is None else self.fit(x)
        return F.relu(y) if self.rectified else y

    def tell(self, x: Tensor, note: Note, name: str) -> Tensor:
        y = note(f"{name}.second", self.second(F.relu(note(f"{name}.first", self.norm(self.first(x))))))
        y = y + (x if self.fit is None else note(f"{name}.fit", self.fit(x)))
        return note(name, F.relu(y) if self.rectified else y)


class ResNet(nn.Module):
    """Norms, activations and sums as functions, sums in place, a block whose output is what it overwrites."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.blocks = nn.ModuleList(
            [Block(4, 4, rectified=False), Block(4, 8, rectified=True), Block(8, 8, rectified=True)]
        )
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.stem(x))
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits

    def tell(self, x: Tensor, note: Note) -> Tensor:
        x = note("stem", self.stem(x)).tanh()
        for index, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            x = block.tell(x, note, f"blocks.{index}")
        return note("head", self.head(x.mean((2, 3))))


class Transformer(nn.Module):
    """Torch's own encoder, which keeps two weights in its attention, and a head tied to the embedding."""

    def __init__(self, *, norm_first: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embedding.weight
        self.norm_first = norm_first

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.flatten(self.head(self.encoder(self.embedding(tokens))), 0, 1)

    def tell(self, tokens: Tensor, note: Note) -> Tensor:
        x = self.embedding(tokens)
        for index, layer in enumerate(self.encoder.layers):
            assert isinstance(layer, nn.TransformerEncoderLayer)
            x = self._tell_layer(x, layer, note, f"encoder.layers.{index}")
        return note("head", self.head(x)).flatten(0, 1)

    def _tell_layer(self, x: Tensor, its: nn.TransformerEncoderLayer, note: Note, name: str) -> Tensor:
        def attend(y: Tensor) -> Tensor:
            return note(f"{name}.self_attn", its.self_attn(y, y, y, need_weights=False)[0])

        def feed(y: Tensor) -> Tensor:
            return note(f"{name}.linear2", its.linear2(F.relu(note(f"{name}.linear1", its.linear1(y)))))

        if self.norm_first:
            x = x + attend(its.norm1(x))
            return note(name, x + feed(its.norm2(x)))
        x = its.norm1(x + attend(x))
        return note(name, its.norm2(x + feed(x)))


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.lstm = nn.LSTM(6, 8, num_layers=2, batch_first=True)
        self.tags = nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.flatten(self.tags(self.lstm(self.embedding(tokens))[0]), 0, 1)

    def tell(self, tokens: Tensor, note: Note) -> Tensor:
        h = note("lstm", self.lstm(self.embedding(tokens))[0])
        return note("tags", self.tags(h)).flatten(0, 1)


KINDS: dict[str, Callable[[], Any]] = {
    "mlp": Mlp,
    "tanh": lambda: Mlp(activation=nn.Tanh),
    "resnet": ResNet,
    "pre_norm": lambda: Transformer(norm_first=True),
    "post_norm": lambda: Transformer(norm_first=False),
    "tagger": Tagger,
}


def made(kind: str, dtype: torch.dtype = torch.float64, seed: int = 0) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # noqa: TID251 -- torch's own layers draw from no other generator
        return KINDS[kind]().to(dtype)


def batch_of(kind: str, seed: int, dtype: torch.dtype = torch.float64, cases: int = 6) -> Batch:
    random = torch.Generator().manual_seed(seed)
    if kind in {"pre_norm", "post_norm", "tagger"}:
        tokens = torch.randint(11, (cases, 5), generator=random)
        return tokens, tokens.flatten() % (3 if kind == "tagger" else 11)
    shape = (cases, 1, 8, 8) if kind == "resnet" else (cases, 8)
    return 2.0 * torch.randn(shape, generator=random, dtype=dtype), torch.randint(3, (cases,), generator=random)


# --- the oracle -----------------------------------------------------------------------------------------------------


@dataclass
class Told:
    """What one pass of a copy shows, by name; ``model`` is that copy with its gradients."""

    model: Any
    h: dict[str, Tensor]
    loss: float

    def of_h(self, name: str, function: str | None, unit_axis: int) -> dict[str, float]:
        h, delta = self.h[name].detach(), self.h[name].grad
        assert delta is not None
        return {
            "activation_rms": rms(h),
            "activation_gradient_rms": rms(delta),
            "dead_fraction": _dead(h.movedim(unit_axis, -1).flatten(0, -2), function),
            "saturated_fraction": _saturated(h, function),
        }


def told(model: Any, batch: Batch) -> Told:
    """By autograd, in float64, with every h kept."""
    copied = copy.deepcopy(model).double()
    copied.zero_grad()
    kept: dict[str, Tensor] = {}

    def note(name: str, h: Tensor) -> Tensor:
        kept[name] = h.clone()
        kept[name].retain_grad()
        return kept[name].clone()

    inputs = batch[0].double() if batch[0].is_floating_point() else batch[0]
    loss = F.cross_entropy(copied.tell(inputs, note), batch[1])
    torch.autograd.backward(loss)
    return Told(copied, kept, float(loss.detach()))


def of_weight(weight: Tensor, gradient: Tensor, after: Tensor) -> dict[str, float]:
    norm = float(weight.double().norm())
    return {
        "weight_gradient_norm": float(gradient.double().norm()),
        "weight_gradient_max": float(gradient.abs().max()),
        "weight_norm": norm,
        "update_ratio": float((after.double() - weight.double()).norm()) / norm,
    }


def rms(values: Tensor) -> float:
    return math.sqrt(float(values.square().mean()))


def _dead(units: Tensor, function: str | None) -> float:
    """Of (cases, units): by φ' itself."""
    if function is None or SHAPES[function].active is None:
        return 0.0
    slopes = SHAPES[function].dphi(units.numpy(), 0.0)
    return float((slopes == 0.0).all(axis=0).mean())


def _saturated(h: Tensor, function: str | None) -> float:
    if function is None or SHAPES[function].unsaturated is None:
        return 0.0
    slopes = SHAPES[function].dphi(h.numpy(), 0.0)
    return float((slopes < 0.01).mean())
