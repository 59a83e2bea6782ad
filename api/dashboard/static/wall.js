// For a screen on a wall: one experiment after the other, large, without anything to click. Space holds, Escape leaves.

import { get, pause } from "./api.js";
import { badge, progress } from "./badges.js";
import { h, put, sentences } from "./dom.js";
import { drawn } from "./drawn.js";
import { layered } from "./experiment.js";
import { renew, unhurried } from "./renew.js";

const SHOWN = 8;
const EVERY_S = 20;
/** Words of pictures are read from afar: so many times as large as on a desk, but for many variants, which need the room. */
const [LARGE, MANY] = [1.3, 7];

export async function page(root, { query }, signal) {
  document.title = "Wall – Gradient Clinic";
  document.body.classList.add("on-the-wall");
  const every = Math.max(Number(query.get("every")) || EVERY_S, 2);
  let held = false;
  const hold = h("button", { type: "button", class: "quiet", onclick: () => turn() }, "Hold");
  const turn = () => { held = !held; hold.textContent = held ? "Go on" : "Hold"; };
  const key = (event) => {
    if (event.key === "Escape") location.hash = "#/experiments";
    if (event.key === " " && event.target === document.body) { event.preventDefault(); turn(); }
  };
  document.addEventListener("keydown", key);
  signal.addEventListener("abort", () => {
    document.removeEventListener("keydown", key);
    document.body.classList.remove("on-the-wall");
  });
  const place = h("div", { class: "wall" });
  put(root, place, h("p", { class: "row leaving" }, hold, h("a", { href: "#/experiments" }, "Leave")));
  for (let turnOf = 0; !signal.aborted; turnOf += 1) {
    const { items } = await get(`/v1/experiments?page_size=${SHOWN}`, signal);
    // What trains comes first; a stop that is held stays where it is.
    const order = [...items.filter((one) => one.state === "running"), ...items.filter((one) => one.state !== "running")];
    if (order.length) await one(place, order[turnOf % order.length], signal);
    else put(place, h("h1", {}, "No experiments yet"));
    do await pause(every * 1000, signal); while (held && !signal.aborted);
  }
}

/** The pictures are asked for with the page's signal, and let go with the next one. */
async function one(place, experiment, signal) {
  const path = `/v1/experiments/${experiment.id}`;
  const comparison = await get(`${path}/comparison`, signal);
  const compared = comparison.variants.some((variant) => variant.versus_baseline?.primary);
  const zoom = comparison.variants.length < MANY ? LARGE : 1;
  unhurried(place, () => renew(place,
    h("h1", {}, experiment.name),
    h("p", { class: "row" }, badge(experiment.state), progress(experiment), experiment.verdict && badge(experiment.verdict, "on the baseline")),
    h("div", { class: "panels" },
      h("section", { class: "answer" }, sentences(comparison.answer)),
      layered(comparison) && drawn(`${path}/heatmaps.svg`, "Heat maps of all variants", signal, { zoom, fits: true }),
      h("div", {}, compared && drawn(`${path}/comparison.svg`, "Forest plot against the baseline", signal, { zoom }), drawn(`${path}/curves.svg`, "Loss of all variants", signal, { zoom })))));
}
