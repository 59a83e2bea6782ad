// Experiments, newest first: searched, filtered and sorted by the API, live by its stream of what has changed. All that
// was chosen is in the address, so that "back" finds it again.

import { follow, get, send } from "./api.js";
import { badge, labels, progress } from "./badges.js";
import { choice, confirmed, h, put, say } from "./dom.js";
import { counted, moment, words } from "./numbers.js";
import { become, renew, unhurried } from "./renew.js";
import { change, link, remember } from "./route.js";

const PAGE = 50;
const STATES = ["queued", "running", "succeeded", "failed", "cancelled"];
const VERDICTS = ["vanishing", "exploding", "diverged", "dead", "saturated", "stalled", "slow", "healthy", "inconclusive", "mixed"];
const COLUMNS = { Name: "name", Verdict: "verdict", State: "state", Progress: null, Labels: null, Owner: null, Submitted: "created" };
const FILTERS = ["search", "state", "verdict", "label"];
const NEWEST = "-created";
const NAMED = 5;
/** What can be done to all that are selected; the API says of each whether it could be. */
const ACTS = {
  Cancel: { method: "POST", path: "/cancel", past: "cancelled", warns: "What they have trained stays." },
  "Retry failed runs": { method: "POST", path: "/retry", past: "queued again", warns: "What succeeded stays as it is." },
  Delete: { method: "DELETE", path: "", past: "deleted", warns: "Their runs and traces go with them. This cannot be undone.", danger: true },
};

export async function page(root, { query }, signal) {
  const list = new List(query, signal);
  put(root, list.element);
  await list.load();
  list.live();
}

class List {
  constructor(query, signal) {
    this.query = query;
    this.signal = signal;
    this.items = [];
    this.token = "";
    this.chosen = new Set((query.get("selected") ?? "").split(",").filter(Boolean));
    this.anchor = null;
    this.known = new Map();
    this.heads = new Map();
    this.body = h("tbody", {});
    this.count = h("span", { class: "dim" }, "Loading …");
    this.number = h("span", {});
    this.beside = h("a", {}, "Compare");
    this.bar = h("div", { class: "row chosen", role: "group", "aria-label": "Selected experiments", hidden: true }, this.number, this.beside,
      Object.keys(ACTS).map((verb) => h("button", { type: "button", class: ACTS[verb].danger ? "quiet danger" : "quiet", onclick: () => this.act(verb) }, verb)),
      h("button", { type: "button", class: "quiet", onclick: () => this.clear() }, "Clear"));
    this.outcome = h("div", { role: "status" });
    this.more = h("button", { type: "button", hidden: true, onclick: () => this.next() }, "Show more");
    this.element = h("div", {}, h("h1", {}, "Experiments"), this.filters(), this.bar, this.outcome, this.tableOf(), h("p", { class: "row" }, this.more, this.count));
    this.showSort();
  }

  filters() {
    const search = h("input", { type: "search", value: this.query.get("search") ?? "", "aria-label": "Search names", placeholder: "Search names" });
    const label = h("input", { type: "text", value: this.query.get("label") ?? "", "aria-label": "Label, key:value", placeholder: "label, key:value" });
    search.addEventListener("input", () => this.later(() => this.ask({ search: search.value.trim() })));
    label.addEventListener("change", () => this.ask({ label: label.value.trim() }));
    const one = (title, name, values) => choice(title, [["", "any"], ...values.map((value) => [value, words(value)])],
      this.query.get(name) ?? "", (value) => this.ask({ [name]: value }));
    return h("div", { class: "row filters", role: "search" }, search, one("State", "state", STATES), one("Verdict", "verdict", VERDICTS), label);
  }

  tableOf() {
    const all = h("input", { type: "checkbox", "aria-label": "Select all shown", onchange: () => this.chooseAll(all.checked) });
    this.all = all;
    return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Experiments" },
      h("table", { class: "list" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, all),
          Object.entries(COLUMNS).map(([title, word]) => this.head(title, word)))),
        this.body));
  }

  /** By a click it sorts: first from A on, or newest first, then the other way round. */
  head(title, word) {
    if (!word) return h("th", { scope: "col" }, title);
    const first = word === "created" ? NEWEST : word;
    const cell = h("th", { scope: "col" }, h("button", { type: "button", class: "sort", onclick: () => {
      const next = this.sort !== first ? first : first === word ? `-${word}` : word;
      this.ask({ sort: next === NEWEST ? "" : next });
      this.showSort();
    } }, title));
    this.heads.set(word, cell);
    return cell;
  }

  get sort() {
    return this.query.get("sort") || NEWEST;
  }

  showSort() {
    for (const [word, cell] of this.heads) {
      if (this.sort === word) cell.setAttribute("aria-sort", "ascending");
      else if (this.sort === `-${word}`) cell.setAttribute("aria-sort", "descending");
      else cell.removeAttribute("aria-sort");
    }
  }

  later(action) {
    clearTimeout(this.timer);
    this.timer = setTimeout(action, 250);
  }

  async ask(values) {
    remember(this.query, values);
    await this.load();
  }

  path(size, token = "") {
    const asked = new URLSearchParams({ page_size: size });
    for (const name of [...FILTERS, "sort"]) if (this.query.get(name)) asked.set(name, this.query.get(name));
    if (token) asked.set("page_token", token);
    return `/v1/experiments?${asked}`;
  }

  async load() {
    const pages = Math.max(Number(this.query.get("pages")) || 1, 1);
    const asked = `${pages} ${this.path(PAGE)}`;
    this.asked = asked;
    let items = [];
    let token = "";
    try {
      for (let at = 0; at < pages; at += 1) {
        const page = await get(this.path(PAGE, token), this.signal);
        items = items.concat(page.items);
        token = page.next_page_token;
        if (!token) break;
      }
    } catch (error) {
      if (error.status !== 422) throw error;
      this.count.textContent = error.message;
      return;
    }
    for (const one of items) this.known.set(one.id, `${one.state} ${one.verdict}`);
    unhurried(this, () => {
      if (this.asked !== asked) return;
      [this.items, this.token] = [items, token];
      this.show();
    });
  }

  async next() {
    remember(this.query, { pages: String(Math.ceil(this.items.length / PAGE) + 1) });
    await this.load();
  }

  /** Told by the server while this page is seen; who comes back to it hears first that all may have changed. */
  async live() {
    while (!this.signal.aborted) {
      const hidden = new AbortController();
      const leave = AbortSignal.any([this.signal, hidden.signal]);
      document.addEventListener("visibilitychange", () => hidden.abort(), { once: true, signal: leave });
      if (document.hidden) await new Promise((resolve) => { leave.addEventListener("abort", resolve); });
      else await follow("/v1/events", (_, news) => this.told(news), leave);
      // A stream that was refused is not asked for again.
      if (!leave.aborted) return;
    }
  }

  /** Progress of what is shown is painted; whatever may change which rows there are, or their order, asks for them. */
  told({ experiments, deleted, stale }) {
    let again = stale || deleted.length > 0;
    for (const one of experiments) {
      const standing = `${one.state} ${one.verdict}`;
      again ||= this.known.get(one.id) !== standing;
      this.known.set(one.id, standing);
      this.paint(one);
    }
    if (again) this.refresh();
  }

  /** One load at a time: what is told meanwhile asks for one more. */
  async refresh() {
    this.due = true;
    if (this.loading) return;
    this.loading = true;
    while (this.due) {
      this.due = false;
      await this.load().catch((error) => { if (!this.signal.aborted) this.count.textContent = error.message; });
    }
    this.loading = false;
  }

  paint(news) {
    const one = this.items.find((item) => item.id === news.id);
    if (!one) return;
    Object.assign(one, news);
    unhurried(one, () => {
      const row = this.rows.get(one.id);
      if (row) become(row, this.row(one));
    });
  }

  get rows() {
    return new Map([...this.body.rows].map((row) => [row.dataset.key, row]));
  }

  show() {
    renew(this.body, this.items.map((one) => this.row(one)));
    this.more.hidden = !this.token;
    if (this.items.length) renew(this.count, `${this.items.length} shown`);
    else if (FILTERS.some((name) => this.query.get(name))) renew(this.count, "No experiment fits.");
    else renew(this.count, "There is no experiment yet: ", h("a", { href: "#/new" }, "start one"), ".");
    this.showChosen();
  }

  row(one) {
    const box = h("input", {
      type: "checkbox", checked: this.chosen.has(one.id), "aria-label": `Select ${one.name}`,
      onclick: ({ currentTarget, shiftKey }) => this.choose(one.id, currentTarget.checked, shiftKey),
      onkeydown: (event) => this.key(event, one.id),
    });
    return h("tr", { "data-key": one.id }, h("td", {}, box), h("td", {}, h("a", { href: link("experiment", one.id) }, one.name)),
      h("td", {}, one.verdict && badge(one.verdict, "on the baseline")), h("td", {}, badge(one.state)), h("td", {}, progress(one)),
      h("td", {}, labels(one.labels)), h("td", {}, one.owner), h("td", { class: "time" }, moment(one.created_at)));
  }

  placeOf(id) {
    return this.items.findIndex((one) => one.id === id);
  }

  /** `range`: with all from the one that was chosen before, wherever it stands now. */
  choose(id, on, range) {
    const at = this.placeOf(id);
    const before = this.placeOf(this.anchor);
    const from = range && before >= 0 ? before : at;
    for (let row = Math.min(from, at); row <= Math.max(from, at); row += 1) this.mark(this.items[row].id, on);
    this.anchor = id;
    this.kept();
  }

  chooseAll(on) {
    for (const one of this.items) this.mark(one.id, on);
    this.kept();
  }

  mark(id, on) {
    if (on) this.chosen.add(id);
    else this.chosen.delete(id);
  }

  key(event, id) {
    if (event.key === "Delete") {
      if (!this.chosen.size) this.choose(id, true, false);
      this.act("Delete");
      return;
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const to = step && this.items[this.placeOf(id) + step];
    if (!to) return;
    event.preventDefault();
    if (event.shiftKey) this.choose(to.id, true, true);
    this.rows.get(to.id).querySelector("input").focus();
  }

  kept() {
    const selected = [...this.chosen].join(",");
    change({ selected });
    for (const [id, row] of this.rows) row.querySelector("input").checked = this.chosen.has(id);
    this.showChosen();
    say(`${this.chosen.size} selected`);
  }

  showChosen() {
    const ids = [...this.chosen];
    this.bar.hidden = !ids.length;
    this.all.checked = this.items.length > 0 && this.items.every((one) => this.chosen.has(one.id));
    this.all.indeterminate = !this.all.checked && ids.length > 0;
    this.number.textContent = `${ids.length} selected`;
    this.beside.href = link("compare", "", { experiments: ids.join(",") });
  }

  clear() {
    this.chosen.clear();
    this.kept();
    this.all.focus();
  }

  nameOf(id) {
    return this.items.find((one) => one.id === id)?.name ?? id;
  }

  /** To one after the other; what could not be done stays selected, and why is said. */
  async act(verb) {
    const ids = [...this.chosen];
    if (!ids.length || this.acting) return;
    const names = ids.slice(0, NAMED).map((id) => `“${this.nameOf(id)}”`).join(", ") + (ids.length > NAMED ? ` and ${ids.length - NAMED} more` : "");
    const { method, path, past, warns } = ACTS[verb];
    const things = counted(ids.length, "experiment");
    if (!await confirmed(`${verb}: ${things}, ${names}? ${warns}`, `${verb}: ${things}`)) return;
    this.acting = true;
    const refused = [];
    for (const id of ids) {
      put(this.outcome, h("p", { class: "dim" }, `${verb}: ${ids.indexOf(id) + 1} of ${ids.length} …`));
      await send(method, `/v1/experiments/${id}${path}`).then(() => this.mark(id, false), (error) => refused.push(`${this.nameOf(id)}: ${error.message}`));
    }
    this.acting = false;
    // Who has gone on to another page has another address now.
    if (this.signal.aborted) return;
    put(this.outcome, h("p", {}, `${counted(ids.length - refused.length, "experiment")} ${past}${refused.length ? `, ${refused.length} not:` : "."}`),
      refused.length > 0 && h("ul", {}, refused.map((one) => h("li", {}, one))));
    this.kept();
    await this.refresh();
    if (this.bar.hidden) this.all.focus();
  }
}
