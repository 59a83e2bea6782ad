// Lines over steps or layers by uPlot: bands, zoom by drag or keys, values spoken. The table behind it is the caller's.

import { h, say } from "./dom.js";
import { pale } from "./colours.js";
import { figure, powerWords, tickWords } from "./numbers.js";

const MOST_TICKS = 7;
/** Steps and layers are whole numbers. */
const WHOLE = Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((part) => part * 10 ** power)).flat();

/** Powers of ten, and between them 2 and 5 where few decades are shown; never so many that they run together. */
function decades(low, high) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const parts = last - first <= 2 ? [1, 2, 5] : [1];
  const every = Math.max(Math.ceil((last - first) / MOST_TICKS), 1);
  const ticks = [];
  for (let power = first; power <= last; power += every) ticks.push(...parts.map((part) => part * 10 ** power));
  return ticks.filter((tick) => tick >= low && tick <= high);
}

/** uPlot takes values that lie closer than 1e-9 for one, and draws vanished gradients as a flat line at zero. */
const SMALL = 1e-6;

/** Beside an axis, for its longest label: "9.0e−16" needs more than most. */
const room = (_, labels) => Math.max(64, 16 + 8 * Math.max(...(labels ?? []).map((label) => label.length)));

const logarithms = (values) => values.map((value) => (value > 0 ? Math.log10(value) : null));
const finite = (values) => values.filter((value) => value !== null && Number.isFinite(value));

/** `series`: [{label, colour, dash, values, low?, high?, thin?}] over `xs`. `onzoom(first, last)`, nulls for all. */
export class Lines {
  constructor({ onzoom = null, unit = "step" }) {
    this.host = h("div", { class: "lines", tabindex: "0", role: "group", onkeydown: (event) => this.key(event) });
    this.caption = h("figcaption", {});
    this.element = h("figure", {}, this.caption, this.host);
    Object.assign(this, { onzoom, unit });
    this.width = 0;
    // A plot is as wide as its place; uPlot has to be told.
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.host);
  }

  /** These lines from now on: new values of the same ones leave alone what was hidden of them and the place that is read. */
  show({ title, xs, series, log = false, span = null }) {
    const drawn = JSON.stringify([log, series.map((one) => [one.label, one.colour, one.dash, one.thin, one.low !== undefined, finite(one.values).length === 1])]);
    const same = this.plot && drawn === this.kind;
    Object.assign(this, { title, xs, log, span, shown: series, kind: drawn });
    this.caption.textContent = title;
    this.host.setAttribute("aria-label", `${title}, ${series.length} lines. Arrow keys read values.`);
    if (same) this.plot.setData(this.parts().data);
    else {
      this.width = 0;
      this.draw();
    }
    return this.element;
  }

  draw() {
    const width = Math.floor(this.host.clientWidth);
    if (!width || width === this.width || !this.shown) return;
    this.width = width;
    this.plot?.destroy();
    const style = getComputedStyle(this.host);
    const font = `${Math.round(0.75 * parseFloat(getComputedStyle(document.documentElement).fontSize))}px system-ui`;
    const axis = { font, stroke: style.getPropertyValue("--dim"), grid: { stroke: style.getPropertyValue("--line"), width: 1 }, ticks: { stroke: style.getPropertyValue("--line") } };
    const { data, series, bands } = this.parts();
    this.plot = new uPlot({
      width, height: width < 500 ? 240 : 320, series, bands,
      scales: { x: { time: false } },
      axes: [{ ...axis, size: 32, incrs: WHOLE, values: (_, steps) => steps.map(String) }, { ...axis, size: room, ...this.ticks() }],
      cursor: { drag: { setScale: false, x: true, y: false } },
      legend: { live: true, markers: { dash: (plot, at) => (plot.series[at].dash?.length ? "dashed" : "solid") } },
      hooks: { setSelect: [(plot) => this.selected(plot)], draw: [(plot) => this.span && this.lit(plot)] },
    }, data, this.host);
  }

  parts() {
    const data = [this.xs];
    const series = [{ label: this.unit, value: (_, value) => (value === null ? "–" : String(value)) }];
    const bands = [];
    const most = this.shown.flatMap((one) => finite(one.values)).reduce((found, value) => Math.max(found, Math.abs(value)), 0);
    this.times = most > 0 && most < SMALL ? 10 ** -Math.floor(Math.log10(most)) : 1;
    const kept = this.log ? logarithms : (values) => values.map((value) => (value === null ? null : value * this.times));
    const read = (value) => figure(value === null ? value : this.log ? 10 ** value : value / this.times, 4);
    for (const one of this.shown) {
      if (one.low) {
        data.push(kept(one.high), kept(one.low));
        series.push(...["high", "low"].map((end) => ({ label: `${one.label} ${end}`, class: "band-end", stroke: "transparent", points: { show: false } })));
        bands.push({ series: [data.length - 2, data.length - 1], fill: pale(one.colour, 0.18) });
      }
      data.push(kept(one.values));
      series.push({
        label: one.label, stroke: one.colour, width: one.thin ? 1 : 2, dash: one.dash, spanGaps: true,
        // A line of one point is nothing to be seen.
        points: { show: finite(one.values).length === 1 }, value: (_, value) => read(value),
      });
    }
    return { data, series, bands };
  }

  /** Logarithms are taken here and not by uPlot, whose axis has no ticks beyond 10¹⁷: what explodes is beyond. */
  ticks() {
    if (!this.log) return { values: (_, ticks) => tickWords(ticks.map((tick) => tick / this.times)) };
    return { splits: (_, __, low, high) => decades(10 ** low, 10 ** high).map(Math.log10), values: (_, ticks) => powerWords(ticks.map((tick) => 10 ** tick)) };
  }

  lit(plot) {
    const [first, last] = this.span.map((step) => plot.valToPos(step, "x", true));
    plot.ctx.save();
    plot.ctx.fillStyle = "rgba(179, 89, 0, 0.18)";
    plot.ctx.fillRect(first - 2, plot.bbox.top, Math.max(last - first, 0) + 4, plot.bbox.height);
    plot.ctx.restore();
  }

  selected(plot) {
    if (plot.select.width < 4) return;
    const [first, last] = [plot.select.left, plot.select.left + plot.select.width].map((at) => plot.posToVal(at, "x"));
    plot.setSelect({ width: 0, height: 0 }, false);
    this.onzoom?.(Math.max(Math.floor(first), 0), Math.ceil(last));
  }

  key(event) {
    if (event.key === "Escape") this.onzoom?.(null, null);
    else if (event.key === "Enter" && this.plot) {
      const reach = Math.max(Math.floor(this.xs.length / 8), 1);
      const at = this.plot.cursor.idx ?? 0;
      this.onzoom?.(this.xs[Math.max(at - reach, 0)], this.xs[Math.min(at + reach, this.xs.length - 1)]);
    } else if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && this.plot) {
      const move = (event.key === "ArrowLeft" ? -1 : 1) * (event.shiftKey ? 10 : 1);
      const at = Math.min(Math.max((this.plot.cursor.idx ?? 0) + move, 0), this.xs.length - 1);
      this.plot.setCursor({ left: this.plot.valToPos(this.xs[at], "x"), top: this.plot.bbox.height / 2 / devicePixelRatio });
      say(`${this.unit} ${this.xs[at]}: ${this.shown.filter((one) => !one.thin).map((one) => `${one.label} ${figure(one.values[at])}`).join(", ")}`);
    } else return;
    event.preventDefault();
  }

  close() {
    this.observer.disconnect();
    this.plot?.destroy();
  }
}
