"""The function ``train`` of the file: the loop that an engineer would write, with its remedies where they act."""

from collections.abc import Iterator

from models.code import acting, minimised, updating
from models.code.formatting import INDENT, function
from models.plan.tree import Recur, Weigh, walk
from models.plan.variants import Plan
from models.specs.init import LsuvInit


class Loop:
    """The lines of ``train``."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.scheduled = bool(updating.rate_function(plan))
        self.acts = acting.acts_of(plan.run_time, "rate" if self.scheduled else "LEARNING_RATE")
        self.scales = self.acts.precision is not None and self.acts.precision.dtype == "float16"

    def function(self) -> list[str]:
        head = "def train(seed: int, tell: Callable[[str], object] = print) -> Trained:"
        return function(head, self._about(), [*self._setup(), *self._steps(), *self._end()])

    def _about(self) -> str:
        if self.plan.steps == 0:
            return "Untrained, as the experiment asks: the loss of the first batch, and no update."
        return "One run; the losses are those before each update."

    def _setup(self) -> Iterator[str]:
        plan = self.plan
        parts = "training, validation, test" if self._validates else "training, _, test"
        if plan.sizes.test == 0:
            parts = parts.replace("test", "_")
        if plan.dataset.standardise_targets:
            yield "*parts, unit = load(seed)"
            yield f"{parts} = (part.to(DEVICE) for part in parts)"
        else:
            yield f"{parts} = (part.to(DEVICE) for part in load(seed))"
        yield from minimised.loss_object(plan)
        yield "net = network(seed).to(DEVICE, torch.float32)"
        if _scales_by_data(plan):
            yield f"scale_by_data(net, next({self._batches}).given)"
        if plan.steps > 0:
            yield "parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]"
            yield from updating.optimizer(plan)
            if self.scheduled:
                yield 'rates = [group["lr"] for group in optimizer.param_groups]'
            yield from self.acts.before

    @property
    def _validates(self) -> bool:
        return self.plan.sizes.validation > 0

    @property
    def _batches(self) -> str:
        return "batches(training, seed, BATCH_SIZE, STEPS_PER_EPOCH)"

    def _steps(self) -> Iterator[str]:
        stops = self.plan.stop_when.nonfinite_steps is not None and self.plan.steps > 0
        yield "losses: list[float] = []"
        if stops:
            yield "nonfinite = 0"
        steps = "STEPS" if self.plan.steps else "1"
        yield f"for step, batch in enumerate(islice({self._batches}, {steps})):"
        for line in self._step():
            yield INDENT + line

    def _step(self) -> Iterator[str]:
        if self.plan.steps == 0:
            yield from self._forward()
            yield from self._told()
            return
        if self.scheduled:
            yield "factor = rate_factor(step)"
            if self.acts.decay:
                yield "rate = LEARNING_RATE * factor"
            yield "for group, its in zip(optimizer.param_groups, rates, strict=True):"
            yield '    group["lr"] = its * factor'
        yield from self._forward()
        yield "optimizer.zero_grad()"
        yield f"{'(loss * scaling.scale)' if self.scales else 'loss'}.backward()"
        after = [*self._update()]
        if self.plan.stop_when.nonfinite_steps is not None:
            finite = "bool(loss.isfinite()) and all(bool(gradient.isfinite().all()) for gradient in gradients)"
            # Looked at before the remedies act: clipping makes a finite number of an infinite one.
            after = [f"finite = {finite}", *after]
        # Only where a line reads them: a list that nobody uses would puzzle whoever reads the file.
        if any("gradients" in line for line in after):
            yield "gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]"
        yield from after
        yield from self._told()
        yield from self._stops()
        if self._validates:
            yield "if (step + 1) % STEPS_PER_EPOCH == 0:"
            yield from (INDENT + line for line in self._validated())

    def _validated(self) -> Iterator[str]:
        yield "outputs = answers(net, validation)"
        yield "found = float(loss_of(outputs, validation.y))"
        yield f"metric = {self._metric('validation')}"
        yield "epoch = step // STEPS_PER_EPOCH"
        name = self.plan.experiment.metric
        yield f'tell(f"epoch {{epoch}}, validation: loss {{found:.6g}}, {name} {{metric:.4f}}")'

    def _update(self) -> Iterator[str]:
        update = [*self.acts.on_gradients, *self.acts.decay, "optimizer.step()"]
        if not self.scales:
            yield from update
            return
        yield "made = scaling.unscale(gradients)"
        yield "if made:"
        yield from (INDENT + line for line in update)

    def _forward(self) -> Iterator[str]:
        if self.acts.precision is None:
            yield "loss = loss_of(net(*batch.given), batch.y)"
            return
        yield f"with torch.autocast(DEVICE.type, dtype=torch.{self.acts.precision.dtype}):"
        yield "    loss = loss_of(net(*batch.given), batch.y)"

    def _told(self) -> Iterator[str]:
        yield "losses.append(loss.item())"
        yield 'tell(f"step {step:>6}  loss {losses[-1]:.9g}")'

    def _stops(self) -> Iterator[str]:
        stop, every = self.plan.stop_when, self.plan.experiment.trace.every
        recorded = "" if every == 1 else f"step % {every} == 0 and "
        if stop.nonfinite_steps is not None:
            fine = "finite or not made" if self.scales else "finite"
            if every == 1:
                yield f"nonfinite = 0 if {fine} else nonfinite + 1"
            else:
                yield f"if step % {every} == 0:  # the clinic judges the steps that it records"
                yield f"    nonfinite = 0 if {fine} else nonfinite + {every}"
            yield f"if nonfinite >= {stop.nonfinite_steps}:"
            yield f'    tell("stopped: {stop.nonfinite_steps} steps in a row were not finite")'
            yield "    break"
        if stop.loss_above is not None:
            yield f"if {recorded}losses[-1] > {stop.loss_above!r}:"
            yield f'    tell("stopped: the loss is above {stop.loss_above!r}")'
            yield "    break"

    def _metric(self, part: str) -> str:
        unit = ", unit.to(DEVICE)" if self.plan.dataset.standardise_targets else ""
        return f"{self.plan.experiment.metric}(outputs, {part}.y{unit})"

    def _end(self) -> Iterator[str]:
        if self.plan.sizes.test == 0:
            yield "return Trained(net, losses, math.nan, math.nan)"
            return
        yield "outputs = answers(net, test)"
        yield f"return Trained(net, losses, float(loss_of(outputs, test.y)), {self._metric('test')})"


def _scales_by_data(plan: Plan) -> bool:
    held = [node.layer for node in walk(plan.network.body) if isinstance(node, Weigh | Recur)]
    return any(isinstance(layer.init, LsuvInit) for layer in held)
