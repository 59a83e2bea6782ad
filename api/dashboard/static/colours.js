// Colours by name, the same in every view. Two palettes, for light and dark paper, that keep apart under protanopia and
// deuteranopia; after eight colours dashes tell lines apart.

export const LIGHT = ["#0b5cad", "#e06c00", "#00796b", "#9c3f8f", "#6b5a00", "#3a9bdc", "#6e0b14", "#4a4a4a"];
export const DARK = ["#6cb6ff", "#ff9f43", "#2fc6a8", "#e58fd8", "#f2e77a", "#3c7dd9", "#ff6b6b", "#c8ccd0"];
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];

const dark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

function hash(text) {
  let value = 2166136261;
  for (const letter of text) value = Math.imul(value ^ letter.codePointAt(0), 16777619);
  return value >>> 0;
}

/** By name: {slot, dash}. A name has its own slot; the later of two in one list that share it takes the next free one. */
export function slots(names) {
  const taken = new Map();
  const rounds = new Map();
  for (const name of names) {
    let round = 0;
    let slot = hash(name) % LIGHT.length;
    const used = () => rounds.get(round) ?? rounds.set(round, new Set()).get(round);
    while (used().size === LIGHT.length) round += 1;
    while (used().has(slot)) slot = (slot + 1) % LIGHT.length;
    used().add(slot);
    taken.set(name, { slot, dash: DASHES[round % DASHES.length] });
  }
  return taken;
}

export const ink = ({ slot }) => (dark() ? DARK : LIGHT)[slot];

/** Of the same colour, so opaque. */
export const pale = (colour, share) => `${colour}${Math.round(255 * share).toString(16).padStart(2, "0")}`;

// As the report and its PNG have them (api/report/colours.py): a test holds both against each other.
export const STOPS = [[5, 48, 97], [67, 147, 195], [247, 247, 247], [214, 96, 77], [103, 0, 31]];
export const NOT_FINITE = [20, 20, 20];
export const SILENT = [150, 150, 150];
export const SMALLEST_LIMIT = 12;
const GROWING = [[247, 247, 247], [190, 210, 225], [67, 147, 195], [8, 81, 156], [5, 48, 97]];
const SHADES = 1024;

const packed = ([red, green, blue]) => (255 << 24 | blue << 16 | green << 8 | red) >>> 0;

function shades(stops) {
  return Uint32Array.from({ length: SHADES }, (_, at) => {
    const place = at / (SHADES - 1) * (stops.length - 1);
    const below = Math.min(Math.floor(place), stops.length - 2);
    return packed(stops[below].map((one, part) => Math.round(one + (place - below) * (stops[below + 1][part] - one))));
  });
}

const DIVERGING = shades(STOPS);
const SEQUENTIAL = shades(GROWING);

/** Paint values, row by row, into `pixels` (Uint32Array). Diverging by the square root of |value| / limit, as in the
 * report; else evenly from low to high. −∞ is an exact zero; NaN and +∞ are not finite, but with `scale.blank` NaN is what was
 * never there, and is left blank. */
export function paint(values, pixels, scale) {
  const silent = packed(SILENT);
  const broken = packed(NOT_FINITE);
  const last = SHADES - 1;
  for (let at = 0; at < values.length; at += 1) {
    const value = values[at];
    if (value === -Infinity) pixels[at] = silent;
    else if (!Number.isFinite(value)) pixels[at] = scale.blank && Number.isNaN(value) ? 0 : broken;
    else if (scale.diverging) {
      const root = Math.min(Math.sqrt(Math.abs(value) / scale.limit), 1);
      pixels[at] = DIVERGING[Math.round((value < 0 ? 1 - root : 1 + root) / 2 * last)];
    } else {
      const share = (value - scale.low) / (scale.high - scale.low || 1);
      pixels[at] = SEQUENTIAL[Math.round(Math.min(Math.max(share, 0), 1) * last)];
    }
  }
}
