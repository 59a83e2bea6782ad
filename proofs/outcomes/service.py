"""The same experiments through a service: submitted, trained by its workers, and read from what its API answers."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from threading import Event
from typing import Any

import httpx
from pydantic import TypeAdapter

from gradient_clinic.command.clinic import FINISHED, Client
from gradient_clinic.verdict.shapes import RunFacts, RunSummary, Verdict
from local.commands import COMMANDS
from local.supervisor import Clinic
from models.specs.experiment import ExperimentSpec
from proofs.clinic import own_clinic
from proofs.outcomes.line import Line
from proofs.outcomes.running import Ran, by_variant, trained_by
from proofs.outcomes.trials import judging

Json = dict[str, Any]
MOST_POINTS = 5_000
"""Of a picture: more than any case records, so that each is one step."""


class ServiceError(Exception):
    """An experiment did not end as it should."""


@contextmanager
def address_of(via: str, processes: int) -> Iterator[str]:
    """Of the service at a URL; for ``service`` of a clinic that ends with this."""
    if via != "service":
        yield via
        return
    with (
        own_clinic({"CLINIC_WORKERS": str(processes), "CLINIC_DEVICE": "cpu"}, COMMANDS) as (clinic, _),
        tended(clinic),
    ):
        yield clinic.address


@contextmanager
def tended(clinic: Clinic) -> Iterator[None]:
    """What has ended is started again, as by ``make up``."""
    over = Event()

    def tend() -> None:
        while not over.wait(1.0):
            clinic.tend()

    with ThreadPoolExecutor(1) as thread:
        tending = thread.submit(tend)
        try:
            yield
        finally:
            over.set()
            # What went wrong in the thread is raised here and not lost with it.
            tending.result()


def lines_of(name: str, address: str | None) -> list[Line]:
    """Of a case, or the trials of a remedy: trained by the service at ``address``, or here where there is none."""
    with nullcontext() if address is None else trained_by(partial(send, address=address)):
        return judging.lines_of(name)


def send(spec: ExperimentSpec, address: str) -> list[Ran]:
    """A trainer that sends what is to be trained to the service at ``address``. In order of variants and seeds."""
    client = Client(address, None)
    with httpx.Client(base_url=address, timeout=60.0, trust_env=False) as http:
        try:
            experiment, etag = client.submit(spec.model_dump_json().encode()), None
            while experiment["state"] not in FINISHED:
                experiment, etag = client.look(experiment, etag)
            # The API lists seed by seed; trials read variant by variant, as a training here gives them.
            ran = [_ran(http, run) for run in _runs(http, experiment)]
            return [run for runs in by_variant(ran).values() for run in runs]
        finally:
            client.close()


def _runs(http: httpx.Client, experiment: Json) -> Iterator[Json]:
    token = ""
    while True:
        page = _got(http, experiment["links"]["runs"], page_token=token)
        yield from page["items"]
        token = page["next_page_token"]
        if not token:
            return


def _ran(http: httpx.Client, run: Json) -> Ran:
    if run["state"] != "succeeded":
        message = f"run {run['id']} of {run['variant']} {run['state']}: {run['error']}"
        raise ServiceError(message)
    loss = _got(http, run["links"]["curves"], points=MOST_POINTS)["curves"]["loss"]["mean"]
    norms = _got(http, run["links"]["trace"], signal="weight_gradient_norm", to=0)["last"]
    return Ran(
        variant=run["variant"],
        seed=run["seed"],
        summary=_summary(run),
        losses=tuple(_number(value) for value in loss),
        first_gradient_norms=tuple(_number(row[0]) for row in norms),
        seconds=_number(run["result"]["device_seconds"]),
    )


def _summary(run: Json) -> RunSummary:
    """What the API tells of a run; of the rest of a summary there is nothing to read."""
    verdict, result = TypeAdapter(Verdict).validate_python(run["verdict"]), run["result"]
    facts = RunFacts(
        steps_asked=result["steps"],
        stopped_by=result["stopped_by"],
        outcome=run["outcome"],
        chance_level=_number(result["chance_level"]),
        test_metric=_number(result["test_metric"]),
        test_loss=_number(result["test_loss"]),
        conditions=verdict.conditions,
        step_seconds=_number(result["step_seconds"]),
        device_seconds=_number(result["device_seconds"]),
        peak_memory_bytes=result["peak_memory_bytes"],
        parameters=result["parameters"],
        overhead=_number(run["overhead"]),
    )
    final_loss = None if verdict.trained is None else _number(result["final_loss"])
    return RunSummary(
        hidden=(),
        batch_norm=False,
        normalized=False,
        start=(),
        end=None,
        end_steps=None,
        slope_at_start=(),
        dead=(),
        saturated=(),
        largest_update=math.nan,
        final_loss=final_loss,
        loss_error=None,
        trained=None if verdict.trained == "mixed" else verdict.trained,
        first_nonfinite=None,
        last_step=result["steps"] - 1,
        last_loss=math.nan,
        facts=facts,
        verdict=verdict,
    )


def _number(value: float | None) -> float:
    """JSON has null for what is not finite."""
    return math.nan if value is None else value


def _got(http: httpx.Client, path: str, **query: object) -> Json:
    response = http.get(path, params={name: str(value) for name, value in query.items() if value != ""})
    response.raise_for_status()
    answer: Json = response.json()
    return answer
