"""Airflow: an experiment is submitted, waited for without a worker's slot, and its answer read.

The connection ``clinic`` says where the clinic is (``docs/api.md``, From a scheduler).
"""

import json

from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor
from airflow.sdk import DAG

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

with DAG("gradient_clinic", schedule=None, default_args={"retries": 2}):
    submit = HttpOperator(
        task_id="submit",
        http_conn_id="clinic",
        method="POST",
        endpoint="/v1/experiments",
        # Tried again, or cleared and run again, a run of this DAG finds the experiment that it has.
        headers={"Content-Type": "application/json", "Idempotency-Key": "{{ dag.dag_id }}/{{ run_id }}"},
        data=json.dumps(SPEC),
        response_filter=lambda response: response.json()["id"],
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
    )
    submit >> trained >> answer
