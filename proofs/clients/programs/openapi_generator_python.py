"""The six steps by a client of openapi-generator's python: submit, wait, list, compare, read a trace, upload."""

import sys

from openapi_client import (
    ApiClient,
    BatchNormRemedy,
    ComparisonsApi,
    Configuration,
    DatasetsApi,
    DatasetSpec,
    DigitsSpec,
    ExperimentRequest,
    ExperimentsApi,
    MlpSpec,
    NetworkSpec,
    OptimizerSpec,
    RemedySpec,
    ExperimentRequestRemedies,
    RunsApi,
    SgdSpec,
)


def main(address: str) -> None:
    client = ApiClient(Configuration(host=address))
    experiments = ExperimentsApi(client)
    spec = ExperimentRequest(
        name="by openapi-generator",
        dataset=DatasetSpec(DigitsSpec(kind="digits")),
        network=NetworkSpec(MlpSpec(kind="mlp", depth=3, width=8)),
        optimizer=OptimizerSpec(SgdSpec(kind="sgd", learning_rate=0.1)),
        steps=20,
        remedies=ExperimentRequestRemedies([RemedySpec(BatchNormRemedy(kind="batch_norm"))]),
    )
    experiment = experiments.experiments_submit(spec)
    while experiment.state in {"queued", "running"}:
        experiment = experiments.experiments_read(experiment.id, wait=10.0)
    assert experiment.state == "succeeded"
    assert experiment.id in [one.id for one in experiments.experiments_list_experiments().items]
    comparison = ComparisonsApi(client).comparisons_compare(experiment.id)
    assert [variant.name for variant in comparison.variants] == ["baseline", "batch_norm"]
    run = experiments.experiments_list_runs(experiment.id).items[0]
    trace = RunsApi(client).runs_trace(run.id, signal="activation_gradient_rms")
    assert [layer.name for layer in trace.layers] == ["hidden.0", "hidden.1", "output"]
    rows = "".join(f"{at},{at % 7},{at % 2}\n" for at in range(40))
    file = ("rows.csv", b"a,b,label\n" + rows.encode())
    assert DatasetsApi(client).datasets_put("by-openapi-generator", file=file).facts.cases == 40


main(sys.argv[1])
