// The six steps with the types of openapi-typescript and its openapi-fetch: submit, wait, list, compare, read, upload.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./client/types";

const client = createClient<paths>({ baseUrl: process.argv[2] });
const submitted = await client.POST("/v1/experiments", {
  body: {
    name: "by openapi-typescript",
    dataset: { kind: "digits" },
    network: { kind: "mlp", depth: 3, width: 8 },
    optimizer: { kind: "sgd", learning_rate: 0.1 },
    steps: 20,
    remedies: [{ kind: "batch_norm" }],
    seeds: [0, 1],
  },
});
assert.ok(submitted.data);
let experiment = submitted.data;
const path = { experiment_id: experiment.id };
while (experiment.state === "queued" || experiment.state === "running") {
  const read = await client.GET("/v1/experiments/{experiment_id}", { params: { path, query: { wait: 10 } } });
  assert.ok(read.data);
  experiment = read.data;
}
assert.equal(experiment.state, "succeeded");
const page = await client.GET("/v1/experiments");
assert.ok(page.data?.items.some((one) => one.id === experiment.id));
const comparison = await client.GET("/v1/experiments/{experiment_id}/comparison", { params: { path } });
assert.ok(typeof comparison.data === "object");
assert.deepEqual(comparison.data.variants.map((variant) => variant.name), ["baseline", "batch_norm"]);
const runs = await client.GET("/v1/experiments/{experiment_id}/runs", { params: { path } });
assert.ok(runs.data);
const trace = await client.GET("/v1/runs/{run_id}/trace", {
  params: { path: { run_id: runs.data.items[0].id }, query: { signal: "activation_gradient_rms" } },
});
assert.ok(typeof trace.data === "object" && "layers" in trace.data);
assert.deepEqual(trace.data.layers.map((layer) => layer.name), ["hidden.0", "hidden.1", "output"]);
const rows = Array.from({ length: 40 }, (_, at) => `${at},${at % 7},${at % 2}\n`).join("");
const sent = await client.PUT("/v1/datasets/{name}", {
  params: { path: { name: "by-openapi-typescript" } },
  body: { file: "a,b,label\n" + rows },
  bodySerializer: (body) => {
    const form = new FormData(); // a browser or node names the form's boundary
    form.append("file", new Blob([body?.file ?? ""]));
    return form;
  },
});
assert.equal(sent.data?.facts.cases, 40);
