"""The six steps with the models of datamodel-code-generator, and httpx: it makes shapes and no client."""

import sys

import httpx
from models import (
    BatchNormRemedy,
    Comparison,
    DatasetView,
    DigitsSpec,
    ExperimentPage,
    ExperimentRequest,
    ExperimentView,
    MlpSpec,
    RunPage,
    SgdSpec,
    State,
    TraceView,
)


def main(address: str) -> None:
    client = httpx.Client(base_url=address, timeout=30.0)
    spec = ExperimentRequest(
        name="by datamodel-code-generator",
        dataset=DigitsSpec(kind="digits"),
        network=MlpSpec(kind="mlp", depth=3, width=8),
        optimizer=SgdSpec(kind="sgd", learning_rate=0.1),
        steps=20,
        remedies=[BatchNormRemedy(kind="batch_norm")],
        seeds=[0, 1],
    )
    body = spec.model_dump_json(exclude_unset=True)
    sent = client.post("/v1/experiments", content=body, headers={"Content-Type": "application/json"})
    experiment = ExperimentView.model_validate_json(sent.raise_for_status().content)
    path = f"/v1/experiments/{experiment.id}"
    while experiment.state in {State.queued, State.running}:
        experiment = ExperimentView.model_validate_json(client.get(path, params={"wait": 10}).content)
    assert experiment.state == State.succeeded
    page = ExperimentPage.model_validate_json(client.get("/v1/experiments").content)
    assert experiment.id in [one.id for one in page.items]
    comparison = Comparison.model_validate_json(client.get(f"{path}/comparison").content)
    assert [variant.name for variant in comparison.variants] == ["baseline", "batch_norm"]
    run = RunPage.model_validate_json(client.get(f"{path}/runs").content).items[0]
    signal = {"signal": "activation_gradient_rms"}
    trace = TraceView.model_validate_json(client.get(f"/v1/runs/{run.id}/trace", params=signal).content)
    assert [layer.name for layer in trace.layers] == ["hidden.0", "hidden.1", "output"]
    rows = "".join(f"{at},{at % 7},{at % 2}\n" for at in range(40))
    sent = client.put("/v1/datasets/by-datamodel-code-generator", files={"file": b"a,b,label\n" + rows.encode()})
    assert DatasetView.model_validate_json(sent.content).facts.cases == 40


main(sys.argv[1])
