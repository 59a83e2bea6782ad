// From packed pictures to grids and series: what the API has recorded, as heat maps and lines take it.

import { picture } from "./api.js";
import { figure } from "./numbers.js";

export const SIGNALS = {
  activation_gradient_rms: "δ: rms gradient at the activations", activation_rms: "h: rms of the activations",
  weight_gradient_norm: "‖∂L/∂W‖", weight_gradient_max: "largest |∂L/∂W|", weight_norm: "‖W‖",
  update_ratio: "‖ΔW‖ / ‖W‖", dead_fraction: "share of dead units", saturated_fraction: "share saturated",
  nonfinite_count: "values not finite",
};
export const CURVES = {
  loss: "loss", gradient_norm: "gradient norm", total_gradient_norm: "gradient norm with penalties",
  clipped_gradient_norm: "gradient norm after clipping", learning_rate: "learning rate", penalty: "penalty",
  step_seconds: "seconds per step", loss_scale: "loss scale", clipped: "clipped",
};
const LINEAR = new Set(["dead_fraction", "saturated_fraction", "nonfinite_count"]);

export const stretch = ({ from = null, to = null, points }) =>
  `points=${points}${from === null ? "" : `&from=${from}`}${to === null ? "" : `&to=${to}`}`;

/** r = ln(rms δ / that of the last row): of hidden layers over depth, or of a recurrent layer's states over time. */
export async function levels(run, recurrent, stretchOf, signal) {
  const path = `/v1/runs/${run}/trace?signal=activation_gradient_rms&${stretchOf}`;
  const drawn = await picture(recurrent ? `${path}&axis=time` : path, signal);
  const first = drawn.layers[0]?.name.split("@")[0];
  const kept = drawn.layers.map((layer, at) => ({ ...layer, at })).filter((layer) =>
    (recurrent ? layer.name.split("@")[0] === first : layer.role === "hidden"));
  const columns = drawn.steps.length;
  if (!kept.length || !columns) return null;
  const { values: rms } = drawn.numbers.mean;
  const values = new Float32Array(kept.length * columns);
  const bottom = kept.at(-1).at * columns;
  kept.forEach((layer, row) => {
    for (let column = 0; column < columns; column += 1) {
      const own = rms[layer.at * columns + column];
      values[row * columns + column] = own === 0 ? -Infinity : Math.log(own) - Math.log(rms[bottom + column]);
    }
  });
  const read = (row, column) => {
    const own = rms[kept[row].at * columns + column];
    if (own === 0) return "exactly zero: no gradient arrives";
    if (!Number.isFinite(own)) return absent(drawn);
    return `ln ratio ${figure(values[row * columns + column])}, rms δ ${figure(own)}`;
  };
  const names = kept.map((layer) => layer.name);
  return { values, rows: kept.length, columns, names, steps: drawn.steps, read, broken: broken(drawn, names), raw: drawn.raw };
}

/** Any signal of a run, each row's largest value of a bucket (the smallest as `low`), by its logarithm where that serves. */
export async function signalGrid(run, name, axis, stretchOf, signal) {
  const drawn = await picture(`/v1/runs/${run}/trace?signal=${name}&axis=${axis}&${stretchOf}`, signal);
  const columns = drawn.steps.length;
  const names = drawn.layers.map((layer) => layer.name);
  if (!columns || !names.length) return null;
  const { max, min, mean, nonfinite } = drawn.numbers;
  const logs = !LINEAR.has(name);
  const values = logs ? max.values.map((value) => Math.log(value)) : max.values;
  const read = (row, column) => {
    const at = row * columns + column;
    if (!Number.isFinite(max.values[at])) return absent(drawn);
    const lost = nonfinite.values[at] ? `, ${nonfinite.values[at]} not finite` : "";
    return max.values[at] === min.values[at] ? figure(max.values[at], 4) + lost
      : `${figure(min.values[at], 4)} to ${figure(max.values[at], 4)}, mean ${figure(mean.values[at], 4)}${lost}`;
  };
  return {
    values, rows: names.length, columns, names, steps: drawn.steps, read, logs, layers: drawn.layers,
    min: min.values, max: max.values, mean: mean.values, broken: broken(drawn, names), raw: drawn.raw,
  };
}

const absent = (drawn) => (drawn.first_nonfinite ? "not finite" : "nothing recorded: no case is that long");

function broken({ first_nonfinite: first }, names) {
  if (!first) return null;
  const text = `First value that is not finite: step ${first.step}, ${first.layer}, ${first.where} pass`;
  return { row: Math.max(names.indexOf(first.layer), 0), step: first.step, layer: first.layer, text };
}

/** From low to high of all finite values. */
export function spanOf(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low > high ? { low: 0, high: 1 } : { low, high };
}

/** Curve `name` of every variant of an experiment: by its name, what its runs together are, in the form of one run. */
export async function bandsOf(experiment, name, stretchOf, signal) {
  const { variants, steps, numbers } = await picture(`/v1/experiments/${experiment}/curves?curve=${name}&${stretchOf}`, signal);
  const row = (part, at) => ({ values: numbers[part].values.subarray(at * steps.length, (at + 1) * steps.length) });
  const parts = (at) => Object.fromEntries(["min", "mean", "max"].map((part) => [`curves.${name}.${part}`, row(part, at)]));
  return new Map(variants.map((one, at) => [one.name, one.runs ? [{ steps, numbers: parts(at) }] : []]));
}

export async function curvesOf(run, name, stretchOf, signal) {
  return picture(`/v1/runs/${run}/curves?curve=${name}&${stretchOf}`, signal);
}

/** Curve `name` of several runs of one variant on common steps: mean over runs, lowest and highest of all, and each. */
export function overSeeds(runs, name, xs) {
  const each = runs.map((drawn) => onSteps(drawn, name, xs));
  const mean = [];
  const low = [];
  const high = [];
  for (let at = 0; at < xs.length; at += 1) {
    const there = each.filter((one) => one.mean[at] !== null);
    mean.push(there.length ? there.reduce((sum, one) => sum + one.mean[at], 0) / there.length : null);
    low.push(there.length ? Math.min(...there.map((one) => one.low[at])) : null);
    high.push(there.length ? Math.max(...there.map((one) => one.high[at])) : null);
  }
  return { mean, low, high, each: each.map((one) => one.mean) };
}

/** The run's buckets gathered at `xs`: what lies between two of them keeps its extremes. */
function onSteps({ steps, numbers }, name, xs) {
  const [mean, low, high] = ["mean", "min", "max"].map((part) => numbers[`curves.${name}.${part}`].values);
  const out = { mean: [], low: [], high: [] };
  let at = 0;
  xs.forEach((x, place) => {
    const end = xs[place + 1] ?? Infinity;
    const here = [];
    while (at < steps.length && steps[at][1] < x) at += 1;
    for (let next = at; next < steps.length && steps[next][0] < end; next += 1) {
      if (Number.isFinite(mean[next])) here.push(next);
    }
    out.mean.push(here.length ? here.reduce((sum, one) => sum + mean[one], 0) / here.length : null);
    out.low.push(here.length ? Math.min(...here.map((one) => low[one])) : null);
    out.high.push(here.length ? Math.max(...here.map((one) => high[one])) : null);
  });
  return out;
}

/** The starts of the buckets of the run that went furthest. */
export function commonSteps(drawn) {
  const last = (one) => one.steps.at(-1)?.[1] ?? -1;
  const longest = drawn.reduce((best, one) => (last(one) > last(best) ? one : best));
  return longest.steps.map(([first]) => first);
}
