"""docs/api.md in step with the API: its addresses exist, its requests are accepted, its limits are the real ones."""

import json
import re
import shlex
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.http.bodies import MOST_ENTRIES, MOST_NESTED
from api.http.pagination import LARGEST_PAGE
from api.http.sse import USUAL
from api.routes.batches import MOST_ITEMS, Batch
from api.routes.experiments import LONGEST_WAIT_S
from api.routes.webhooks import MOST_WEBHOOKS
from api.variants import MOST_LAYERS
from gradient_clinic.signals import SIGNALS
from models.analysis.suggestion.choice import MOST_SUGGESTED
from models.plan.designs import MAX_FACTORS
from models.plan.variants import MAX_PARAMETERS
from models.settings import Settings
from models.specs.experiment import MAX_REMEDIES, MAX_RUNS, MAX_STEPS
from models.specs.network import MAX_DEPTH
from models.specs.seeds import MAX_SEEDS
from models.specs.sweep import combinations, swept
from models.specs.webhook import WebhookSpec

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / "docs" / "api.md").read_text()
COMMANDS = [
    command
    for block in re.findall(r"^```\n(curl.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    for command in re.split(r"\n(?=curl)", block)
]


def asked(command: str) -> tuple[str, str, str | None]:
    """Method, path and body of a curl command."""
    words = shlex.split(command.replace("\\\n", " "))
    method = words[words.index("-X") + 1] if "-X" in words else "GET"
    address = next(word for word in words if word.startswith("http"))
    body = words[words.index("-d") + 1] if "-d" in words else None
    if body is not None and body.startswith("@"):
        body = (ROOT / body[1:]).read_text()
    return method, re.sub(r"^http://127\.0\.0\.1:8000|\?.*$", "", address), body


def test_every_address_of_the_guide_exists_and_every_one_that_exists_is_in_it(reader: TestClient) -> None:
    paths = reader.get("/openapi.json").json()["paths"]
    known = {
        f"{method.upper()} {re.sub(r'{experiment_id}', '$E', path).replace('{run_id}', '$R').replace('{key_id}', '$K')}"
        for path, methods in paths.items()
        for method in methods
    }
    for command in COMMANDS:
        method, path, _ = asked(command)
        path = re.sub(r"variants/[^/]+", "variants/{variant}", re.sub(r"catalogue/.+", "catalogue/{name}", path))
        assert f"{method} {path}" in known
    for path in paths:
        assert path.split("}")[-1].split("/{")[0] in GUIDE, path


def test_the_requests_of_the_guide_are_answered_as_it_says(reader: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    answered = []
    for command in COMMANDS:
        method, path, body = asked(command)
        # A spec or an experiment of the reader's; keys and quotas are for a clinic that asks for keys.
        if body is None or "$(cat" in body or "$E" in body or "keys" in path or "quota" in path:
            continue
        if path.endswith("/batch"):  # which stores what it is sent
            batch = Batch.model_validate_json(body)
            path, body = "/v1/experiments/validate", json.dumps(swept(batch.items[0], next(combinations(batch.sweep))))
            body = re.sub(r', "idempotency_key": "[^"]*"', "", body)
        if path == "/v1/webhooks":
            WebhookSpec.model_validate_json(body)
            continue
        path = path if '"strength": -1' in body or path == "/v1/predictions" else "/v1/experiments/validate"
        response = reader.request(method, path, content=body.encode(), headers=headers)
        answered.append(response.status_code)
        if response.status_code == 422:
            assert json.dumps(response.json()["errors"][0])[:-1] in re.sub(r"\s+", " ", GUIDE)
    assert answered == [200, 200, 200, 200, 200, 422]


def test_the_spec_of_the_guide_is_one(reader: TestClient) -> None:
    shown = next(block for block in re.findall(r"^```json\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL))
    assert reader.post("/v1/experiments/validate", json=json.loads(shown)).status_code == 200


def test_the_guide_names_every_signal() -> None:
    for signal in SIGNALS:
        assert f"`{signal}`" in GUIDE


@pytest.mark.parametrize(
    "limit",
    [
        f"{MOST_NESTED} levels", f"{MOST_ENTRIES:,} entries", f"{MAX_RUNS:,}; {MAX_SEEDS:,} seeds",
        f"{MAX_REMEDIES} remedies, {MAX_FACTORS} for a full factorial, {MOST_SUGGESTED} suggested",
        f"At most {MOST_SUGGESTED} are chosen", f"variants | {MOST_LAYERS:,}; {MAX_DEPTH:,} in a network",
        f"{MAX_PARAMETERS:,} parameters", f"run | {MAX_STEPS:,}", f"batch | {MOST_ITEMS:,}", f"page | {LARGEST_PAGE}",
        f"comes every {USUAL.sweep_s:.0f} seconds",
        f"wait | {LONGEST_WAIT_S} s", f"webhooks of an owner | {MOST_WEBHOOKS}",
        f"{Settings.model_fields['max_body_bytes'].default // 2**20} MiB",
    ],
)  # fmt: skip
def test_the_limits_of_the_guide_are_the_real_ones(limit: str) -> None:
    assert limit in GUIDE
