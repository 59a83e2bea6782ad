"""What a network reads when a prediction is asked for without data: the shape given, or one that a caveat states."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from models.plan.tree import Shape
from models.specs.base import Problem, SpecError
from models.specs.facts import FOR_IMAGES, FOR_SEQUENCES, FOR_TOKENS, FOR_VECTORS
from models.specs.network import CnnSpec, MlpSpec, ResidualCnnSpec, ResidualMlpSpec, RnnSpec, TransformerSpec
from models.specs.networks import Planned
from models.specs.sequential import (
    ConvItem,
    EmbeddingItem,
    Item,
    LinearItem,
    RecurrentItem,
    ResidualItem,
    SequentialSpec,
)

OUTPUTS: Final = 10
IMAGE: Final = Shape("image", (1, 28, 28))
STEPS: Final = 28
TOKENS: Final = Shape("tokens", (STEPS,), vocabulary=256)
MAX_STEPS: Final = 2_000
MAX_SIDE: Final = 256
"""Of an image; theory follows every place of a case, and an answer is due at once."""
AXES: Final = {"vector": 1, "image": 3, "sequence": 2, "tokens": 1}
TAKEN_BY: Final = {
    "vector": (*FOR_VECTORS, "rnn", "transformer"),
    "image": FOR_IMAGES,
    "sequence": (*FOR_SEQUENCES, "mlp", "residual_mlp"),
    "tokens": (*FOR_TOKENS, "sequential"),
}
"""The network kinds that can read each form; an mlp flattens, a recurrent network takes a vector number by number."""


@dataclass(frozen=True, slots=True)
class AssumedInput:
    shape: Shape
    outputs: int
    caveats: tuple[str, ...] = ()


def assumed_input(network: Planned, input_width: int | None, given: Shape | None) -> AssumedInput:
    """SpecError, naming ``input``, where the shape given is none that this kind of network reads."""
    outputs = network.hidden_widths()[-1] if isinstance(network, MlpSpec) else OUTPUTS
    if given is not None:
        _check(network, input_width, given)
        return AssumedInput(given, outputs)
    shape, plain = _usual(network, input_width)
    if plain:
        return AssumedInput(shape, outputs)
    said = f"Nothing was said of the data: cases are taken to be {shape}; give input to change it."
    return AssumedInput(shape, outputs, (said,))


def _check(network: Planned, input_width: int | None, given: Shape) -> None:
    if input_width is not None:
        raise SpecError(Problem("input_width", input_width, "the input's size is given already", "one of the two"))
    if len(given.size) != AXES[given.form]:
        message = f"the size of a case of the form {given.form} has {AXES[given.form]} numbers"
        raise SpecError(Problem("input.size", list(given.size), message, "see /v1/catalogue/datasets for shapes"))
    if given.form == "tokens" and given.vocabulary < 1:
        raise SpecError(Problem("input.vocabulary", given.vocabulary, "tokens lie below a vocabulary", "at least 1"))
    if network.kind not in TAKEN_BY[given.form]:
        fitting = [form for form, kinds in TAKEN_BY.items() if network.kind in kinds]
        message = f"a network of kind {network.kind} cannot read cases of the form {given.form}"
        raise SpecError(Problem("input.form", given.form, message, fitting))
    _check_places(network, given)


def _check_places(network: Planned, given: Shape) -> None:
    if given.form == "image" and max(given.size[1:]) > MAX_SIDE:
        raise SpecError(
            Problem("input.size", list(given.size), "the image is too large to follow", f"sides to {MAX_SIDE}")
        )
    over_steps = given.form in {"sequence", "tokens"} or (
        given.form == "vector" and network.kind in {"rnn", "transformer"}
    )
    if over_steps and given.size[0] > MAX_STEPS:
        raise SpecError(
            Problem("input.size", list(given.size), "the steps are too many to follow", f"{MAX_STEPS} steps")
        )


def _usual(network: Planned, width: int | None) -> tuple[Shape, bool]:
    """(shape, whether the spec alone implies it)."""
    match network:
        case MlpSpec():
            return Shape("vector", (width or network.hidden_widths()[0],)), True
        case ResidualMlpSpec():
            return Shape("vector", (width or network.width,)), True
        case CnnSpec() | ResidualCnnSpec():
            return IMAGE, False
        case RnnSpec() | TransformerSpec():
            return Shape("sequence", (STEPS, width or network.width)), False
        case SequentialSpec():
            return _of_list(network, width)


def _of_list(network: SequentialSpec, width: int | None) -> tuple[Shape, bool]:
    match next(_weights(network.layers), None):
        case ConvItem():
            return IMAGE, False
        case EmbeddingItem():
            return TOKENS, False
        case RecurrentItem() as item:
            return Shape("sequence", (STEPS, width or item.width)), False
        case LinearItem() as item:
            return Shape("vector", (width or item.units,)), True
    return Shape("vector", (width or OUTPUTS,)), False


def _weights(items: tuple[Item, ...]) -> Iterator[Item]:
    for item in items:
        if isinstance(item, ResidualItem):
            yield from _weights(item.layers)
        elif isinstance(item, LinearItem | ConvItem | EmbeddingItem | RecurrentItem):
            yield item
