// Numbers, times and intervals as they are read.

const MINUS = "−";

export function figure(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : `${MINUS}∞`;
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-3 || size >= 1e5)
    ? value.toExponential(Math.max(digits - 1, 0)).replace("e+", "e") : String(Number(value.toPrecision(digits)));
  return text.replaceAll("-", MINUS);
}

/** Numbers that stand beside each other, all with these decimal places. */
const fixed = (value, places) => value.toFixed(Math.max(places, 0)).replace(/^-(?=0\.?0*$)/, "").replace("-", MINUS);

/** The place of its first digit: 0 of 7.3, 1 of 0.73. */
const place = (value) => -Math.floor(Math.log10(value));

/** Ticks of an axis, evenly apart: as many digits as tell one from the next. */
export function tickWords(ticks) {
  const apart = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) : 0;
  const most = Math.max(...ticks.map(Math.abs));
  if (!apart) return ticks.map((tick) => figure(tick));
  const part = (apart * 10 ** place(apart)) % 1; // of steps of 2.5
  const places = place(apart * (1 + 1e-9)) + (part > 0.1 && part < 0.9 ? 1 : 0);
  if (most >= 1e5 || most < 1e-3) return ticks.map((tick) => (tick ? byPower(tick, places - place(most)) : "0"));
  return ticks.map((tick) => fixed(tick, places));
}

const byPower = (value, places) => value.toExponential(places).replace("e+", "e").replaceAll("-", MINUS);

/** Ticks of a logarithmic axis: all in one way of writing, so that their order is seen. */
export function powerWords(ticks) {
  const plain = ticks.every((tick) => tick >= 1e-3 && tick < 1e5);
  return ticks.map((tick) => (plain ? figure(tick, 1) : byPower(tick, 0)));
}

/** "accuracy", "balanced accuracy", "R²". */
export const metricWords = (metric) => (metric === "r2" ? "R²" : metric.replaceAll("_", " "));

/** A value of a spec: as it was written, without the digits that its binary form has more. */
export const setting = (value) => String(Number(value.toPrecision(6)));

export const percent = (share) => (share === null ? "–" : `${Math.round(100 * share)} %`);

/** Mean and 95 % interval of an Estimate, in the same decimals: none behind the second digit of half the interval, which
 * says how little is known of it, as in the answer's own words. */
export function estimate(value, digits = 3) {
  if (!value || value.mean === null) return "–";
  const { mean, low, high } = value;
  if (low === null || high === null || low === high) return figure(mean, digits);
  const most = Math.max(Math.abs(mean), Math.abs(low), Math.abs(high));
  const places = Math.min(place((high - low) / 2) + 1, place(most) + digits - 1);
  const shown = most < 1e5 && most >= 1e-3 ? (one) => fixed(one, places) : (one) => figure(one, digits);
  return `${shown(mean)} (${shown(low)} to ${shown(high)})`;
}

export const ratio = (value) => (value && value.mean !== null ? `×${figure(value.mean, 3)}` : "–");

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 120) return `${figure(value, 3)} s`;
  if (value < 7200) return `${figure(value / 60, 3)} min`;
  return `${figure(value / 3600, 3)} h`;
}

export function bytes(value) {
  if (!value) return "–";
  const power = Math.min(Math.floor(Math.log10(value) / 3), 3);
  return `${figure(value / 1000 ** power, 3)} ${["B", "kB", "MB", "GB"][power]}`;
}

export const moment = (text) => (text ? new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "–");

export const steps = ([first, last]) => (first === last ? `step ${first}` : `steps ${first} to ${last}`);

export const words = (name) => String(name).replaceAll("_", " ");

/** "1 variant", "2 variants". */
export function counted(count, thing) {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}
