"""Networks as people have them, each with the loop that people write for it and labels that it can learn.

torchvision's ResNet-18 and VGG-16 without norms (the head of the second for images of 32 × 32), a GPT-2 of
transformers, an LSTM tagger, and a DCGAN pair (Radford et al. 2016) with an optimiser each. All weights are random, and
nothing is random in a pass: dropout is 0.
"""

import importlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
import torch.nn.functional as F  # noqa: N812 -- as everybody calls it
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

import gradient_clinic as gc
from gradient_clinic.watcher.watch import Watch

Tell = Callable[[Tensor], Tensor]
"""What a loss is told to before its gradients are asked for: ``Watch.loss``."""
CLASSES: Final = 10
CASES: Final = 16
VOCABULARY: Final = 64
LENGTH: Final = 32
NOISE: Final = 32
DTYPE: Final = torch.float32
SEED: Final = 7
LIBRARY: Final[Any] = torch.library  # untyped
SCHEMAS: Final = LIBRARY.Library("torchvision", "FRAGMENT")


class Training:
    """Networks, an optimiser for each, and their loop. ``normed``, by network: the module whose output is the h of a
    layer that has a norm of its own behind it; of all others it is the layer's.
    """

    learns = True
    """Whether the loss of a network that trains falls."""
    normed: tuple[Mapping[str, str], ...] = ({},)

    def __init__(self, rate: float = 1.0) -> None:
        """``rate``: times the usual learning rate."""
        self.dtype = DTYPE
        self.models, self.optimizers = self.made(rate)

    def made(self, rate: float) -> tuple[tuple[nn.Module, ...], tuple[Optimizer, ...]]:
        """Networks, and an optimiser for each."""
        raise NotImplementedError

    def step(self, number: int, tell: Sequence[Tell]) -> None:
        """One step of every optimiser, on the batch of that number."""
        raise NotImplementedError

    def in_float64(self) -> None:
        """Weights, moments and batches from now on."""
        self.dtype = torch.float64
        for model in self.models:
            model.double()
        for optimizer in self.optimizers:
            for state in optimizer.state.values():
                state.update({name: its.double() for name, its in state.items() if _is_of_weights(its)})


def _is_of_weights(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.dim() > 0


def random(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(SEED + number)


def images(number: int) -> tuple[Tensor, Tensor]:
    """(16, 3, 32, 32) of ten patterns under noise, and which of them it is."""
    patterns = torch.randn((CLASSES, 3, 32, 32), generator=random(-1))
    labels = torch.randint(CLASSES, (CASES,), generator=random(number))
    return patterns[labels] + torch.randn((CASES, 3, 32, 32), generator=random(number)), labels


class Classifier(Training):
    """Of images, by SGD with momentum where nothing else is said."""

    def network(self) -> nn.Module:
        raise NotImplementedError

    def made(self, rate: float) -> tuple[tuple[nn.Module, ...], tuple[Optimizer, ...]]:
        model = self.network()
        return (model,), (SGD(model.parameters(), lr=0.01 * rate, momentum=0.9),)

    def step(self, number: int, tell: Sequence[Tell]) -> None:
        inputs, labels = images(number)
        self.optimizers[0].zero_grad()
        loss = F.cross_entropy(self.models[0](inputs.to(self.dtype)), labels)
        torch.autograd.backward(tell[0](loss))
        self.optimizers[0].step()


class ResNet18(Classifier):
    """Its norms are named as its convolutions are."""

    normed = (
        {
            "conv1": "bn1",
            **{
                f"layer{stage}.{block}.conv{number}": f"layer{stage}.{block}.bn{number}"
                for stage, block, number in itertools.product(range(1, 5), range(2), (1, 2))
            },
            **{f"layer{stage}.0.downsample.0": f"layer{stage}.0.downsample.1" for stage in (2, 3, 4)},
        },
    )

    def network(self) -> nn.Module:
        made: nn.Module = torchvision().models.resnet18(num_classes=CLASSES)
        return made


class Vgg16(Classifier):
    """Sixteen layers without a norm: by Adam, as SGD needs a warm-up here."""

    def made(self, rate: float) -> tuple[tuple[nn.Module, ...], tuple[Optimizer, ...]]:
        model = self.network()
        return (model,), (Adam(model.parameters(), lr=5e-5 * rate),)

    def network(self) -> nn.Module:
        made: Any = torchvision().models.vgg16(num_classes=CLASSES, dropout=0.0)
        made.avgpool, made.classifier = nn.Identity(), nn.Linear(512, CLASSES)
        network: nn.Module = made
        return network


class Gpt(Training):
    """Six pre-norm blocks with an embedding that is the head's weight too. A sequence goes up by a step of its own."""

    def made(self, rate: float) -> tuple[tuple[nn.Module, ...], tuple[Optimizer, ...]]:
        transformers: Any = importlib.import_module("transformers")
        sizes = {"vocab_size": VOCABULARY, "n_positions": LENGTH, "n_embd": 64, "n_layer": 6, "n_head": 4}
        without = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": None, "eos_token_id": None}
        model: nn.Module = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **without))
        return (model,), (AdamW(model.parameters(), lr=0.003 * rate),)

    def step(self, number: int, tell: Sequence[Tell]) -> None:
        first, by = torch.randint(VOCABULARY, (2, CASES, 1), generator=random(number))
        tokens = (first + by % 4 * torch.arange(LENGTH + 1)) % VOCABULARY
        self.optimizers[0].zero_grad()
        logits = self.models[0](input_ids=tokens[:, :-1]).logits
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        torch.autograd.backward(tell[0](loss))
        self.optimizers[0].step()


class Tagger(Training):
    """Two LSTM layers; the tag of a word hangs on the word before it."""

    def made(self, rate: float) -> tuple[tuple[nn.Module, ...], tuple[Optimizer, ...]]:
        model = _Tagger()
        return (model,), (Adam(model.parameters(), lr=0.01 * rate),)

    def step(self, number: int, tell: Sequence[Tell]) -> None:
        words = torch.randint(VOCABULARY, (CASES, LENGTH + 1), generator=random(number))
        tags = (words[:, :-1] + words[:, 1:]) % 4
        self.optimizers[0].zero_grad()
        loss = F.cross_entropy(self.models[0](words[:, 1:]).flatten(0, 1), tags.flatten())
        torch.autograd.backward(tell[0](loss))
        self.optimizers[0].step()


class _Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 32)
        self.lstm = nn.LSTM(32, 64, num_layers=2, batch_first=True)
        self.tags = nn.Linear(64, 4)

    def forward(self, words: Tensor) -> Tensor:
        tags: Tensor = self.tags(self.lstm(self.embedding(words))[0])
        return tags


class Dcgan(Training):
    """The critic steps on real images and on made-up ones, one pass each; then the generator, through the critic."""

    learns = False  # neither loss falls where both do well
    normed = ({"0": "1", "3": "4"}, {"2": "3"})

    def made(self, rate: float) -> tuple[tuple[nn.Module, ...], tuple[Optimizer, ...]]:
        models = (_generator(), _critic())
        for its in [its for model in models for its in model.modules()]:
            if isinstance(its, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(its.weight, 0.0, 0.02)
        return models, tuple(Adam(its.parameters(), lr=2e-4 * rate, betas=(0.5, 0.999)) for its in models)

    def step(self, number: int, tell: Sequence[Tell]) -> None:
        (generator, critic), (of_generator, of_critic) = self.models, self.optimizers
        noise = torch.randn((CASES, NOISE, 1, 1), generator=random(number)).to(self.dtype)
        made_up = generator(noise)
        of_critic.zero_grad()
        real = critic(images(number)[0][:, :, :16, :16].to(self.dtype))
        torch.autograd.backward(tell[1](F.binary_cross_entropy_with_logits(real, torch.ones_like(real))))
        found = critic(made_up.detach())
        torch.autograd.backward(tell[1](F.binary_cross_entropy_with_logits(found, torch.zeros_like(found))))
        of_critic.step()
        of_generator.zero_grad()
        believed = critic(made_up)
        torch.autograd.backward(tell[0](F.binary_cross_entropy_with_logits(believed, torch.ones_like(believed))))
        of_generator.step()


def _generator() -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(NOISE, 64, 4, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(32, 3, 4, 2, 1, bias=False),
        nn.Tanh(),
    )


def _critic() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 32, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(32, 64, 4, 2, 1, bias=False),
        nn.BatchNorm2d(64),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(64, 1, 4, bias=False),
        nn.Flatten(),
    )


TRAININGS: Final[Mapping[str, type[Training]]] = {
    "ResNet-18": ResNet18,
    "VGG-16": Vgg16,
    "GPT-2, 6 blocks": Gpt,
    "LSTM tagger": Tagger,
    "DCGAN": Dcgan,
}


def drawn(name: str, rate: float = 1.0) -> Training:
    """With weights that are the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)  # noqa: TID251 -- their layers draw from no other generator
        return TRAININGS[name](rate)


def untold(loss: Tensor) -> Tensor:
    """In place of ``Watch.loss``: nobody is told."""
    return loss


def watched(training: Training, **options: Any) -> list[Watch]:
    """A watch of each of its networks."""
    return [gc.watch(*its, **options) for its in zip(training.models, training.optimizers, strict=True)]


def torchvision() -> Any:
    """Its models, also where its compiled operators are those of another build of torch: no network here has one."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:  # it asks for two of them by name
        for operator in ("nms", "qnms"):
            SCHEMAS.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return importlib.import_module("torchvision")
