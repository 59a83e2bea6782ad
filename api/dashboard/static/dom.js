// Elements from values. Text is only ever set as text, so no name or label can become markup.

/** Names of all listeners that were given: "onclick", … */
export const listened = new Set();

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) {
      listened.add(name);
      element[name] = value;
    } else if (name === "value" || name === "checked" || name === "indeterminate") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  add(element, children);
  return element;
}

/** All that are there: null and false are left out. */
export const present = (children) => children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false);

export function add(element, children) {
  element.append(...present(children));
  return element;
}

/** h("p", {class: "dim"}, "text", element, …). `on…` are listeners; `renew` hands them on to other elements, so they take
 * theirs from the event. */
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
  const fill = ({ currentTarget: details }) => { if (details.childElementCount === 1) details.append(make()); };
  return h("details", { class: "behind", ontoggle: fill }, h("summary", {}, title));
}

export function choice(label, options, value, onchange) {
  return h("label", { class: "choice" }, `${label} `, h("select", { onchange: (event) => onchange(event.currentTarget.value) },
    options.map(([key, title]) => h("option", { value: key, selected: key === value }, title))));
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
