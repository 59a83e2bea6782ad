"""The six steps by a client of openapi-python-client: submit, wait, list, compare, read a trace, upload."""

import io
import sys

from gradient_clinic_client import Client
from gradient_clinic_client.api.comparisons import comparisons_compare
from gradient_clinic_client.api.datasets import datasets_put
from gradient_clinic_client.api.experiments import (
    experiments_list_experiments,
    experiments_list_runs,
    experiments_read,
    experiments_submit,
)
from gradient_clinic_client.api.runs import runs_trace
from gradient_clinic_client.models import (
    BatchNormRemedy,
    BatchNormRemedyKind,
    DatasetsPutBody,
    DigitsSpec,
    DigitsSpecKind,
    ExperimentRequest,
    MlpSpec,
    MlpSpecKind,
    RunsTraceSignal,
    SgdSpec,
    SgdSpecKind,
    State,
)
from gradient_clinic_client.types import File


def main(address: str) -> None:
    client = Client(base_url=address, raise_on_unexpected_status=True)
    spec = ExperimentRequest(
        name="by openapi-python-client",
        dataset=DigitsSpec(kind=DigitsSpecKind.DIGITS),
        network=MlpSpec(kind=MlpSpecKind.MLP, depth=3, width=8),
        optimizer=SgdSpec(kind=SgdSpecKind.SGD, learning_rate=0.1),
        steps=20,
        remedies=[BatchNormRemedy(kind=BatchNormRemedyKind.BATCH_NORM)],
        seeds=[0, 1],
    )
    experiment = experiments_submit.sync(client=client, body=spec)
    while experiment.state in {State.QUEUED, State.RUNNING}:
        experiment = experiments_read.sync(experiment.id, client=client, wait=10.0)
    assert experiment.state == State.SUCCEEDED
    assert experiment.id in [one.id for one in experiments_list_experiments.sync(client=client).items]
    comparison = comparisons_compare.sync(experiment.id, client=client)
    assert [variant.name for variant in comparison.variants] == ["baseline", "batch_norm"]
    run = experiments_list_runs.sync(experiment.id, client=client).items[0]
    trace = runs_trace.sync(run.id, client=client, signal=RunsTraceSignal.ACTIVATION_GRADIENT_RMS)
    assert [layer.name for layer in trace.layers] == ["hidden.0", "hidden.1", "output"]
    rows = "".join(f"{at},{at % 7},{at % 2}\n" for at in range(40))
    body = DatasetsPutBody(file=File(io.BytesIO(b"a,b,label\n" + rows.encode()), "rows.csv", "text/csv"))
    assert datasets_put.sync("by-openapi-python-client", client=client, body=body).facts.cases == 40


main(sys.argv[1])
