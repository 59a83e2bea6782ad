"""``api/http/recorded.json`` anew: examples of every schema of the OpenAPI document, as a clinic answers.

Its own specs are dumped from their classes; all else is what a clinic of this command's own was asked and answered.
Exit 1 where a schema is left without an example.
"""

import json
import re
import sys
from typing import Any, Final

import httpx

from api.http.recorded import PATH
from api.views.experiments import EVENTS, ChangedEvent, EndEvent
from local import document as published
from local.commands import COMMANDS
from local.folder import new_password
from local.interrupts import InterruptedBySignal
from proofs.clinic import own_clinic
from proofs.examples.harvest import REF, Harvest
from proofs.examples.scenario import Scenario, events
from proofs.examples.specs import every_kind

Json = dict[str, Any]
JSON: Final = "application/json"
TOLD: Final = {**EVENTS, "changed": ChangedEvent, "end": EndEvent}


def main() -> int:
    document = json.loads(published.text())
    harvest = Harvest(document)
    for name, spec in every_kind():
        harvest.take({"$ref": REF + name}, spec)
    # With a key: a clinic without one has one owner, and answers the addresses of keys and audit with 409.
    key = new_password()
    settings = {"CLINIC_WORKERS": "2", "CLINIC_DEVICE": "cpu", "CLINIC_API_KEY": key}
    try:
        with own_clinic(settings, COMMANDS) as (clinic, _):
            hooks: Any = {"response": [lambda response: _heard(document, harvest, response)]}
            headers = {"Authorization": f"Bearer {key}"}
            with httpx.Client(
                base_url=clinic.address, headers=headers, event_hooks=hooks, timeout=120, trust_env=False
            ) as http:
                Scenario(http).run()
    except InterruptedBySignal as interrupt:
        return 128 + interrupt.number
    PATH.write_text(json.dumps(harvest.best(), indent=1, ensure_ascii=False) + "\n")
    missing = harvest.missing()
    print(f"examples={len(harvest.best())} missing={len(missing)} {' '.join(missing)}".rstrip())
    return 1 if missing else 0


def _heard(document: Json, harvest: Harvest, response: httpx.Response) -> None:
    """What was sent and answered, by the schemas of its operation."""
    # httpx calls its hooks before the body has come.
    response.read()
    request, status = response.request, str(response.status_code)
    operation = _operation(document, request.method.lower(), request.url.path)
    # Of a request that was refused nothing is kept: an example has to be one that is answered.
    if request.headers.get("content-type") == JSON and response.is_success:
        harvest.take(operation["requestBody"]["content"][JSON]["schema"], json.loads(request.content))
    answered = operation["responses"].get(status, operation["responses"]["default"])["content"]
    media_type = response.headers.get("content-type", "").partition(";")[0]
    if media_type == "text/event-stream":
        for name, data in events(response.text):
            harvest.take({"$ref": REF + TOLD[name].__name__}, data)
    elif media_type in answered and "json" in media_type:
        harvest.take(answered[media_type]["schema"], response.json())


def _operation(document: Json, method: str, path: str) -> Json:
    for template, operations in document["paths"].items():
        if method in operations and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            found: Json = operations[method]
            return found
    raise LookupError(path)


if __name__ == "__main__":
    sys.exit(main())
