// What is on a page while it lives, brought up to date in place: nothing that a user is about to do is lost by it.

import { listened, present } from "./dom.js";

const CLICK_MS = 50;
const CLICKED = new Set(["A", "BUTTON"]);
const ASKED = new Set(["INPUT", "SELECT"]);
/** What is unfolded is the user's own; what may run has another way to be set. */
const NOT_COPIED = new Set(["open", "style"]);

let down = false;
const waiting = new Map();

/** Now; while a button of the pointer is down, once it is up and has clicked, as what lies under it might move away. Of
 * several for one owner the last alone. */
export function unhurried(owner, action) {
  if (down) waiting.set(owner, action);
  else action();
}

function up() {
  if (!down) return;
  setTimeout(() => {
    down = false;
    const due = [...waiting.values()];
    waiting.clear();
    for (const action of due) action();
  }, CLICK_MS); // a click comes after its pointer is up
}

window.addEventListener("pointerdown", () => { down = true; }, true);
window.addEventListener("pointerup", up, true);
window.addEventListener("pointercancel", up, true);
// Who lets go above a menu or another window tells nobody.
window.addEventListener("pointermove", (event) => { if (!event.buttons) up(); }, true);

/** As `put`, but elements that are the same stay, and with them the focus, a key that is down, what is marked, scrolled or
 * unfolded. The same is what has the same `data-key`, or is the next of its kind; what can be clicked says and does the same. */
export function renew(element, ...children) {
  const wanted = present(children).map((one) => (one instanceof Node ? one : new Text(one)));
  const kept = new Set(wanted.filter((one) => one.parentNode === element));
  const old = Map.groupBy([...element.childNodes].filter((one) => !kept.has(one)), kind);
  arrange(element, wanted.map((fresh) => {
    const known = kept.has(fresh) ? fresh : old.get(kind(fresh))?.shift();
    if (known && known !== fresh) become(known, fresh);
    return known ?? fresh;
  }));
  return element;
}

function kind(node) {
  if (node.nodeName === "CANVAS") return node; // its pixels are not copied
  if (!(node instanceof Element)) return node.nodeName;
  const own = CLICKED.has(node.nodeName) ? `${node.textContent} ${node.getAttribute("href")}` : "";
  return `${node.nodeName} ${node.dataset.key ?? own}`;
}

/** `known` shows what `fresh` does. Where it has a `renewed` of its own, that is told. */
export function become(known, fresh) {
  if (known.renewed) {
    known.renewed(fresh);
    return;
  }
  if (!(known instanceof Element)) {
    if (known.data !== fresh.data) known.data = fresh.data;
    return;
  }
  const { checked, indeterminate, value } = fresh;
  for (const { name } of [...known.attributes]) if (!fresh.hasAttribute(name) && !NOT_COPIED.has(name)) known.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (known.getAttribute(name) !== value && !NOT_COPIED.has(name)) known.setAttribute(name, value);
  known.style.cssText = fresh.style.cssText;
  for (const name of listened) known[name] = fresh[name];
  if (known.open) fresh.ontoggle?.({ currentTarget: fresh }); // what is unfolded is made when it is looked at
  renew(known, ...fresh.childNodes);
  if (!ASKED.has(known.nodeName)) return;
  Object.assign(known, { checked, indeterminate });
  if (known.value !== value && known !== document.activeElement) known.value = value; // never under the fingers
}

function arrange(element, nodes) {
  const wanted = new Set(nodes);
  for (const one of [...element.childNodes]) if (!wanted.has(one)) one.remove();
  // Who is moved loses the focus: the others move around who has it.
  const held = nodes.find((one) => one.contains(document.activeElement));
  let at = element.firstChild;
  for (const one of nodes) {
    if (at && at !== held && at.nextSibling === one) {
      element.append(at);
      at = one;
    }
    if (one === at || one === held) at = one.nextSibling;
    else element.insertBefore(one, at);
  }
}
