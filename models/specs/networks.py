"""The union of all networks, by ``kind``: ours, and those of installed packages."""

from typing import Annotated

from pydantic import Field

from models.specs.base import Spec, by_kind
from models.specs.network import CnnSpec, MlpSpec, ResidualCnnSpec, ResidualMlpSpec, RnnSpec, TransformerSpec
from models.specs.plugin import PluginNetworkSpec
from models.specs.sequential import SequentialSpec

Planned = MlpSpec | ResidualMlpSpec | CnnSpec | ResidualCnnSpec | RnnSpec | TransformerSpec | SequentialSpec
NetworkSpec = Annotated[Planned | PluginNetworkSpec, Field(discriminator="kind")]
NETWORKS: dict[str, type[Spec]] = by_kind(Annotated[Planned, Field(discriminator="kind")])
"""Of which there is a plan before anything is built."""
