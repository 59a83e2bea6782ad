"""The experiment as a client asks for it: its spec, with every default filled in."""

import datetime as dt
import uuid
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from models.specs.base import Problem, Spec, SpecError
from models.specs.bounds import MOST_STEPS
from models.specs.dataset import DatasetSpec
from models.specs.loss import (
    ClassWeights,
    Loss,
    Metric,
    Objective,
    metric_problem,
    objective_problem,
    usual_loss,
    usual_metric,
)
from models.specs.moment import Moment
from models.specs.networks import NetworkSpec
from models.specs.optimizer import OptimizerSpec
from models.specs.remedy import RemedySpec
from models.specs.seeds import MAX_SEEDS, Seed, SeedCount, listed
from models.specs.text import PLAIN
from models.specs.tune import TuneSpec

MAX_LABELS = 64
MAX_REMEDIES = 64
MAX_RUNS = 10_000
MAX_STEPS = MOST_STEPS
TUNING_VALIDATION_FRACTION = 0.1


def _usual_loss(given: dict[str, Any]) -> Loss:
    """Of the data set, which is validated before."""
    dataset = given.get("dataset")
    return "cross_entropy" if dataset is None else usual_loss(dataset.facts)


def _usual_metric(given: dict[str, Any]) -> Metric:
    dataset = given.get("dataset")
    return "accuracy" if dataset is None else usual_metric(dataset.facts)


class TraceSpec(Spec):
    """Which steps are recorded: every ``every``-th, beginning with step 0; or as many as a budget allows.

    ``budget``: the share by which recording may lengthen a step on average, 0.05 for 5 %. It is measured as a run's
    first attempt begins, and the cadence that keeps it (``every`` at least) is stored with the run.
    """

    every: int = Field(default=1, ge=1, le=MAX_STEPS)
    signals: Literal["all"] = "all"
    budget: float | None = Field(default=None, ge=0.0001, le=10.0)


class StopWhenSpec(Spec):
    """A run ends as diverged after so many non-finite steps in a row, or at a loss above."""

    nonfinite_steps: int | None = Field(default=20, ge=1, le=MAX_STEPS)
    loss_above: float | None = None


class BudgetSpec(Spec):
    """When ``device_seconds`` are spent, what has not started is cancelled and the comparison says what is missing."""

    device_seconds: float = Field(gt=0, le=1e9)


# What is not plain is refused in the body of a request; specs that were stored before are read as they are.
Label = Annotated[str, Field(min_length=1, max_length=200, json_schema_extra={"pattern": PLAIN})]
Design = Literal["one_at_a_time", "add_all", "full_factorial", "leave_one_out"]


class VariantSpec(Spec):
    name: Label
    remedies: tuple[RemedySpec, ...] = Field(max_length=MAX_REMEDIES)


Remedies = Annotated[tuple[RemedySpec, ...], Field(max_length=MAX_REMEDIES)]
Suggest = Literal["suggest"]
RemediesOrSuggest = Annotated[
    Annotated[Remedies, Tag("list")] | Annotated[Suggest, Tag("suggest")],
    Discriminator(lambda given: "suggest" if isinstance(given, str) else "list"),
]


class ExperimentFields(Spec):
    """What a request for an experiment and a stored one share."""

    name: Label
    dataset: DatasetSpec
    network: NetworkSpec
    loss: Annotated[
        Loss,
        Field(
            default_factory=_usual_loss,
            description="By default cross_entropy, and mse where the data set's target is a value.",
        ),
    ]
    class_weights: ClassWeights | None = None
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    metric: Annotated[
        Metric,
        Field(
            default_factory=_usual_metric,
            description="By default accuracy, and r2 where the data set's target is a value.",
        ),
    ]
    optimizer: OptimizerSpec
    batch_size: int = Field(default=128, ge=1, le=1_000_000)
    drop_last: bool = True
    epochs: int | None = Field(default=None, ge=1, le=100_000)
    steps: int | None = Field(default=None, ge=0, le=MAX_STEPS)
    remedies: RemediesOrSuggest = ()
    design: Design = "one_at_a_time"
    variants: tuple[VariantSpec, ...] | None = Field(default=None, max_length=1_000)
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MAX_SEEDS)] | SeedCount = (0, 1, 2, 3, 4)
    tune: TuneSpec | None = None
    trace: TraceSpec = TraceSpec()
    budget: BudgetSpec | None = None
    stop_when: StopWhenSpec = StopWhenSpec()
    device: Literal["auto", "cpu", "gpu"] = "auto"
    priority: int = Field(default=5, ge=0, le=9)
    not_before: Moment | None = None
    start_before: Annotated[
        Moment | None, Field(description="What has not started by then fails; what is trained by then goes on.")
    ] = None
    end_before: Annotated[
        Moment | None, Field(description="What has not ended by then is stopped, and keeps what it has recorded.")
    ] = None
    deadline: Annotated[Moment | None, Field(description="Another name of `start_before`.")] = None
    max_parallel: int | None = Field(default=None, ge=1, le=MAX_RUNS)
    batching: Annotated[
        bool,
        Field(
            description="Runs of one structure may be trained as one network, where that is faster: every number of a "
            "run is then what it would be alone, on a CPU bit for bit."
        ),
    ] = True
    labels: dict[Label, Label] = Field(default_factory=dict, max_length=MAX_LABELS)

    @model_validator(mode="before")
    @classmethod
    def _tuning_validates(cls, given: Any) -> Any:
        """Where ``tune`` is given and no ``validation_fraction``, a tenth of the data is for validation."""
        if not isinstance(given, dict) or given.get("tune") is None or not isinstance(given.get("dataset"), dict):
            return given
        if given["dataset"].get("validation_fraction") is not None:
            return given
        # Before anything is validated, as parts of a spec are frozen once they are.
        return {**given, "dataset": {**given["dataset"], "validation_fraction": TUNING_VALIDATION_FRACTION}}

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            message = "give one of epochs or steps (steps: 0 measures the untrained network only)"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _loss_fits_the_target(self) -> Self:
        """Of uploaded data nothing is known before their name is looked up; then the plan asks again."""
        facts = self.dataset.facts
        if facts.cases == 0:
            return self
        if found := objective_problem(facts, self.objective) or metric_problem(facts, self.metric):
            message = f"{found.field}: {found.message}; let it be {found.allowed}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _one_way_to_say_the_variants(self) -> Self:
        if self.variants is not None and self.remedies:
            message = "give either remedies with a design, or variants, not both"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _time_to_run(self) -> Self:
        if self.deadline is not None and self.start_before is not None:
            message = "it is another name of start_before"
            raise SpecError(Problem("deadline", self.deadline.isoformat(), message, "one of the two"))
        for field, limit in self.limits().items():
            if self.not_before is not None and limit <= self.not_before:
                message, allowed = f"{field} must lie after not_before", f"after {self.not_before.isoformat()}"
                raise SpecError(Problem(field, limit.isoformat(), message, allowed))
        if self.latest_start is not None and self.end_before is not None and self.end_before < self.latest_start:
            message, allowed = "it would end before its latest start", f"from {self.latest_start.isoformat()} on"
            raise SpecError(Problem("end_before", self.end_before.isoformat(), message, allowed))
        return self

    @model_validator(mode="after")
    def _each_seed_once(self) -> Self:
        seeds = self.seed_list()
        if len(set(seeds)) != len(seeds):
            message = "each seed counts once; the list repeats one"
            raise ValueError(message)
        return self

    @property
    def latest_start(self) -> dt.datetime | None:
        return self.deadline if self.start_before is None else self.start_before

    def limits(self) -> dict[str, dt.datetime]:
        """By the field's name, the moments that end what has not started, or not ended."""
        given = {"start_before": self.start_before, "deadline": self.deadline, "end_before": self.end_before}
        return {field: limit for field, limit in given.items() if limit is not None}

    @property
    def objective(self) -> Objective:
        return Objective(self.loss, self.class_weights, self.label_smoothing)

    def seed_list(self) -> tuple[int, ...]:
        return listed(self.seeds)


class ExperimentSpec(ExperimentFields):
    """One network, one data set, one optimiser; some remedies and seeds. See ``contract.md``, Spec."""

    remedies: Remedies = ()


class ExperimentRequest(ExperimentFields):
    """As an experiment's spec; ``remedies`` may be left to the clinic by ``"suggest"``: variants of one change each
    that tell apart what may be wrong. ``suggest_from``: an experiment that has ended, on the same network and data,
    whose verdict says what that is; else the plan does.
    """

    suggest_from: uuid.UUID | None = None

    @model_validator(mode="after")
    def _suggest_fits(self) -> Self:
        if self.remedies == "suggest":
            if self.design != "one_at_a_time":
                message = "a suggested variant changes one thing"
                raise SpecError(Problem("design", self.design, message, "one_at_a_time"))
        elif self.suggest_from is not None:
            message = "it says where suggested remedies come from, and remedies are given"
            raise SpecError(
                Problem("suggest_from", str(self.suggest_from), message, 'left out, or remedies: "suggest"')
            )
        return self

    def with_remedies(self, remedies: tuple[RemedySpec, ...]) -> ExperimentSpec:
        """The experiment that is stored. All else stays as it was given, what was left out included."""
        given = {name: getattr(self, name) for name in ExperimentSpec.model_fields}
        fields_set = self.model_fields_set - {"suggest_from"}
        # Not validated again: the request was, field by field.
        return ExperimentSpec.model_construct(fields_set, **(given | {"remedies": remedies}))
