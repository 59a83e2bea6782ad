// Numbers, times and intervals as they are read.

const MINUS = "−";

export function figure(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : `${MINUS}∞`;
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-3 || size >= 1e5)
    ? value.toExponential(Math.max(digits - 1, 0)) : String(Number(value.toPrecision(digits)));
  return text.replaceAll("-", MINUS);
}

export const percent = (share) => (share === null ? "–" : `${Math.round(100 * share)} %`);

/** Mean and 95 % interval of an Estimate. */
export function estimate(value, digits = 3) {
  if (!value || value.mean === null) return "–";
  const interval = value.low === null || value.low === value.high ? ""
    : ` (${figure(value.low, digits)} to ${figure(value.high, digits)})`;
  return figure(value.mean, digits) + interval;
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
