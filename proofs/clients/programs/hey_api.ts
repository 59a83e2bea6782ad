// The six steps by a client of @hey-api/openapi-ts: submit, wait, list, compare, read a trace, upload.
import assert from "node:assert/strict";
import * as clinic from "./client";
import { client } from "./client/client.gen";

client.setConfig({ baseUrl: process.argv[2], throwOnError: true });
const throwOnError = true;
let experiment = (
  await clinic.experimentsSubmit({
    throwOnError,
    body: {
      name: "by hey-api",
      dataset: { kind: "digits" },
      network: { kind: "mlp", depth: 3, width: 8 },
      optimizer: { kind: "sgd", learning_rate: 0.1 },
      steps: 20,
      remedies: [{ kind: "batch_norm" }],
      seeds: [0, 1],
    },
  })
).data;
const path = { experiment_id: experiment.id };
while (experiment.state === "queued" || experiment.state === "running") {
  experiment = (await clinic.experimentsRead({ throwOnError, path, query: { wait: 10 } })).data;
}
assert.equal(experiment.state, "succeeded");
const page = (await clinic.experimentsListExperiments({ throwOnError })).data;
assert.ok(page.items.some((one) => one.id === experiment.id));
const comparison = (await clinic.comparisonsCompare({ throwOnError, path })).data;
assert.ok(typeof comparison === "object");
assert.deepEqual(comparison.variants.map((variant) => variant.name), ["baseline", "batch_norm"]);
const [run] = (await clinic.experimentsListRuns({ throwOnError, path })).data.items;
const signal = "activation_gradient_rms";
const trace = (await clinic.runsTrace({ throwOnError, path: { run_id: run.id }, query: { signal } })).data;
assert.ok(typeof trace === "object" && "layers" in trace);
assert.deepEqual(trace.layers.map((layer) => layer.name), ["hidden.0", "hidden.1", "output"]);
const rows = Array.from({ length: 40 }, (_, at) => `${at},${at % 7},${at % 2}\n`).join("");
const file = new Blob(["a,b,label\n" + rows]);
const sent = await clinic.datasetsPut({ throwOnError, path: { name: "by-hey-api" }, body: { file } });
assert.equal(sent.data.facts.cases, 40);
