// A new experiment: a form from the catalogue and the spec as JSON beside it, each written by the other; problems stand at
// their field, and what it would cost is known before it is sent.

import { get, send } from "./api.js";
import { catalogue } from "./catalogue.js";
import { choice, h, put, say, table } from "./dom.js";
import { control, fields, group, labelled, placed } from "./form.js";
import { counted, seconds, words } from "./numbers.js";
import { renew } from "./renew.js";
import { link } from "./route.js";

const SETTLE_MS = 400;
const START = { name: "new experiment", dataset: { kind: "digits" }, network: { kind: "mlp", depth: 10, width: 64, activation: "relu" }, optimizer: { kind: "adam" }, epochs: 5, remedies: [] };
const FIRST = new Set(["depth", "width", "hidden", "activation", "init", "normalization", "skip", "blocks", "channels", "cell", "layers", "heads", "learning_rate", "momentum", "strength", "max_norm", "function", "value", "gain", "name"]);
const DESIGNS = ["one_at_a_time", "add_all", "full_factorial", "leave_one_out"];
const SPEC_FIELDS = ["batch_size", "seeds", "tune", "budget", "priority", "labels"];

export async function page(root, { query }, signal) {
  document.title = "New experiment – Gradient Clinic";
  const [lists, contract] = await Promise.all([catalogue(), get("/openapi.json", signal)]);
  const from = query.get("from");
  const given = query.get("spec");
  const spec = from ? (await get(`/v1/experiments/${from}`, signal)).spec : given ? JSON.parse(given) : START;
  const view = new NewExperiment(lists, contract, bare(spec), signal);
  put(root, view.element);
  view.fresh();
  view.ask();
}

/** Without what only repeats the default of null. */
const bare = (value) => JSON.parse(JSON.stringify(value, (key, one) => (one === null || key === "facts" ? undefined : one)));

class NewExperiment {
  constructor(lists, contract, spec, signal) {
    Object.assign(this, { lists, spec, signal });
    this.schemas = contract.components.schemas;
    const examples = contract.paths["/v1/experiments"].post.requestBody.content["application/json"].examples;
    this.form = h("div", { class: "form" });
    this.text = h("textarea", { spellcheck: "false", rows: "28", "aria-label": "The spec as JSON", oninput: () => this.read() });
    this.broken = h("p", { class: "problem", role: "alert" });
    this.cost = h("div", { class: "cost", "aria-live": "polite" });
    this.others = h("div", { role: "alert" });
    this.button = h("button", { type: "button", onclick: () => this.submit() }, "Start");
    const picked = choice("Example", [["", "choose"], ...Object.keys(examples).map((name) => [name, examples[name].summary])], "", (name) => {
      if (name) this.take(structuredClone(examples[name].value));
    });
    this.element = h("div", {}, h("h1", {}, "New experiment"), h("div", { class: "row" }, picked, h("span", { class: "dim" }, "or fill in the form, or paste a spec")),
      this.others, h("div", { class: "columns" }, this.form, h("div", { class: "beside" }, this.cost, h("p", { class: "row" }, this.button), this.text, this.broken)));
    // The same spec sent twice, as after a lost answer, is one experiment.
    this.number = crypto.randomUUID();
  }

  take(spec) {
    this.spec = spec;
    this.fresh();
    this.changed();
  }

  read() {
    try {
      const spec = JSON.parse(this.text.value);
      if (spec === null || typeof spec !== "object" || Array.isArray(spec)) throw new Error("a spec is an object");
      this.broken.textContent = "";
      this.spec = spec;
      this.draw();
      this.later();
    } catch (error) {
      this.broken.textContent = error.message;
    }
  }

  changed() {
    this.text.value = JSON.stringify(this.spec, null, 1);
    this.broken.textContent = "";
    this.later();
  }

  fresh() {
    const focused = document.activeElement?.dataset?.path;
    this.draw();
    this.text.value = JSON.stringify(this.spec, null, 1);
    if (focused) this.form.querySelector(`[data-path="${CSS.escape(focused)}"]`)?.focus();
  }

  context(defs) {
    return {
      defs,
      set: (path, value) => { this.spec = placed(this.spec, path, value); this.changed(); },
      fresh: () => this.fresh(),
    };
  }

  draw() {
    const { spec } = this;
    const own = this.context(this.schemas);
    const request = this.schemas.ExperimentRequest.properties;
    put(this.form,
      control({ type: "string" }, spec.name, "name", "Name", own),
      this.part("Data", "dataset", "datasets"), this.part("Network", "network", "networks"), this.part("Optimiser", "optimizer", "optimizers"),
      group("Length", h("div", { class: "fields" },
        control({ ...request.epochs, default: "" }, spec.epochs, "epochs", "Epochs", own), control({ ...request.steps, default: "" }, spec.steps, "steps", "or steps", own))),
      this.remedies(),
      group("Trial", h("div", { class: "fields" }, SPEC_FIELDS.map((name) => control(request[name], spec[name], name, words(name), own)))));
    this.tell(this.errors ?? []);
  }

  part(title, name, list) {
    const part = this.spec[name] ?? {};
    const kinds = [...this.lists[list].values()];
    const box = h("select", { "data-path": `${name}.kind`, onchange: () => { this.spec = placed(this.spec, name, { kind: box.value }); this.fresh(); this.changed(); } },
      kinds.map((item) => h("option", { value: item.kind, selected: item.kind === part.kind }, item.title)));
    const item = this.lists[list].get(part.kind);
    return group(title, labelled("Kind", `${name}.kind`, box),
      item && fields(item.schema, part, name, this.context(item.schema.$defs ?? {}), FIRST));
  }

  remedies() {
    const { spec } = this;
    const suggest = spec.remedies === "suggest";
    const chosen = this.chosen();
    const box = h("input", { type: "checkbox", checked: suggest, onchange: () => this.take({ ...this.spec, remedies: box.checked ? "suggest" : [] }) });
    const add = h("select", { "aria-label": "Add a remedy", onchange: () => { if (add.value) this.take({ ...this.spec, remedies: [...this.chosen(), { kind: add.value }] }); } },
      h("option", { value: "" }, "add a remedy …"),
      [...this.lists.remedies.values()].filter((item) => item.applies_to.includes(spec.network?.kind)).map((item) => h("option", { value: item.kind }, `${item.title} (${item.kind})`)));
    return group("Remedies", h("label", {}, box, " let the clinic choose those that tell apart what may be wrong"),
      spec.variants && h("p", { class: "dim" }, "This spec has variants of its own; edit them in the JSON."),
      chosen.map((one, at) => this.remedy(one, at)),
      !suggest && !spec.variants && [h("p", {}, add), choice("Design", DESIGNS.map((name) => [name, words(name)]), spec.design ?? DESIGNS[0], (design) => this.take({ ...this.spec, design }))]);
  }

  /** Asked for at the moment: fields write into the spec without a new form. */
  chosen() {
    return Array.isArray(this.spec.remedies) ? this.spec.remedies : [];
  }

  remedy(one, at) {
    const item = this.lists.remedies.get(one.kind);
    const path = `remedies[${at}]`;
    const without = h("button", { type: "button", class: "quiet", "aria-label": `Remove ${words(one.kind)}`, onclick: () => this.take({ ...this.spec, remedies: this.chosen().filter((_, place) => place !== at) }) }, "×");
    return h("fieldset", { class: "remedy" }, h("legend", {}, item?.title ?? String(one.kind), " ", without),
      item && [h("p", { class: "dim" }, item.formula), fields(item.schema, one, path, this.context(item.schema.$defs ?? {}), FIRST)],
      h("span", { class: "problem", "data-problem": path }));
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), SETTLE_MS);
  }

  async ask() {
    const asked = JSON.stringify(this.spec);
    try {
      const cost = await send("POST", "/v1/experiments/validate", this.spec);
      if (asked !== JSON.stringify(this.spec) || this.signal.aborted) return;
      this.tell([]);
      this.told(cost);
    } catch (error) {
      if (asked !== JSON.stringify(this.spec) || this.signal.aborted) return;
      put(this.cost, h("p", { class: "problem" }, "Not yet an experiment."));
      this.button.disabled = true;
      this.tell(error.errors?.length ? error.errors : [{ field: "", message: error.message }]);
    }
  }

  /** Each problem at its field; what has none here stands above. */
  tell(errors) {
    this.errors = errors;
    for (const place of this.form.querySelectorAll("[data-problem]")) place.textContent = "";
    for (const input of this.form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
    const left = errors.filter((error) => {
      const place = this.form.querySelector(`[data-problem="${CSS.escape(error.field)}"]`);
      if (!place) return true;
      place.textContent = error.message;
      place.closest("details")?.setAttribute("open", "");
      this.form.querySelector(`[data-path="${CSS.escape(error.field)}"]`)?.setAttribute("aria-invalid", "true");
      return false;
    });
    put(this.others, left.map((error) => h("p", { class: "problem" }, [error.field, error.message].filter(Boolean).join(": "))));
  }

  told(cost) {
    this.button.disabled = false;
    const range = cost.estimated_device_seconds_range; // null of a plug-in, of which a warning says so
    const about = range && `, about ${seconds(cost.estimated_device_seconds)}`;
    renew(this.cost,
      h("p", { class: "first" }, `${counted(cost.runs, "run")} of ${counted(cost.steps, "step")}${about ?? ""}`),
      range && h("p", { class: "dim" }, `of device time; nine times in ten between ${seconds(range.low)} and ${seconds(range.high)}`),
      cost.warnings.map((warning) => h("p", { class: "warning" }, warning)),
      h("details", {}, h("summary", {}, counted(cost.variants.length, "variant")), table("Variants", [
        { title: "Variant", cell: (one) => one.name }, { title: "Parameters", number: true, cell: (one) => one.parameters?.toLocaleString("en") ?? "–" }], cost.variants)),
      (cost.suggested ?? []).map((one) => h("p", {}, `${words(one.remedy)}: ${one.why}`)));
  }

  async submit() {
    this.button.disabled = true;
    try {
      const made = await send("POST", "/v1/experiments", this.spec, { "Idempotency-Key": `${this.number}-${digest(JSON.stringify(this.spec))}` });
      say("Started");
      location.hash = link("experiment", made.id);
    } catch (error) {
      this.button.disabled = false;
      this.tell(error.errors?.length ? error.errors : [{ field: "", message: error.message }]);
    }
  }
}

const digest = (text) => [...text].reduce((sum, letter) => (Math.imul(sum, 31) + letter.codePointAt(0)) >>> 0, 7).toString(36);
