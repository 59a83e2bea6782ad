"""What is said of a network, and what cannot be."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Unsaid:
    """One thing that no spec can say: where it is, what it is, why, and what is near."""

    name: str
    type: str
    why: str
    near: str = ""

    def __str__(self) -> str:
        near = f" Near: {self.near}." if self.near else ""
        return f"{self.name} ({self.type}): {self.why}.{near}"


class UnsayableError(Exception):
    """No item of a list is this step."""

    def __init__(self, why: str, near: str = "") -> None:
        super().__init__(why)
        self.why, self.near = why, near


@dataclass(frozen=True, slots=True)
class Description:
    """``spec``: the network as a spec of the kind ``sequential``, JSON as it stands; None where anything is ``unsaid``.

    ``remarks``: what it says otherwise than the module does, without another output. ``input``: the shape of one case,
    as a prediction takes it; ``outputs``: of the output layer, which a clinic adds by itself.
    """

    spec: Mapping[str, Any] | None
    unsaid: tuple[Unsaid, ...] = ()
    remarks: tuple[str, ...] = ()
    input: Mapping[str, Any] | None = None
    outputs: int | None = None

    def text(self) -> str:
        """The spec as JSON with its remarks, or all that cannot be said."""
        if self.spec is None:
            return "\n".join(["This network cannot be said:", *(f"- {its}" for its in self.unsaid)])
        remarks = ["", "Said otherwise:", *(f"- {its}" for its in self.remarks)] if self.remarks else []
        *others, last = [json.dumps(item) for item in self.spec["layers"]]
        layers = ["{", *(f'"{key}": {json.dumps(its)},' for key, its in self.spec.items() if key != "layers")]
        return "\n".join([*layers, '"layers": [', *(f" {its}," for its in others), f" {last}", "]}", *remarks])
