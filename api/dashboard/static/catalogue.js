// What can be asked for, from the catalogue: titles, schemas, and what a spec says beyond its defaults.

import { get } from "./api.js";
import { counted, setting, words } from "./numbers.js";

const NAMES = ["networks", "datasets", "optimizers", "inits", "activations", "remedies"];
let asked = null;

/** By name of a list, its items by kind; asked for once. */
export function catalogue() {
  asked ??= Promise.all(NAMES.map(async (name) => {
    const { items } = await get(`/v1/catalogue/${name}`);
    // Plug-ins are one kind: which one is a field of the part.
    return [name, new Map(items.map((item) => [item.kind, item.kind === "plugin" ? { ...item, title: "Plug-in" } : item]))];
  })).then((lists) => Object.fromEntries(lists)).catch((error) => { asked = null; throw error; });
  return asked;
}

const HOLDERS = ["remedies", "networks", "datasets", "optimizers", "inits"];

/** A hash is told by its first digits. */
const HASH = /^[0-9a-f]{64}$/;

/** A part of a spec in words: its kind, and what it says beyond the defaults of this kind in `lists`. */
export function told(part, lists, holder = null) {
  if (typeof part === "number") return setting(part);
  if (part === null || typeof part !== "object") return HASH.test(part) ? part.slice(0, 8) : words(String(part));
  if (Array.isArray(part)) return part.map((one) => told(one, lists)).join(", ");
  const { kind, facts, ...rest } = part;
  const item = (holder ? [holder] : HOLDERS).map((name) => lists[name].get(kind)).find(Boolean);
  const usual = item?.schema.properties ?? {};
  const own = Object.entries(rest).filter(([name, value]) => value !== null && JSON.stringify(value) !== JSON.stringify(usual[name]?.default)
    && !(Array.isArray(value) && !value.length));
  const shown = own.map(([name, value]) => `${words(name)} ${told(value, lists)}${name === "depth" ? ` (${counted(value - 1, "hidden layer")} and the output)` : ""}`);
  return (kind ? words(kind) : "") + (shown.length ? `${kind ? " (" : ""}${shown.join(", ")}${kind ? ")" : ""}` : "");
}
