"""The union of all networks, by ``kind``."""

from typing import Annotated

from pydantic import Field

from models.specs.base import Spec, by_kind
from models.specs.network import CnnSpec, MlpSpec, ResidualCnnSpec, ResidualMlpSpec, RnnSpec, TransformerSpec
from models.specs.sequential import SequentialSpec

NetworkSpec = Annotated[
    MlpSpec | ResidualMlpSpec | CnnSpec | ResidualCnnSpec | RnnSpec | TransformerSpec | SequentialSpec,
    Field(discriminator="kind"),
]
NETWORKS: dict[str, type[Spec]] = by_kind(NetworkSpec)
