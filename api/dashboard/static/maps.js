// Heat maps side by side: layer × step of each variant's first run, one axis of steps, one scale that can be locked.

import { h, numbersBehind, put, table } from "./dom.js";
import { NOT_FINITE, SILENT, SMALLEST_LIMIT, paint } from "./colours.js";
import { HeatMap } from "./heatmap.js";
import { figure, steps as stepWords } from "./numbers.js";
import { renew, unhurried } from "./renew.js";
import { remember } from "./route.js";
import { levels, stretch } from "./traces.js";
import { swatch } from "./variants.js";

const POINTS = 400;
const TABLE_COLUMNS = 12;

const numberOf = (query, name) => (query.get(name) === null ? null : Number(query.get(name)));

/** `arms`: [{title, place, run, recurrent}]. The stretch of steps and a locked scale are in the address. */
export class Maps {
  constructor(arms, query, signal) {
    this.query = query;
    this.signal = signal;
    this.arms = arms;
    this.known = new Map();
    this.scale = h("div", { class: "row legend" });
    this.grid = h("div", { class: "maps" }, h("p", { class: "dim" }, "Loading …"));
    this.element = h("div", {}, this.scale, this.grid);
  }

  get zoomed() {
    return { from: numberOf(this.query, "from"), to: numberOf(this.query, "to") };
  }

  async load() {
    const asked = stretch({ ...this.zoomed, points: POINTS });
    const { arms } = this;
    const drawn = await Promise.all(arms.map((arm) => (arm.run ? levels(arm.run, arm.recurrent, asked, this.signal).catch(() => null) : null)));
    unhurried(this, () => {
      if (arms !== this.arms) return; // others are loaded
      this.drawn = drawn;
      this.show();
    });
  }

  /** The largest |r| of all maps, or the one that was locked. */
  limit() {
    const locked = numberOf(this.query, "limit");
    if (locked) return locked;
    let most = SMALLEST_LIMIT;
    for (const one of this.drawn) {
      for (const value of one?.values ?? []) {
        if (Number.isFinite(value)) most = Math.max(most, Math.abs(value));
      }
    }
    return most;
  }

  show() {
    const scale = { diverging: true, limit: this.limit() };
    if (!this.drawn.some(Boolean)) {
      put(this.scale);
      put(this.grid, h("p", { class: "dim" }, "Nothing is recorded."));
      this.maps = [];
      return;
    }
    const first = Math.min(...this.drawn.filter(Boolean).map((one) => one.steps[0][0]));
    const last = Math.max(...this.drawn.filter(Boolean).map((one) => one.steps.at(-1)[1]));
    this.maps = [];
    renew(this.grid, this.arms.map((arm, at) => this.one(arm, this.drawn[at], scale, first, last)));
    this.legend(scale);
  }

  one(arm, grid, scale, first, last) {
    const title = h("span", { class: "named" }, swatch(arm.place), arm.title);
    if (!grid) return h("figure", { class: "map", "data-key": "none" }, h("figcaption", {}, title), h("p", { class: "dim" }, "Nothing is recorded."));
    const map = this.known.get(arm.title) ?? new HeatMap((from, to) => this.zoom(from, to));
    this.known.set(arm.title, map);
    this.maps.push(map);
    return map.show({ title, name: arm.title, grid, scale, axis: [first, last], mark: grid.broken, behind: numbersBehind("Numbers", () => levelTable(arm.title, grid)) });
  }

  zoom(from, to) {
    this.set({ from: from === null ? "" : String(from), to: to === null ? "" : String(to) });
    this.load();
  }

  set(values) {
    remember(this.query, values);
  }

  legend(scale) {
    const locked = this.query.get("limit") !== null;
    const lock = h("input", { type: "checkbox", checked: locked, onchange: (event) => { this.set({ limit: event.currentTarget.checked ? String(scale.limit) : "" }); this.rescale(); } });
    const number = h("input", {
      type: "number", min: "0.1", step: "any", value: String(Number(scale.limit.toPrecision(3))), "aria-label": "Limit of the colour scale",
      onchange: ({ currentTarget: { valueAsNumber: limit } }) => { if (limit > 0) { this.set({ limit: String(limit) }); this.rescale(); } },
    });
    const { from, to } = this.zoomed;
    renew(this.scale, bar(scale.limit),
      h("span", { class: "key" }, block(SILENT), "exactly zero"), h("span", { class: "key" }, block(NOT_FINITE), "NaN or Inf"),
      h("span", { class: "key" }, h("span", { class: "swatch blank", "aria-hidden": "true" }), "nothing recorded"),
      h("span", { class: "key" }, h("span", { class: "ring" }), "first of them"),
      h("label", {}, "limit ", number), h("label", {}, lock, " lock scale"), h("span", { class: "dim" }, "Arrow keys read values. Drag or Enter zooms, Escape shows all."),
      (from !== null || to !== null) && h("button", { type: "button", class: "quiet", onclick: () => this.zoom(null, null) }, `${stepWords([from ?? 0, to ?? "the end"])} ×`));
  }

  rescale() {
    const scale = { diverging: true, limit: this.limit() };
    for (const map of this.maps) map.repaint(scale);
    this.legend(scale);
  }
}

function block(colour) {
  const mark = h("span", { class: "swatch", "aria-hidden": "true" });
  mark.style.background = `rgb(${colour.join(",")})`;
  return mark;
}

/** The scale as a bar whose quarters stand for a quarter of the limit, as in the report. */
function bar(limit) {
  const width = 201;
  const canvas = h("canvas", { width, height: 1, "aria-hidden": "true" });
  const image = new ImageData(width, 1);
  const share = Array.from({ length: width }, (_, at) => 2 * at / (width - 1) - 1);
  paint(share.map((one) => Math.sign(one) * one * one * limit), new Uint32Array(image.data.buffer), { diverging: true, limit });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return h("span", { class: "scale" }, canvas,
    h("span", { class: "ends" }, [-limit, -limit / 4, 0, limit / 4, limit].map((value) => h("span", {}, figure(value, 2)))));
}

export function levelTable(title, grid) {
  const every = Math.max(Math.ceil(grid.columns / TABLE_COLUMNS), 1);
  const shown = Array.from({ length: Math.ceil(grid.columns / every) }, (_, at) => at * every);
  const columns = [
    { title: "Layer", cell: (row) => grid.names[row] },
    ...shown.map((column) => ({ title: stepWords(grid.steps[column]), number: true, cell: (row) => figure(grid.values[row * grid.columns + column]) })),
  ];
  return table(`${title}: every ${every === 1 ? "" : `${every}th `}column of the map`, columns, [...grid.names.keys()]);
}
