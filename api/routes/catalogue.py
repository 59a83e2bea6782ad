"""What can be asked for, with formula, paper, what it treats and when it fails."""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.dependencies import CallerDep, DatabaseDep
from gradient_clinic.activations import SHAPES
from models.plan.rewrites import FOR_PLUGINS
from models.specs.base import Spec
from models.specs.dataset import DATASETS
from models.specs.init import INITS
from models.specs.networks import NETWORKS
from models.specs.optimizer import OPTIMIZERS
from models.specs.plugin import Part, PluginDatasetSpec, PluginNetworkSpec
from models.specs.remedy import REMEDIES
from models.storage import plugins

router = APIRouter(prefix="/v1/catalogue", tags=["catalogue"])

CatalogueName = Literal["networks", "datasets", "optimizers", "inits", "activations", "remedies"]
_SPECS: Mapping[str, Mapping[str, type[Spec]]] = {
    "networks": NETWORKS,
    "datasets": DATASETS,
    "optimizers": OPTIMIZERS,
    "inits": INITS,
    "remedies": REMEDIES,
}


_PLUGINS: Mapping[str, Part] = {"networks": "network", "datasets": "dataset"}
_PLUGIN_SPECS: Mapping[Part, type[Spec]] = {"network": PluginNetworkSpec, "dataset": PluginDatasetSpec}


class CatalogueItem(BaseModel):
    """One kind. ``schema`` is its JSON schema; data sets add their sizes, licence, and whether they are real.

    A plug-in has the kind ``plugin`` and adds ``name``, ``package``, ``version``, the schema of its ``parameters``, and
    of a data set the ``facts``; ``present`` says whether a worker has it now.
    """

    model_config = ConfigDict(extra="allow", serialize_by_alias=True)

    kind: str
    title: str
    formula: str
    paper: str
    treats: list[str]
    fails_when: str
    json_schema: dict[str, Any] = Field(alias="schema")
    applies_to: list[str]


class Catalogue(BaseModel):
    items: list[CatalogueItem]


@router.get("/{name}", summary="What can be asked for")
def catalogue(name: CatalogueName, _: CallerDep, database: DatabaseDep) -> Catalogue:
    """Every kind of it, with formula, paper, what it treats, when it fails, and the JSON schema of its parameters; of
    networks and data sets also the plug-ins that workers have or had.
    """
    ours = _listed(name)
    if name not in _PLUGINS:
        return ours
    with database.begin() as session:
        others = plugins.listed(session, _PLUGINS[name])
    return Catalogue(items=[*ours.items, *(_plugin(its) for its in others)])


@cache  # nothing of it changes while the service runs, and pydantic takes 5 ms for a schema
def _listed(name: CatalogueName) -> Catalogue:
    if name == "activations":
        return Catalogue(items=[_activation(kind) for kind in SHAPES])
    return Catalogue(items=[_item(name, kind, spec) for kind, spec in _SPECS[name].items()])


def _item(name: CatalogueName, kind: str, spec: type[Spec]) -> CatalogueItem:
    about = spec.about
    extra: dict[str, Any] = {}
    if kind in DATASETS and kind != "uploaded":
        # Sizes and licence of a data set as its defaults make it; of uploads nothing is known before they come.
        facts = DATASETS[kind]().facts
        extra = {**{field.name: getattr(facts, field.name) for field in fields(facts)}, "features": facts.features}
    return CatalogueItem(
        kind=kind,
        title=about.title,
        formula=about.formula,
        paper=about.paper,
        treats=list(about.treats),
        fails_when=about.fails_when,
        # As a spec is answered: that null stands for every default would hide the limits, and is the same everywhere.
        schema=spec.model_json_schema(mode="serialization"),
        applies_to=[*about.applies_to, *(["plugin"] if name == "remedies" and kind in FOR_PLUGINS else [])],
        **extra,
    )


def _plugin(its: plugins.Listed) -> CatalogueItem:
    offered, key = its.offered, its.offered.key
    spec = _PLUGIN_SPECS[key.part]
    extra: dict[str, Any] = {
        "name": key.name,
        "package": key.package,
        "version": key.version,
        "present": its.present,
        "parameters": offered.schema,
    }
    if offered.facts is not None:
        extra["facts"] = offered.facts.model_dump(mode="json")
    return CatalogueItem(
        kind="plugin",
        title=offered.title,
        formula=spec.about.formula,
        paper="",
        treats=[],
        fails_when=spec.about.fails_when,
        schema=spec.model_json_schema(mode="serialization"),
        applies_to=[],
        **extra,
    )


def _activation(kind: str) -> CatalogueItem:
    shape = SHAPES[kind]
    parameters = {} if shape.parameter is None else {shape.parameter: {"type": "number", "default": shape.default}}
    return CatalogueItem(
        kind=kind,
        title=shape.title,
        formula=shape.formula,
        paper=shape.paper,
        treats=[],
        fails_when="",
        schema={"type": "object", "properties": parameters},
        applies_to=list(NETWORKS),
    )
