"""A training that would go on for hours, its latest end, and the webhook that is told of it: all processes real."""

import datetime as dt
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from tests.eventually import eventually
from tests.receiver import receiving

pytestmark = [pytest.mark.end_to_end, pytest.mark.long, pytest.mark.timeout(300)]

WITHIN_S = 10.0
SPEC: dict[str, Any] = {
    "name": "too long",
    "dataset": {"kind": "digits"},
    "network": {"kind": "mlp", "depth": 3, "width": 8},
    "optimizer": {"kind": "sgd", "learning_rate": 0.001},
    "steps": 5_000_000,
    "seeds": [0],
}


def test_what_is_trained_ends_at_its_latest_end_and_a_webhook_is_told(client: httpx.Client) -> None:
    # Workers that have just started load torch first; then a run begins at once.
    first = client.post("/v1/experiments", json=SPEC | {"steps": 0}).json()["links"]["done"]
    assert eventually(lambda: client.get(first).status_code == httpx.codes.OK)
    with receiving() as receiver:
        hook = client.post("/v1/webhooks", json={"url": receiver.url}).json()
        end = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=WITHIN_S)).isoformat()
        links = client.post("/v1/experiments", json=SPEC | {"end_before": end}).json()["links"]
        assert client.get(links["done"]).status_code == httpx.codes.ACCEPTED
        assert eventually(lambda: client.get(links["done"]).status_code == httpx.codes.OK)
        # Of the others of this clinic that end meanwhile it is told too.
        assert eventually(lambda: any(b"too long" in its.body for its in receiver.received))
    (got,) = (its for its in receiver.received if b"too long" in its.body)
    told = Webhook(hook["secret"]).verify(got.body, got.headers)
    assert (told["type"], told["data"]["state"], told["data"]["name"]) == ("experiment.ended", "cancelled", "too long")
    (run,) = client.get(links["runs"]).json()["items"]
    assert (run["state"], run["error"]["title"]) == ("cancelled", "End passed")
    assert dt.datetime.fromisoformat(run["attempts"][-1]["ended_at"]) >= dt.datetime.fromisoformat(end)
    assert run["attempts"][-1]["reason"] == run["error"]["detail"]
