// The variants of a comparison in one table: what each changes, what its gradients did, whether it trains, what it costs.

import { badge } from "./badges.js";
import { told } from "./catalogue.js";
import { h, table } from "./dom.js";
import { ink } from "./colours.js";
import { bytes, estimate, figure, percent, ratio, seconds } from "./numbers.js";

export function swatch(place) {
  const mark = h("span", { class: "swatch", "aria-hidden": "true" });
  mark.style.background = ink(place);
  return mark;
}

/** An estimate as a cell: the mean, its interval small below. */
function cell(value) {
  const [mean, interval] = estimate(value).split(" (");
  return interval ? [mean, h("small", {}, interval.slice(0, -1))] : mean;
}

const success = ({ count, of, low, high }) =>
  (of ? [`${count} of ${of}`, low !== null && h("small", {}, `${Math.round(100 * low)} to ${percent(high)}`)] : "–");

function metric({ metric: learned, metric_of_all: all, modes, success: { count, of } }) {
  if (modes) return modes.map((mode) => `${mode.n} near ${figure(mode.mean)}`).join(", ");
  if (count < of && all?.mean !== null && all) {
    const [mean, interval] = estimate(all).split(" (");
    return [learned.mean === null ? "" : cell(learned), h("small", {}, `all ${all.n}: ${mean}`), interval && h("small", {}, interval.slice(0, -1))];
  }
  return cell(learned);
}

/** G of a moment; of one hidden layer it is 0 by definition, and says nothing. */
export const gain = (moment) => cell(moment?.judged === false ? null : moment?.total_gain ?? null);

/** `arms`: [{name, title, place (colour), entry}] of a comparison. */
export function variantTable(arms, metricName, lists) {
  const columns = [
    { title: "Variant", cell: ({ title, place }) => h("span", { class: "named" }, swatch(place), title) },
    { title: "Trains", number: true, help: "Runs whose final loss is at most half of chance, with the exact 95 % interval of the share", cell: ({ entry }) => success(entry.outcomes.success) },
    { title: metricName, number: true, help: "On the test set, over the runs that train", cell: ({ entry }) => metric(entry.outcomes) },
    { title: "Verdict", cell: ({ entry }) => badge(entry.verdict?.kind) },
    { title: "Changes", wide: true, cell: ({ entry }) => entry.remedies.map((one) => told(one, lists, "remedies")).join("; ") || "nothing" },
    { title: "G at start", number: true, help: "ln ratio of the gradient at the first hidden layer to that at the last", cell: ({ entry }) => gain(entry.gradient.at_start) },
    { title: "G at end", number: true, cell: ({ entry }) => gain(entry.gradient.at_end) },
    { title: "Gain per layer", number: true, cell: ({ entry }) => cell(entry.gradient.at_start?.gain_per_layer) },
    { title: "in theory", number: true, cell: ({ entry }) => figure(entry.gradient.predicted.gain_per_layer) },
    { title: "Step time", number: true, help: "Of the baseline's", cell: ({ entry }) => ratio(entry.cost.step_time_ratio) },
    { title: "Parameters", number: true, cell: ({ entry }) => (entry.cost.parameters ? entry.cost.parameters.toLocaleString("en") : "–") },
    { title: "Memory", number: true, cell: ({ entry }) => bytes(entry.cost.peak_memory_bytes) },
    { title: "Device time", number: true, cell: ({ entry }) => seconds(entry.cost.device_seconds || null) },
  ];
  // Of what was brought in as a log, or has not ended, most is not known.
  const known = columns.filter((one) => arms.some((arm) => one.cell(arm) !== "–"));
  return table("Variants", known, arms, { class: "dense" });
}

const layersIn = (names) => (names.length > 2 ? `${names.length}, ${names[0]} to ${names.at(-1)}` : names.join(", ") || "none");

/** `shown_by` of a variant in the words of the columns. */
const shownBy = (measure, metricName) => ({
  success_difference: "share that trains",
  metric_difference: metricName,
  metric_progress: `way closed, ${metricName}`,
  loss_progress: "way closed, loss",
  gradients: "gradients",
}[measure] ?? "–");

/** What the forest plot shows, in numbers. */
export function differenceTable(arms, metricName) {
  const compared = arms.filter(({ entry }) => entry.versus_baseline);
  const closed = (measure) => ({ entry: { versus_baseline: versus } }) => estimate(versus.progress[measure]?.difference);
  const help = "Of the way from chance to the best possible, over all seeds in which both were trained";
  const columns = [
    { title: "Variant", cell: ({ title }) => title },
    { title: "Shown by", help: "What its grade rests on, and the forest plot draws", cell: ({ entry }) => shownBy(entry.versus_baseline.shown_by, metricName) },
    { title: "Share that trains", number: true, cell: ({ entry }) => estimate(entry.versus_baseline.success_difference) },
    { title: metricName, number: true, cell: ({ entry }) => estimate(entry.versus_baseline.metric_difference) },
    { title: `Way closed, ${metricName}`, number: true, help, cell: closed("metric") },
    { title: "Way closed, loss", number: true, help, cell: closed("loss") },
    { title: "p (Holm)", number: true, cell: ({ entry }) => figure(entry.versus_baseline.p_holm) },
    { title: "Test", cell: ({ entry: { versus_baseline: versus } }) => (versus.p_holm === null ? "–" : versus.test ?? "–") },
    { title: "Layers repaired", cell: ({ entry }) => layersIn(entry.versus_baseline.repaired_layers) },
  ];
  return table("Differences to the baseline", columns, compared);
}

export function profileTable({ title, entry }) {
  const columns = [
    { title: "Layer", cell: (layer) => layer.layer },
    { title: "At start", number: true, cell: (layer) => estimate(layer.at_start) },
    { title: "At end", number: true, cell: (layer) => estimate(layer.at_end) },
    { title: "Predicted", number: true, cell: (layer) => figure(layer.predicted) },
  ];
  return table(`ln ratio of each layer's gradient to the last hidden one's: ${title}`, columns, entry.gradient.profile);
}
