// One heat map: a pixel per layer and bucket in one ImageData, first layer at the bottom; read by pointer or keys.

import { h, say } from "./dom.js";
import { paint } from "./colours.js";
import { steps as stepWords } from "./numbers.js";
import { renew } from "./renew.js";

/** `title`: text or elements, `name`: what it is of. `grid`: {values (rows × columns), rows, columns, names, steps, read(row, column) → text}. `scale` as `paint` takes it.
 * `mark`: {row, step, text} of the first value that is not finite. `axis`: [first, last] step of maps side by side. `onzoom(first,
 * last)` with nulls for all; rows in `lit` and steps in `span` are marked as evidence; `behind` stands below. */
export class HeatMap {
  constructor(onzoom) {
    this.onzoom = onzoom;
    this.at = null;
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.cross = h("span", { class: "cross", hidden: true });
    this.output = h("output", { class: "dim" });
    this.surface = h("div", { class: "surface", tabindex: "0", role: "group", onkeydown: (event) => this.key(event) }, this.canvas, this.cross);
    this.listen();
    this.caption = h("figcaption", {});
    this.frame = h("div", { class: "frame" }, h("div", { class: "rows", "aria-hidden": "true" }), h("div", { class: "ground" }, this.surface));
    this.element = h("figure", { class: "map" }, this.caption, this.frame);
  }

  /** This grid from now on; who reads it stays where he is, as far as there still is such a place. */
  show({ title, name, grid, scale, mark = null, axis = null, lit = null, behind = null }) {
    this.grid = grid;
    const ends = [grid.steps[0][0], grid.steps.at(-1)[1]];
    const [first, last] = axis ?? ends;
    Object.assign(this.canvas, { width: grid.columns, height: grid.rows });
    this.surface.setAttribute("aria-label", `Heat map of ${name}: ${grid.rows} rows, ${stepWords(ends)}`);
    this.surface.style.width = `${Math.max(100 * (ends[1] - first + 1) / (last - first + 1), 2)}%`;
    this.surface.style.height = `${Math.min(Math.max(grid.rows * 8, 90), 420)}px`;
    renew(this.surface, this.canvas, this.cross, mark && this.marked(mark), lit && this.evidence(lit));
    renew(this.caption, title);
    renew(this.frame.firstChild, h("span", {}, grid.names.at(-1)), h("span", {}, grid.names[0]));
    renew(this.element, this.caption, this.frame,
      h("div", { class: "axis", "aria-hidden": "true" }, h("span", {}, `step ${first}`), h("span", {}, String(last))),
      mark && h("p", { class: "mark-words" }, mark.text),
      this.output, behind);
    this.image = new ImageData(grid.columns, grid.rows);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.flipped = flipped(grid);
    this.repaint(scale);
    if (this.at) this.read({ row: Math.min(this.at.row, grid.rows - 1), column: Math.min(this.at.column, grid.columns - 1) });
    return this.element;
  }

  repaint(scale) {
    // Where nothing ever was not finite, NaN says that no case of the batch was that long.
    paint(this.flipped, this.pixels, { ...scale, blank: !this.grid.broken });
    this.canvas.getContext("2d").putImageData(this.image, 0, 0);
  }

  marked({ row, step, text }) {
    const column = this.columnOf(step);
    if (column < 0) return null;
    const mark = h("span", { class: "first-broken", title: text });
    this.place(mark, row, column);
    return mark;
  }

  evidence({ rows, span }) {
    const [first, last] = span.map((step) => this.columnOf(step));
    if (first < 0 || last < 0 || !rows.length) return null;
    const box = h("span", { class: "evidence" });
    box.style.left = `${100 * first / this.grid.columns}%`;
    box.style.width = `${100 * (last - first + 1) / this.grid.columns}%`;
    box.style.top = `${100 * (this.grid.rows - 1 - Math.max(...rows)) / this.grid.rows}%`;
    box.style.height = `${100 * (Math.max(...rows) - Math.min(...rows) + 1) / this.grid.rows}%`;
    return box;
  }

  columnOf(step) {
    return this.grid.steps.findIndex(([first, last]) => first <= step && step <= last);
  }

  place(element, row, column) {
    element.style.left = `${100 * (column + 0.5) / this.grid.columns}%`;
    element.style.top = `${100 * (this.grid.rows - row - 0.5) / this.grid.rows}%`;
  }

  listen() {
    let from = null;
    this.surface.addEventListener("pointermove", (event) => this.read(this.under(event)));
    this.surface.addEventListener("pointerdown", (event) => { from = this.under(event); });
    this.surface.addEventListener("pointerup", (event) => {
      const to = this.under(event);
      if (from && Math.abs(to.column - from.column) > 1) this.zoom(from.column, to.column);
      from = null;
    });
    this.surface.addEventListener("dblclick", () => this.onzoom?.(null, null));
  }

  under(event) {
    const box = this.canvas.getBoundingClientRect();
    const clamp = (value, most) => Math.min(Math.max(Math.floor(value), 0), most - 1);
    return {
      column: clamp((event.clientX - box.left) / box.width * this.grid.columns, this.grid.columns),
      row: this.grid.rows - 1 - clamp((event.clientY - box.top) / box.height * this.grid.rows, this.grid.rows),
    };
  }

  read({ row, column }) {
    this.at = { row, column };
    this.cross.hidden = false;
    this.place(this.cross, row, column);
    const text = `${this.grid.names[row]}, ${stepWords(this.grid.steps[column])}: ${this.grid.read(row, column)}`;
    this.output.textContent = text;
    return text;
  }

  zoom(one, other) {
    const [first, last] = [Math.min(one, other), Math.max(one, other)];
    this.onzoom?.(this.grid.steps[first][0], this.grid.steps[last][1]);
  }

  key(event) {
    const { row, column } = this.at ?? { row: 0, column: 0 };
    const far = event.shiftKey ? 10 : 1;
    const moves = {
      ArrowLeft: [row, column - far], ArrowRight: [row, column + far], ArrowUp: [row + far, column],
      ArrowDown: [row - far, column], Home: [row, 0], End: [row, this.grid.columns - 1],
    };
    if (event.key === "Enter") {
      const reach = Math.max(Math.floor(this.grid.columns / 8), 1);
      this.zoom(Math.max(column - reach, 0), Math.min(column + reach, this.grid.columns - 1));
    } else if (event.key === "Escape") this.onzoom?.(null, null);
    else if (event.key in moves) {
      const [to, over] = moves[event.key];
      say(this.read({
        row: Math.min(Math.max(to, 0), this.grid.rows - 1),
        column: Math.min(Math.max(over, 0), this.grid.columns - 1),
      }));
    } else return;
    event.preventDefault();
  }
}

function flipped({ values, rows, columns }) {
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row += 1) {
    turned.set(values.subarray(row * columns, (row + 1) * columns), (rows - 1 - row) * columns);
  }
  return turned;
}
