// The six steps by a client of openapi-generator's typescript-fetch: submit, wait, list, compare, read a trace, upload.
import assert from "node:assert/strict";
import { ComparisonsApi, Configuration, DatasetsApi, ExperimentsApi, RunsApi, State } from "./client";

const configuration = new Configuration({ basePath: process.argv[2] });
const experiments = new ExperimentsApi(configuration);
let experiment = await experiments.experimentsSubmit({
  experimentRequest: {
    name: "by typescript-fetch",
    dataset: { kind: "digits" },
    network: { kind: "mlp", depth: 3, width: 8 },
    optimizer: { kind: "sgd", learningRate: 0.1 },
    steps: 20,
    remedies: [{ kind: "batch_norm" }],
    seeds: { count: 2 },
  },
});
while (experiment.state === State.Queued || experiment.state === State.Running) {
  experiment = await experiments.experimentsRead({ experimentId: experiment.id, wait: 10 });
}
assert.equal(experiment.state, State.Succeeded);
const page = await experiments.experimentsListExperiments({});
assert.ok(page.items.some((one) => one.id === experiment.id));
const comparison = await new ComparisonsApi(configuration).comparisonsCompare({ experimentId: experiment.id });
assert.deepEqual(comparison.variants.map((variant) => variant.name), ["baseline", "batch_norm"]);
const [run] = (await experiments.experimentsListRuns({ experimentId: experiment.id })).items;
const trace = await new RunsApi(configuration).runsTrace({ runId: run.id, signal: "activation_gradient_rms" });
assert.deepEqual(trace.layers.map((layer) => layer.name), ["hidden.0", "hidden.1", "output"]);
const rows = Array.from({ length: 40 }, (_, at) => `${at},${at % 7},${at % 2}\n`).join("");
const file = new Blob(["a,b,label\n" + rows]);
const data = await new DatasetsApi(configuration).datasetsPut({ name: "by-typescript-fetch", file });
assert.equal(data.facts.cases, 40);
