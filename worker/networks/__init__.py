"""From a plan to a network, whatever its kind: what differs between kinds is the plan."""

from worker.networks.network import Network, build

__all__ = ["Network", "build"]
