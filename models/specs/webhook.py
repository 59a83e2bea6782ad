"""Where an owner wants to be told of what."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from models.specs.base import Spec
from models.specs.text import NOT_PLAIN

WebhookEvent = Literal["experiment.ended", "run.ended"]
_PLAIN_URL = re.compile(rf"[^{NOT_PLAIN}\s]+")


def _address(url: str) -> str:
    """What is written here is no promise: who sends looks at the address that the name has by then."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        message = f"this is no address: {error}"
        raise ValueError(message) from None
    if (
        not _PLAIN_URL.fullmatch(url)
        or not url.isascii()
        or parts.scheme not in {"http", "https"}
        or not parts.hostname
    ):
        message = "this must be an address that begins with http:// or https://, in ASCII"
        raise ValueError(message)
    if parts.username is not None or parts.fragment:
        message = "no name, password or fragment may stand in the address"
        raise ValueError(message)
    return url


WebhookUrl = Annotated[str, Field(max_length=2_000, pattern="^https?://"), AfterValidator(_address)]
Events = Annotated[tuple[WebhookEvent, ...], Field(min_length=1, max_length=10)]


class WebhookSpec(Spec):
    """``experiment.ended``: it has succeeded, failed or was cancelled; ``run.ended``: so has one of its runs."""

    url: WebhookUrl
    events: Events = ("experiment.ended",)


class WebhookChange(Spec):
    """What is left out stays. One that is not active is told of nothing; what waited for it by then waits on."""

    url: WebhookUrl | None = None
    events: Events | None = None
    active: bool | None = None
