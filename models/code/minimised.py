"""What the file minimises: a function ``loss_of``, or an object of that name that the training cases make."""

from collections.abc import Iterator

from models.code.formatting import INSIDE, call, function, lines
from models.plan.variants import Plan

OF_NUMBERS = {
    "mse": ("mse_loss", "Mean squared error"),
    "mae": ("l1_loss", "Mean distance"),
    "huber": ("huber_loss", "Huber's loss with δ = 1"),
    "binary_cross_entropy": ("binary_cross_entropy_with_logits", "Binary cross entropy of each class"),
}


def loss_function(plan: Plan) -> list[str]:
    """The lines of a function ``loss_of``; none where it is an object that the training cases make."""
    asked, facts = plan.objective, plan.dataset.facts
    if asked.loss == "cross_entropy":
        if asked.class_weights is not None or asked.label_smoothing > 0.0:
            return []
        text = "Cross entropy over all labels"
        text += "; steps behind a case's end have the label −100 and do not count" if facts.varying_length else ""
        body = "return functional.cross_entropy(outputs.flatten(0, -2), y.flatten())"
    else:
        name, text = OF_NUMBERS[asked.loss]
        wanted = "y"
        if facts.target != "value":
            text += " against one-hot labels"
            wanted = f"functional.one_hot(y, {facts.classes}).to(outputs.dtype)"
        body = f"return functional.{name}(outputs, {wanted})"
    return function("def loss_of(outputs: Tensor, y: Tensor) -> Tensor:", f"{text}.", [body])


def loss_object(plan: Plan) -> Iterator[str]:
    """The lines that make it of ``training``, inside ``train``."""
    asked, classes = plan.objective, plan.dataset.facts.classes
    if asked.loss != "cross_entropy" or (asked.class_weights is None and asked.label_smoothing == 0.0):
        return
    if asked.class_weights == "balanced":
        yield f"weights = balanced(label_counts(training.y, {classes}))"
    elif asked.class_weights is not None:
        yield from lines(
            call("torch.tensor", repr(list(asked.class_weights)), "dtype=torch.float64"), "weights = ", room=INSIDE
        )
        yield "weights = weights.to(DEVICE)"
    arguments = [str(classes)]
    arguments += [] if asked.class_weights is None else ["weights=weights"]
    arguments += [f"smoothing={asked.label_smoothing!r}"] if asked.label_smoothing > 0.0 else []
    yield from lines(call("CrossEntropy", *arguments), "loss_of = ", room=INSIDE)
