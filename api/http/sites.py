"""Whose pages may speak to a clinic through a browser: names it answers to, and what a browser says of a sender.

Not starlette's TrustedHostMiddleware: it cuts an IPv6 address at its first colon, and knows no range of addresses.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from api.http.errors import ApiError

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::[0-9]{1,5})?", re.ASCII)
_OWN = {"same-origin", "none"}
_READS = {"GET", "HEAD"}


@dataclass(frozen=True, slots=True)
class Sites:
    """``names``: what the clinic answers to beside the names of loopback; ``keyed``: whether a key is asked for.

    A page of any site reaches loopback through its visitor's browser, also under a name of its own that it lets point
    there (DNS rebinding). Such a page has no key, so with a key neither is looked at, except names where some are set.
    """

    names: frozenset[str]
    keyed: bool

    def check(self, method: str, headers: Mapping[str, str]) -> None:
        """ApiError 421 for another name than ours, 403 for what a page of another origin sends."""
        if (self.names or not self.keyed) and not self._answers_to(headers.get("host", "")):
            detail = "this clinic does not answer under this name; its operator can add it to CLINIC_ALLOWED_HOSTS"
            raise ApiError(HTTPStatus.MISDIRECTED_REQUEST, detail)
        if not self.keyed and _is_foreign(method, headers):
            detail = "this clinic asks for no key, so it answers no web pages of other sites, nor of other ports"
            raise ApiError(HTTPStatus.FORBIDDEN, detail)

    def _answers_to(self, host: str) -> bool:
        matched = _HOST.fullmatch(host.lower())
        return matched is not None and (matched["name"] in self.names or _is_loopback(matched["name"]))


def _is_loopback(name: str) -> bool:
    """Names that no other machine's server can be reached by (RFC 6761)."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_foreign(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a browser says that another origin's page sends this. Other clients say nothing of it."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if origin is not None and not _is_origin_of(origin, headers.get("host", "")):
        return True
    return site is not None and site not in _OWN and not _is_followed_link(method, headers)


def _is_origin_of(origin: str, host: str) -> bool:
    """The port counts: another one is another program. The scheme does not: a proxy may speak TLS for us."""
    try:
        scheme, place, *rest = urlsplit(origin)
    except ValueError:
        return False
    return scheme in {"http", "https"} and place == host.lower() and not any(rest)


def _is_followed_link(method: str, headers: Mapping[str, str]) -> bool:
    """Somebody comes to a page of ours: the one who sent them cannot read it, nor frame it."""
    document = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    return document and method in _READS
