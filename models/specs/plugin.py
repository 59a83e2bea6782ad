"""Networks and data sets of packages that an operator has installed beside the workers (decision 37).

What a worker has published of one is filled in when the spec is accepted, as with uploads: planning needs no database,
and a stored experiment keeps its version whatever is installed later.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import ConfigDict, Field

from models.specs.base import EVERY_NETWORK, About, Problem, Spec, SpecError
from models.specs.bounds import MOST_CLASSES
from models.specs.facts import MAX_NUMBERS, Facts, Form, Split, Target

Part = Literal["network", "dataset"]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
Name = Annotated[str, Field(pattern=NAME)]
Version = Annotated[str, Field(min_length=1, max_length=200)]
Parameters = Annotated[
    dict[str, Any],
    Field(description="As the schema of the plug-in in the catalogue says; what is left out is at its default."),
]
Size = Annotated[int, Field(ge=1, le=2**31)]
Parameter = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]


class PluginKey(NamedTuple):
    """One plug-in of one version of a package."""

    part: Part
    name: str
    package: str
    version: str

    def __str__(self) -> str:
        what = "network" if self.part == "network" else "data set"
        return f"{what} {self.name} of {self.package} {self.version}"


class PluginFacts(Spec):
    """Of a data set, as its parameters make it; see ``Facts``."""

    cases: Size
    shape: tuple[Size, ...] = Field(min_length=1, max_length=3)
    classes: int = Field(ge=1, le=MOST_CLASSES)
    """Of the labels; where the target is a value, how many each case has."""
    form: Form = "vector"
    target: Target = "class"
    vocabulary: int = Field(default=0, ge=0, le=1_000_000)


class OfferedFacts(Spec):
    """The same before parameters are known: a text is the name of the parameter that says the number."""

    cases: Size | Parameter
    shape: tuple[Size | Parameter, ...] = Field(min_length=1, max_length=3)
    classes: Size | Parameter
    form: Form = "vector"
    target: Target = "class"
    vocabulary: int | Parameter = 0

    @property
    def named(self) -> frozenset[str]:
        """The parameters that it asks."""
        asked = (self.cases, *self.shape, self.classes, self.vocabulary)
        return frozenset(one for one in asked if isinstance(one, str))

    def of(self, parameters: Mapping[str, Any]) -> PluginFacts:
        """ValueError where a parameter has no number that could be one."""

        def number(said: int | str) -> Any:
            return parameters[said] if isinstance(said, str) else said

        return PluginFacts(
            cases=number(self.cases),
            shape=tuple(number(one) for one in self.shape),
            classes=number(self.classes),
            form=self.form,
            target=self.target,
            vocabulary=number(self.vocabulary),
        )


@dataclass(frozen=True, slots=True)
class Offered:
    """One plug-in as a worker publishes it. ``schema``: JSON schema of its parameters; ``facts``: of a data set."""

    key: PluginKey
    title: str
    schema: dict[str, Any]
    facts: OfferedFacts | None = None


class PluginNetworkSpec(Spec):
    """Code that gives a network. Its layers are found in one followed pass, when a worker has built it."""

    kind: Literal["plugin"]
    name: Name
    parameters: Parameters = Field(default_factory=dict)
    package: Name | None = None
    version: Version | None = None
    """null is the newest that a worker has; the answer shows which that was."""

    frozen: ClassVar[tuple[str, ...]] = ()
    layer_count: ClassVar[int] = 1
    """At least: nobody knows before it is built."""
    about: ClassVar = About(
        title="A network of an installed package",
        formula="whatever its code says",
        paper="",
        fails_when="its code does; no remedy can change its layers",
    )

    @property
    def key(self) -> PluginKey:
        """Of a spec that was accepted."""
        return PluginKey("network", self.name, self.package or "", self.version or "")


class PluginDatasetSpec(Split):
    """Code that makes cases and their targets, drawn from the split seed, or the run's where that is null."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    kind: Literal["plugin"]
    name: Name
    parameters: Parameters = Field(default_factory=dict)
    package: Name | None = None
    version: Version | None = None
    known: PluginFacts | None = Field(
        default=None,
        alias="facts",
        description="Filled in by the clinic from what a worker has published; whatever a request says is replaced.",
    )
    about: ClassVar = About(
        title="A data set of an installed package",
        formula="whatever its code says, then standardised",
        paper="",
        fails_when="its code does, or it gives other cases than it has declared",
        applies_to=EVERY_NETWORK,
    )

    @property
    def key(self) -> PluginKey:
        """Of a spec that was accepted."""
        return PluginKey("dataset", self.name, self.package or "", self.version or "")

    @property
    def facts(self) -> Facts:
        """Before they are known there are no cases, so that nothing can be planned on them."""
        source = f"plug-in {self.name}"
        if self.known is None:
            return Facts(0, (1,), 2, real=False, licence="the package's", source=source)
        its = self.known
        return Facts(
            its.cases,
            its.shape,
            its.classes,
            real=False,
            licence="the package's",
            source=source,
            form=its.form,
            target=its.target,
            vocabulary=its.vocabulary,
        )


def check_size(facts: PluginFacts) -> None:
    """SpecError where such a data set would not fit in memory."""
    numbers = math.prod(facts.shape)
    if facts.cases * numbers > MAX_NUMBERS:
        message = f"{facts.cases} cases of {numbers} numbers are more than {MAX_NUMBERS}"
        allowed = f"at most {MAX_NUMBERS // numbers} cases of this size"
        raise SpecError(Problem("dataset.parameters", facts.cases, message, allowed))


def plugins_of(network: Spec, dataset: Spec) -> frozenset[PluginKey]:
    """What a worker must have to train it."""
    return frozenset(its.key for its in (network, dataset) if isinstance(its, PluginNetworkSpec | PluginDatasetSpec))
