// One signal of a run: all layers as a heat map, one layer as a line with its extremes, both over the same steps.

import { choice, h, numbersBehind, put } from "./dom.js";
import { ink, slots } from "./colours.js";
import { HeatMap } from "./heatmap.js";
import { curveTable } from "./curves.js";
import { Lines } from "./lines.js";
import { figure, steps as stepWords } from "./numbers.js";
import { renew, unhurried } from "./renew.js";
import { SIGNALS, signalGrid, spanOf, stretch } from "./traces.js";
import { levelTable } from "./maps.js";
import { remember } from "./route.js";

const POINTS = 600;

export class SignalView {
  constructor(run, query, signal) {
    Object.assign(this, { run, query, signal });
    this.zoom = (from, to) => this.set({ from: from === null ? "" : String(from), to: to === null ? "" : String(to) });
    this.map = new HeatMap(this.zoom);
    this.lines = new Lines({ onzoom: this.zoom });
    this.controls = h("div", { class: "row" });
    this.place = h("div", {}, h("p", { class: "dim" }, "Loading …"));
    this.element = h("div", {}, this.controls, this.place);
    signal.addEventListener("abort", () => this.lines.close());
  }

  chosen(name, otherwise) {
    return this.query.get(name) ?? otherwise;
  }

  set(values, load = true) {
    remember(this.query, values);
    return load ? this.load() : this.show();
  }

  /** Mark these layers and steps of a signal, with as many steps around them. */
  light(signal, layers, [first, last]) {
    const around = Math.max(last - first, 10);
    return this.set({
      signal, axis: "", lit: [layers[0], layers.at(-1), first, last].join(","), layer: layers[0],
      from: first > around ? String(first - around) : "", to: String(last + around),
    });
  }

  async load() {
    const asked = [this.chosen("signal", "activation_gradient_rms"), this.chosen("axis", "depth"), stretch({ from: this.chosen("from", null), to: this.chosen("to", null), points: POINTS })];
    this.asked = asked;
    try {
      const grid = await signalGrid(this.run.id, ...asked, this.signal);
      unhurried(this, () => {
        if (this.asked !== asked || this.signal.aborted) return; // another one was chosen meanwhile, or the page was left
        this.grid = grid;
        this.show();
      });
    } catch (error) {
      if (this.asked !== asked || this.signal.aborted) return;
      put(this.place, h("p", { role: "alert" }, error.message));
    }
  }

  show() {
    const { grid } = this;
    const name = this.chosen("signal", "activation_gradient_rms");
    const layer = grid && Math.max(grid.names.indexOf(this.chosen("layer", grid.names[0])), 0);
    this.fillControls(name, grid, layer);
    if (!grid) {
      put(this.place, h("p", { class: "dim" }, "Nothing of this is recorded here."));
      return;
    }
    const { low, high } = spanOf(grid.values);
    const scale = { diverging: false, low, high };
    const back = grid.logs ? Math.exp : (value) => value;
    const zoomed = this.query.get("from") !== null || this.query.get("to") !== null;
    renew(this.place,
      h("p", { class: "dim" }, `Largest of each bucket, from ${figure(back(low))} (pale) to ${figure(back(high))} (dark)${grid.logs ? ", by logarithm" : ""}; grey is exactly zero, black is not finite. ${grid.raw ? "Every step that was recorded is shown." : "Zoom in for single steps; extremes are kept."}`),
      zoomed && h("button", { type: "button", class: "quiet", onclick: () => this.zoom(null, null) }, `${stepWords([grid.steps[0][0], grid.steps.at(-1)[1]])} ×`),
      this.map.show({ title: SIGNALS[name], name: SIGNALS[name], grid, scale, mark: grid.broken, lit: this.lit() }),
      numbersBehind("Numbers", () => levelTable(SIGNALS[name], grid)), this.lineOf(name, grid, layer));
  }

  lit() {
    const [first, last, from, to] = (this.query.get("lit") ?? "").split(",");
    const rows = [first, last].map((one) => this.grid.names.indexOf(one)).filter((row) => row >= 0);
    return rows.length ? { rows, span: [Number(from), Number(to)] } : null;
  }

  fillControls(name, grid, layer) {
    renew(this.controls,
      choice("Signal", Object.entries(SIGNALS), name, (value) => this.set({ signal: value, lit: "" })),
      choice("Axis", [["depth", "layers"], ["time", "states along time"]], this.chosen("axis", "depth"), (value) => this.set({ axis: value, lit: "", layer: "" })),
      grid && choice("Layer", grid.names.map((one) => [one, one]), grid.names[layer], (value) => this.set({ layer: value }, false)));
  }

  lineOf(name, grid, layer) {
    const part = (values) => [...values.subarray(layer * grid.columns, (layer + 1) * grid.columns)].map((value) => (Number.isFinite(value) ? value : null));
    const xs = grid.steps.map(([first]) => first);
    const colour = ink(slots([grid.names[layer]]).get(grid.names[layer]));
    const one = { label: grid.names[layer], colour, dash: [], values: part(grid.mean), ...(grid.raw ? {} : { low: part(grid.min), high: part(grid.max) }) };
    const { low, high } = spanOf(one.values.filter((value) => value !== null));
    const log = grid.logs && low > 0 && high / low > 1000;
    return [this.lines.show({ title: `${SIGNALS[name]}: ${grid.names[layer]}`, xs, series: [one], log, span: this.lit()?.span }), numbersBehind("Numbers", () => curveTable(grid.names[layer], xs, [one, ...(one.low ? [{ label: "lowest", values: one.low }, { label: "highest", values: one.high }] : [])]))];
  }
}
