"""The optimiser of the file, and the factor of its rate in each step."""

from collections.abc import Iterator
from typing import Any

from models.code.formatting import INSIDE, Call, call, function, lines, quoted
from models.plan.variants import Plan


def optimizer(plan: Plan) -> Iterator[str]:
    """The lines that make it, inside ``train``."""
    spec = plan.optimizer
    options: dict[str, Any]
    # Fused or foreach as in the worker: another kernel rounds otherwise, and losses would part in the last bits.
    match spec.kind:
        case "sgd":
            options = {"momentum": spec.momentum or None, "nesterov": spec.nesterov or None, "fused": True}
        case "rmsprop":
            options = {"alpha": spec.alpha, "eps": spec.eps, "momentum": spec.momentum or None, "foreach": True}
        case "adam":
            options = {"betas": spec.betas, "eps": spec.eps, "fused": True}
        case "adamw":
            options = {"betas": spec.betas, "eps": spec.eps, "weight_decay": spec.weight_decay, "fused": True}
        case "nadam":
            options = {"betas": spec.betas, "eps": spec.eps, "momentum_decay": spec.momentum_decay, "foreach": True}
        case "radam":
            options = {"betas": spec.betas, "eps": spec.eps, "foreach": True}
        case "muon":
            yield from _muon(spec, plan)
            return
    made = call(f"torch.optim.{NAMES[spec.kind]}", "parameters", lr=spec.learning_rate, **options)
    yield from lines(made, "optimizer = ", room=INSIDE)


NAMES = {"sgd": "SGD", "rmsprop": "RMSprop", "adam": "Adam", "adamw": "AdamW", "nadam": "NAdam", "radam": "RAdam"}


def _muon(spec: Any, plan: Plan) -> Iterator[str]:
    """Muon on hidden matrices, AdamW on all else. Embeddings are tables, and kernels of convolutions no matrices."""
    tables = tuple(layer.name for layer in plan.layers if layer.kind == "embedding")
    but = ", ".join(map(quoted, ("output", *tables)))
    yield f"hidden = {{id(weight) for weight in weights_of(net, {but}) if weight.dim() == 2}}"
    yield "matrices = [parameter for parameter in parameters if id(parameter) in hidden]"
    yield "others = [parameter for parameter in parameters if id(parameter) not in hidden]"
    options = {
        "lr": spec.learning_rate,
        "weight_decay": spec.weight_decay,
        "momentum": spec.momentum,
        "nesterov": spec.nesterov,
        "ns_steps": spec.ns_steps,
    }
    muon = call("torch.optim.Muon", "matrices", *call("", **options).arguments, 'adjust_lr_fn="original"')
    adamw = call("torch.optim.AdamW", "others", lr=spec.adamw_learning_rate, weight_decay=0.0, fused=True)
    parts = [muon, adamw] if plan.network.has_matrices else [adamw]
    yield from lines(Call("Together", parts), "optimizer = ", room=INSIDE)


def rate_function(plan: Plan) -> list[str]:
    """The lines of ``rate_factor``; none where the rate stays."""
    factors = []
    for remedy in plan.run_time:
        if remedy.kind == "warm_up":
            start = remedy.start_factor
            factors.append(f"min(1.0, {start!r} + (1.0 - {start!r}) * (step + 1) / {remedy.steps})")
    body: list[str] = []
    schedule = plan.optimizer.schedule
    if schedule is not None:
        since = f"(step - {schedule.warm_up})" if schedule.warm_up else "step"
        if schedule.kind == "cosine":
            over = plan.steps - schedule.warm_up
            left = schedule.final_factor
            planned = f"{left!r} + (1.0 - {left!r}) * (1.0 + math.cos(math.pi * way)) / 2.0"
            body = [f"way = min(1.0, {since} / {over})", f"planned = {planned}"]
        else:
            body = [f"planned = {schedule.factor!r} ** ({since} // {schedule.every})"]
        if schedule.warm_up:
            body += [f"if step < {schedule.warm_up}:", f"    planned = (step + 1) / {schedule.warm_up}"]
        factors.append("planned")
    if not factors:
        return []
    body.append(f"return {' * '.join(factors)}")
    return function("def rate_factor(step: int) -> float:", "Of the learning rate, in this step.", body)
