"""Examples of the schemas of the OpenAPI document. They are recorded, not written: ``make examples``."""

import json
from pathlib import Path
from typing import Any, Final

PATH: Final = Path(__file__).with_name("recorded.json")


def add_examples(document: dict[str, Any]) -> None:
    """Each schema shows a value of its own, as a clinic has answered or taken it."""
    schemas = document["components"]["schemas"]
    for name, value in json.loads(PATH.read_text(encoding="utf-8")).items():
        if name in schemas:  # one that is gone is told by a test, and not by a service that does not start
            schemas[name]["examples"] = [value]
