// Any experiments and runs beside each other. What is compared is in the address, so that a link shows the same.

import { every, get, send } from "./api.js";
import { badge } from "./badges.js";
import { catalogue } from "./catalogue.js";
import { slots } from "./colours.js";
import { Curves } from "./curves.js";
import { h, put, sentences, table } from "./dom.js";
import { recurrent } from "./experiment.js";
import { Maps } from "./maps.js";
import { figure, metricWords, words } from "./numbers.js";
import { link, parsed } from "./route.js";
import { differenceTable, gain, swatch, variantTable } from "./variants.js";

const ID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];

const listed = (query, name) => (query.get(name) ?? "").split(",").filter(Boolean);

export async function page(root, { query }, signal) {
  const asked = { experiments: listed(query, "experiments"), runs: listed(query, "runs") };
  const place = h("div", {});
  put(root, h("h1", {}, "Compare"), form(asked), place);
  document.title = "Compare – Gradient Clinic";
  if (!asked.experiments.length && !asked.runs.length) {
    put(place, h("p", { class: "dim" }, "Select experiments in their list, or add links to runs and experiments here."));
    return;
  }
  const [ofExperiments, ofRuns] = await Promise.all([experimentArms(asked.experiments, signal), runArms(asked.runs, signal)]);
  const arms = [...ofExperiments.arms, ...ofRuns];
  const maps = new Maps(arms, query, signal);
  const curves = new Curves(arms, query, signal);
  const { comparison, problem, lists } = ofExperiments;
  put(place,
    chosen(asked, arms),
    problem && h("p", { role: "alert" }, "No common table: ", problem),
    comparison && [h("section", { class: "answer" }, h("h2", {}, "Answer"), sentences(comparison.answer)),
      h("section", {}, h("h2", {}, "Variants"), variantTable(ofExperiments.arms, metricWords(comparison.metric), lists)),
      h("section", {}, h("h2", {}, "Against the baseline of the first"), differenceTable(ofExperiments.arms, metricWords(comparison.metric))),
      h("ul", {}, comparison.notes.map((note) => h("li", {}, note)))],
    ofRuns.length > 0 && h("section", {}, h("h2", {}, "Runs"), runTable(ofRuns)),
    h("section", {}, h("h2", {}, "Gradients by layer and step"), maps.element),
    h("section", {}, h("h2", {}, "Curves"), curves.element));
  await Promise.all([maps.load(), curves.load()]);
}

async function experimentArms(ids, signal) {
  if (!ids.length) return { arms: [] };
  const [experiments, runs, lists] = await Promise.all([
    Promise.all(ids.map((id) => get(`/v1/experiments/${id}`, signal))),
    Promise.all(ids.map((id) => every(`/v1/experiments/${id}/runs/brief?phase=trial`, signal))), catalogue()]);
  let comparison = null;
  let problem = null;
  try {
    comparison = await send("POST", "/v1/comparisons", { experiment_ids: ids });
  } catch (error) {
    if (signal.aborted) throw error;
    problem = named(error, ids, experiments);
  }
  const entries = comparison ? comparison.variants
    : experiments.flatMap((one, at) => [...new Set(runs[at].map((run) => run.variant))].map((name) => ({ name, experiment_id: one.id })));
  const places = slots([...new Set(entries.map((entry) => entry.name))]);
  const arms = entries.map((entry) => {
    const at = ids.indexOf(entry.experiment_id);
    const own = runs[at].filter((run) => run.variant === entry.name);
    const title = ids.length > 1 ? `${entry.name} · ${experiments[at].name}` : entry.name;
    // One colour for a variant's name; experiments are told apart by dashes.
    return { title, place: { ...places.get(entry.name), dash: DASHES[at % DASHES.length] }, entry, runs: own, run: own[0]?.id, of: ids[at], recurrent: recurrent(experiments[at]) };
  });
  return { arms, comparison, problem, lists };
}

/** The reason with the names of experiments in place of their ids. */
function named(error, ids, experiments) {
  const reason = error.errors[0]?.message ?? error.message;
  return ids.reduce((text, id, at) => text.replaceAll(id, `“${experiments[at].name}”`), reason);
}

async function runArms(ids, signal) {
  const places = slots(ids);
  return Promise.all(ids.map(async (id) => {
    const run = await get(`/v1/runs/${id}`, signal);
    const experiment = await get(`/v1/experiments/${run.experiment_id}`, signal);
    return { title: `${run.variant}, seed ${run.seed} · ${experiment.name}`, place: places.get(id), runs: [run], run: id, single: run, recurrent: recurrent(experiment) };
  }));
}

function runTable(arms) {
  const columns = [
    { title: "Run", cell: (arm) => h("span", { class: "named" }, swatch(arm.place), h("a", { href: link("run", arm.run) }, arm.title)) },
    { title: "Verdict", cell: ({ single }) => badge(single.verdict?.kind) },
    { title: "Trained", cell: ({ single }) => single.verdict?.trained ?? "–" },
    { title: "Causes", cell: ({ single }) => single.verdict?.causes.map(words).join(", ") ?? "–" },
    { title: "G at start", number: true, cell: ({ single }) => gain(single.verdict?.at_start) },
    { title: "G at end", number: true, cell: ({ single }) => gain(single.verdict?.at_end) },
    { title: "Final loss", number: true, cell: ({ single }) => figure(single.result?.final_loss ?? null, 4) },
    { title: "Test metric", number: true, cell: ({ single }) => figure(single.result?.test_metric ?? null, 4) },
  ];
  return table("Runs", columns, arms);
}

/** Links and ids, of experiments or runs, one or many. */
function form(asked) {
  const input = h("input", { type: "text", name: "add", "aria-label": "Links or ids of experiments and runs", placeholder: "link or id of an experiment or a run", size: "36" });
  const alert = h("span", { role: "alert" });
  const add = async () => {
    const next = { experiments: [...asked.experiments], runs: [...asked.runs] };
    try {
      for (const id of input.value.match(ID) ?? []) {
        const run = await get(`/v1/runs/${id}`).then(() => true, (error) => { if (error.status === 404) return false; throw error; });
        if (!run) await get(`/v1/experiments/${id}`);
        next[run ? "runs" : "experiments"].push(id);
      }
    } catch (error) {
      alert.textContent = error.message;
      return;
    }
    go(next);
  };
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") add(); });
  return h("div", { class: "row" }, input, h("button", { type: "button", onclick: add }, "Add"), alert);
}

function go(next) {
  const { query } = parsed(location.hash);
  const kept = Object.fromEntries(query);
  location.hash = link("compare", "", { ...kept, experiments: [...new Set(next.experiments)].join(","), runs: [...new Set(next.runs)].join(",") });
}

function chosen(asked, arms) {
  const without = (name, id) => () => go({ ...asked, [name]: asked[name].filter((one) => one !== id) });
  const titles = new Map(arms.map((arm) => [arm.single ? arm.run : arm.entry.experiment_id, arm.single ? arm.title : arm.title.split(" · ")[1] ?? "experiment"]));
  return h("p", { class: "row" }, ["experiments", "runs"].flatMap((name) => asked[name].map((id) =>
    h("button", { type: "button", class: "quiet", "aria-label": `Remove ${titles.get(id) ?? id}`, onclick: without(name, id) }, `${titles.get(id) ?? id} ×`))));
}
