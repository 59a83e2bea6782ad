"""Another host, joined to this one by cables that can be cut: a network namespace and pairs of virtual interfaces.

A cut is silent, as a pulled cable far away is: no packet comes through in either direction, none is refused, and no
interface goes down. The namespace has no name and lives as long as the process that holds it; with it go its cables.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError

from local.child import Child, Program
from local.folder import Folder
from tests.processes import run

NOWHERE = "02:00:00:00:00:01"
"""A hardware address that nobody has: the other end drops what is sent to it."""
TOOLS = ("ip", "nsenter", "unshare")


def _tool(*words: str) -> None:
    run(_path(words[0]), *words[1:])


def _path(tool: str) -> str:
    path = shutil.which(tool)
    assert path is not None
    return path


def what_is_missing() -> str | None:
    """Why no such host can be made here; None where it can."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)} (iproute2, util-linux)"
    if os.geteuid() != 0:
        return "needs root, to make a network namespace"
    try:
        _tool("unshare", "--net", "true")
        _tool("ip", "link", "add", "clinic-try", "type", "veth", "peer", "name", "clinic-try2")
        _tool("ip", "link", "delete", "clinic-try")
    except CalledProcessError as error:
        return f"this system makes no network namespaces or virtual interfaces: {error.stderr.strip()}"
    return None


@dataclass(frozen=True, slots=True)
class Cable:
    """One pair of interfaces, each end with an address; a server listens on ``near``."""

    number: int
    holder: int

    @property
    def near(self) -> str:
        return self._address(1)

    @property
    def far(self) -> str:
        return self._address(2)

    def lay(self) -> None:
        near, far = self._interfaces
        _tool("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", str(self.holder))
        _tool("ip", "address", "add", f"{self.near}/30", "dev", near)
        _tool("ip", "link", "set", near, "up")
        self._far("address", "add", f"{self.far}/30", "dev", far)
        self._far("link", "set", far, "up")

    def cut(self) -> None:
        near, far = self._interfaces
        lost = ("lladdr", NOWHERE, "nud", "permanent")
        _tool("ip", "neighbour", "replace", self.far, "dev", near, *lost)
        self._far("neighbour", "replace", self.near, "dev", far, *lost)

    def heal(self) -> None:
        """Whether or not it was cut."""
        near, far = self._interfaces
        with suppress(CalledProcessError):
            _tool("ip", "neighbour", "delete", self.far, "dev", near)
            self._far("neighbour", "delete", self.near, "dev", far)

    def remove(self) -> None:
        with suppress(CalledProcessError):
            _tool("ip", "link", "delete", self._interfaces[0])

    @property
    def _interfaces(self) -> tuple[str, str]:
        name = f"gc{self.holder}-{self.number}"
        return f"{name}n", f"{name}f"

    def _address(self, end: int) -> str:
        # 198.18.0.0/15 is set aside for tests of networks. A /30 for each cable of each holder.
        block = 4 * (self.holder % 4096 * 2 + self.number)
        return f"198.18.{block // 256}.{block % 256 + end}"

    def _far(self, *words: str) -> None:
        _tool("nsenter", f"--net=/proc/{self.holder}/ns/net", "ip", *words)


@dataclass(frozen=True, slots=True)
class FarHost:
    """``there`` runs a command on it, under a host name of its own."""

    holder: int
    cables: tuple[Cable, Cable]

    def there(self, *argv: str) -> tuple[str, ...]:
        named = 'echo "$0" > /proc/sys/kernel/hostname && exec "$@"'
        enter = (_path("nsenter"), f"--net=/proc/{self.holder}/ns/net", "unshare", "--uts")
        return (*enter, "sh", "-c", named, "far", *argv)


@contextmanager
def far_host(folder: Folder) -> Iterator[FarHost]:
    """A host and two cables to it. When the block ends, or this process is killed, nothing of it is left."""
    name = "far-host"
    holder = Child(
        Program(
            name=name,
            argv=(_path("unshare"), "--net", "sleep", "infinity"),
            log=folder.log(name),
            record=folder.record(name),
            environment=os.environ,  # noqa: TID251 -- handed on, not read
        )
    )
    with ExitStack() as stack:
        stack.callback(holder.stop)
        _wait_for_namespace(holder)
        cables = (Cable(0, holder.pid), Cable(1, holder.pid))
        for cable in cables:
            stack.callback(cable.remove)
            cable.lay()
        _tool("nsenter", f"--net=/proc/{holder.pid}/ns/net", "ip", "link", "set", "lo", "up")
        yield FarHost(holder.pid, cables)


def _wait_for_namespace(holder: Child) -> None:
    own, its = Path("/proc/self/ns/net"), Path(f"/proc/{holder.pid}/ns/net")
    while its.readlink() == own.readlink():
        assert holder.running, holder.program.log.read_text()
        time.sleep(0.01)
