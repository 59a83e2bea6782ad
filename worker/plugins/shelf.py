"""The plug-ins of this worker: entry points of the distributions that ``CLINIC_PLUGINS`` allows, and of no others.

Each is a function whose first parameter is annotated with a pydantic model, the parameters that a spec may give. What
cannot be used is told in the log and left out: a worker lives, and trains all else.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution
from typing import Any, Final

import structlog
from pydantic import BaseModel, ValidationError

from models.specs.plugin import NAME, Offered, OfferedFacts, Part, PluginKey
from worker.plugins.blame import PluginError

log = structlog.get_logger()

GROUPS: Final[Mapping[str, Part]] = {"gradient_clinic.networks": "network", "gradient_clinic.datasets": "dataset"}
TAKES: Final[Mapping[Part, str]] = {"network": "(parameters, shape, outputs)", "dataset": "(parameters, seed)"}


class UnfitError(Exception):
    """An entry point that is no plug-in; the message says why."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """One that was loaded. ``make`` is the package's own function."""

    offered: Offered
    model: type[BaseModel]
    make: Callable[..., Any]

    @property
    def key(self) -> PluginKey:
        return self.offered.key

    def parameters(self, given: Mapping[str, Any]) -> BaseModel:
        """As the package's own model reads them. PluginError where that refuses what its schema allows."""
        try:
            return self.model.model_validate(given)
        except ValidationError as error:
            its = error.errors()[0]
            where = ".".join(["parameters", *map(str, its["loc"])])
            raise PluginError(self.key, f"{where}: {its['msg'].removeprefix('Value error, ')}") from error


@dataclass(frozen=True, slots=True)
class Shelf:
    """What this worker has, by key."""

    plugins: Mapping[PluginKey, Plugin] = field(default_factory=dict)

    @property
    def offers(self) -> list[Offered]:
        return [its.offered for its in self.plugins.values()]

    def __getitem__(self, key: PluginKey) -> Plugin:
        """LookupError where it is not here: such a run is never claimed."""
        return self.plugins[key]


NO_SHELF: Final = Shelf()


def load(allowed: Sequence[str]) -> Shelf:
    """Import the plug-ins of these distributions."""
    found: dict[PluginKey, Plugin] = {}
    for name in allowed:
        try:
            package = distribution(name)
        except PackageNotFoundError:
            log.error("CLINIC_PLUGINS names a package that is not installed here", package=name)  # noqa: TRY400 -- as said
            continue
        found |= {its.key: its for its in _of(package)}
    return Shelf(found)


def _of(package: Distribution) -> Iterator[Plugin]:
    for entry in package.entry_points:
        if entry.group not in GROUPS:
            continue
        key = PluginKey(GROUPS[entry.group], entry.name, _normalised(package.name), package.version)
        try:
            yield _loaded(key, entry)
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- a stranger's code, run by its import
            why = str(error) if isinstance(error, UnfitError) else f"{type(error).__name__}: {error}"
            log.error("a plug-in cannot be used, and is left out", plugin=str(key), why=why)  # noqa: TRY400 -- a sentence


def _loaded(key: PluginKey, entry: EntryPoint) -> Plugin:
    if re.fullmatch(NAME, entry.name) is None:
        raise UnfitError("its name has to be of letters, digits, '.', '_' and '-', so that a spec can say it")
    make = entry.load()
    model = _model(make, TAKES[key.part])
    schema = _closed(model.model_json_schema())
    facts = _facts(model, schema) if key.part == "dataset" else None
    title = (inspect.getdoc(make) or key.name).splitlines()[0]
    return Plugin(Offered(key, title, schema, facts), model, make)


def _model(make: Any, takes: str) -> type[BaseModel]:
    """The annotation of the first parameter."""
    if not callable(make):
        message = f"{entry_name(make)} is no function; it has to be one of {takes}"
        raise UnfitError(message)
    signature = inspect.signature(make, eval_str=True)
    names = list(signature.parameters)
    if len(names) != takes.count(",") + 1:
        message = f"its function takes ({', '.join(names)}), and is called with {takes}"
        raise UnfitError(message)
    model = signature.parameters[names[0]].annotation
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        message = f"{names[0]}, the first parameter of its function, has to be annotated with a pydantic model"
        raise UnfitError(message)
    return model


def entry_name(made: object) -> str:
    return getattr(made, "__name__", repr(made))


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Pydantic's models ignore what they do not know; a spec does not, so that a slip of the pen is told."""
    for part in (schema, *schema.get("$defs", {}).values()):
        if "properties" in part or part is schema:
            part.setdefault("additionalProperties", False)
    return schema


def _facts(model: type[BaseModel], schema: Mapping[str, Any]) -> OfferedFacts:
    said = getattr(model, "facts", None)
    if said is None:
        message = f"{model.__name__} has no class variable ``facts``: cases, shape and classes of the data"
        raise UnfitError(message)
    try:
        facts = OfferedFacts.model_validate(said)
    except ValidationError as error:
        its = error.errors()[0]
        message = f"facts of {model.__name__}: {'.'.join(map(str, its['loc']))}: {its['msg']}"
        raise UnfitError(message) from error
    if unknown := facts.named - schema.get("properties", {}).keys():
        message = f"facts of {model.__name__} name {', '.join(sorted(unknown))}, which is no parameter"
        raise UnfitError(message)
    return facts


def _normalised(name: str) -> str:
    """As package indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()
