// The frame: pages by address, theme, key, and what is said when the clinic does not answer.

import { keep, key } from "./api.js";
import { h, put } from "./dom.js";
import { parsed } from "./route.js";

const PAGES = {
  experiments: () => import("./list.js"),
  experiment: () => import("./experiment.js"),
  new: () => import("./new.js"),
  run: () => import("./run.js"),
  predict: () => import("./predict.js"),
  wall: () => import("./wall.js"),
  compare: () => import("./compare.js"),
};
const NAMED = [["experiments", "Experiments"], ["new", "New"], ["compare", "Compare"], ["predict", "Predict"], ["wall", "Wall"]];

let leave = new AbortController();

async function show() {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const route = parsed(location.hash);
  const main = document.getElementById("main");
  for (const link of document.querySelectorAll("#pages a")) {
    if (link.dataset.page === route.page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const load = PAGES[route.page];
  if (!load) {
    put(main, h("h1", {}, "There is no such page"), h("a", { href: "#/experiments" }, "All experiments"));
    return;
  }
  const root = h("div", { class: `page page-${route.page}` }, h("p", { class: "dim" }, "Loading …"));
  put(main, root);
  try {
    const { page } = await load();
    await page(root, route, signal);
  } catch (error) {
    if (signal.aborted || error.status === 401) return;
    put(root, h("h1", {}, "This could not be shown"), h("p", { role: "alert" }, error.message),
      h("a", { href: "#/experiments" }, "All experiments"));
  }
}

function askForKey(reason) {
  if (document.querySelector("dialog.key")) return;
  const input = h("input", { type: "password", autocomplete: "off", name: "key", required: true });
  const dialog = h("dialog", { class: "key", "aria-label": "Key" },
    h("p", {}, reason),
    h("label", {}, "Key of this clinic ", input),
    h("p", { class: "dim" }, "It is kept in this tab until you close it."),
    h("div", { class: "row" }, h("button", { type: "button", onclick: enter }, "Enter"),
      key() && h("button", { type: "button", onclick: () => { keep(""); dialog.close(); show(); } }, "Forget it")));
  function enter() {
    keep(input.value.trim());
    dialog.close();
    show();
  }
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") enter(); });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function themeButton() {
  const root = document.documentElement;
  const button = h("button", { type: "button", class: "quiet" });
  const name = () => { button.textContent = `Theme: ${root.dataset.theme ?? "auto"}`; };
  const apply = (theme) => {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    name();
  };
  button.title = "Colours: as the system, light, dark";
  button.addEventListener("click", () => {
    const next = { undefined: "light", light: "dark", dark: "" }[root.dataset.theme];
    sessionStorage.setItem("clinic-theme", next);
    apply(next);
    show();
  });
  apply(sessionStorage.getItem("clinic-theme") ?? "");
  return button;
}

function frame() {
  const notice = document.getElementById("notice");
  put(document.getElementById("pages"), NAMED.map(([page, title]) => h("a", { href: `#/${page}`, "data-page": page }, title)));
  put(document.getElementById("tools"), themeButton(),
    h("button", { type: "button", class: "quiet", onclick: () => askForKey("Which key shall be sent?") }, "Key"));
  window.addEventListener("clinic:away", () => {
    notice.textContent = "The clinic does not answer. Trying again …";
    notice.hidden = false;
  });
  window.addEventListener("clinic:back", () => { notice.hidden = true; });
  window.addEventListener("clinic:key", (event) => askForKey(key() ? event.detail : "This clinic asks for a key."));
  window.addEventListener("hashchange", show);
}

frame();
show();
