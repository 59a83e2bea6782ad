"""``docs/openapi.json``: the document that the service publishes, in the tree so that a change to it is seen."""

import json
from pathlib import Path

from pydantic import SecretStr

from api.app import create_app
from models.settings import Settings

PATH = Path(__file__).parents[1] / "docs" / "openapi.json"
_NOWHERE = SecretStr("postgresql://nobody@localhost/nothing")
"""An app wants a database; none is asked for its document."""


def text() -> str:
    """The document as the file has it."""
    document = create_app(Settings(database_url=_NOWHERE, api_key=None)).openapi()
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def write() -> None:
    PATH.write_text(text())
