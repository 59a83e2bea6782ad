// What theory says before anything is trained: sliders, the gain at once, and the place on the phase diagram.

import { send } from "./api.js";
import { badge } from "./badges.js";
import { catalogue } from "./catalogue.js";
import { choice, h, numbersBehind, put, table } from "./dom.js";
import { drawn } from "./drawn.js";
import { Lines } from "./lines.js";
import { ink, slots } from "./colours.js";
import { figure, words } from "./numbers.js";
import { renew } from "./renew.js";
import { link, remember } from "./route.js";

const SETTLE_MS = 150;
const KINDS = {
  mlp: ({ depth, width }) => ({ depth, width }),
  residual_mlp: ({ depth, width }) => ({ blocks: depth, width }),
  cnn: ({ depth, width }) => ({ channels: [width], layers_per_stage: depth }),
};
const NORMS = ["", "batch_norm", "layer_norm", "rms_norm"];
const SKIPS = ["", "residual", "scaled", "rezero"];
const SLIDERS = [
  ["depth", "Depth", 2, 100, 1, 20], ["width", "Width", 8, 512, 8, 64],
  ["weight", "σw², variance of weights", 0.05, 6, 0.05, 1.5], ["bias", "σb², variance of biases", 0, 1, 0.01, 0.05],
];

export async function page(root, { query }, signal) {
  document.title = "Predict – Gradient Clinic";
  const view = new Prediction(await catalogue(), query, signal);
  put(root, view.element);
  await view.ask();
}

class Prediction {
  constructor({ activations }, query, signal) {
    Object.assign(this, { query, signal });
    this.answer = h("div", { class: "answer", "aria-live": "polite" });
    this.phase = h("div", { class: "phase" });
    this.layers = h("div", {});
    const pick = (title, name, values, usual) => choice(title, values.map((value) => [value, value ? words(value) : "none"]), this.value(name, usual), (value) => this.set(name, value));
    this.controls = h("div", { class: "sliders" },
      pick("Network", "kind", Object.keys(KINDS), "mlp"), pick("Activation", "activation", [...activations.keys()], "tanh"),
      pick("Normalisation", "norm", NORMS, ""), pick("Skip", "skip", SKIPS, ""), SLIDERS.map((one) => this.slider(...one)));
    this.element = h("div", {}, h("h1", {}, "Predict"), h("div", { class: "columns even" }, this.controls, h("div", {}, this.answer, this.phase)), this.layers);
    signal.addEventListener("abort", () => this.lines?.close());
  }

  value(name, usual) {
    return this.query.get(name) ?? usual;
  }

  number(name) {
    const [, , , , , usual] = SLIDERS.find(([own]) => own === name);
    return Number(this.query.get(name) ?? usual);
  }

  slider(name, title, min, max, step, usual) {
    const shown = h("output", {}, String(this.value(name, usual)));
    const input = h("input", {
      type: "range", min, max, step, "data-slider": name,
      oninput: () => { shown.textContent = input.value; this.set(name, input.value); },
    });
    input.value = this.value(name, usual);
    return h("label", { class: "slider" }, h("span", {}, title, " ", shown), input);
  }

  set(name, value) {
    remember(this.query, { [name]: value });
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), SETTLE_MS);
  }

  network() {
    const kind = this.value("kind", "mlp");
    const [norm, skip] = [this.value("norm", ""), this.value("skip", "")];
    return {
      kind, ...KINDS[kind]({ depth: this.number("depth"), width: this.number("width") }), activation: this.value("activation", "tanh"),
      init: { kind: "gaussian", weight_variance: this.number("weight"), bias_variance: this.number("bias") },
      ...(norm && { normalization: { kind: norm } }), ...(skip && { skip: { kind: skip } }),
    };
  }

  async ask() {
    const network = this.network();
    const asked = JSON.stringify(network);
    this.asked = asked;
    try {
      const said = await send("POST", "/v1/predictions", { network });
      if (this.asked !== asked || this.signal.aborted) return;
      const place = `/v1/predictions/phase.svg?activation=${network.activation}&weight_variance=${this.number("weight")}&bias_variance=${this.number("bias")}`;
      renew(this.phase, drawn(place, "Phase diagram: the place of this network between ordered and chaotic", this.signal, { key: "phase" }));
      this.show(said, network);
    } catch (error) {
      if (this.signal.aborted || this.asked !== asked) return;
      put(this.answer, h("p", { class: "problem", role: "alert" }, error.message));
    }
  }

  show(said, network) {
    const spec = { name: `predicted: ${words(network.activation)}, ${this.number("depth")} layers`, dataset: { kind: "digits" }, network, optimizer: { kind: "adam" }, epochs: 5, remedies: "suggest" };
    renew(this.answer,
      h("p", { class: "first" }, badge(said.regime), said.gain_per_layer === null ? " no gain is known here" : ` each layer passes on ×${figure(said.gain_per_layer)} of the gradient`),
      h("p", {}, `Total gain G ${figure(said.total_gain)}; depth scale ${figure(said.depth_scale)} layers, trainable to about ${figure(said.trainable_depth)} layers.`),
      said.caveats.map((caveat) => h("p", { class: "warning" }, caveat)),
      h("p", {}, h("a", { href: link("new", "", { spec: JSON.stringify(spec) }) }, "Make it an experiment")),
      said.notes.length > 0 && h("details", {}, h("summary", {}, "Notes"), said.notes.map((note) => h("p", { class: "dim" }, note))));
    const profile = Object.entries(said.profile ?? {});
    if (!profile.length) {
      put(this.layers);
      return;
    }
    const values = profile.map(([, value]) => value);
    const colour = ink(slots(["prediction"]).get("prediction"));
    this.lines ??= new Lines({ unit: "layer" });
    const lines = this.lines.show({ title: "ln ratio of each layer's gradient to the last hidden one's", xs: profile.map((_, at) => at + 1), series: [{ label: "predicted", colour, dash: [], values }] });
    renew(this.layers, lines, numbersBehind("Numbers", () => table("Layers", [
      { title: "Layer", cell: (one) => one.name }, { title: "χ", number: true, cell: (one) => figure(one.chi, 4) },
      { title: "q*", number: true, cell: (one) => figure(one.q_star, 4) }, { title: "critical σw²", number: true, cell: (one) => figure(one.critical_weight_variance, 4) }], said.layers)));
  }
}
