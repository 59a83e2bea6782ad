// States and verdicts as words with a colour; the word says it, the colour repeats it.

import { h } from "./dom.js";
import { percent } from "./numbers.js";

export const badge = (kind, title) => h("span", { class: `badge ${kind ?? "none"}`, title }, kind ?? "–");

export const labels = (given) => Object.entries(given).map(([name, value]) =>
  h("span", { class: "label" }, `${name}: ${value}`));

export function progress({ progress: share, runs, state }) {
  const bar = h("progress", { max: "1", value: share, "aria-label": "Progress" });
  const parts = Object.entries(runs).filter(([, count]) => count).map(([name, count]) => `${count} ${name}`);
  return h("span", { class: "progress", title: parts.join(", ") }, state === "running" && bar, percent(share));
}

export const FINISHED = new Set(["succeeded", "failed", "cancelled"]);
