"""What can be asked for, with formula, paper, what it treats and when it fails."""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.dependencies import CallerDep
from gradient_clinic.activations import SHAPES
from models.specs.base import Spec
from models.specs.dataset import DATASETS
from models.specs.init import INITS
from models.specs.networks import NETWORKS
from models.specs.optimizer import OPTIMIZERS
from models.specs.remedy import REMEDIES

router = APIRouter(prefix="/v1/catalogue", tags=["catalogue"])

CatalogueName = Literal["networks", "datasets", "optimizers", "inits", "activations", "remedies"]
_SPECS: Mapping[str, Mapping[str, type[Spec]]] = {
    "networks": NETWORKS,
    "datasets": DATASETS,
    "optimizers": OPTIMIZERS,
    "inits": INITS,
    "remedies": REMEDIES,
}


class CatalogueItem(BaseModel):
    """One kind. ``schema`` is its JSON schema; data sets add their sizes, licence, and whether they are real."""

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
def catalogue(name: CatalogueName, _: CallerDep) -> Catalogue:
    """Every kind of it, with formula, paper, what it treats, when it fails, and the JSON schema of its parameters."""
    return _listed(name)


@cache  # nothing of it changes while the service runs, and pydantic takes 5 ms for a schema
def _listed(name: CatalogueName) -> Catalogue:
    if name == "activations":
        return Catalogue(items=[_activation(kind) for kind in SHAPES])
    return Catalogue(items=[_item(kind, spec) for kind, spec in _SPECS[name].items()])


def _item(kind: str, spec: type[Spec]) -> CatalogueItem:
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
        applies_to=list(about.applies_to),
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
