"""Airflow: an experiment is submitted, waited for without a worker's slot, and its answer read.

The connection ``clinic`` says where the clinic is: docs/command.md#airflow.
"""

import json
from datetime import timedelta

from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from requests import Response

SPEC = {
    "name": "from airflow",
    "dataset": {"kind": "digits"},
    "network": {"kind": "mlp", "depth": 20, "width": 64, "activation": "sigmoid"},
    "optimizer": {"kind": "adam"},
    "steps": 300,
    "seeds": [0, 1, 2, 3, 4],
    "remedies": [{"kind": "batch_norm"}],
}
EXPERIMENT = "/v1/experiments/{{ ti.xcom_pull(task_ids='submit') }}"

BUSY = {408, 429}
"""What may be granted a moment later."""


def accepted(response: Response) -> bool:
    """Whether the clinic did as asked. What it refuses it would refuse again, so that no try follows."""
    if 400 <= response.status_code < 500 and response.status_code not in BUSY:
        message = f"the clinic has refused this: {response.text}"
        raise AirflowFailException(message)
    response.raise_for_status()
    return True


# The check is ours, and not that of Airflow, which tries again whatever the answer was.
CHECKED = {"extra_options": {"check_response": False}, "response_check": accepted}

with DAG("gradient_clinic", schedule=None, default_args={"retries": 2, "retry_delay": timedelta(seconds=10)}):
    submit = HttpOperator(
        task_id="submit",
        http_conn_id="clinic",
        method="POST",
        endpoint="/v1/experiments",
        # Tried again, or cleared and run again, a run of this DAG finds the experiment that it has.
        headers={"Content-Type": "application/json", "Idempotency-Key": "{{ dag.dag_id }}/{{ run_id }}"},
        data=json.dumps(SPEC),
        response_filter=lambda response: response.json()["id"],
        **CHECKED,
    )
    # Deferred: the triggerer asks. While it goes on the clinic answers 404, which alone is what it waits on.
    trained = HttpSensor(
        task_id="trained",
        http_conn_id="clinic",
        endpoint=f"{EXPERIMENT}/done?pending=404",
        deferrable=True,
        poke_interval=10,
        timeout=6 * 3600,
    )
    answer = HttpOperator(
        task_id="answer",
        http_conn_id="clinic",
        method="GET",
        endpoint=f"{EXPERIMENT}/comparison",
        response_filter=lambda response: response.json()["answer"],
        **CHECKED,
    )
    submit >> trained >> answer
