// Elements from values. Text is only ever set as text, so no name or label can become markup.

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "indeterminate") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  add(element, children);
  return element;
}

export function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

/** h("p", {class: "dim"}, "text", element, …): `on…` are listeners; null and false are left out. */
export const h = (tag, attributes = {}, ...children) =>
  filled(document.createElement(tag), attributes, children);

export const put = (element, ...children) => {
  element.replaceChildren();
  return add(element, children);
};

/** One sentence a line, the first in front. */
export function sentences(text) {
  const [first, ...rest] = text.split(/(?<=\.) (?=[A-Za-z])/);
  return [h("p", { class: "first" }, first), rest.length > 0 && h("ul", { class: "told" }, rest.map((one) => h("li", {}, one)))];
}

/** What a screen reader is told now. */
export function say(text) {
  document.getElementById("said").textContent = text;
}

/** A table whose head has `columns` of {title, cell(row), number?}. */
export function table(caption, columns, rows, attributes = {}) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", attributes,
      h("caption", { class: "hidden" }, caption),
      h("thead", {}, h("tr", {}, columns.map((one) =>
        h("th", { scope: "col", class: one.number ? "number" : null, title: one.help }, one.title)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, columns.map((one) =>
        h("td", { class: one.number ? "number" : one.wide ? "changes" : one.time ? "time" : null }, one.cell(row))))))));
}

/** The numbers behind a picture, folded away; made when it is opened first. */
export function numbersBehind(title, make) {
  const details = h("details", { class: "behind" }, h("summary", {}, title));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(make());
  });
  return details;
}

export function choice(label, options, value, onchange) {
  const select = h("select", { onchange: () => onchange(select.value) },
    options.map(([key, title]) => h("option", { value: key, selected: key === value }, title)));
  return h("label", { class: "choice" }, `${label} `, select);
}

export function confirmed(question, action) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-label": question },
      h("p", {}, question),
      h("div", { class: "row" },
        h("button", { type: "button", class: "danger", onclick: () => dialog.close("yes") }, action),
        h("button", { type: "button", autofocus: true, onclick: () => dialog.close("") }, "Keep")));
    dialog.addEventListener("close", () => { dialog.remove(); resolve(dialog.returnValue === "yes"); });
    document.body.append(dialog);
    dialog.showModal();
  });
}
