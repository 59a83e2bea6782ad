// Loss and the other curves of several variants: mean over seeds, the band from the lowest to the highest, single seeds.

import { choice, h, numbersBehind, put, table } from "./dom.js";
import { ink } from "./colours.js";
import { Lines } from "./lines.js";
import { figure } from "./numbers.js";
import { renew, unhurried } from "./renew.js";
import { remember } from "./route.js";
import { CURVES, bandsOf, commonSteps, curvesOf, overSeeds, spanOf, stretch } from "./traces.js";

const POINTS = 400;
const TABLE_ROWS = 12;

/** `arms`: [{title, place, runs: [{id, seed}], of, entry}]; `of`: the experiment whose variant `entry.name` this is, which
 * tells all its runs in one answer. Single runs are asked for where they are to be seen. */
export class Curves {
  constructor(arms, query, signal) {
    Object.assign(this, { arms, query, signal });
    this.place = h("div", {}, h("p", { class: "dim" }, "Loading …"));
    this.element = h("div", {}, this.controls(), this.place);
    signal.addEventListener("abort", () => this.lines?.close());
  }

  controls() {
    const seeds = h("input", { type: "checkbox", checked: this.single, onchange: (event) => this.choose({ seeds: event.currentTarget.checked ? "1" : "" }) });
    return h("div", { class: "row" },
      choice("Curve", Object.entries(CURVES), this.query.get("curve") ?? "loss", (value) => this.choose({ curve: value, clit: "" })),
      choice("Scale", [["", "as it suits"], ["linear", "linear"], ["log", "log"]], this.query.get("scale") ?? "", (value) => this.set({ scale: value })),
      this.arms.some((arm) => arm.of) && h("label", {}, seeds, " single seeds"));
  }

  /** Each run a line of its own, besides those of the variants. */
  get single() {
    return this.query.get("seeds") === "1";
  }

  set(values) {
    remember(this.query, values);
    this.show();
  }

  choose(values) {
    remember(this.query, values);
    return this.load();
  }

  /** Mark these steps of a curve. */
  light(curve, [first, last]) {
    return this.choose({ curve, clit: `${first},${last}` });
  }

  async load() {
    const [from, to] = ["cfrom", "cto"].map((name) => this.query.get(name));
    const asked = stretch({ from, to, points: POINTS });
    const name = this.query.get("curve") ?? "loss";
    const { arms, single } = this;
    const drawn = (run) => curvesOf(run.id, name, asked, this.signal).catch(() => null);
    const bands = new Map([...new Set(arms.map((arm) => arm.of))].filter((id) => id && !single).map((id) =>
      [id, bandsOf(id, name, asked, this.signal).catch(() => new Map())]));
    const found = await Promise.all(arms.map(async (arm) => (bands.has(arm.of) ? (await bands.get(arm.of)).get(arm.entry.name) ?? []
      : (await Promise.all(arm.runs.map(drawn))).filter((one) => one?.steps.length && one.numbers[`curves.${name}.mean`]))));
    unhurried(this, () => {
      // Others were chosen meanwhile, or the page was left.
      if (arms !== this.arms || single !== this.single || name !== (this.query.get("curve") ?? "loss") || this.signal.aborted) return;
      this.drawn = found;
      this.show();
    });
  }

  show() {
    if (!this.drawn) return; // what was chosen meanwhile is in the query
    const all = this.drawn.flat();
    if (!all.length) {
      put(this.place, h("p", { class: "dim" }, `No ${CURVES[this.query.get("curve") ?? "loss"]} is recorded.`));
      return;
    }
    const name = this.query.get("curve") ?? "loss";
    const xs = commonSteps(all);
    const series = this.arms.flatMap((arm, at) => (this.drawn[at].length ? this.seriesOf(arm, this.drawn[at], name, xs) : []));
    this.lines ??= new Lines({ onzoom: (from, to) => this.zoom(from, to) });
    const whole = this.query.get("cfrom") === null && this.query.get("cto") === null;
    renew(this.place, this.lines.show({ title: `${CURVES[name]} by step`, xs, series, log: this.logarithmic(series), span: this.query.get("clit")?.split(",").map(Number) }),
      !whole && h("button", { type: "button", class: "quiet", onclick: () => this.zoom(null, null) }, "All steps"),
      numbersBehind("Numbers", () => curveTable(CURVES[name], xs, series.filter((one) => !one.thin))));
  }

  /** As chosen; else where positive values lie more than a thousandfold apart. */
  logarithmic(series) {
    const scale = this.query.get("scale");
    if (scale) return scale === "log";
    const { low, high } = spanOf(series.flatMap((one) => one.values.filter((value) => value !== null)));
    return low > 0 && high / low > 1000;
  }

  seriesOf(arm, runs, name, xs) {
    const { mean, low, high, each } = overSeeds(runs, name, xs);
    const colour = ink(arm.place);
    const { dash } = arm.place;
    const single = this.single && runs.length > 1
      ? each.map((values, at) => ({ label: `${arm.title}, run ${at + 1}`, colour, dash, values, thin: true })) : [];
    return [...single, { label: arm.title, colour, dash, values: mean, low, high }];
  }

  zoom(from, to) {
    const values = { cfrom: from === null ? "" : String(from), cto: to === null ? "" : String(to) };
    remember(this.query, values);
    this.load();
  }
}

export function curveTable(title, xs, series) {
  const every = Math.max(Math.ceil(xs.length / TABLE_ROWS), 1);
  const rows = Array.from({ length: Math.ceil(xs.length / every) }, (_, at) => at * every);
  const columns = [
    { title: "From step", number: true, cell: (at) => String(xs[at]) },
    ...series.map((one) => ({ title: one.label, number: true, cell: (at) => figure(one.values[at], 4) })),
  ];
  return table(`${title}: mean over runs`, columns, rows);
}
