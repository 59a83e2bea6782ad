"""Prefect: an experiment is submitted, waited for as its clinic asks to be waited for, and its answer read.

``CLINIC_URL`` says where the clinic is, ``CLINIC_API_KEY`` has a key where it asks for one.
"""

import os
import time

import httpx
from prefect import flow, task
from prefect.runtime import flow_run

SPEC = {
    "name": "from prefect",
    "dataset": {"kind": "digits"},
    "network": {"kind": "mlp", "depth": 20, "width": 64, "activation": "sigmoid"},
    "optimizer": {"kind": "adam"},
    "steps": 300,
    "seeds": [0, 1, 2, 3, 4],
    "remedies": [{"kind": "batch_norm"}],
}


def clinic() -> httpx.Client:
    key = os.environ.get("CLINIC_API_KEY")
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    address = os.environ.get("CLINIC_URL", "http://127.0.0.1:8000")
    return httpx.Client(base_url=address, headers=headers, timeout=60)


@task(retries=2, retry_delay_seconds=5)
def submit(spec: dict) -> str:
    """Tried again, a run of this flow finds the experiment that it has."""
    with clinic() as client:
        key = {"Idempotency-Key": str(flow_run.id)}
        return client.post("/v1/experiments", json=spec, headers=key).raise_for_status().json()["id"]


@task(retries=2, retry_delay_seconds=5)
def wait(experiment: str) -> str:
    """202 while it goes on, with the seconds until it is worth asking again."""
    with clinic() as client:
        while True:
            done = client.get(f"/v1/experiments/{experiment}/done").raise_for_status()
            if done.status_code == httpx.codes.OK:
                return done.json()["state"]
            time.sleep(int(done.headers["Retry-After"]))


@task(retries=2, retry_delay_seconds=5)
def answer(experiment: str) -> str:
    with clinic() as client:
        return client.get(f"/v1/experiments/{experiment}/comparison").raise_for_status().json()["answer"]


@flow(name="gradient-clinic", log_prints=True)
def gradient_clinic(spec: dict = SPEC) -> str:
    experiment = submit(spec)
    state = wait(experiment)
    said = answer(experiment)
    print(f"{experiment} {state}: {said}")
    return said


if __name__ == "__main__":
    gradient_clinic()
