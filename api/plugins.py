"""From a plug-in's name to what a worker has published of it: parameters are checked here, and its code never seen."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator, SchemaError, ValidationError
from jsonschema.exceptions import best_match
from sqlalchemy.orm import Session

from models.specs.base import Problem, SpecError
from models.specs.experiment import ExperimentRequest
from models.specs.loss import usual_loss, usual_metric
from models.specs.plugin import Offered, Part, PluginDatasetSpec, PluginNetworkSpec, check_size
from models.storage import plugins

_MOST_PROBLEMS = 50
_PARTS: Mapping[Part, str] = {"network": "network", "dataset": "data set"}


def with_plugins(session: Session, spec: ExperimentRequest) -> ExperimentRequest:
    """With package, version, defaults and facts as they are published. SpecError where no worker has such a plug-in, or
    its schema refuses the parameters. Nothing of it is asked for where a spec has none.
    """
    changed: dict[str, Any] = {}
    if isinstance(spec.network, PluginNetworkSpec):
        changed["network"] = spec.network.model_copy(update=_known("network", spec.network, session))
    if isinstance(spec.dataset, PluginDatasetSpec):
        known = spec.dataset.model_copy(update=_known("dataset", spec.dataset, session))
        usual = {"loss": usual_loss(known.facts), "metric": usual_metric(known.facts)}
        given = {name: getattr(spec, name) for name in usual if name in spec.model_fields_set}
        changed |= {"dataset": known, **usual, **given}
    return spec.model_copy(update=changed) if changed else spec


def _known(part: Part, asked: PluginNetworkSpec | PluginDatasetSpec, session: Session) -> dict[str, Any]:
    offered = _chosen(part, asked, plugins.listed(session, part, asked.name), session)
    parameters = _defaults(offered.schema) | asked.parameters
    if problems := list(_problems(f"{part}.parameters", offered, parameters)):
        raise SpecError(*problems[:_MOST_PROBLEMS])
    known = {"package": offered.key.package, "version": offered.key.version, "parameters": parameters}
    return known if offered.facts is None else known | {"known": _facts(offered, parameters)}


def _chosen(
    part: Part,
    asked: PluginNetworkSpec | PluginDatasetSpec,
    there: Sequence[plugins.Listed],
    session: Session,
) -> Offered:
    """The newest version that a worker has. SpecError where there is none, or where two packages have that name."""
    # By name, then package, then version: what is refused at one of them lists the choice that there is at it.
    present = [its.offered for its in there if its.present]
    if not present:
        named = sorted({its.offered.key.name for its in plugins.listed(session, part) if its.present})
        message = f"no worker {'that lives has' if there else 'has'} a {_PARTS[part]} of this name"
        raise SpecError(Problem(f"{part}.name", asked.name, message, named))
    packages = sorted({its.key.package for its in present})
    if asked.package is None and len(packages) > 1:
        message = f"several packages have a {_PARTS[part]} of this name: say which"
        raise SpecError(Problem(f"{part}.package", None, message, packages))
    present = [its for its in present if asked.package in {None, its.key.package}]
    if not present:
        raise SpecError(Problem(f"{part}.package", asked.package, "no worker has this package", packages))
    versions = [its.key.version for its in present]
    if asked.version is not None and asked.version not in versions:
        raise SpecError(Problem(f"{part}.version", asked.version, "no worker has this version", versions))
    # One package is left, and ``listed`` has its newest version first.
    return present[0 if asked.version is None else versions.index(asked.version)]


def _defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {name: its["default"] for name, its in schema.get("properties", {}).items() if "default" in its}


def _problems(where: str, offered: Offered, parameters: Mapping[str, Any]) -> Iterator[Problem]:
    """What the schema refuses, each at its place."""
    try:
        Draft202012Validator.check_schema(offered.schema)
    except SchemaError as unfit:
        message = f"the schema that {offered.key.package} {offered.key.version} has published cannot be used"
        yield Problem(
            where.partition(".")[0] + ".name", offered.key.name, f"{message}: {unfit.message}", "another version"
        )
        return
    told = set[str]()
    for error in Draft202012Validator(offered.schema).iter_errors(parameters):
        # Of a union: the branch that fits best.
        its = best_match([error]) if error.context else error
        for problem in _said(where + _path(its.absolute_path), its):
            # Each field that is missing is an error of its own, which lists all that are required.
            if problem.field not in told:
                told.add(problem.field)
                yield problem


def _path(parts: Sequence[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _said(where: str, error: ValidationError) -> Iterator[Problem]:
    match error.validator:
        case "required":
            for name in sorted(set(error.validator_value) - set(error.instance)):
                yield Problem(f"{where}.{name}", None, "this field is required", _allowed(error.schema, name))
        case "additionalProperties":
            known = sorted(error.schema.get("properties", {}))
            for name in sorted(set(error.instance) - set(known)):
                yield Problem(f"{where}.{name}", error.instance[name], "there is no such parameter", known)
        case _:
            yield Problem(where, error.instance, error.message[:300], {error.validator: error.validator_value})


def _allowed(schema: Mapping[str, Any], name: str) -> Any:
    """What is said of a parameter, its texts for people aside."""
    said = schema.get("properties", {}).get(name, {})
    return {key: value for key, value in said.items() if key not in {"title", "description", "default"}} or None


def _facts(offered: Offered, parameters: Mapping[str, Any]) -> Any:
    assert offered.facts is not None  # asked for of data sets alone
    try:
        facts = offered.facts.of(parameters)
    except (LookupError, ValueError) as error:
        message = f"these make no data set of {', '.join(sorted(offered.facts.named))}"
        raise SpecError(Problem("dataset.parameters", dict(parameters), message, "whole numbers from 1 on")) from error
    check_size(facts)
    return facts
