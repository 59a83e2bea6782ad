// The six steps by a client of orval: submit, wait, list, compare, read a trace, upload.
import assert from "node:assert/strict";
import * as clinic from "./client/api";

const address = process.argv[2];
const fetched = globalThis.fetch; // orval's client has paths alone
globalThis.fetch = (path, options) => fetched(address + path, options);

const submitted = await clinic.experimentsSubmit({
  name: "by orval",
  dataset: { kind: "digits" },
  network: { kind: "mlp", depth: 3, width: 8 },
  optimizer: { kind: "sgd", learning_rate: 0.1 },
  steps: 20,
  remedies: [{ kind: "batch_norm" }],
  seeds: [0, 1],
});
assert.ok(submitted.status === 202);
let experiment = submitted.data;
while (experiment.state === "queued" || experiment.state === "running") {
  const read = await clinic.experimentsRead(experiment.id, { wait: 10 });
  assert.ok(read.status === 200);
  experiment = read.data;
}
assert.equal(experiment.state, "succeeded");
const page = await clinic.experimentsListExperiments();
assert.ok(page.status === 200 && page.data.items.some((one) => one.id === experiment.id));
const comparison = await clinic.comparisonsCompare(experiment.id);
assert.ok(comparison.status === 200 && typeof comparison.data === "object");
assert.deepEqual(comparison.data.variants.map((variant) => variant.name), ["baseline", "batch_norm"]);
const runs = await clinic.experimentsListRuns(experiment.id);
assert.ok(runs.status === 200);
const trace = await clinic.runsTrace(runs.data.items[0].id, { signal: "activation_gradient_rms" });
assert.ok(trace.status === 200 && typeof trace.data === "object" && "layers" in trace.data);
assert.deepEqual(trace.data.layers.map((layer) => layer.name), ["hidden.0", "hidden.1", "output"]);
const rows = Array.from({ length: 40 }, (_, at) => `${at},${at % 7},${at % 2}\n`).join("");
const sent = await clinic.datasetsPut("by-orval", { file: new Blob(["a,b,label\n" + rows]) });
assert.ok(sent.status === 201 && sent.data.facts.cases === 40);
