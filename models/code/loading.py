"""The function ``load`` of the file: a data set's arrays, cut, standardised and made tensors."""

from collections.abc import Callable
from typing import Any

from models.code.formatting import INSIDE, Call, call, function, lines, quoted
from models.plan.variants import Plan
from models.specs.dataset import DatasetSpec
from models.specs.uploaded import UploadedSpec

DRAWN_BY: dict[str, tuple[str, ...]] = {
    "adding": ("cases", "length"),
    "copy_memory": ("cases", "delay"),
    "temporal_order": ("cases", "length"),
    "teacher_student": ("cases", "inputs", "outputs", "singular_values"),
    "mnist_1d": ("cases",),
}
"""The generated sets, with the parameters that their functions take."""
READ_WITH: dict[str, tuple[str, ...]] = {
    "digits": (),
    "sequential_digits": ("permuted",),
    "mnist_5k": (),
    "fashion_mnist": (),
    "japanese_vowels": (),
    "names": (),
    "python_docs": ("length",),
}


def _generated(dataset: Any, seed: str) -> Call:
    given = {name: getattr(dataset, name) for name in DRAWN_BY[dataset.kind]}
    return call(dataset.kind, seed, **{name: _literal(value) for name, value in given.items()})


def _literal(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _read(dataset: Any, _seed: str) -> Call:
    return call(dataset.kind, **{name: getattr(dataset, name) for name in READ_WITH[dataset.kind]})


def _uploaded(dataset: UploadedSpec, _seed: str) -> Call:
    facts = dataset.facts
    images = True if facts.form == "image" else None
    return call("uploaded", quoted(f"{dataset.name}.npz"), repr((facts.cases, *facts.shape)), images=images)


SOURCES: dict[str, Callable[[Any, str], Call]] = {
    **dict.fromkeys(DRAWN_BY, _generated),
    **dict.fromkeys(READ_WITH, _read),
    "uploaded": _uploaded,
}


def by_length(dataset: DatasetSpec) -> bool:
    return dataset.facts.varying_length


def load(plan: Plan) -> list[str]:
    """Its lines. It gives the parts for training, validation and test; of standardised values also their scale."""
    dataset, facts, sizes = plan.dataset, plan.dataset.facts, plan.sizes
    split_seed = "seed" if dataset.split_seed is None else str(dataset.split_seed)
    ends = by_length(dataset)
    names = "x, y, lengths" if ends or dataset.kind == "uploaded" else "x, y"
    scaled = dataset.standardise_targets
    result = "tuple[Part, Part, Part, Tensor]" if scaled else "tuple[Part, Part, Part]"
    parts = "training, validation and test" + (", and what one unit of the values is" if scaled else "")
    body = [*lines(SOURCES[dataset.kind](dataset, split_seed), before=f"{names} = ", room=INSIDE)]
    if facts.target == "value" and dataset.kind == "uploaded":
        body.append("y = y.astype(np.float32).reshape(len(y), -1)")
    body += [
        # One permutation and two cuts, as ``worker/datasets/split.py`` makes them: else other cases would be trained
        # on.
        f"order = np.random.default_rng({split_seed}).permutation(len(x))",
        f"cuts = np.split(order, [{sizes.train}, {sizes.train + sizes.validation}])",
    ]
    if facts.form != "tokens" and dataset.standardise != "none":
        body += ["# By the training cases alone: the others must not enter what is trained on.", "known = x[cuts[0]]"]
        if ends:
            body.append("known = known[np.arange(known.shape[1]) < lengths[cuts[0]][:, None]]")
        elif facts.form == "sequence":
            body.append("known = known.reshape(-1, known.shape[-1])")
        axis = ", axis=0" if dataset.standardise == "feature" else ""
        body += [f"mean, sd = moments(known{axis})", "x = (x - mean) / sd"]
        if ends:
            # What stands behind an end was 0, and the mean has moved it.
            body.append("x[np.arange(x.shape[1]) >= lengths[:, None]] = 0.0")
    if scaled:
        body += ["mean, sd = moments(y[cuts[0]].astype(np.float64), axis=0)", "y = (y - mean) / sd"]
    given = "x[cut], y[cut], lengths[cut]" if ends else "x[cut], y[cut]"
    body.append(f"training, validation, test = (part_of({given}) for cut in cuts)")
    body.append("return training, validation, test" + (", torch.from_numpy(sd)" if scaled else ""))
    # The callers hand the seed to every set; where none draws by it the name has to say so to linters.
    unused = "" if "seed" in " ".join(body).replace("seed=", "") else "_"
    head = f"def load({unused}seed: int) -> {result}:"
    return function(head, f"The cases for {parts}.", body)
