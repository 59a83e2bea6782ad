"""A variant's whole file: what it is, its imports, data, network and training, each in a section of its own."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from models.code import loading, minimised, selection, updating
from models.code.formatting import INSIDE, call, escaped, function, lines, quoted
from models.code.looping import Loop
from models.code.steps import Emitter
from models.plan.variants import Plan, optimizer_words
from models.specs.remedy import REMEDIES, RemedySpec

SECTIONS: Final = {
    "randomness": "randomness",
    "sources": "data",
    "cases": "data",
    "modules": "network",
    "over_time": "network",
    "treatments": "training",
    "objectives": "training",
}
"""Where the pieces of each file stand."""
WRITTEN: Final = "Written by Gradient Clinic {}; nothing of it is needed here."
RUN: Final = (
    "`python` with the name of this file trains it and prints the loss of every step. `train(seed)` gives the trained "
    "network."
)
TRAINED: Final = '''class Trained(NamedTuple):
    """The trained network, the loss of every step before its update, and what it says of the test cases."""

    network: nn.Module
    losses: list[float]
    test_loss: float
    test_metric: float'''
MAIN: Final = """def main() -> None:
    # As the clinic trains: the same operations in the same order, on one thread.
    torch.use_deterministic_algorithms(mode=True)
    torch.set_num_threads(1)
    trained = train(SEED)
    print(f"test loss {{trained.test_loss:.6g}}, {metric} {{trained.test_metric:.4f}}")


if __name__ == "__main__":
    main()"""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a file comes from: the experiment's id and name, the variant, and what has trained its run, if any has."""

    experiment: str
    name: str
    variant: str
    seed: int
    clinic: str
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"


def program(plan: Plan, origin: Origin) -> str:
    """The file: Python of 3.11 on, in ruff's format. It needs torch and numpy, and what its data lie in."""
    own = {
        "data": ["\n".join(loading.load(plan))],
        "network": _network(plan),
        "training": _training(plan),
    }
    # Behind the file's own texts: which pieces it needs is read off the names that they use.
    needed = selection.needed("\n\n\n".join(text for texts in own.values() for text in texts))
    constants = _constants(plan, origin.seed)
    blocks: list[str] = []
    for section in ("randomness", "data", "network", "training"):
        texts = [piece.text for piece in needed if SECTIONS[piece.room] == section] + own.get(section, [])
        title = f"# --- {section} "
        blocks += [title + "-" * (119 - len(title)), *texts] if texts else []
    head = [_docstring(plan, origin), "", *selection.imports([constants, *blocks]), "", constants]
    return "\n".join(head) + "\n\n\n" + "\n\n\n".join(blocks) + "\n"


def _constants(plan: Plan, seed: int) -> str:
    named: dict[str, float] = {
        "SEED": seed,
        "STEPS": plan.steps,
        "STEPS_PER_EPOCH": plan.steps_per_epoch,
        "BATCH_SIZE": plan.experiment.batch_size,
    }
    if any(remedy.kind == "weight_decay" for remedy in plan.run_time):
        named["LEARNING_RATE"] = plan.optimizer.learning_rate
    rows = [f"{name} = {value!r}" for name, value in named.items()]
    return "\n".join([*rows, 'DEVICE = torch.device("cpu")'])


def _network(plan: Plan) -> list[str]:
    emitter = Emitter(plan.network, by_length=loading.by_length(plan.dataset))
    body = emitter.body()
    init, bias_init = emitter.usual
    layer = call("partial", "Layer", "seed", f"init={init}", *([f"bias_init={bias_init}"] if bias_init else []))
    about = f"{plan.network.parameters:,} parameters; layers have the names that they have in the traces."
    inside = [*lines(layer, "layer = ", room=INSIDE), *lines(body, "return ", room=INSIDE)]
    rows = function("def network(seed: int) -> nn.Module:", about, inside)
    return ["\n".join(its) for its in [*emitter.draws.functions(), rows]]


def _training(plan: Plan) -> list[str]:
    functions = [minimised.loss_function(plan), updating.rate_function(plan), Loop(plan).function()]
    loss, rate, train = ("\n".join(its) for its in functions)
    return [*filter(None, (loss, rate)), TRAINED, train, MAIN.format(metric=plan.experiment.metric)]


# --- what it is ------------------------------------------------------------------------------------------------------


def _docstring(plan: Plan, origin: Origin) -> str:
    trained = f"{optimizer_words(plan.optimizer)}, batch {plan.experiment.batch_size}, {plan.steps} steps"
    paragraphs = [
        f"The variant {quoted(origin.variant)} of the experiment {quoted(origin.name)} as plain PyTorch.",
        f"Experiment {origin.experiment}, seed {origin.seed}. {WRITTEN.format(origin.clinic)}",
        *_changes(plan.remedies),
        f"Trained by {trained}, {plan.objective.loss}, on {_data(plan)}.",
        *_run(origin),
        *_unsaid(plan),
        RUN,
    ]
    body = "\n\n".join(_wrapped(text) for text in paragraphs)
    return f'"""{body}\n"""'


def _changes(remedies: tuple[RemedySpec, ...]) -> list[str]:
    if not remedies:
        return ["It changes nothing: this is the baseline."]
    rows = ["What it changes:"]
    for remedy in remedies:
        about = REMEDIES[remedy.kind].about
        given = remedy.model_dump(mode="json", exclude={"kind"}, exclude_none=True)
        parameters = ", ".join(f"{name} {value}" for name, value in given.items())
        rows.append(f"- {remedy.kind}{f' ({parameters})' if parameters else ''}: {about.formula} ({about.paper}).")
    return ["\n".join(_wrapped(escaped(row), hanging="  ") for row in rows)]


def _data(plan: Plan) -> str:
    facts = plan.dataset.facts
    return f"{plan.dataset.kind} ({facts.cases:,} cases; {escaped(facts.licence)})"


def _run(origin: Origin) -> list[str]:
    if not origin.versions:
        return []
    trained = escaped(", ".join(f"{name} {version}" for name, version in origin.versions.items()))
    if origin.device != "cpu":
        device = escaped(origin.device)
        return [f"The clinic's run had {trained} on {device}: let DEVICE be that, and the losses are near to its own."]
    return [f"The clinic's run had {trained}; with the same on one processor the losses are equal bit by bit."]


def _unsaid(plan: Plan) -> list[str]:
    """What the file cannot say as the clinic has it."""
    dataset, found = plan.dataset, []
    if dataset.kind == "uploaded":
        given = f"x {(dataset.facts.cases, *dataset.facts.shape)} and y"
        given += ", and lengths" if dataset.facts.varying_length else ""
        found.append(
            f"The data are an upload and not in this file: {dataset.name}, version {dataset.version}. The clinic hands "
            f"out no bytes: lay {dataset.name}.npz beside this file, with {given} as they were sent. `load` reads it."
        )
        if dataset.known is not None and dataset.known.format and dataset.known.format != "npz":
            note = f": {dataset.known.note}" if dataset.known.note else ""
            found.append(f"They came as {dataset.known.format}, so make the arrays as the clinic has read it{note}.")
    if dataset.kind == "python_docs":
        found.append("The text is that of Python's own help, which is another one in each release of Python.")
    if plan.steps and plan.stop_when.nonfinite_steps is not None:
        found.append(
            "The clinic stops a run after steps in a row with a number that is not finite anywhere it measures; this "
            "file looks at the loss and at the gradients."
        )
    return [escaped(text) for text in found]


def _wrapped(text: str, hanging: str = "") -> str:
    if "\n" in text:
        return text
    return textwrap.fill(text, 118, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)
