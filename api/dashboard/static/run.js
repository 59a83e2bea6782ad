// One run: any signal of any layer down to the single step, and the evidence of its verdict in the picture it comes from.

import { download, get, pause } from "./api.js";
import { FINISHED, badge } from "./badges.js";
import { slots } from "./colours.js";
import { Curves } from "./curves.js";
import { h, put, sentences, table } from "./dom.js";
import { bytes, counted, figure, moment, percent, seconds, steps as stepWords, words } from "./numbers.js";
import { renew, unhurried } from "./renew.js";
import { link } from "./route.js";
import { SignalView } from "./signal.js";

const AGAIN_MS = 3000;
/** A log has no layers: there the loss was broken, or the norm of all gradients. */
const place = ({ layer, where }) => (layer === null ? { forward: "in the loss", backward: "in the gradient norm" }[where] : `${layer}, ${where} pass`);

export async function page(root, { id, query }, signal) {
  const view = new Run(id, query, signal);
  await view.load();
  put(root, view.element);
  await view.fill();
  while (!FINISHED.has(view.run.state) && !signal.aborted) {
    await pause(AGAIN_MS, signal);
    if (signal.aborted) return;
    await view.load();
    await view.fill();
  }
}

class Run {
  constructor(id, query, signal) {
    Object.assign(this, { id, query, signal, path: `/v1/runs/${id}` });
    this.head = h("header", { class: "head" });
    this.verdict = h("section", { class: "answer", "aria-label": "Verdict" });
    this.body = h("div", {});
    this.rest = h("div", {});
    this.element = h("article", {}, this.head, this.verdict, this.body, this.rest);
  }

  async load() {
    this.run = await get(this.path, this.signal);
    this.experiment ??= await get(`/v1/experiments/${this.run.experiment_id}`, this.signal);
    document.title = `${this.name()} – Gradient Clinic`;
    unhurried(this, () => this.summary());
  }

  name() {
    return `${this.run.variant}, seed ${this.run.seed}`;
  }

  summary() {
    const { run, experiment } = this;
    renew(this.head,
      h("p", { class: "crumbs" }, h("a", { href: "#/experiments" }, "Experiments"), " / ", h("a", { href: link("experiment", experiment.id) }, experiment.name)),
      h("h1", {}, this.name()),
      h("p", { class: "row" }, badge(run.state), run.verdict && badge(run.verdict.kind), run.outcome === "diverged" && badge("diverged"),
        h("span", {}, percent(run.progress)), h("span", { class: "dim" }, this.circumstances())),
      run.first_nonfinite && h("p", { class: "mark-words" }, `First value that is not finite: step ${run.first_nonfinite.step}, ${place(run.first_nonfinite)}.`),
      this.downloads());
    renew(this.verdict, h("h2", {}, run.error ? "Why it failed" : "Verdict"), run.verdict
      ? sentences(run.verdict.sentence)
      : h("p", {}, run.error ? run.error.detail ?? JSON.stringify(run.error) : FINISHED.has(run.state) ? "None: the run has not trained to an end." : "It stands at the end of the run."));
    this.details();
  }

  /** "cpu, of 220 steps, ended early (nonfinite steps)". */
  circumstances() {
    const { device, result } = this.run;
    const early = result?.stopped_by;
    return [device && device !== "unknown" && device, result && `${early ? "of " : ""}${counted(result.steps, "step")}`,
      early && `ended early (${words(early)})`].filter(Boolean).join(", ");
  }

  downloads() {
    const file = (title, path, accept, name) => h("button", { type: "button", class: "quiet", onclick: () => download(`${this.path}/${path}`, accept, name) }, title);
    const base = `run-${this.id}`;
    return h("div", { class: "row actions" },
      file("Trace, Parquet", "trace?signal=all", "application/vnd.apache.parquet", `${base}.parquet`),
      file("Trace, CSV", "trace?signal=all", "text/csv", `${base}.csv`),
      file("Curves, CSV", "curves", "text/csv", `${base}-curves.csv`),
      this.run.verdict && file("Diagnosis, JSON", "diagnosis", "application/json", `${base}-diagnosis.json`),
      h("a", { href: link("compare", "", { runs: this.id }) }, "Compare with others"));
  }

  /** Again while it trains: the evidence comes with its verdict. */
  async fill() {
    const place = slots([this.id]).get(this.id);
    this.signals ??= new SignalView(this.run, this.query, this.signal);
    this.curves ??= new Curves([{ title: this.run.variant, place, runs: [this.run] }], this.query, this.signal);
    const section = (title, ...inner) => h("section", { "data-key": title }, h("h2", {}, title), inner);
    this.signalsSection ??= section("Signals", this.signals.element);
    this.curvesSection ??= section("Curves", this.curves.element);
    unhurried(this.body, () => renew(this.body,
      this.run.verdict && section("Evidence", h("p", { class: "dim" }, "Show marks the layers and steps that a number comes from."), this.evidence()),
      this.layers ? this.signalsSection : section("Signals", h("p", { class: "dim" }, "No layers were recorded: the log of a finished training has its curves alone.")),
      this.curvesSection));
    await Promise.all([this.layers && this.signals.load(), this.curves.load()]);
  }

  /** A log that was brought in has none. */
  get layers() {
    return this.run.verdict?.rests_on !== "loss";
  }

  evidence() {
    const columns = [
      { title: "Signal", cell: (one) => words(one.signal) },
      { title: "What", cell: (one) => words(one.statistic) },
      { title: "Value", number: true, cell: (one) => (one.value === null ? "not finite" : figure(one.value)) },
      { title: "Threshold", number: true, cell: (one) => figure(one.threshold) },
      { title: "Layers", cell: (one) => (one.layers.length > 2 ? `${one.layers[0]} to ${one.layers.at(-1)}` : one.layers.join(", ")) || "–" },
      { title: "Steps", cell: (one) => (one.steps ? stepWords(one.steps) : "–") },
      { title: "Picture", cell: (one) => h("button", { type: "button", class: "quiet", onclick: () => this.show(one) }, "Show") },
    ];
    return table("Evidence", columns, this.run.verdict.evidence);
  }

  show(one) {
    const span = one.steps ?? [0, 0];
    if (one.layers.length) {
      this.signals.light(one.signal, one.layers, span);
      this.signals.element.scrollIntoView({ block: "center" });
    } else {
      this.curves.light(one.signal === "test_metric" ? "loss" : one.signal, span);
      this.curves.element.scrollIntoView({ block: "center" });
    }
  }

  details() {
    const { run } = this;
    const attempts = [
      { title: "Attempt", number: true, cell: (one) => String(one.number) },
      { title: "Worker", cell: (one) => one.worker },
      { title: "Began", time: true, cell: (one) => moment(one.started_at) },
      { title: "Ended", time: true, cell: (one) => moment(one.ended_at) },
      { title: "Reason", cell: (one) => one.reason ?? "–" },
    ];
    const { result } = run;
    const facts = result ? [
      ["Final loss", figure(result.final_loss, 4)], ["Chance level", figure(result.chance_level, 4)], ["Test metric", figure(result.test_metric)],
      ["Test loss", figure(result.test_loss, 4)], ["Time per step", seconds(result.step_seconds)], ["Device time", seconds(result.device_seconds || null)],
      ["Peak memory", bytes(result.peak_memory_bytes)], ["Parameters", result.parameters ? result.parameters.toLocaleString("en") : "–"],
      ["Recording lengthened steps", result.step_seconds ? `×${figure(run.overhead)}` : "–"],
    ].filter(([, value]) => value !== "–") : [];
    const versions = Object.entries(run.versions ?? {});
    renew(this.rest,
      run.attempts.length > 0 && h("section", {}, h("h2", {}, "Attempts"), table("Attempts", attempts, run.attempts)),
      facts.length + versions.length > 0 && h("section", { class: "setup" }, h("h2", {}, "Figures and versions"), h("dl", {}, [...facts, ...versions].map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))));
  }
}
