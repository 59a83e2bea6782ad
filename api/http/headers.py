"""What every answer tells a browser, and when it says that the connection ends with it."""

from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gradient_clinic.maps.sheet import allowed

_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": _NOTHING,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not "no-referrer": with it browsers send "Origin: null" for our own forms, which the gate refuses (decision 18).
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def page_policy(style: str) -> dict[str, str]:
    """The header of a page that has this style sheet in it, pictures in its text, and nothing else to load or run."""
    return {"Content-Security-Policy": f"{_NOTHING}; {allowed(style)}"}


DASHBOARD_POLICY = {
    "Content-Security-Policy": f"{_NOTHING}; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
}
"""Scripts and styles are files of ours, and no text ever becomes markup or script: the browser itself refuses it."""


class Headers:
    """ASGI middleware outside of everything, the answer to a mistake of ours included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if message["status"] == HTTPStatus.INTERNAL_SERVER_ERROR:
                    # Starlette raises the mistake again once it is answered, and uvicorn then closes the connection.
                    headers["Connection"] = "close"
            await send(message)

        await self._app(scope, receive, telling if scope["type"] == "http" else send)
