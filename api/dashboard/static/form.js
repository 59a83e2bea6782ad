// Controls from a JSON schema: what a kind of the catalogue takes, each at its path in the spec (`remedies[1].strength`).

import { h } from "./dom.js";
import { words } from "./numbers.js";

/** A schema without references and without the null that stands for a default. */
function resolved(schema, defs) {
  let found = schema;
  for (;;) {
    if (found.$ref) found = { ...defs[found.$ref.split("/").at(-1)], default: found.default ?? schema.default };
    else if (found.anyOf) {
      const others = found.anyOf.filter((one) => one.type !== "null");
      if (others.length === found.anyOf.length && others.length > 1) return { ...found, json: true };
      if (others.length > 1) return { ...found, json: true };
      found = { ...others[0], default: found.default, nullable: true };
    } else return found;
  }
}

/** `context`: {defs, set(path, value), fresh()} – fresh where other fields follow from a choice. */
export function control(schema, value, path, title, context) {
  const its = resolved(schema, context.defs);
  if (its.discriminator) return union(its, value, path, title, context);
  const kinds = { boolean: checkbox, integer: number, number, string: text, array: list };
  if (its.enum) return labelled(title, path, select(its.enum.map((one) => [one, words(one)]), value, path, its, context));
  if (its.type === "object" && its.properties) return group(title, fields(its, value ?? {}, path, context));
  const make = its.json || !(its.type in kinds) || (its.type === "array" && its.items?.type === undefined) ? json : kinds[its.type];
  return labelled(title, path, make(value, path, its, context));
}

/** All parameters of a kind; `first` names those that are shown at once, the others are folded away. */
export function fields(schema, value, path, context, first = null) {
  const names = Object.keys(schema.properties).filter((name) => schema.properties[name].const === undefined && name !== "facts");
  const made = (name) => control(schema.properties[name], value[name], `${path}.${name}`, words(name), context);
  const shown = names.filter((name) => !first || first.has(name) || schema.required?.includes(name));
  const folded = names.filter((name) => !shown.includes(name));
  const usual = (name) => [undefined, JSON.stringify(schema.properties[name].default)].includes(JSON.stringify(value[name]));
  const open = !folded.every(usual);
  return [h("div", { class: "fields" }, shown.map(made)),
    folded.length > 0 && h("details", { open }, h("summary", {}, "More"), h("div", { class: "fields" }, folded.map(made)))];
}

export function labelled(title, path, input) {
  const error = h("span", { class: "problem", id: `problem:${path}`, "data-problem": path });
  input.setAttribute("aria-describedby", error.id);
  return h("label", { class: "field" }, h("span", {}, title), input, error);
}

export function group(title, ...inner) {
  return h("fieldset", {}, h("legend", {}, title), inner);
}

function select(options, value, path, its, context) {
  const usual = its.default === undefined || its.default === null ? "default" : `default: ${words(its.default?.kind ?? its.default)}`;
  const box = h("select", { "data-path": path, onchange: () => context.set(path, box.value === "" ? undefined : box.value) },
    (its.default !== undefined || its.nullable) && h("option", { value: "" }, usual),
    options.map(([key, name]) => h("option", { value: key, selected: key === value }, name)));
  return box;
}

function union(its, value, path, title, context) {
  const kinds = Object.keys(its.discriminator.mapping);
  const box = h("select", {
    "data-path": path,
    onchange: () => { context.set(path, box.value ? { kind: box.value } : undefined); context.fresh(); },
  }, h("option", { value: "" }, its.default ? `default: ${words(its.default.kind)}` : "none"),
  kinds.map((kind) => h("option", { value: kind, selected: kind === value?.kind }, words(kind))));
  const chosen = value?.kind && its.discriminator.mapping[value.kind];
  const schema = chosen && context.defs[chosen.split("/").at(-1)];
  const own = schema && Object.keys(schema.properties).length > 1;
  return [labelled(title, path, box), own && group(`${title}: ${words(value.kind)}`, fields(schema, value, path, context))];
}

function checkbox(value, path, its, context) {
  const box = h("input", { type: "checkbox", "data-path": path, checked: value ?? its.default ?? false, onchange: () => context.set(path, box.checked) });
  return box;
}

function number(value, path, its, context) {
  const box = h("input", {
    type: "number", "data-path": path, value: value ?? "", step: its.type === "integer" ? "1" : "any", min: its.minimum, max: its.maximum,
    placeholder: its.default ?? "", oninput: () => context.set(path, box.value === "" ? undefined : box.valueAsNumber),
  });
  return box;
}

function text(value, path, its, context) {
  const box = h("input", { type: "text", "data-path": path, value: value ?? "", placeholder: its.default ?? "", oninput: () => context.set(path, box.value || undefined) });
  return box;
}

/** Numbers or words by comma. */
function list(value, path, its, context) {
  const numeric = its.items.type !== "string";
  const box = h("input", {
    type: "text", "data-path": path, value: (value ?? []).join(", "), placeholder: (its.default ?? []).join(", "),
    oninput: () => {
      const parts = box.value.split(",").map((part) => part.trim()).filter(Boolean);
      context.set(path, parts.length ? parts.map((part) => (numeric && part !== "" && Number.isFinite(Number(part)) ? Number(part) : part)) : undefined);
    },
  });
  return box;
}

function json(value, path, its, context) {
  const box = h("input", {
    type: "text", "data-path": path, value: value === undefined ? "" : JSON.stringify(value), placeholder: its.default === undefined || its.default === null ? "JSON" : JSON.stringify(its.default),
    onchange: () => {
      try {
        context.set(path, box.value ? JSON.parse(box.value) : undefined);
      } catch {
        context.set(path, box.value);
      }
    },
  });
  return box;
}

/** `spec` with the value at "a.b[1].c"; undefined takes the key away. */
export function placed(spec, path, value) {
  const keys = path.match(/[^.[\]]+/g);
  const copy = structuredClone(spec);
  let at = copy;
  for (const key of keys.slice(0, -1)) at = at[key] ??= {};
  if (value === undefined) delete at[keys.at(-1)];
  else at[keys.at(-1)] = value;
  return copy;
}
