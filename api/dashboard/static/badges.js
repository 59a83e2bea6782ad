// States and verdicts as words with a colour; the word says it, the colour repeats it.

import { h } from "./dom.js";
import { counted, percent } from "./numbers.js";

export const FINISHED = new Set(["succeeded", "failed", "cancelled"]);

export const badge = (kind, title) => h("span", { class: `badge ${kind ?? "none"}`, title }, kind ?? "–");

export const labels = (given) => Object.entries(given).map(([name, value]) =>
  h("span", { class: "label" }, `${name}: ${value}`));

/** While it goes on the share of its steps, or that no worker is there yet; at the end how many of its runs came to theirs. */
export function progress({ progress: share, runs, state, waiting_for: awaited }) {
  const bar = h("progress", { max: "1", value: share, "aria-label": "Progress" });
  const parts = Object.entries(runs).filter(([, count]) => count).map(([name, count]) => `${count} ${name}`);
  const all = Object.values(runs).reduce((sum, count) => sum + count, 0);
  const far = state === "queued" && awaited ? `waiting for a ${awaited}` : percent(share);
  const said = FINISHED.has(state) ? `${runs.succeeded} of ${counted(all, "run")}` : far;
  return h("span", { class: "progress", title: parts.join(", ") }, state === "running" && bar, said);
}
