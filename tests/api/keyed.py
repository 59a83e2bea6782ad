"""A clinic that asks for keys: whoever has ``KEY`` makes others."""

from typing import Any

import httpx2

Headers = dict[str, str]
KEY = "sesame"


def bearer(secret: str) -> Headers:
    return {"Authorization": f"Bearer {secret}"}


ADMIN = bearer(KEY)


def new_key(client: httpx2.Client, owner: str = "ada", *scopes: str, **more: Any) -> dict[str, Any]:
    """As it is answered, secret included; by default it may read and submit."""
    asked = {"owner": owner, "name": "a test", "scopes": scopes or ("submit",)} | more
    response = client.post("/v1/keys", json=asked, headers=ADMIN)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def holder(client: httpx2.Client, owner: str = "ada", *scopes: str, **more: Any) -> Headers:
    """The headers of a new key."""
    return bearer(new_key(client, owner, *scopes, **more)["key"])
