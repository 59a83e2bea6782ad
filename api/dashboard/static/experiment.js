// One experiment: the answer in front, then what it stands on, picture by picture with the numbers behind each.

import { download, every, follow, get, send } from "./api.js";
import { FINISHED, badge, labels, progress } from "./badges.js";
import { catalogue, told } from "./catalogue.js";
import { slots } from "./colours.js";
import { Curves } from "./curves.js";
import { confirmed, h, numbersBehind, put, say, sentences, table } from "./dom.js";
import { drawn } from "./drawn.js";
import { Maps } from "./maps.js";
import { counted, estimate, figure, metricWords, moment, percent, seconds, setting, words } from "./numbers.js";
import { renew, unhurried } from "./renew.js";
import { link } from "./route.js";
import { differenceTable, profileTable, variantTable } from "./variants.js";

const SETTLE_MS = 1500;
const SHOWN = 40;
const SCALING = { scalar: "all inputs by one mean and deviation", feature: "each input by its own mean and deviation", none: "no" };

export async function page(root, { id, query }, signal) {
  const view = new Experiment(id, query, signal);
  await view.load();
  put(root, view.element);
  document.title = `${view.experiment.name} – Gradient Clinic`;
  await view.fill();
  if (!FINISHED.has(view.experiment.state)) view.live();
}

export const recurrent = ({ spec: { network } }) =>
  network?.kind === "rnn" || (network?.kind === "sequential" && network.layers.some((layer) => layer.kind === "recurrent"));

/** Not of a log that was brought in. */
export const layered = ({ variants }) => !variants.every(({ verdict }) => verdict?.rests_on === "loss");

/** A comparison's variants, each with its colour; their runs come later. */
function armsOf(comparison, experiment) {
  const places = slots(comparison.variants.map((one) => one.name));
  return comparison.variants.map((entry) => (
    { title: entry.name, place: places.get(entry.name), entry, runs: [], of: experiment.id, recurrent: recurrent(experiment) }));
}

/** Each variant's runs, and the first of them, of which a map is drawn. */
function give(arms, runs) {
  for (const arm of arms) {
    arm.runs = runs.filter((run) => run.variant === arm.title && run.phase === "trial");
    arm.run = arm.runs[0]?.id;
  }
}

class Experiment {
  constructor(id, query, signal) {
    Object.assign(this, { id, query, signal, path: `/v1/experiments/${id}` });
    this.head = h("header", { class: "head" });
    this.early = h("div", {});
    this.answer = h("section", { class: "answer", "aria-label": "Answer" });
    this.broken = h("div", { class: "broken-runs" });
    this.body = h("div", {});
    this.runsPlace = h("section", {});
    this.element = h("article", {}, this.head, this.early, this.answer, this.broken, this.body, this.runsPlace);
  }

  async load() {
    [this.experiment, this.comparison, this.lists] = await Promise.all([
      get(this.path, this.signal), get(`${this.path}/comparison`, this.signal), catalogue()]);
    unhurried(this.head, () => this.summary());
  }

  /** After the answer, which does not wait for hundreds of them. */
  async loadRuns() {
    this.runs = await every(`${this.path}/runs/brief`, this.signal);
    give(this.arms, this.runs);
    unhurried(this.runsPlace, () => this.runTable());
  }

  summary() {
    const { experiment, comparison } = this;
    const ended = FINISHED.has(experiment.state);
    renew(this.head, h("p", { class: "crumbs" }, h("a", { href: "#/experiments" }, "Experiments")), h("h1", {}, experiment.name),
      h("p", { class: "row" }, badge(experiment.state), progress(experiment), experiment.verdict && badge(experiment.verdict, "on the baseline"), labels(experiment.labels),
        h("span", { class: "dim" }, `${experiment.owner}, ${moment(experiment.started_at ?? experiment.created_at)}`)),
      this.setup(), this.actions(ended), this.refused && h("p", { role: "alert" }, this.refused));
    renew(this.answer, h("h2", {}, ended ? "Answer" : "So far"), sentences(comparison.answer));
  }

  /** Here, by workers of this clinic; else a loop elsewhere was watched, which nobody here can repeat. */
  get trained() {
    return this.experiment.source === "trained";
  }

  setup() {
    const { spec } = this.experiment;
    const facts = this.trained ? this.asked(spec) : [["Trained", "elsewhere, and watched or brought in as a log"], ["Data", spec.data ?? "not told"]];
    const { Data: data, Network: network } = Object.fromEntries(facts);
    return h("details", { class: "setup" }, h("summary", {}, this.trained ? `What was asked: ${network}, on ${data}` : "What it is"), h("dl", {}, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
  }

  /** All that decides what is trained, defaults included where a reader has to know them. */
  asked({ dataset, network, optimizer: { learning_rate: rate, ...optimizer }, ...spec }) {
    const of = (value, title, text) => (value ? [[title, text(value)]] : []);
    return [
      ["Data", told(dataset, this.lists, "datasets")],
      ...of(dataset.facts?.note, "Read as", (note) => note), ...of(dataset.kind === "uploaded" && dataset.version, "Version", (version) => version),
      ["Standardised", SCALING[dataset.standardise] + (dataset.standardise_targets ? "; what is to be predicted too" : "")],
      ["Network", told(network, this.lists, "networks")], ["Optimiser", told(optimizer, this.lists, "optimizers")],
      ["Learning rate", spec.tune ? `for each variant the best of ${told(spec.tune.learning_rate, this.lists)}` : setting(rate)],
      ["Length", spec.steps === null ? `${spec.epochs} epochs in batches of ${spec.batch_size}` : `${spec.steps} steps in batches of ${spec.batch_size}`],
      ["Seeds", Array.isArray(spec.seeds) ? spec.seeds.join(", ") : `${spec.seeds.count} from ${spec.seeds.first}`], ["Design", words(spec.design)],
      ...of(this.experiment.suggested?.length && this.experiment.suggested, "Suggested", (all) => h("ul", {}, all.map(({ remedy, why }) => h("li", {}, h("b", {}, words(remedy)), `: ${why}`)))),
      ...of(this.experiment.suggested_from, "Suggested from", (id) => h("a", { href: link("experiment", id) }, "the experiment before it")),
    ];
  }

  actions(ended) {
    const button = (title, action, type = "quiet") => h("button", { type: "button", class: type, onclick: action }, title);
    const file = this.experiment.name;
    return h("div", { class: "row actions" },
      this.trained && h("a", { href: link("new", "", { from: this.id }) }, "Again, changed"),
      button("Report", () => download(`${this.path}/report`, "text/html", `${file}.html`)),
      layered(this.comparison) && button("Heat maps, SVG", () => download(`${this.path}/heatmaps.svg`, "image/svg+xml", `${file}-heatmaps.svg`)),
      button("Comparison as JSON", () => download(`${this.path}/comparison`, "application/json", `${file}.json`)),
      !ended && button("Cancel", () => this.act("POST", `${this.path}/cancel`, `Cancel “${file}”? What it has trained stays.`, "Cancel it")),
      this.trained && this.experiment.runs.failed > 0 && ended && button("Retry failed runs", () => this.act("POST", `${this.path}/retry`)),
      button("Delete", () => this.act("DELETE", this.path, `Delete “${file}” with all its runs and traces? This cannot be undone.`, "Delete it"), "quiet danger"));
  }

  /** Each variant to take home, as one file of plain PyTorch. */
  files(arms) {
    const file = (name) => download(`${this.path}/variants/${encodeURIComponent(name)}/code`, "text/x-python", `${name}.py`);
    return h("p", { class: "row actions" }, "As PyTorch", arms.map(({ entry: { name } }) => h("button", { type: "button", class: "quiet", onclick: () => file(name) }, `${name}.py`)));
  }

  async act(method, path, question, verb) {
    if (question && !await confirmed(question, verb)) return;
    this.refused = await send(method, path).then(() => null, (error) => error.message);
    if (this.refused) {
      this.summary();
      return;
    }
    if (method === "DELETE") {
      say("Deleted");
      location.hash = "#/experiments";
    } else {
      await this.again();
      this.live();
    }
  }

  /** The pictures; again while it trains. Curves are told by variant and take longest: they are asked for first, beside the
   * list of runs, and the many small profiles last. */
  async fill() {
    const { query, signal } = this;
    this.arms = armsOf(this.comparison, this.experiment);
    this.maps ??= new Maps(this.arms, query, signal);
    this.curves ??= new Curves(this.arms, query, signal);
    this.maps.arms = this.arms;
    this.curves.arms = this.arms;
    const curves = this.curves.single ? null : this.curves.load();
    const pictures = this.loadRuns().then(() => Promise.all([curves ?? this.curves.load(), this.maps.load()]));
    unhurried(this.body, () => this.draw(pictures));
    await pictures;
    unhurried(this.broken, () => this.sayBroken());
  }

  /** What has a life of its own, maps and curves, is in sections that stay. */
  draw(pictures) {
    const { comparison, arms } = this;
    const metric = metricWords(comparison.metric);
    const outcomes = arms.some(({ entry }) => entry.outcomes.metric_of_all?.mean != null || entry.outcomes.metric.mean !== null);
    const predicted = arms.some(({ entry }) => entry.gradient.predicted.gain_per_layer !== null);
    const section = (title, ...inner) => h("section", { "data-key": title }, h("h2", {}, title), inner);
    this.mapsSection ??= section("Gradients by layer and step",
      h("p", { class: "dim" }, "ln ratio of each layer's rms gradient to that of the last hidden layer (of a recurrent network, of its states along time); first seed. Blue is smaller, red larger."), this.maps.element);
    this.curvesSection ??= section("Curves", this.curves.element);
    renew(this.body,
      section("Variants", variantTable(arms, metric, this.lists), this.trained && this.files(arms)),
      arms.some(({ entry }) => entry.versus_baseline?.primary) && section("Against the baseline", this.image("comparison.svg", "Forest plot: difference of each remedy to the baseline, with its 95 % interval"), numbersBehind("Numbers", () => differenceTable(arms, metric))),
      outcomes && section("What the runs reached", this.image("outcomes.svg", `${metric} that each variant's runs reached`), numbersBehind("Numbers", () => reachedTable(arms, metric))),
      layered(comparison) ? this.mapsSection
        : section("Gradients by layer and step", h("p", { class: "dim" }, "No layers were recorded: the log of a finished training has its curves alone.")),
      arms.some(({ entry }) => entry.gradient.profile.length > 1) && section("Measured beside predicted, before training",
        h("p", { class: "dim" }, `The same ratio by layer, all seeds. Points are measured, with 95 % intervals; ${predicted ? "the line is theory; " : ""}green is where gradients neither vanish nor explode (±3).`),
        h("div", { class: "maps" }, arms.map((arm) => this.profile(arm, pictures)))),
      this.curvesSection,
      comparison.factorial && section("Factorial effects", factorialTable(comparison.factorial)),
      comparison.notes.length > 0 && section("Notes", h("ul", {}, comparison.notes.map((note) => h("li", {}, note)))));
  }

  /** Where the runs of the maps broke, each a link to all of its signals. */
  sayBroken() {
    renew(this.broken, this.arms.map(({ title, run, runs }, at) => this.maps.drawn?.[at]?.broken
      && h("p", {}, h("a", { href: link("run", run) }, `${title}, seed ${runs[0].seed}`), `: ${this.maps.drawn[at].broken.text}`)));
  }

  image(name, alt, first) {
    return drawn(`${this.path}/${name}`, alt, this.signal, { first });
  }

  profile(arm, first) {
    return h("figure", { "data-key": arm.title }, h("figcaption", {}, arm.title),
      this.image(`profile.svg?variant=${encodeURIComponent(arm.title)}`, `Profile of ${arm.title}: measured points with intervals, predicted line`, first),
      numbersBehind("Numbers", () => profileTable(arm)));
  }

  runTable() {
    const columns = [
      { title: "Run", cell: (run) => h("a", { href: link("run", run.id) }, `${run.variant}, seed ${run.seed}${run.phase === "trial" ? "" : ` (${run.phase})`}`) },
      { title: "State", cell: (run) => badge(run.state) },
      { title: "Verdict", cell: (run) => badge(run.verdict?.kind) },
      { title: "Trained", cell: (run) => run.verdict?.trained ?? "–" },
      { title: "Final loss", number: true, cell: (run) => estimate({ mean: run.result?.final_loss ?? null, low: null }) },
      { title: "Progress", number: true, cell: (run) => percent(run.progress) },
      { title: "Device time", number: true, cell: (run) => seconds(run.result?.device_seconds || null) },
    ];
    // What is compared comes first, then what chose the rates.
    const runs = this.runs.toSorted((one, other) => (one.phase === "trial" ? 0 : 1) - (other.phase === "trial" ? 0 : 1));
    renew(this.runsPlace, h("h2", {}, "Runs"), h("details", { open: runs.length <= SHOWN }, h("summary", {}, counted(runs.length, "run")), table("Runs", columns, runs)));
  }

  async live() {
    if (this.following) return;
    this.following = true;
    let due = null;
    await follow(`/v1/experiments/${this.id}/events`, (name, data) => {
      if (name === "experiment") Object.assign(this.experiment, { state: data.state, progress: data.progress, runs: data.runs });
      if (name === "end" && data.reason === "deleted") { location.hash = "#/experiments"; return; }
      due ??= setTimeout(async () => { due = null; await this.again(); }, SETTLE_MS);
    }, this.signal);
    this.following = false;
    clearTimeout(due);
    await this.again();
  }

  /** One at a time: what is told meanwhile asks for one more. */
  async again() {
    this.due = true;
    if (this.loading) return;
    this.loading = true;
    try {
      while (this.due && !this.signal.aborted) {
        this.due = false;
        await this.anew();
      }
    } catch (error) {
      if (!this.signal.aborted) throw error;
    } finally {
      this.loading = false;
    }
  }

  async anew() {
    const before = this.comparison;
    await this.load();
    if (JSON.stringify(before) === JSON.stringify(this.comparison)) {
      await this.loadRuns();
      await Promise.all([this.maps.load(), this.curves.load()]);
    } else await this.fill();
    await this.foretold();
  }

  /** What the first steps of a baseline run that trains foretell. */
  async foretold() {
    const every = this.experiment.spec.trace?.every ?? 1;
    const run = this.runs.find((one) => one.variant === "baseline" && one.state === "running" && one.progress > 0 && (one.trace_every ?? every) === 1);
    const reading = run && await get(`/v1/runs/${run.id}/early`, this.signal).catch(() => null);
    unhurried(this.early, () => renew(this.early, reading && h("p", { class: "early" }, badge(reading.kind),
      ` early reading of the baseline, seed ${run.seed}, at step ${reading.step}. ${EARLY}`)));
  }
}

const EARLY = "It is no verdict: on networks it had not seen, at step 50, such alarms found 92 % of the failures and were false in 1 % of the healthy runs.";

function reachedTable(arms, metric) {
  const columns = [
    { title: "Variant", cell: ({ title }) => title },
    { title: "Trains", number: true, cell: ({ entry: { outcomes: { success } } }) => `${success.count} of ${success.of}` },
    { title: `${metric}, runs that train`, number: true, cell: ({ entry }) => estimate(entry.outcomes.metric) },
    { title: `${metric}, all runs`, number: true, cell: ({ entry }) => estimate(entry.outcomes.metric_of_all) },
    { title: "Loss", number: true, cell: ({ entry }) => estimate(entry.outcomes.loss) },
  ];
  return table("What the runs reached", columns, arms);
}

function factorialTable(factorial) {
  const rows = [
    ...[...factorial.main_effects, ...factorial.interactions].map((one) => ({ ...one, what: one.remedies.join(" × ") })),
    ...factorial.simple_effects.map((one) => ({ ...one, what: `${one.remedy} where ${one.given.join(", ") || "no other"} is there` })),
  ];
  const columns = [
    { title: `Effect on ${factorial.response}`, cell: (one) => one.what },
    { title: "Estimate", number: true, cell: (one) => estimate(one.effect) },
    { title: "p (Holm)", number: true, cell: (one) => figure(one.p_holm) },
  ];
  return [table("Factorial effects", columns, rows), factorial.floor_warning && h("p", { class: "dim" }, factorial.floor_warning)];
}
